"""`hybrid-search replay`: compare samplers and pruners on a finished search, without training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search._internal.counted import counted
from hybrid_search._internal.paths import absolute_path
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import Database, FormatOption
from hybrid_search.cli.output import Format, print_rows, say
from hybrid_search.cli.progress import progress_bar
from hybrid_search.errors import SettingsError

if TYPE_CHECKING:
    from hybrid_search.analysis.replay import ResultsTable, SimulatedRun

REPORT_SECONDS = 10.0  # between two lines of progress, without a terminal
GOALS = (0.95, 0.98)  # shares of the hypervolume that the figure marks


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(replay)


def replay(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|TABLE.csv",
            help="Name of a search (default: the newest), several names of searches that differ in the seed only, "
            "separated by commas, or a CSV file.",
        ),
    ] = None,
    samplers: Annotated[
        str, typer.Option(metavar="NAMES", help="Samplers, separated by commas.")
    ] = "known-cost,tpe,nsga2,random",
    pruners: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Pruners, separated by commas: none, front-probability. They need learning curves."
        ),
    ] = "none",
    seeds: Annotated[int, typer.Option(metavar="N", help="Runs of each sampler, with seeds 0, 1, ...")] = 10,
    evaluations: Annotated[
        int | None,
        typer.Option(metavar="N", help="Evaluations of a run. Default: 100, or all designs if there are fewer."),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Objectives, such as accuracy,flops or error:minimize,flops. Default: those of the search.",
        ),
    ] = None,
    known: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Objectives that are known before training. Default: flops and params."),
    ] = None,
    first: Annotated[
        int,
        typer.Option(
            metavar="N", help="Random designs at the start, the same for all samplers. 0 uses each sampler's own start."
        ),
    ] = 8,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Return the mean over training seeds from each evaluation. Default: the result of one seed.",
        ),
    ] = False,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="Count a repeated proposal as an evaluation, as Optuna alone does.")
    ] = False,
    jobs: Annotated[int, typer.Option(metavar="N", help="Number of processes.")] = 1,
    out: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="Write the figure as a self-contained HTML file.")
    ] = None,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Compare samplers on a finished search: evaluations until 90, 95 and 98 % of its hypervolume. Trains nothing."""
    from hybrid_search.analysis.replay import Rules, objective_table, simulate, summarize

    if seeds < 1:
        raise SettingsError(f"--seeds must be a whole number from 1 up; got {seeds}.")
    target = None if out is None else _figure_file(out)
    pruner_names = _names(pruners)
    table = _table(source, objectives, known, db, curves=pruner_names != ["none"])
    limit = min(100, len(table.designs)) if evaluations is None else evaluations
    with _bar() as progress:
        runs = simulate(
            partial(objective_table, table, noisy=not exact),
            _names(samplers),
            range(seeds),
            Rules(limit, first, repeats),
            pruners=pruner_names,
            jobs=jobs,
            progress=progress,
        )
    rows = summarize(runs, limit)
    title = _title(table, exact)
    if form is Format.table:
        print_rows([_texts(row, limit) for row in rows], form, title=f"{title}\nEvaluations: median (worst)")
    else:
        print_rows(rows, form)
    if target is not None:
        _draw(runs, target, title)
        say(f"figure: {target}")


def _figure_file(out: str) -> Path:
    """Return the absolute path of the figure; raise SettingsError unless it can be written there."""
    from hybrid_search._internal.output_file import check_output_file

    path = absolute_path("--out", out)
    if path.suffix.lower() != ".html":
        raise SettingsError(f"--out must be an HTML file, such as replay.html; got {out}.")
    check_output_file("--out", out)
    if find_spec("plotly") is None:
        raise SettingsError("--out needs plotly, which is not installed. Install it: pip install plotly")
    return path


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _table(
    source: str | None, objectives: str | None, known: str | None, db: str | None, *, curves: bool
) -> "ResultsTable":
    """Return the table of designs and results, from a CSV file or from searches of the ledger."""
    from hybrid_search.analysis.replay import parse_objectives, read_table, table_of_searches
    from hybrid_search.ledger import Ledger

    directions = parse_objectives(objectives) if objectives else None
    exact = None if known is None else set(_names(known))
    if source is not None and source.lower().endswith(".csv"):
        return read_table(Path(source), directions or parse_objectives("accuracy,flops"), exact)
    with Ledger(db, read_only=True) as ledger:
        names = [ledger.search().name] if source is None else [name.strip() for name in source.split(",")]
        return table_of_searches(ledger, names, directions, exact, curves=curves)


