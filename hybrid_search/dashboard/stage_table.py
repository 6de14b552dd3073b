"""The table of an architecture's parts, or of two architectures part by part."""

from collections.abc import Mapping
from typing import Any

from dash import html

from hybrid_search.charts import Design
from hybrid_search.charts.diagram import percent_text
from hybrid_search.charts.parts import NetworkPart
from hybrid_search.dashboard.layout import attributes
from hybrid_search.objectives import scaled

COLUMNS = ("part", "operator", "blocks", "map", "channels", "options", "FLOPs", "parameters")
GLYPHS = {"convolution": "■ ", "attention": "● ", "other": "▲ "}


def stage_table(designs: Mapping[int, Design], marks: frozenset[int]) -> html.Div:
    """Return the table of parts.

    Args:
        designs: one or two designs by trial number; empty: an empty element is returned.
        marks: the positions of the parts that differ.
    """
    if not designs:
        return html.Div()
    two = len(designs) == 2
    rows = []
    for position in range(max(len(design.parts) for design in designs.values())):
        for number, design in designs.items():
            if position < len(design.parts):
                part = design.parts[position]
                rows.append(_row(number if two else None, part, position in marks and part.kind != "head"))
    columns = (("trial",) if two else ()) + COLUMNS
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in columns]))
    table = html.Table([html.Caption("Stage by stage"), head, html.Tbody(rows)], className="stages")
    return html.Div(table, className="scroll", tabIndex=0, role="group", **attributes(aria_label="Stage by stage"))


def _row(number: int | None, part: NetworkPart, differs: bool) -> html.Tr:
    options = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in part.options) or "-"
    cells: list[Any] = []
    if number is not None:
        cells.append(html.Td([str(number), html.Span(" ≠", title="differs") if differs else None]))
    cells += [
        html.Th(part.name, scope="row"),
        html.Td([html.Span(GLYPHS.get(part.kind, ""), className=part.kind), part.label]),
        html.Td(str(part.depth)),
        html.Td(f"{part.rows} x {part.cols}"),
        html.Td(str(part.channels)),
        html.Td(options, className="options"),
        html.Td(f"{scaled(part.flops).strip()} · {percent_text(part.flops_share)}", className="number"),
        html.Td(f"{scaled(part.params).strip()} · {percent_text(part.params_share)}", className="number"),
    ]
    return html.Tr(cells, className="differs" if differs else "")
