"""What parallel workers cost known-cost: the hypervolume that 100 evaluations find with 1 to 16 at a time.

    python benchmarks/workers.py                                        # the synthetic landscapes
    python benchmarks/workers.py --table results/fashion-table.csv      # trained networks, one seed told

The oldest of the designs being evaluated ends first, and the next is proposed before the others are told. Shares of the
true hypervolume, medians over seeds; `ratio` is to one worker. The share after a quarter of the evaluations, where a
search is far from its end, is shown beside.
"""

import argparse
import statistics
from functools import partial
from pathlib import Path

from landscapes import LANDSCAPES, Named

from hybrid_search.analysis.replay import Rules, landscape_of, read_table, replay, wanted
from hybrid_search.analysis.replay.simulate import Source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sampler", default="known-cost")
    parser.add_argument("--landscapes", nargs="*", default=list(LANDSCAPES))
    parser.add_argument("--table", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    asked = parser.parse_args()
    sources: dict[str, Source] = {name: Named(name) for name in asked.landscapes}
    if asked.table:
        table = read_table(asked.table, wanted("accuracy,flops"))
        sources = {asked.table.name: partial(landscape_of, table)}
    for name, source in sources.items():
        first: tuple[float, float] | None = None
        for workers in asked.workers:
            rules = Rules(asked.evaluations, first=0, workers=workers)
            curves = replay(source, [asked.sampler], range(asked.seeds), rules, jobs=asked.jobs)
            ends = statistics.median(curve.shares[-1] for curve in curves)
            quarter = statistics.median(curve.shares[asked.evaluations // 4 - 1] for curve in curves)
            first = first or (ends, quarter)
            print(
                f"{name}, {workers} workers: {ends:.4f} of the hypervolume after {asked.evaluations} evaluations "
                f"(ratio {ends / first[0]:.3f}), {quarter:.4f} after {asked.evaluations // 4} "
                f"({quarter / first[1]:.3f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
