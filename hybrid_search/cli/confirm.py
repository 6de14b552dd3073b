"""`hybrid-search confirm`: retrain the front with fresh seeds, and report which trials are certain to be on it."""

import sys
from collections.abc import Callable, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search._internal.counted import counted
from hybrid_search.cli.engine_run import engine_run
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.next_commands import command_line, print_commands
from hybrid_search.cli.options import (
    STOP,
    Checkpoints,
    Database,
    DataDir,
    FormatOption,
    Hours,
    LogLevel,
    Quiet,
    SearchName,
    resources_of,
    with_options,
)
from hybrid_search.cli.output import Format, last_line, print_nothing, say

if TYPE_CHECKING:
    from hybrid_search.records import Resources
    from hybrid_search.search.confirmation import Confirmation

MAX_LISTED = 10  # trial numbers that one line lists


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(with_options(confirm, resources=resources_of))


def confirm(
    name: SearchName = None,
    seeds: Annotated[
        int,
        typer.Option(metavar="N", rich_help_panel=STOP, help="Smallest number of fresh seeds for each front member."),
    ] = 3,
    trials: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=STOP,
            help="Largest number of retrainings, earlier ones included. Default: twice what --seeds needs.",
        ),
    ] = None,
    hours: Hours = None,
    references: Annotated[
        bool,
        typer.Option(
            "--references/--no-references",
            rich_help_panel=STOP,
            help="Retrain the known designs and the baselines of the search too, so that one unlucky seed does not "
            "keep them off the front.",
        ),
    ] = True,
    data_dir: DataDir = None,
    checkpoints: Checkpoints = None,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    db: Database = None,
    form: FormatOption = Format.table,
    *,
    resources: "Resources",
) -> None:
    """Retrain the front with fresh seeds until it is settled. Run the same command to continue.

    A front is settled when, for every trial, it is 95 % certain whether it is on the front. Prints 95 % intervals and
    the probability that each trial is on the front. The retrained networks are scored on the test split; the ledger
    records each use of the test split.
    """
    from hybrid_search.cli.front import print_front
    from hybrid_search.runs.confirm import confirm as confirm_front

    with engine_run(quiet, log_level) as (stop, shown):
        confirmation = confirm_front(
            name,
            seeds=seeds,
            trials=trials,
            hours=hours,
            references=references,
            ledger=db,
            resources=resources,
            data_dir=data_dir,
            checkpoints=checkpoints,
            **shown,
        )
    notice = print_nothing if quiet else say
    print_front(confirmation.ledger, confirmation.record, form, notice)
    _print_result(confirmation, stopped=stop.came, notice=notice)
    given = {"--address": resources.address, "--data-dir": data_dir}
    _print_next(confirmation, db, given, stopped=stop.came, notice=notice)
    confirmation.ledger.close()
    sys.stdout.flush()
    stop.exit_if_stopped()
    if not confirmation.done and not (confirmation.baselines and confirmation.baselines.results):
        raise typer.Exit(1)


def _print_result(confirmation: "Confirmation", *, stopped: bool, notice: Callable[[str], None]) -> None:
    """Print what changed, failed retrainings, whether the front is settled, and the uses of the test split."""
    from hybrid_search.ledger import reads

    before, now = set(confirmation.before), confirmation.front()
    left, entered = sorted(before - set(now)), sorted(set(now) - before)
    changes = [f"{word} {_trials(numbers)}" for word, numbers in (("left:", left), ("entered:", entered)) if numbers]
    change = "; ".join(changes) or "the front has the same trials as before"
    notice(f"\n{counted(confirmation.done, 'retraining')}; {change}")
    for failure in confirmation.failures:
        notice(f"trial {failure.number} failed with seed {failure.seed} ({failure.kind}: {last_line(failure.text)})")
    for lost in confirmation.baselines.failures if confirmation.baselines else []:
        notice(f"{lost.name} failed with seed {lost.seed} ({lost.kind}: {last_line(lost.text)})")
    uncertain = confirmation.uncertain_trials()
    if uncertain == []:
        notice("the front is settled: for every trial, it is 95 % certain whether it is on the front")
    elif not stopped:
        which = "no trial has two fresh seeds" if uncertain is None else f"uncertain: {_trials(uncertain)}"
        notice(f"the front is not settled yet ({which})")
    uses = confirmation.ledger.read(reads.openings, confirmation.record.id)
    if uses:
        last = uses[-1]
        times = "once" if len(uses) == 1 else f"{len(uses)} times"
        notice(
            f"the test split ({counted(last.images, 'image')}, fingerprint {last.fingerprint}) was used to score "
            f"retrained networks. For this search it was used {times}; the ledger records each use"
        )


def _print_next(
    confirmation: "Confirmation",
    db: str | None,
    given: Mapping[str, str | None],
    *,
    stopped: bool,
    notice: Callable[[str], None],
) -> None:
    """Print the next commands. `given` are the options that the same command needs again."""
    name, tail = confirmation.record.name, f" --db {quote(confirmation.ledger.command_url)}" if db else ""
    commands = [(command_line("dashboard", [name], tail), "explore the results and their intervals")]
    if confirmation.uncertain_trials() != []:
        more = "" if stopped else f" --trials {2 * max(confirmation.done, confirmation.budget or 0)}"
        again = "".join(f" {option} {quote(value)}" for option, value in given.items() if value)
        options = f" --seeds {confirmation.seeds}{more}{again}{tail}"
        commands.insert(0, (command_line("confirm", [name], options), "continue"))
    notice("next:")
    print_commands(commands, notice)


def _trials(numbers: list[int]) -> str:
    """Return `trial 3` or `trials 3, 5 and 9`; only the first ten are listed."""
    listed = [str(number) for number in numbers[:MAX_LISTED]]
    if len(numbers) > MAX_LISTED:
        return f"{len(numbers)} trials, including {', '.join(listed)}"
    if len(listed) == 1:
        return f"trial {listed[0]}"
    return f"trials {', '.join(listed[:-1])} and {listed[-1]}"
