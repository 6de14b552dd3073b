"""Evaluations until a sampler has found 95 % and 98 % of the true hypervolume: median over seeds and worst seed.

    python benchmarks/search_efficiency.py                         # all landscapes and samplers (hours)
    python benchmarks/search_efficiency.py --only known-cost tpe   # rows whose name starts with this
    python benchmarks/search_efficiency.py --table results/fashion-table.csv --jobs 2   # trained networks instead

All samplers start with the same eight random designs of a seed. Only the first row, `known-cost`, starts with its own
initial design. All are scored by true values. The reference point is the worst of the true front plus a tenth of its
range; samplers do not receive it. Synthetic landscapes return noisy values. A table is run twice: samplers receive the
accuracy of one seed, or the mean over seeds. Both are scored by the mean.

The rows of known-cost show the effect of each kind of information: the exact cost, the cost as an input of the model,
other features, the order of numbers, the space. In `ordered` rows, Optuna's samplers receive numeric choices as
integers. On a table, a repeated proposal gets its known value and does not count as an evaluation, as in `hybrid-search
run`; with --repeats it counts, as with Optuna alone. On synthetic landscapes it counts.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from landscapes import LANDSCAPES, Named

from hybrid_search.analysis.replay import (
    Rules,
    SimulatedRun,
    objective_table,
    parse_objectives,
    read_table,
    simulate,
    summarize,
)
from hybrid_search.analysis.replay.simulate import N_RANDOM, Source

SHARES = (0.95, 0.98)


@dataclass(frozen=True)
class Row:
    """One row: a baseline, its largest number of evaluations, its number of random designs, and what it needs."""

    baseline: str
    limit: int
    n_random: int = N_RANDOM
    needs_known: bool = False
    needs_features: bool = False


ROWS: Mapping[str, Row] = {
    "known-cost": Row("known-cost", 200, n_random=0),
    "known-cost, random start": Row("known-cost", 200),
    "known-cost, no features": Row("known-cost-no-features", 200, needs_features=True),
    "known-cost, space unknown": Row("known-cost-space-unknown", 200),
    "known-cost, cost not an input": Row("known-cost-no-inputs", 200, needs_known=True),
    "known-cost, cost an input but not exact": Row("known-cost-not-exact", 200, needs_known=True),
    "known-cost, numbers as words": Row("known-cost-words", 200),
    "known-cost, none of these": Row("known-cost-blind", 200),
    "tpe": Row("tpe-default", 300),
    "tpe multivariate, ordered": Row("tpe-ordered", 400),
    "nsga2 20": Row("nsga2-20-ordered", 600),
    "nsga2 50": Row("nsga2-50-ordered", 600),
    "gp, ordered": Row("gp-ordered", 240),
    "random": Row("random", 600),
}


def count_text(value: float | None, limit: int) -> str:
    return f"> {limit}" if value is None else f"{value:g}"


def line(title: str, curves: Sequence[SimulatedRun], limit: int) -> str:
    (row,) = summarize(curves, limit, SHARES)
    shares = [f"to_{100 * share:.0f}" for share in SHARES]
    cells = [count_text(row[f"{share}{word}"], limit) for share in shares for word in ("", "_worst")]
    return f"| {title} | {' | '.join(cells)} | {row['repeats']:.1f} | {row['proposal_ms']:.0f} |"


def sources(args: argparse.Namespace) -> dict[str, Source]:
    if not args.table:
        return {name: Named(name) for name in args.landscapes}
    found: dict[str, Source] = {}
    for path in args.table:
        table = read_table(path, parse_objectives(args.objectives), args.known)
        name = f"{table.name}, {len(table.designs)} designs"
        if table.n_seeds > 1:
            found[f"{name}, samplers see one of {table.n_seeds} seeds, scored by the mean"] = partial(
                objective_table, table
            )
        found[f"{name}, samplers see the mean over seeds"] = partial(objective_table, table, noisy=False)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--skip", nargs="*", default=[])
    parser.add_argument("--landscapes", nargs="*", default=list(LANDSCAPES))
    parser.add_argument("--table", type=Path, nargs="*")
    parser.add_argument("--objectives", default="accuracy,flops")
    parser.add_argument("--known", nargs="*", help="objectives known before training; default: flops and params")
    parser.add_argument("--repeats", action="store_true", help="repeated proposals on a table count")
    parser.add_argument("--limit", type=int, default=10**6, help="largest number of evaluations of any row")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("results/search-efficiency.md"))
    args = parser.parse_args()
    text: list[str] = []
    for name, source in sources(args).items():
        landscape = source()
        head = "| sampler | to 95 %: median | worst | to 98 %: median | worst | repeats | proposal, ms |"
        text += [f"\n## {name}\n\n{head}", "|---|---|---|---|---|---|---|"]
        print("\n".join(text[-2:]), flush=True)
        for title, row in ROWS.items():
            if (args.only and not title.startswith(tuple(args.only))) or title.startswith(tuple(args.skip)):
                continue
            if (row.needs_known and not landscape.known) or (row.needs_features and not landscape.features):
                continue
            limit = min(row.limit, args.limit, len(landscape.listed()) if landscape.listed else row.limit)
            rules = Rules(limit, row.n_random, args.repeats or not landscape.listed, stop_at=SHARES[-1])
            curves = simulate(source, [row.baseline], range(args.seeds), rules, jobs=args.jobs)
            text.append(line(title, curves, limit))
            print(text[-1], flush=True)
            write(args.out, args.seeds, text)


def write(out: Path, seeds: int, text: Sequence[Any]) -> None:
    about = (
        f"# Evaluations to a share of the true hypervolume\n\n{seeds} seeds. benchmarks/search_efficiency.py describes "
        "the method and writes this page."
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([about, *text]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
