"""`hybrid-search run`: run a search, show its progress, print its front."""

import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search._internal.counted import counted
from hybrid_search.cli.engine_run import engine_run
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.next_commands import command_line, print_commands
from hybrid_search.cli.options import (
    SEARCH,
    STOP,
    TRAINING,
    Checkpoints,
    Database,
    DataDir,
    DataName,
    FormatOption,
    Hours,
    Loggers,
    LogLevel,
    Quiet,
    SetSettings,
    changed_settings,
    resources_of,
    with_options,
)
from hybrid_search.cli.output import Format, print_nothing, print_rows, say
from hybrid_search.cli.search_options import search_options_of

if TYPE_CHECKING:
    from hybrid_search.records import Resources
    from hybrid_search.search.search import Search
    from hybrid_search.search.spec import SearchOptions
    from hybrid_search.search.trial import Progress


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(with_options(run, options=search_options_of, resources=resources_of))


def run(
    space: Annotated[
        str,
        typer.Argument(metavar="SPACE", help="Name of a shipped space (see: hybrid-search spaces), or a YAML file."),
    ] = "digits",
    trials: Annotated[
        int,
        typer.Option(
            metavar="N",
            rich_help_panel=SEARCH,
            help="Total number of trials. If the search already has N, it runs N more.",
        ),
    ] = 32,
    data: DataName = None,
    data_dir: DataDir = None,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=TRAINING, help="Epochs of each trial. Default: those of the space."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=TRAINING,
            help="Recipe of the training: short, classic, paper or modern. It replaces the recipe settings of the "
            "space. Default: that of the space, or short.",
        ),
    ] = None,
    settings: SetSettings = None,
    checkpoints: Checkpoints = None,
    hours: Hours = None,
    until_settled: Annotated[
        bool,
        typer.Option("--until-settled", rich_help_panel=STOP, help="Stop when the front hardly improves any more."),
    ] = False,
    settled_share: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=STOP,
            help="Threshold of --until-settled: share of the hypervolume that the last 8 trials added, and that the "
            "next 8 are expected to add. Default: 0.01.",
        ),
    ] = None,
    enqueue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=SEARCH,
            help="JSON file with designs to train first; `hybrid-search effects --pairs FILE` writes one. They count "
            "among the trials.",
        ),
    ] = None,
    log: Loggers = None,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    db: Database = None,
    form: FormatOption = Format.table,
    *,
    options: "SearchOptions",
    resources: "Resources",
) -> None:
    """Search a space for the Pareto front of accuracy and cost. Run the same command to continue."""
    from hybrid_search.runs.run import run as run_search
    from hybrid_search.search.stop_rules import DEFAULT_SHARE
    from hybrid_search.spaces.space import load_space

    loaded = load_space(space)
    named = {"data": data, "data_dir": data_dir, "epochs": epochs, "recipe": recipe, "seed": options["seed"]}
    options["settings"] = changed_settings(loaded.settings, named, settings, print_nothing if quiet else say)
    with engine_run(quiet, log_level) as (stop, shown):
        search = run_search(
            loaded,
            trials=trials,
            hours=hours,
            until_settled=settled_share if settled_share is not None else DEFAULT_SHARE if until_settled else None,
            resources=resources,
            ledger=db,
            checkpoints=checkpoints,
            enqueue=enqueue,
            loggers=log or (),
            **shown,
            **options,
        )
    print_result(search, form, db, stopped=stop.came, notice=print_nothing if quiet else say)
    search.ledger.close()
    stop.exit_if_stopped()
    if not search.progress().counts["complete"] and search.stop_rule.why is None:
        raise typer.Exit(1)


def _ended(search: "Search") -> int:
    """Return the number of trials that ended, in whatever way."""
    counts = search.progress().counts
    return sum(counts.values()) - counts["running"]


def _outcomes(progress: "Progress") -> dict[str, int]:
    """Return the numbers of proposals and trials by what happened to them, complete ones first."""
    return {
        "complete": progress.counts["complete"],
        "duplicates skipped": progress.duplicates,
        "over budget skipped": progress.over_budget,
        **({"deferred": progress.deferred} if progress.deferred else {}),
        "pruned": progress.counts["stopped"],
        "failed": progress.counts["failed"],
    }


def print_result(
    search: "Search", form: Format, db: str | None, *, stopped: bool, notice: Callable[[str], None]
) -> None:
    """Print the front on stdout, then what happened to proposals, and the next commands.

    Args:
        search: The search.
        form: Format of the front.
        db: `--db` as typed; the next commands repeat it.
        stopped: Whether a signal stopped the run.
        notice: Called with each line besides the front.
    """
    from hybrid_search.cli.front import print_front

    progress = search.progress()
    if progress.counts["complete"]:
        print_front(search.ledger, search.record, form, notice)
    elif form is not Format.table:
        print_rows([], form)
    outcomes = ", ".join(f"{count:,} {what}" for what, count in _outcomes(progress).items())
    reference = ", ".join(o.text(value) for o, value in zip(search.spec.objectives, progress.reference, strict=True))
    notice(f"\ntrials: {outcomes}; hypervolume {progress.hypervolume:.4g} (reference point {reference})")
    if saved := search.avoided_by_equivalence():
        notice(f"{saved:,} other designs of the space describe the same networks; they need no training")
    if search.record.pruner != "none":
        for line in search.audit().lines():
            notice(line)
    if search.stop_rule.why is not None:
        notice(
            f"the search stopped before {counted(search.record.target, 'trial')}: {search.stop_rule.why}. "
            "Run the same command to continue"
        )
    elif not stopped and _ended(search) < search.record.target and progress.counts["running"] == 0:
        notice("every design of the space within the budget was tried")
    if not progress.counts["complete"]:
        return
    name, tail = search.record.name, f" --db {quote(search.ledger.command_url)}" if db else ""
    notice("next: run the same command to continue, or" if stopped else "next:")
    commands = [
        (command_line("dashboard", [name], tail), "explore the results in the browser"),
        (command_line("confirm", [name], tail), "retrain the front: intervals and test accuracy"),
        (command_line("export", [name, "my-network"], f" --pick knee{tail}"), "write a network as a model"),
    ]
    print_commands(commands, notice)
    sys.stdout.flush()
