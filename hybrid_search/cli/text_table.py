"""Tables of text: whole lines without trailing blanks; in a terminal, a long last column uses several lines."""

import textwrap
from collections.abc import Sequence

STAGE = " | "  # between the stages of a design
GAP = "  "
NARROW = 24  # columns that a broken text needs beside the others; with less room it is below them
INDENT = "    "


def table_lines(
    names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], width: int | None
) -> list[str]:
    """Return the lines of a table. No cell is cut.

    If a row is longer than `width`, its last cell is broken: a design between its stages, another text between words.

    Args:
        names: The headings of the columns.
        rows: The cells of every row, as text.
        right: For each column, whether it is aligned on the right.
        width: Columns of the terminal; None: any width, one line for each row.
    """
    cells = [list(names), *map(list, rows)]
    widths = [max(_length(row[i]) for row in cells) for i in range(len(names) - 1)]
    lead = sum(widths) + len(GAP) * len(widths)
    room = None if width is None else width - lead
    longest = max(_length(row[-1]) for row in cells)
    lines = []
    for row in cells:
        first = [_aligned(text, size, on_right) for text, size, on_right in zip(row, widths, right, strict=False)]
        if room is None or longest <= room:
            last = _aligned(row[-1], longest, True) if right[-1] else row[-1]
            lines.append(GAP.join([*first, last]))
        elif room >= NARROW:
            broken = _broken(row[-1], room)
            lines += [GAP.join([*first, broken[0]]), *(" " * lead + part for part in broken[1:])]
        else:
            lines.append(GAP.join(first))
            lines += [INDENT + part for part in _broken(row[-1], max(NARROW, (width or 0) - len(INDENT)))]
    return [line.rstrip() for line in lines]


def _broken(text: str, room: int) -> list[str]:
    """Return a text in lines of at most `room` columns: one line for each stage, longer ones broken between words."""
    parts = text.split(STAGE)
    return [line for part in parts for line in textwrap.wrap(part, room, break_on_hyphens=False)] or [""]


def _aligned(text: str, size: int, on_right: bool) -> str:
    blanks = " " * (size - _length(text))
    return blanks + text if on_right else text + blanks


def _length(text: str) -> int:
    """Return the columns that a text takes in a terminal."""
    from rich.cells import cell_len

    return cell_len(text)
