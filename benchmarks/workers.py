"""The hypervolume that known-cost finds in 100 evaluations with 1 to 16 parallel workers.

    python benchmarks/workers.py                                        # the synthetic landscapes
    python benchmarks/workers.py --table results/fashion-table.csv      # trained networks; the sampler sees one seed

The oldest running design ends first, and the next one is proposed before the others have ended. The output has shares
of the true hypervolume, medians over seeds, and their ratio to one worker, at the end and after a quarter of the
evaluations.
"""

import argparse
import statistics
from functools import partial
from pathlib import Path

from landscapes import LANDSCAPES, Named

from hybrid_search.analysis.replay import Rules, objective_table, parse_objectives, read_table, simulate
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
    args = parser.parse_args()
    sources: dict[str, Source] = {name: Named(name) for name in args.landscapes}
    if args.table:
        table = read_table(args.table, parse_objectives("accuracy,flops"))
        sources = {args.table.name: partial(objective_table, table)}
    for name, source in sources.items():
        first: tuple[float, float] | None = None
        for workers in args.workers:
            rules = Rules(args.evaluations, n_random=0, workers=workers)
            curves = simulate(source, [args.sampler], range(args.seeds), rules, jobs=args.jobs)
            ends = statistics.median(curve.shares[-1] for curve in curves)
            quarter = statistics.median(curve.shares[args.evaluations // 4 - 1] for curve in curves)
            first = first or (ends, quarter)
            print(
                f"{name}, {workers} workers: {ends:.4f} of the hypervolume after {args.evaluations} evaluations "
                f"(ratio {ends / first[0]:.3f}), {quarter:.4f} after {args.evaluations // 4} "
                f"({quarter / first[1]:.3f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
