"""What a report consists of: sections of text, tables, code and pictures. Every text in them is plain, not markup."""

from collections.abc import Callable
from dataclasses import dataclass

from hybrid_search.charts.theme import Theme

WIDE, NARROW = 760, 356  # pixels of a picture on a page, and on a telephone


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: what is shown.
        value: the exact number that the text rounds; None for other texts.
    """

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading, and whether it holds numbers, which are aligned on the right."""

    name: str
    number: bool = True


@dataclass(frozen=True)
class DataTable:
    """A table.

    Args:
        name: identifies the table within its report: letters and hyphens.
        title: the line above it.
        columns: its columns; the first one is the heading of a row.
        rows: a cell for each column.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of texts."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Lines of code: commands or a file."""

    text: str
    language: str = "console"


@dataclass(frozen=True)
class Picture:
    """A picture.

    Args:
        name: identifies it within its report: letters, digits and hyphens. Its file is named like it.
        caption: the line below it.
        draw: called with a theme and a width in pixels; returns an SVG element.
        resizes: whether it can be drawn at any width. Otherwise it has a width of its own, and a narrow page scrolls.
    """

    name: str
    caption: str
    draw: Callable[[Theme, float], str]
    resizes: bool = True


Block = DataTable | Paragraph | Bullets | Code | Picture


@dataclass(frozen=True)
class Section:
    """A section: its heading, its name in links, and its blocks."""

    title: str
    name: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A whole report.

    Args:
        title: its heading.
        made: when and by which version it was made, one line.
        summary: the most important facts, each as its name and its value.
        sections: its sections.
    """

    title: str
    made: str
    summary: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
