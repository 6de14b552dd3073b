"""Printing: tables as text, JSON or CSV on stdout; everything else on stderr."""

import csv
import io
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import typer


class Format(StrEnum):
    """The format of a printed table."""

    table = "table"
    json = "json"
    csv = "csv"


def say(text: str) -> None:
    """Print a line for people on stderr, so that stdout holds the table alone."""
    typer.echo(text, err=True)


def print_nothing(text: str) -> None:
    """Print nothing: the substitute of `say` with --quiet."""


def command_name() -> str:
    """Return the name to type for this command: `hybrid-search` if the shell finds it, otherwise its path."""
    import shutil
    from pathlib import Path

    path = Path(sys.argv[0])
    if shutil.which("hybrid-search") or path.name != "hybrid-search":
        return "hybrid-search"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def count_text(count: int) -> str:
    """Return a count as people read it: `12,960`, or `3.40e+12` from a thousand million up."""
    return f"{count:,}" if count < 10**9 else f"{count:.2e}"


def last_line(text: str) -> str:
    """Return the last line of an error text."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no error text"


def print_rows(
    rows: Sequence[Mapping[str, Any]], form: Format, *, title: str = "", columns: Mapping[str, Any] | None = None
) -> None:
    """Print rows on stdout.

    Args:
        rows: The rows; all have the same keys.
        form: Table, JSON (a list of objects) or CSV (with a header; values that are objects are left out).
        title: Line above the table; only for the table form.
        columns: Columns of the table form, each with a function from a value to its text; default: all, `str`.
    """
    if form is Format.json:
        json.dump(list(rows), sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
    elif form is Format.csv:
        out = io.StringIO()
        names = [name for name in (rows[0] if rows else {}) if not isinstance(rows[0][name], Mapping)]
        writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: safe_cell(row.get(name)) for name in names} for row in rows)
        sys.stdout.write(out.getvalue())
    else:
        _print_table(rows, title, columns or {})


def safe_cell(value: Any) -> Any:
    """Return a cell of a CSV file. An apostrophe is put before a text that a spreadsheet would run as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def terminal_width() -> int | None:
    """Return the columns of the terminal that stdout is; None for a pipe or a file, where lines have any length."""
    from rich.console import Console

    console = Console(file=sys.stdout)
    return console.width if console.is_terminal else None


def _print_table(rows: Sequence[Mapping[str, Any]], title: str, columns: Mapping[str, Any]) -> None:
    from hybrid_search.cli.text_table import table_lines

    width = terminal_width()
    for line in title.split("\n") if title else ():
        typer.echo("\n".join(textwrap.wrap(line, width)) if width else line)
    names = list(columns) or list(rows[0] if rows else {})
    if not names:
        return
    to_text = [columns.get(name) or str for name in names]
    cells = [[text(row[name]) for name, text in zip(names, to_text, strict=True)] for row in rows]
    right = [bool(rows) and isinstance(rows[0].get(name), int | float) for name in names]
    header, *lines = table_lines([name.replace("_", " ") for name in names], cells, right, width)
    typer.secho(header, bold=True)
    for line in lines:
        typer.echo(line)
