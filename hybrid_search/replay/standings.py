"""What a comparison comes to: evaluations to each share of the hypervolume, by sampler."""

import statistics
from collections.abc import Sequence
from typing import Any

from hybrid_search.replay.race import Curve

SHARES = (0.90, 0.95, 0.98)


def standings(curves: Sequence[Curve], limit: int, shares: Sequence[float] = SHARES) -> list[dict[str, Any]]:
    """A row a sampler, in the order of the curves: median and worst evaluations to each share.

    None stands for more than `limit`. `share` and `front_found` are medians at the end of the runs; `repeats` is the
    mean number of proposals that were known already.
    """
    rows = []
    for sampler in dict.fromkeys(curve.sampler for curve in curves):
        runs = [curve for curve in curves if curve.sampler == sampler]
        row: dict[str, Any] = {"sampler": sampler, "seeds": len(runs)}
        for share in shares:
            counts = [run.to(share) or limit + 1 for run in runs]
            for word, value in (("", statistics.median(counts)), ("_worst", max(counts))):
                row[f"to_{100 * share:.0f}{word}"] = value if value <= limit else None
        row["share"] = statistics.median(run.shares[-1] for run in runs)
        row["front_found"] = statistics.median(run.found for run in runs)
        row["front"] = runs[0].front
        row["repeats"] = statistics.mean(run.repeats for run in runs)
        row["proposal_ms"] = 1000 * statistics.mean(run.seconds for run in runs)
        rows.append(row)
    return rows
