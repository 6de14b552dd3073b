"""Tables as a person, a program or a spreadsheet reads them. Only the asked table goes to stdout."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Format(StrEnum):
    """How a table is printed."""

    table = "table"
    json = "json"
    csv = "csv"


FormatOption = Annotated[
    Format, typer.Option("--format", help="How to print the table; JSON and CSV go to stdout alone.")
]
Database = Annotated[
    str | None,
    typer.Option("--db", help="Database URL. Default: $HYBRID_SEARCH_DB, else sqlite:///results/hybrid-search.db."),
]


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no advice: the table alone, and errors.")]
LogLevel = Annotated[
    str | None,
    typer.Option(
        help="debug (every rung), info, warning or error: events of this level and above are shown here as well as in "
        "the log beside the database, which has info and above unless this says otherwise.",
        show_default=False,
    ),
]


def nothing(text: str) -> None:
    """What `say` is when it is to be quiet."""


@contextmanager
def shown_log(level: str | None, console: "Console") -> Iterator[None]:
    """Show the events of the log of this level and above on a terminal, for as long as this lasts."""
    if level is None:
        yield
        return
    from rich.highlighter import NullHighlighter
    from rich.logging import RichHandler

    from hybrid_search._internal.event_log import LOG, AsText, level_of

    handler = RichHandler(level_of(level), console, show_path=False, markup=False, highlighter=NullHighlighter())
    handler.setFormatter(AsText())
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)


def progress_bar(*, state: bool = True, left: bool = True, quiet: bool = False) -> "Progress":
    """A bar on stderr, drawn where that is a terminal: what, how many of how many, `state` in words, times."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        *([TextColumn("{task.fields[state]}")] if state else []),
        TimeElapsedColumn(),
        *([TextColumn("left"), TimeRemainingColumn()] if left else []),
        console=console,
        disable=quiet or not console.is_terminal,
    )


def called() -> str:
    """How this command was called, for commands to type next: its name where the shell finds it, else its path."""
    import shutil
    from pathlib import Path

    path = Path(sys.argv[0])
    if shutil.which("hybrid-search") or path.name != "hybrid-search":
        return "hybrid-search"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def say(text: str) -> None:
    """A line for the person at the terminal: stderr, so that stdout stays the asked table."""
    typer.echo(text, err=True)


def print_rows(
    rows: Sequence[Mapping[str, Any]], form: Format, *, title: str = "", shown: Mapping[str, Any] | None = None
) -> None:
    """Print rows of equal keys. `shown` names the columns of the table form and how their values are worded."""
    if form is Format.json:
        json.dump(list(rows), sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
    elif form is Format.csv:
        out = io.StringIO()
        names = [name for name in (rows[0] if rows else {}) if not isinstance(rows[0][name], Mapping)]
        writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: guarded(row.get(name)) for name in names} for row in rows)
        sys.stdout.write(out.getvalue())
    else:
        _table(rows, title, shown or {})


def guarded(value: Any) -> Any:
    """A text cell that a spreadsheet would run as a formula, made harmless by a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _table(rows: Sequence[Mapping[str, Any]], title: str, shown: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    names = list(shown) or list(rows[0] if rows else {})
    for name in names:
        right = bool(rows) and isinstance(rows[0].get(name), int | float)
        table.add_column(name.replace("_", " "), justify="right" if right else "left", overflow="fold")
    for row in rows:
        word = [shown.get(name) or str for name in names]
        table.add_row(*(Text(words(row[name])) for name, words in zip(names, word, strict=True)))
    Console(soft_wrap=False).print(table)
