"""What a comparison comes to: evaluations to each share of the hypervolume, by sampler."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from hybrid_search.analysis.replay.simulate import Curve

SHARES = (0.90, 0.95, 0.98)


def standings(curves: Sequence[Curve], limit: int, shares: Sequence[float] = SHARES) -> list[dict[str, Any]]:
    """A row a sampler, in the order of the curves: median and worst evaluations to each share.

    None stands for more than `limit`. `share` and `front_found` are medians at the end of the runs; `repeats` is the
    mean number of proposals that were known already. Where there is a pruner, a row a sampler and pruner, with median
    and worst epochs to each share, how many trainings it stopped in the mean, and how many members of the true front
    it stopped or let wait.
    """
    rows = []
    pruned = any(curve.pruner != "none" for curve in curves)
    for sampler, pruner in dict.fromkeys((curve.sampler, curve.pruner) for curve in curves):
        runs = [curve for curve in curves if (curve.sampler, curve.pruner) == (sampler, pruner)]
        row: dict[str, Any] = {"sampler": sampler, **({"pruner": pruner} if pruned else {}), "seeds": len(runs)}
        for share in shares:
            counts = [run.to(share) or limit + 1 for run in runs]
            for word, value in (("", statistics.median(counts)), ("_worst", max(counts))):
                row[f"to_{100 * share:.0f}{word}"] = value if value <= limit else None
            if pruned:
                epochs = [run.epochs_to(share) or math.inf for run in runs]
                for word, value in (("", statistics.median(epochs)), ("_worst", max(epochs))):
                    row[f"epochs_to_{100 * share:.0f}{word}"] = value if value < math.inf else None
        row["share"] = statistics.median(run.shares[-1] for run in runs)
        row["front_found"] = statistics.median(run.found for run in runs)
        row["front"] = runs[0].front
        row["repeats"] = statistics.mean(run.repeats for run in runs)
        row["proposal_ms"] = 1000 * statistics.mean(run.seconds for run in runs)
        if pruned:
            row["stopped"] = statistics.mean(run.stopped for run in runs)
            row["front_stopped"] = statistics.mean(run.lost for run in runs)
        rows.append(row)
    return rows
