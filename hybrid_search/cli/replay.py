"""`hybrid-search replay`: samplers compared on what was trained already."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search.cli.printing import Database, Format, FormatOption, print_rows, progress_bar, say
from hybrid_search.errors import SettingsError

if TYPE_CHECKING:
    from hybrid_search.analysis.replay import ResultsTable, SimulatedRun

GOALS = (0.95, 0.98)  # drawn in the figure


def add_to(app: typer.Typer) -> None:
    """Put this room's commands on the command line."""
    app.command()(replay)


def replay(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|TABLE.csv]",
            help="A search (default: the newest), several of other seeds with commas between, or a CSV file.",
        ),
    ] = None,
    samplers: Annotated[
        str, typer.Option(help="Which samplers, separated by commas; an unknown one is answered with all names.")
    ] = "known-cost,tpe,nsga2,random",
    pruners: Annotated[
        str, typer.Option(help="Which pruners, separated by commas: none, front-probability. They need every rung.")
    ] = "none",
    seeds: Annotated[int, typer.Option(help="Runs of each sampler, with seeds 0, 1, ...")] = 10,
    evaluations: Annotated[
        int | None, typer.Option(help="Evaluations of a run; default: 100, or the whole table if that is less.")
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(help="What is traded: accuracy,flops or error:minimize,flops; default: as the search was asked."),
    ] = None,
    known: Annotated[
        str | None, typer.Option(help="Objectives known before training; default: flops and params.")
    ] = None,
    first: Annotated[
        int, typer.Option(help="Random designs that all samplers begin with; 0: each begins as it would.")
    ] = 8,
    exact: Annotated[
        bool, typer.Option("--exact", help="Tell the means over seeds, not one seed's number of each design.")
    ] = False,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="A design proposed again counts again, as with Optuna alone.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write the figure, a self-contained HTML file.")] = None,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Compare samplers on a finished search: evaluations to 90, 95 and 98 % of its hypervolume. Trains nothing."""
    from hybrid_search.analysis.replay import Rules, objective_table, simulate, summarize

    if seeds < 1:
        raise SettingsError(f"--seeds must be a whole number from 1 up; got {seeds}.")
    if out is not None and out.suffix.lower() != ".html":
        raise SettingsError(f"--out must be an HTML file, such as replay.html; got {out}.")
    if out is not None and not out.resolve().parent.parent.is_dir():  # one folder is made; a longer path is a mistake
        raise SettingsError(f"--out must lie in a folder that exists; got {out}.")
    if out is not None and find_spec("plotly") is None:
        raise SettingsError("--out needs plotly, which is not installed. Install it: pip install plotly")
    judges = [name.strip() for name in pruners.split(",") if name.strip()]
    table = _table(source, objectives, known, db, curves=judges != ["none"])
    limit = min(100, len(table.designs)) if evaluations is None else evaluations
    names = [name.strip() for name in samplers.split(",") if name.strip()]
    with _bar() as progress:
        runs = simulate(
            partial(objective_table, table, noisy=not exact),
            names,
            range(seeds),
            Rules(limit, first, repeats),
            pruners=judges,
            jobs=jobs,
            progress=progress,
        )
    told = "one seed is told, their mean is scored" if table.n_seeds > 1 and not exact else "told what is scored"
    kinds = ", ".join(result.name for result in table.objectives)
    said = f"{table.name}: {len(table.designs)} designs, {kinds}; seeds of training: {table.n_seeds}, {told}"
    rows = summarize(runs, limit)
    if form is Format.table:
        print_rows([_worded(row, limit) for row in rows], form, title=f"{said}\nevaluations: median (worst)")
    else:
        print_rows(rows, form)
    if out is not None:
        _draw(runs, out, said)
        say(f"figure: {out}")


def _table(
    source: str | None, objectives: str | None, known: str | None, db: str | None, *, curves: bool
) -> "ResultsTable":
    from hybrid_search.analysis.replay import parse_objectives, read_table, table_of_searches
    from hybrid_search.ledger import Ledger

    asked = parse_objectives(objectives) if objectives else None
    exact = None if known is None else {name.strip() for name in known.split(",") if name.strip()}
    if source is not None and source.lower().endswith(".csv"):
        return read_table(Path(source), asked or parse_objectives("accuracy,flops"), exact)
    with Ledger(db, read_only=True) as ledger:
        names = [ledger.search().name] if source is None else [name.strip() for name in source.split(",")]
        return table_of_searches(ledger, names, asked, exact, curves=curves)


def _worded(row: dict[str, Any], limit: int) -> dict[str, str]:
    """A row of the summary as the table form has it."""

    def count(value: float | None) -> str:
        return f"> {limit}" if value is None else f"{value:g}"

    def epochs(value: float | None) -> str:
        return "-" if value is None else f"{value:g}"

    words: dict[str, str] = {name: row[name] for name in ("sampler", "pruner") if name in row}
    for share in (98,) if "pruner" in row else (90, 95, 98):
        words[f"to {share} %"] = f"{count(row[f'to_{share}'])} ({count(row[f'to_{share}_worst'])})"
    words["front"] = f"{row['front_found']:g} of {row['front']}"
    if "pruner" in row:
        words["in epochs"] = f"{epochs(row['epochs_to_98'])} ({epochs(row['epochs_to_98_worst'])})"
        return words | {"stopped": f"{row['stopped']:.3g}", "of the front": f"{row['front_stopped']:.3g}"}
    return words | {"repeats": f"{row['repeats']:.1f}", "proposal": f"{row['proposal_ms']:.0f} ms"}


def _draw(curves: "list[SimulatedRun]", out: Path, title: str) -> None:
    from hybrid_search.charts import LIGHT, band_numbers, bands_figure

    shares: dict[str, list[tuple[float, ...]]] = {}
    pruned = any(curve.pruner != "none" for curve in curves)
    for curve in curves:
        name = f"{curve.sampler}, {curve.pruner}" if pruned else curve.sampler
        shares.setdefault(name, []).append(_by_epoch(curve) if pruned else curve.shares)
    x = "epochs" if pruned else "evaluations"
    figure = bands_figure(band_numbers(shares), LIGHT, title=title, goals=GOALS, x=x)
    out.resolve().parent.mkdir(exist_ok=True)
    figure.write_html(out, include_plotlyjs=True)


def _by_epoch(curve: "SimulatedRun") -> tuple[float, ...]:
    """The share found after each epoch: a training counts when it is over."""
    found: list[float] = []
    for share, spent in zip((0.0, *curve.shares), (*curve.epochs, curve.epochs[-1] + 1), strict=True):
        found += [share] * (spent - 1 - len(found))
    return tuple(found)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar of runs on stderr, where that is a terminal."""
    with progress_bar(state=False) as bar:
        task = bar.add_task("runs", total=None)

        def watch(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done == 1 and not bar.console.is_terminal:
                say(f"run 1 of {total} is done")

        yield watch
