"""Evaluations until a sampler has found 95 % and 98 % of the true hypervolume: medians over seeds, and the worst seed.

    python benchmarks/search_efficiency.py                         # every landscape and sampler: hours, --skip gp: one
    python benchmarks/search_efficiency.py --only known-cost tpe   # rows whose name begins so
    python benchmarks/search_efficiency.py --table results/fashion-table.csv --jobs 2   # trained networks instead

Every sampler begins with the same eight random designs of its seed, but for the first row, which begins as
`known-cost` does, with a spread along the cost. All are scored by true values, from the worst of the true front and a
tenth of its range beyond; no sampler is told that reference. Synthetic landscapes tell noisy values. A table is run
twice, with one seed's accuracy told and with the mean over seeds told, and scored by that mean.

Rows of known-cost show what each thing it is told is worth: the exact cost, the cost as an input of the model, further
features, the order of numbers, the space itself. `ordered` rows of Optuna's samplers get choices of numbers as whole
numbers. On a table a proposal that was known already is answered from what is known and counts as no evaluation, as in
`hybrid-search run`; with --repeats it counts, as it would with Optuna alone. On synthetic landscapes it counts.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from landscapes import LANDSCAPES, Named

from hybrid_search.analysis.replay import Curve, Rules, landscape_of, read_table, replay, standings, wanted
from hybrid_search.analysis.replay.simulate import FIRST, Source

SHARES = (0.95, 0.98)


@dataclass(frozen=True)
class Row:
    """One row: an entrant, its evaluations at most, the random designs it begins with, and what it needs."""

    entrant: str
    limit: int
    first: int = FIRST
    needs_known: bool = False
    needs_features: bool = False


ROWS: Mapping[str, Row] = {
    "known-cost": Row("known-cost", 200, first=0),
    "known-cost, the others' start": Row("known-cost", 200),
    "known-cost, no features": Row("known-cost-no-features", 200, needs_features=True),
    "known-cost, space not told": Row("known-cost-space-unknown", 200),
    "known-cost, cost no input": Row("known-cost-no-inputs", 200, needs_known=True),
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


def told(value: float | None, limit: int) -> str:
    return f"> {limit}" if value is None else f"{value:g}"


def line(title: str, curves: Sequence[Curve], limit: int) -> str:
    (row,) = standings(curves, limit, SHARES)
    shares = [f"to_{100 * share:.0f}" for share in SHARES]
    cells = [told(row[f"{share}{word}"], limit) for share in shares for word in ("", "_worst")]
    return f"| {title} | {' | '.join(cells)} | {row['repeats']:.1f} | {row['proposal_ms']:.0f} |"


def sources(asked: argparse.Namespace) -> dict[str, Source]:
    if not asked.table:
        return {name: Named(name) for name in asked.landscapes}
    found: dict[str, Source] = {}
    for path in asked.table:
        table = read_table(path, wanted(asked.objectives), asked.known)
        name = f"{table.name}, {len(table.designs)} designs"
        if table.seeds > 1:
            found[f"{name}, one of {table.seeds} seeds told, their mean scored"] = partial(landscape_of, table)
        found[f"{name}, told what is scored"] = partial(landscape_of, table, noisy=False)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--skip", nargs="*", default=[])
    parser.add_argument("--landscapes", nargs="*", default=list(LANDSCAPES))
    parser.add_argument("--table", type=Path, nargs="*")
    parser.add_argument("--objectives", default="accuracy,flops")
    parser.add_argument("--known", nargs="*", help="objectives known before training; default: as usual")
    parser.add_argument("--repeats", action="store_true", help="of a table: repeated proposals count")
    parser.add_argument("--limit", type=int, default=10**6, help="evaluations of a run at most, whatever its row")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("results/search-efficiency.md"))
    asked = parser.parse_args()
    text: list[str] = []
    for name, source in sources(asked).items():
        landscape = source()
        head = "| sampler | to 95 %: median | worst | to 98 %: median | worst | repeats | proposal, ms |"
        text += [f"\n## {name}\n\n{head}", "|---|---|---|---|---|---|---|"]
        print("\n".join(text[-2:]), flush=True)
        for title, row in ROWS.items():
            if (asked.only and not title.startswith(tuple(asked.only))) or title.startswith(tuple(asked.skip)):
                continue
            if (row.needs_known and not landscape.known) or (row.needs_features and not landscape.features):
                continue
            limit = min(row.limit, asked.limit, len(landscape.listed()) if landscape.listed else row.limit)
            rules = Rules(limit, row.first, asked.repeats or not landscape.listed, until=SHARES[-1])
            curves = replay(source, [row.entrant], range(asked.seeds), rules, jobs=asked.jobs)
            text.append(line(title, curves, limit))
            print(text[-1], flush=True)
            write(asked.out, asked.seeds, text)


def write(out: Path, seeds: int, text: Sequence[Any]) -> None:
    about = f"# Evaluations to a share of the true hypervolume\n\n{seeds} seeds; see benchmarks/search_efficiency.py."
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([about, *text]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