def _title(table: "ResultsTable", exact: bool) -> str:
    objectives = ", ".join(result.name for result in table.objectives)
    title = f"{table.name}: {counted(len(table.designs), 'design')}, {objectives}; seeds of training: {table.n_seeds}"
    if table.n_seeds == 1:
        return title
    reported = "the mean" if exact else "one seed"
    return f"{title}. Samplers see {reported}; the score is the mean"


def _texts(row: dict[str, Any], limit: int) -> dict[str, str]:
    """Return one row of the summary as texts."""

    def count(value: float | None) -> str:
        return f"> {limit}" if value is None else f"{value:g}"

    def epochs(value: float | None) -> str:
        return "-" if value is None else f"{value:g}"

    texts: dict[str, str] = {name: row[name] for name in ("sampler", "pruner") if name in row}
    for share in (98,) if "pruner" in row else (90, 95, 98):
        texts[f"to {share} %"] = f"{count(row[f'to_{share}'])} ({count(row[f'to_{share}_worst'])})"
    texts["front"] = f"{row['front_found']:g} of {row['front']}"
    if "pruner" in row:
        texts["in epochs"] = f"{epochs(row['epochs_to_98'])} ({epochs(row['epochs_to_98_worst'])})"
        return texts | {"pruned": f"{row['stopped']:.3g}", "of the front": f"{row['front_stopped']:.3g}"}
    return texts | {"repeats": f"{row['repeats']:.1f}", "proposal": f"{row['proposal_ms']:.0f} ms"}


def _draw(runs: "list[SimulatedRun]", out: Path, title: str) -> None:
    """Write the figure: the share of the hypervolume over evaluations, or over epochs with a pruner."""
    from hybrid_search._internal.output_file import written_file
    from hybrid_search.charts import FIGURE_CONFIG, LIGHT, band_numbers, bands_figure

    shares: dict[str, list[tuple[float, ...]]] = {}
    pruned = any(run.pruner != "none" for run in runs)
    for run in runs:
        name = f"{run.sampler}, {run.pruner}" if pruned else run.sampler
        shares.setdefault(name, []).append(_by_epoch(run) if pruned else run.shares)
    x = "epochs" if pruned else "evaluations"
    figure = bands_figure(band_numbers(shares), LIGHT, title=title, goals=GOALS, x=x)
    with written_file(out) as file:
        figure.write_html(file, include_plotlyjs=True, config=FIGURE_CONFIG)


def _by_epoch(run: "SimulatedRun") -> tuple[float, ...]:
    """Return the share of the hypervolume after each epoch. A training counts when it has ended."""
    by_epoch: list[float] = []
    for share, spent in zip((0.0, *run.shares), (*run.epochs, run.epochs[-1] + 1), strict=True):
        by_epoch += [share] * (spent - 1 - len(by_epoch))
    return tuple(by_epoch)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar of runs on stderr; yield the function to call after each run."""
    with progress_bar() as bar:
        task = bar.add_task("runs", total=None)
        said = time.monotonic()

        def watch(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            nonlocal said
            if not bar.console.is_terminal and (done in (1, total) or time.monotonic() - said >= REPORT_SECONDS):
                said = time.monotonic()
                say(f"{done} of {counted(total, 'run')} complete")

        yield watch
