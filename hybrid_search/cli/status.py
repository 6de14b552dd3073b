"""`hybrid-search status`: progress, running trials and failures of a search, read from its database alone."""

import json
import textwrap
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search._internal.counted import counted
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import Database, FormatOption, SearchName
from hybrid_search.cli.output import Format, print_rows, say, terminal_width
from hybrid_search.cli.training_table import training_lines
from hybrid_search.errors import LedgerAway, SettingsError

if TYPE_CHECKING:
    from hybrid_search.analysis.status import RunningTrial, SearchStatus
    from hybrid_search.ledger import Ledger


WORDS = {"stopped": "pruned"}  # states of the ledger -> words for people


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(status)


def status(
    name: SearchName = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Update the status until the search ends, or until Ctrl-C.")
    ] = False,
    every: Annotated[float, typer.Option(metavar="SECONDS", help="Time between two updates of --watch.")] = 2.0,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Show the progress of a search: running trials, failures, hypervolume and time left. Reads only."""
    from hybrid_search.analysis.status import status_of
    from hybrid_search.ledger import Ledger

    if not every > 0:
        raise SettingsError(f"--every must be more than 0 seconds; got {every:g}.")
    if watch and form is Format.csv:
        raise SettingsError("--watch prints a table, or one JSON object a line; got --format csv.")
    with Ledger(db, read_only=True) as ledger:
        search = ledger.search(name)
        if watch:
            _watch(ledger, search.name, every, form)
            return
        now = status_of(ledger, search)
        if form is Format.json:
            typer.echo(json.dumps(now.to_dict(), indent=2))
        elif form is Format.csv:
            facts = now.to_dict()
            flat = {key: value for key, value in facts.items() if not isinstance(value, dict | list)}
            print_rows([flat | facts["counts"]], form)
        else:
            for line in _drawn(now, terminal_width()):
                typer.echo(line)


def _watch(ledger: "Ledger", name: str, every: float, form: Format) -> None:
    """Print the status again and again, until the search ends."""
    from rich.live import Live
    from rich.text import Text

    if form is Format.json:
        for now in updates(ledger, name, every, say):
            print(json.dumps(now.to_dict()), flush=True)
        return
    if terminal_width() is None:
        for now in updates(ledger, name, every, say):
            print("\n".join([*_drawn(now, None), ""]), flush=True)
        return
    with Live(auto_refresh=False) as live:
        for now in updates(ledger, name, every, live.console.print):
            live.update(Text("\n".join(_drawn(now, terminal_width()))), refresh=True)


def updates(ledger: "Ledger", name: str, every: float, notice: Callable[[str], None]) -> "Iterator[SearchStatus]":
    """Yield the status of a search until it is finished or its driver exits.

    Args:
        ledger: The ledger.
        name: Name of the search.
        every: Seconds between two updates.
        notice: Called with the error during an outage of the database; the next update tries again.
    """
    from hybrid_search.analysis.status import status_of

    had_driver = False
    while True:
        try:
            now = status_of(ledger, ledger.search(name))
        except LedgerAway as error:
            notice(str(error))
        else:
            yield now
            if now.state == "finished" or (had_driver and now.state == "idle"):
                return
            had_driver = now.state in ("running", "confirming")
        time.sleep(every)


def _drawn(now: "SearchStatus", width: int | None) -> list[str]:
    """Return the status for people: some lines, then a table of running trials."""
    from hybrid_search.cli.text_table import table_lines

    lines = [part for line in _lines(now) for part in (textwrap.wrap(line, width) if width else [line])]
    if now.running:
        names = ("trial", "attempt", "rung", "time", "worker", "architecture")
        rows = [_running_cells(trial, now.state in ("running", "confirming")) for trial in now.running]
        lines += ["", *table_lines(names, rows, (True, True, True, True, False, False), width)]
    return lines


def _lines(now: "SearchStatus") -> list[str]:
    first = now.search.objective_list[0]
    lines = [
        _headline(now),
        _counts(now),
        f"{now.front} on the front, best {first.name} {first.text(now.best)}, hypervolume {_volume_text(now)}",
    ]
    if now.failures:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in now.failures.items())
        lines.append(f"failed attempts: {kinds}; the last: {now.last_failure}")
    lines += [f"data: {note}" for note in now.data_notes]
    lines += training_lines(now.trainings)
    if now.trials_per_hour is not None:
        rate = f"{now.trials_per_hour:,.1f} trials per hour recently"
        lines.append(rate if now.time_left is None else f"{rate}, {_time_text(now.time_left)} left at this rate")
    return lines


def _volume_text(now: "SearchStatus") -> str:
    """Return the hypervolume with its reference point: `4.2e+05 (reference point accuracy 0.00 %, flops 1.3 M)`."""
    if now.hypervolume is None:
        return f"- ({now.unknown_reference})"
    if now.reference is None:
        return f"{now.hypervolume:.4g}"
    pairs = zip(now.search.objective_list, now.reference, strict=True)
    point = ", ".join(f"{objective.name} {objective.text(value)}" for objective, value in pairs)
    return f"{now.hypervolume:.4g} (reference point {point})"


def _headline(now: "SearchStatus") -> str:
    what = {
        "running": f"is run by {now.driver}",
        "confirming": f"is being confirmed by {now.driver}",
        "interrupted": "was interrupted (run the same command to continue)",
        "finished": "has reached its number of trials",
        "idle": "is not running",
    }[now.state]
    verb = "has" if now.search.target == 1 else "have"
    return f"search {now.search.name!r} {what}: {now.ended:,} of {counted(now.search.target, 'trial')} {verb} ended"


def _counts(now: "SearchStatus") -> str:
    words = WORDS | ({"running": "to resume"} if now.state == "interrupted" else {})
    return ", ".join(f"{count:,} {words.get(state, state)}" for state, count in now.counts.items())


def _running_cells(trial: "RunningTrial", has_driver: bool) -> list[str]:
    worker = trial.worker or "-"
    return [
        str(trial.number),
        str(trial.attempt),
        f"{trial.rung}/{trial.rungs}" if trial.rungs else str(trial.rung),
        _time_text(timedelta(seconds=trial.seconds)),
        f"{worker} (no heartbeat)" if trial.silent and has_driver else worker,
        trial.architecture,
    ]


def _time_text(span: timedelta) -> str:
    """Return a time as h:mm:ss, without fractions."""
    return str(timedelta(seconds=round(span.total_seconds())))
