"""The summary of a comparison: evaluations until each share of the hypervolume, for each sampler and pruner."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from hybrid_search.analysis.replay.simulate import SimulatedRun

SHARES = (0.90, 0.95, 0.98)


def summarize(runs: Sequence[SimulatedRun], limit: int, shares: Sequence[float] = SHARES) -> list[dict[str, Any]]:
    """Return a row for each sampler, or for each sampler and pruner if a pruner was used.

    Args:
        runs: the simulated runs.
        limit: evaluations of a run. None in a row means: more than this.
        shares: shares of the hypervolume of the true front.

    Returns:
        Rows in the order of the runs. `to_95` and `to_95_worst` are the median and the worst number of evaluations.
        `share` and `front_found` are medians at the end of the runs. `repeats` is the mean number of repeated
        proposals. With a pruner, `epochs_to_95` counts epochs, `stopped` is the mean number of stopped trainings, and
        `front_stopped` the mean number of members of the true front that were stopped or deferred.
    """
    rows = []
    pruned = any(run.pruner != "none" for run in runs)
    for sampler, pruner in dict.fromkeys((run.sampler, run.pruner) for run in runs):
        group = [run for run in runs if (run.sampler, run.pruner) == (sampler, pruner)]
        row: dict[str, Any] = {"sampler": sampler, **({"pruner": pruner} if pruned else {}), "seeds": len(group)}
        for share in shares:
            counts = [run.evaluations_to(share) or limit + 1 for run in group]
            for suffix, value in (("", statistics.median(counts)), ("_worst", max(counts))):
                row[f"to_{100 * share:.0f}{suffix}"] = value if value <= limit else None
            if pruned:
                epochs = [run.epochs_to(share) or math.inf for run in group]
                for suffix, value in (("", statistics.median(epochs)), ("_worst", max(epochs))):
                    row[f"epochs_to_{100 * share:.0f}{suffix}"] = value if value < math.inf else None
        row["share"] = statistics.median(run.shares[-1] for run in group)
        row["front_found"] = statistics.median(run.front_found for run in group)
        row["front"] = group[0].front_size
        row["repeats"] = statistics.mean(run.repeats for run in group)
        row["proposal_ms"] = 1000 * statistics.mean(run.proposal_seconds for run in group)
        if pruned:
            row["stopped"] = statistics.mean(run.stopped for run in group)
            row["front_stopped"] = statistics.mean(run.front_missed for run in group)
        rows.append(row)
    return rows
