"""HTML of an architecture, a search and a front for notebooks: a table and a drawing, without scripts."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hybrid_search.analysis.front_result import front_rows, read_front_result
from hybrid_search.charts.axes import TRIAL
from hybrid_search.charts.design import design_or_outline
from hybrid_search.charts.diagram import diagram_svg
from hybrid_search.charts.front import FrontNumbers, FrontPoint, read_panels
from hybrid_search.charts.svg import front_svg
from hybrid_search.charts.table import SearchHandle
from hybrid_search.charts.theme import LIGHT
from hybrid_search.networks.architecture import Architecture
from hybrid_search.objectives import Objective, scaled
from hybrid_search.report.blocks import Cell, Column, DataTable
from hybrid_search.report.cells import value_cell
from hybrid_search.report.design_sections import parts_table
from hybrid_search.report.html_page import plain_html, table_html

if TYPE_CHECKING:
    from hybrid_search.search.results import Front

INPUT, CLASSES = (3, 224, 224), 1000  # of an architecture on its own: images as ImageNet has them
MOST_ROWS = 30


def architecture_html(architecture: Architecture) -> str:
    """Return a drawing of an architecture and a table of its parts, for images of 3 x 224 x 224 and 1,000 classes.

    An architecture with an image size is drawn for images of this size.

    Args:
        architecture: the architecture.
    """
    design = design_or_outline(architecture.to_dict(), INPUT, CLASSES)
    channels, rows, cols = design.input_size
    words = f"Architecture {architecture.digest}: {scaled(design.flops)}FLOPs, {scaled(design.params).strip()} "
    words += f"parameters for images of {channels} x {rows} x {cols} and {CLASSES:,} classes"
    if design.unreadable is not None:
        words = f"Architecture {architecture.digest}. Its costs are unknown here: {design.unreadable}"
        return _shown(words, diagram_svg(design, LIGHT))
    return _shown(words, diagram_svg(design, LIGHT) + table_html(parts_table("parts", "Part by part", design)))


def search_html(search: SearchHandle) -> str:
    """Return the front of a search as a picture of all completed trials and a table.

    Args:
        search: what `run`, `open_search` or `confirm` returns.
    """
    ledger, record = search.ledger, search.record
    result = read_front_result(ledger, record)
    if not result.numbers:
        return _shown(f"Search {record.name}: no trial is complete yet", "")
    objectives = record.all_objectives()
    rows = front_rows(result)[:MOST_ROWS]
    columns = [
        Column("trial"),
        *(Column(objectives[name].label) for name in record.objectives),
        Column("design", False),
    ]
    cells = [
        (
            Cell(f"{row['trial']}{' (knee)' if row['knee'] else ''}", row["trial"]),
            *(value_cell(objectives[name], row[name]) for name in record.objectives),
            Cell(row["design"]),
        )
        for row in rows
    ]
    more = f", the first {MOST_ROWS}" if len(result.numbers) > MOST_ROWS else ""
    title = f"The front: {len(result.numbers):,} {'trial' if len(result.numbers) == 1 else 'trials'}{more}"
    drawn = front_svg(read_panels(ledger, record)[0], LIGHT)
    return _shown(f"Search {record.name}", drawn + table_html(DataTable("front", title, tuple(columns), tuple(cells))))


def front_html(front: "Front") -> str:
    """Return a front as a picture of its trials and a table of their objectives.

    Args:
        front: what `front()` of a search or a confirmation returns.
    """
    kinds = tuple(front.objectives)
    rows = [(number, front.rows[number]) for number in front if number in front.rows]
    columns = (Column("trial"), *(Column(kind.label) for kind in kinds))
    cells = tuple(
        (Cell(str(number), number), *(value_cell(kind, value) for kind, value in zip(kinds, values, strict=True)))
        for number, values in rows[:MOST_ROWS]
    )
    words = f"Front of {front.name}: {len(rows):,} {'trial' if len(rows) == 1 else 'trials'}"
    table = table_html(
        DataTable("front", "Objectives" if len(rows) <= MOST_ROWS else "The first trials", columns, cells)
    )
    return _shown(words, (_picture(dict(rows), kinds) if rows else "") + table)


def _picture(rows: Mapping[int, Sequence[float]], kinds: tuple[Objective, ...]) -> str:
    """Return the picture of a front on its first two objectives; over the trial numbers if there is one."""
    x, y = (kinds[1] if len(kinds) > 1 else TRIAL), kinds[0]
    places = {number: (values[1] if len(kinds) > 1 else float(number), values[0]) for number, values in rows.items()}
    spots = tuple(
        FrontPoint(number, *place, dict(zip((kind.name for kind in kinds), rows[number], strict=True)), None, ())
        for number, place in places.items()
        if all(map(math.isfinite, place))
    )
    line = tuple(sorted((spot.x, spot.y) for spot in spots)) if len(kinds) == 2 else ()
    return front_svg(FrontNumbers(kinds, x, y, spots, (), line, {}, 0, operators=frozenset({()})), LIGHT, width=560)


def _shown(words: str, drawn: str) -> str:
    """Return a fragment of HTML. White, because its pictures are light."""
    look = 'style="background:#fff;color:#18212b;padding:8px;overflow-x:auto;max-width:1000px"'
    return f"<div {look}><p><b>{plain_html(words)}</b></p>{drawn}</div>"
