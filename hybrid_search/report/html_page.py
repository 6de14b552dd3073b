"""A report as one HTML file. It has no script, and its content security policy allows no request at all."""

import base64
import hashlib
import re
from html import escape

from hybrid_search._internal.visible_text import visible
from hybrid_search.report.blocks import (
    NARROW,
    WIDE,
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    DataTable,
    Paragraph,
    Picture,
    Report,
)
from hybrid_search.report.look import PAGE, style

MARK = '<meta name="generator" content="hybrid-search report">'
LONG = 40  # characters of a cell that needs a wide column
CODE = re.compile(r"`([^`]+)`")


def html_page(report: Report) -> str:
    """Return the text of the file.

    Args:
        report: the report.
    """
    css = style()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    links = "".join(f'<li><a href="#{part.name}">{plain_html(part.title)}</a></li>' for part in report.sections)
    facts = "".join(
        f"<div><dt>{plain_html(name)}</dt><dd>{plain_html(value)}</dd></div>" for name, value in report.summary
    )
    body = "".join(
        f'<section aria-labelledby="{part.name}"><h2 id="{part.name}">{plain_html(part.title)}</h2>'
        f"{''.join(map(_block, part.blocks))}</section>\n"
        for part in report.sections
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK}\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{plain_html(report.title)}</title>\n<style>{css}</style>\n</head>\n<body>\n"
        f'<header><h1>{plain_html(report.title)}</h1><p class="made">{plain_html(report.made)}</p><dl>{facts}</dl>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n<main>\n{body}</main>\n</body>\n</html>\n'
    )


def plain_html(text: str) -> str:
    """Return a text as markup that shows it literally."""
    return escape(visible(text))


def _prose(text: str) -> str:
    """Return text as markup; what stands between backticks is code."""
    return CODE.sub(r"<code>\1</code>", plain_html(text))


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{_prose(block.text)}</p>"
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li>{_prose(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Code):
        lines = "\n".join(plain_html(line) for line in block.text.split("\n"))
        return f"<pre><code>{lines}</code></pre>"
    return table_html(block) if isinstance(block, DataTable) else _picture(block)


def _picture(picture: Picture) -> str:
    wide = picture.draw(PAGE, WIDE)
    if picture.resizes:
        shown = f'<div class="wide">{wide}</div><div class="narrow">{picture.draw(PAGE, NARROW)}</div>'
    else:
        shown = f'<div class="scroll" tabindex="0" role="group" aria-label="Drawing">{wide}</div>'
    return f'<figure id="{picture.name}">{shown}<figcaption>{_prose(picture.caption)}</figcaption></figure>\n'


def table_html(table: DataTable) -> str:
    """Return a table as markup. Each rounded number has its exact value beside it."""
    head = "".join(
        f'<th scope="col"{_class(column, heading=True) if index else ""}>{plain_html(column.name)}</th>'
        for index, column in enumerate(table.columns)
    )
    rows = "".join(f"<tr>{_row(row, table.columns)}</tr>\n" for row in table.rows)
    group = f'class="scroll" tabindex="0" role="group" aria-label="{plain_html(table.title)}"'
    return (
        f'<div {group}><table id="{table.name}-table">'
        f"<caption>{plain_html(table.title)}</caption><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )


def _row(row: tuple[Cell, ...], columns: tuple[Column, ...]) -> str:
    cells = []
    for index, (cell, column) in enumerate(zip(row, columns, strict=True)):
        shown = plain_html(cell.text)
        if cell.value is not None:
            shown = f'<data value="{cell.value!r}">{shown}</data>'
        heading = ' scope="row"' if index == 0 else ""
        tag = "th" if index == 0 else "td"
        long = len(cell.text) > LONG and not column.number
        looks = ' class="long"' if long else _class(column) if index else ""
        cells.append(f"<{tag}{heading}{looks}>{shown}</{tag}>")
    return "".join(cells)


def _class(column: Column, *, heading: bool = False) -> str:
    return ' class="number"' if column.number else "" if heading else ' class="text"'
