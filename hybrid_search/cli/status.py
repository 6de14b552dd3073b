"""`hybrid-search status`: where a search stands, from any machine that sees its database."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search.cli.printing import Database, Format, FormatOption, print_rows, say
from hybrid_search.errors import LedgerAway, SettingsError

if TYPE_CHECKING:
    from rich.console import Console, Group

    from hybrid_search.analysis.status import SearchStatus
    from hybrid_search.ledger import Ledger


PIPED = 200  # columns, where nobody's screen is asked for


def add_to(app: typer.Typer) -> None:
    """Put this room's commands on the command line."""
    app.command()(status)


def status(
    name: Annotated[str | None, typer.Argument(help="A search; default: the newest.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Draw it again until the search ends, or Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks of --watch.")] = 2.0,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Where a search stands: running trials and where, failures by kind, hypervolume, time left. Reads alone."""
    from hybrid_search.analysis.status import status_of
    from hybrid_search.ledger import Ledger

    if not every > 0:
        raise SettingsError(f"--every must be more than 0 seconds; got {every:g}.")
    if watch and form is Format.csv:
        raise SettingsError("--watch prints a table, or JSON a line a look; got --format csv.")
    with Ledger(db, read_only=True) as ledger:
        search = ledger.search(name)
        if watch:
            _watch(ledger, search.name, every, form)
            return
        found = status_of(ledger, search)
        if form is Format.json:
            typer.echo(json.dumps(found.to_dict(), indent=2))
        elif form is Format.csv:
            facts = found.to_dict()
            flat = {key: value for key, value in facts.items() if not isinstance(value, dict | list)}
            print_rows([flat | {f"{state}": count for state, count in facts["counts"].items()}], form)
        else:
            _console().print(_drawn(found))


def _watch(ledger: "Ledger", name: str, every: float, form: Format) -> None:
    """Look again and again; ends with the search's own end, be it short of its target."""
    from rich.live import Live

    if form is Format.json:
        for found in _looks(ledger, name, every, say):
            print(json.dumps(found.to_dict()), flush=True)
        return
    console = _console()
    if not console.is_terminal:
        for found in _looks(ledger, name, every, say):
            console.print(_drawn(found), "")
        return
    with Live(console=console, auto_refresh=False) as live:
        for found in _looks(ledger, name, every, live.console.print):
            live.update(_drawn(found), refresh=True)


def _console() -> "Console":
    """Where the status is printed: as wide as a terminal, and without line breaks of its own elsewhere."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=PIPED)


def _looks(ledger: "Ledger", name: str, every: float, tell: Callable[[str], None]) -> Iterator["SearchStatus"]:
    """How the search stands, until it is finished or its driver has ended in order; an outage is waited out."""
    from hybrid_search.analysis.status import status_of

    driven = False
    while True:
        try:
            found = status_of(ledger, ledger.search(name))
        except LedgerAway as error:
            tell(str(error))
        else:
            yield found
            if found.state == "finished" or (driven and found.state == "idle"):
                return
            driven = found.state == "running"
        time.sleep(every)


def _drawn(found: "SearchStatus") -> "Group":
    """The status as a person reads it: some lines, then the running trials."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from hybrid_search.objectives import OBJECTIVES

    lines = [_headline(found), _counts(found)]
    first = OBJECTIVES[found.search.objectives[0]]
    lines.append(f"front {found.front}, best {first.name} {first.text(found.best)}, hv {found.hypervolume:.4g}")
    if found.failures:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.failures.items())
        lines.append(f"failed attempts: {kinds}; the last one, {found.last_failure}")
    if found.trials_per_hour is not None:
        pace = f"{found.trials_per_hour:,.1f} trials an hour of late"
        lines.append(pace if found.time_left is None else f"{pace}, {_span(found.time_left)} left at that pace")
    parts: list[Any] = [Text(line) for line in lines]
    if found.running:
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", title_justify="left")
        for column in ("trial", "attempt", "rung", "for", "worker"):
            table.add_column(column, justify="right" if column != "worker" else "left", no_wrap=column != "worker")
        table.add_column("architecture", overflow="fold")
        for trial in found.running:
            where = trial.worker or "-"
            table.add_row(
                str(trial.number),
                str(trial.attempt),
                f"{trial.rung}/{trial.rungs}" if trial.rungs else str(trial.rung),
                _span(timedelta(seconds=trial.seconds)),
                Text(f"{where} (silent)" if trial.silent and found.state == "running" else where),
                Text(trial.architecture),
            )
        parts += [Text(""), table]
    return Group(*parts)


def _headline(found: "SearchStatus") -> str:
    said = {
        "running": f"is being run by {found.driver}",
        "interrupted": "was interrupted (the command that began it goes on with it)",
        "finished": "has reached its target",
        "idle": "is not being run",
    }[found.state]
    return f"search {found.search.name!r} {said}: {found.ended:,} of {found.search.target:,} trials have ended"


def _counts(found: "SearchStatus") -> str:
    words = {"running": "left to go on with"} if found.state == "interrupted" else {}
    return ", ".join(f"{count:,} {words.get(state, state)}" for state, count in found.counts.items())


def _span(span: timedelta) -> str:
    """A time as h:mm:ss, without the fractions."""
    return str(timedelta(seconds=round(span.total_seconds())))
