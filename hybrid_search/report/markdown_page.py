"""A report as Markdown. Its pictures are SVG files beside it."""

import re
from html import escape
from urllib.parse import quote

from hybrid_search._internal.visible_text import visible
from hybrid_search.charts.theme import LIGHT
from hybrid_search.report.blocks import WIDE, Block, Bullets, Code, DataTable, Paragraph, Picture, Report

MARK = "<!-- hybrid-search report -->"
SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")
FIRST = re.compile(r"^([-+=:>]|\d+(?=[.)]))")  # what begins a list, a quotation or a heading
CODE = re.compile(r"`([^`]+)`")


def pictures_of(report: Report, stem: str) -> dict[str, str]:
    """Return the files of the pictures: name -> SVG text.

    Args:
        report: the report.
        stem: how the name of each file begins.
    """
    return {
        f"{stem}-{block.name}.svg": f"{MARK}\n{block.draw(LIGHT, WIDE)}\n"
        for section in report.sections
        for block in section.blocks
        if isinstance(block, Picture)
    }


def markdown_page(report: Report, stem: str) -> str:
    """Return the text of the file.

    Args:
        report: the report.
        stem: how the names of the files of its pictures begin.
    """
    parts = [MARK, f"# {_text(report.title)}", _text(report.made)]
    parts.append("\n".join(f"- {_text(name)}: **{_text(value)}**" for name, value in report.summary))
    for section in report.sections:
        parts.append(f"## {_text(section.title)}")
        parts += [_block(block, stem) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _text(text: str) -> str:
    """Return plain text as Markdown that shows it literally, in one line."""
    shown = SPECIAL.sub(r"\\\1", escape(visible(text), quote=False))
    return FIRST.sub(lambda match: f"\\{match[1]}" if not match[1].isdigit() else f"{match[1]}\u200b", shown)


def _prose(text: str) -> str:
    """Return text as Markdown; what stands between backticks is code."""
    parts = CODE.split(text)
    return "".join(f"`{visible(part)}`" if index % 2 else _text(part) for index, part in enumerate(parts))


def _block(block: Block, stem: str) -> str:
    if isinstance(block, Paragraph):
        return _prose(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {_prose(item)}" for item in block.items)
    if isinstance(block, Code):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
        lines = "\n".join(visible(line) for line in block.text.rstrip("\n").split("\n"))
        return f"{fence}{block.language}\n{lines}\n{fence}"
    if isinstance(block, Picture):
        return f"![{_text(block.caption)}]({quote(f'{stem}-{block.name}.svg')})\n\n{_prose(block.caption)}"
    return _table(block)


def _table(table: DataTable) -> str:
    head = f"| {' | '.join(_text(column.name) or ' ' for column in table.columns)} |"
    rule = f"|{'|'.join('--:' if column.number else '---' for column in table.columns)}|"
    rows = [f"| {' | '.join(_text(cell.text) for cell in row)} |" for row in table.rows]
    return "\n".join([f"**{_text(table.title)}**", "", head, rule, *rows])
