"""Cards with the charts of the table. A chart that fails shows its error in its card.

The front, the hypervolume and the architecture have places of their own. Every other chart of the search is below the
selected trials, and every other chart of trials is among them.
"""

import base64
import logging
from collections.abc import Sequence
from typing import Any

from dash import html

from hybrid_search.charts import CHARTS, Chart, Theme
from hybrid_search.charts.table import checked_chart
from hybrid_search.dashboard.layout import attributes, graph
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.errors import SettingsError
from hybrid_search.records import SearchRecord

LOG = logging.getLogger("hybrid_search.dashboard")
PLACED = ("front", "hypervolume", "architecture")  # drawn by updates.py and trial_panel.py


def page_charts(own: Sequence[Chart] = ()) -> list[Chart]:
    """Return every chart of the page: the usable charts of the table, then the user's own.

    Raises:
        SettingsError: one of the user's own is not a chart, or its name is taken.
    """
    charts = CHARTS.usable()
    for chart in own:
        checked = checked_chart(getattr(chart, "name", ""), chart)
        if checked.name in charts:
            raise SettingsError(f"the name of a chart must be new; got {checked.name!r}, which is taken.")
        charts[checked.name] = checked
    return list(charts.values())


def charts_of_search(snapshot: Snapshot, search: SearchRecord, theme: Theme, charts: Sequence[Chart]) -> list[Any]:
    """Return a card for each chart of the search that has no place of its own."""
    cards = []
    for chart in charts:
        if chart.subject == "search" and chart.name not in PLACED:
            name = f"chart-{chart.name}"
            title = html.Div(html.H2(chart.title, id=f"{name}-title"), className="bar")
            body = chart_body(chart, snapshot, search, (), theme)
            width = " whole-row" if chart.height == "tall" else ""
            cards.append(
                html.Section([title, body], className=f"card{width}", **attributes(aria_labelledby=f"{name}-title"))
            )
    return cards


def charts_of_trials(
    snapshot: Snapshot, search: SearchRecord, trials: tuple[int, ...], theme: Theme, charts: Sequence[Chart]
) -> list[Any]:
    """Return a block with a heading for each chart of the selected trials that has no place of its own."""
    return [
        html.Div([html.H3(chart.title), chart_body(chart, snapshot, search, trials, theme)], className="half")
        for chart in charts
        if chart.subject == "trials" and chart.name not in PLACED
    ]


def chart_body(
    chart: Chart, snapshot: Snapshot, search: SearchRecord, trials: tuple[int, ...], theme: Theme
) -> html.Div:
    """Return the drawn chart, or the kind of error if a plugin's chart cannot be drawn."""
    try:
        numbers = snapshot.chart_numbers(chart, search, trials)
        drawn = chart.draw(numbers, theme)
    except Exception as error:  # a plugin may raise anything; the message may hold an address
        LOG.warning("chart %r cannot be drawn", chart.name, exc_info=True)
        return html.Div(html.P(f"This chart cannot be drawn ({type(error).__name__}).", className="note"))
    if chart.svg:
        return picture(drawn, chart.title)
    return graph(f"{chart.name}-graph", chart.height, chart.title, drawn, displayModeBar=False)


def picture(svg: str, alternative: str) -> html.Div:
    """Return SVG text as an image, which cannot run scripts; it shrinks a little and then scrolls."""
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
    return html.Div(
        html.Img(src=source, alt=alternative),
        className="scroll",
        tabIndex=0,
        role="group",
        **attributes(aria_label=alternative),
    )
