"""The layout of the page: every control has a label, and the headings are in order."""

from collections.abc import Iterable, Sequence
from typing import Any

from dash import dcc, html
from dash_ag_grid import AgGrid

from hybrid_search._internal.search_names import SEARCH_NAME
from hybrid_search.charts import FIGURE_CONFIG
from hybrid_search.charts.axes import AXES, TRIAL
from hybrid_search.objectives import Objective
from hybrid_search.records import SearchRecord

REFRESH_MS = 2000

# Values that the browser holds: the query of the address; theme and WebGL; what the server has sent; the selected
# trials; the search and trials that the address requested; the state of the search; a requested download.
STORES = ("query", "look", "received", "pinned", "requested", "heartbeat", "download-request")

INDEX = """<!DOCTYPE html>
<html lang="en">
    <head>
        {%metas%}
        <title>{%title%}</title>
        {%favicon%}
        {%css%}
    </head>
    <body>
        {%app_entry%}
        <footer>
            {%config%}
            {%scripts%}
            {%renderer%}
        </footer>
    </body>
</html>
"""

GRAPH: dict[str, Any] = {**FIGURE_CONFIG, "responsive": True, "scrollZoom": False}
PICTURE: dict[str, Any] = {"toImageButtonOptions": {"format": "svg", "filename": "hybrid-search-front"}}
LEAN: dict[str, Any] = {"modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}
SHOWN_OF_NAME = 60  # characters of a name that is too long for a new search; an old ledger may have one


def page_layout(searches: Sequence[SearchRecord]) -> html.Div:
    """Return the whole page before any number is read."""
    return html.Div(
        id="page",
        **attributes(data_ready="false", data_refresh=str(REFRESH_MS)),
        children=[
            *(dcc.Store(id=name) for name in STORES),
            *(html.Div(id=name, hidden=True) for name in ("pins-applied", "address-written")),
            dcc.Interval(id="refresh", interval=REFRESH_MS, disabled=True),  # page.js enables it once drawn
            dcc.Interval(id="clock", interval=1000),
            dcc.Download(id="file"),
            _header(searches),
            html.Div(id="notice", role="status", className="notice", hidden=True),
            html.Div(id="banner", role="alert", className="banner", hidden=True),
            html.Main(
                [
                    html.Section(id="summary", className="summary", **attributes(aria_label="Summary of the search")),
                    html.Div([_front(), html.Div([_table(), _hypervolume()], className="column")], className="split"),
                    html.Section(id="detail", className="card detail", **attributes(aria_label="Selected trials")),
                    html.Div(id="more-charts", className="more-charts"),
                ]
            ),
        ],
    )


def attributes(**given: str) -> Any:
    """Return HTML attributes whose names contain a dash: `aria_label` becomes aria-label."""
    return {name.replace("_", "-"): value for name, value in given.items()}


def graph(name: str, height: str, title: str, figure: Any = None, **config: Any) -> html.Div:
    """Return a chart in a box of a height that the style sheet defines; `title` names it for a screen reader."""
    given: Any = {"config": GRAPH | config, **({"figure": figure} if figure else {})}
    made = dcc.Graph(id=name, style={"height": "100%"}, **given)
    return html.Div(made, className=f"graph {height}", role="figure", **attributes(aria_label=title))


def search_options(searches: Sequence[SearchRecord]) -> list[dict[str, str]]:
    """Return the options of the search picker; the name of a search is unique. A long name is cut."""
    return [{"label": _cut(search.name), "value": picker_value(search)} for search in searches]


def picker_value(search: SearchRecord) -> str:
    """Return what the search picker and the address call a search: its name, or for a very long name its id.

    The picker indexes every part of a value: one of 10,000 characters would stop the page.
    """
    return search.name if len(search.name) <= SEARCH_NAME else f"search {search.id}"


def _cut(name: str) -> str:
    """Return the first characters of a name that no new search may have."""
    return name if len(name) <= SEARCH_NAME else f"{name[:SHOWN_OF_NAME]}..."


def _header(searches: Sequence[SearchRecord]) -> html.Header:
    return html.Header(
        [
            html.H1(["hybrid", html.Span("-", className="mark"), "search"]),
            _labelled("Search", dcc.Dropdown(search_options(searches), id="search", clearable=False, className="wide")),
            html.Div(id="status", className="status"),  # it changes every second: no live region
            html.Button(
                "Dark", id="theme", className="quiet", n_clicks=0, title="Switch between the dark and the light theme"
            ),
        ]
    )


def _labelled(label: str, control: Any) -> html.Div:
    return html.Div([html.Label(label, htmlFor=control.id), control], className="labelled")


def axis_options(axes: Iterable[Objective], *, trial: bool) -> list[dict[str, str]]:
    """Return the options of an axis picker; `trial`: whether the trial number is one of them."""
    return [{"label": axis.label, "value": axis.name} for axis in axes if trial or axis.name != TRIAL.name]


def colour_options(stages: int) -> list[dict[str, str]]:
    """Return what the colour of a marker can show; its shape always shows the mix of operators."""
    fixed = [{"label": "operator mix", "value": "mix"}, {"label": "trial number", "value": "trial"}]
    return fixed + [{"label": f"operator of stage {i + 1}", "value": f"stage:{i}"} for i in range(stages)]


def _front() -> html.Section:
    log = dcc.Checklist([{"label": "log cost", "value": "log"}], ["log"], id="log", className="check")
    fixed: Any = {"clearable": False, "searchable": False}
    return html.Section(
        [
            html.Div(
                [
                    html.H2("Pareto front", id="front-title"),
                    html.P(id="note", className="note"),
                ],
                className="bar",
            ),
            html.Div(
                [
                    _labelled("x axis", dcc.Dropdown(axis_options(AXES.values(), trial=True), id="x", **fixed)),
                    _labelled("y axis", dcc.Dropdown(axis_options(AXES.values(), trial=False), id="y", **fixed)),
                    _labelled("Colour", dcc.Dropdown(colour_options(4), "mix", id="colour", **fixed)),
                    log,
                ],
                className="bar",
            ),
            graph("front", "tall", "Pareto front", **PICTURE, **LEAN),
        ],
        className="card front",
        **attributes(aria_labelledby="front-title"),
    )


def _table() -> html.Section:
    return html.Section(
        [
            html.Div(
                [
                    html.H2("Trials", id="table-title"),
                    html.Label("Filter the trials", htmlFor="filter", className="hidden"),
                    dcc.Input(id="filter", type="search", placeholder="filter, e.g. failed, attention", debounce=False),
                    html.Span(id="row-count", className="note", role="status"),
                    html.Button("Clear filters", id="clear-filters", className="quiet", n_clicks=0),
                    html.Button(
                        "CSV", id="csv", className="quiet", n_clicks=0, title="Download the trials of the table as CSV"
                    ),
                    html.Button(
                        "JSON",
                        id="json",
                        className="quiet",
                        n_clicks=0,
                        title="Download the trials of the table as JSON",
                    ),
                ],
                className="bar",
            ),
            AgGrid(
                id="table",
                columnDefs=[],
                rowData=[],
                getRowId="params.data.trial.toString()",
                defaultColDef={"sortable": True, "filter": True, "resizable": True, "minWidth": 48},
                dashGridOptions={
                    "rowSelection": {
                        "mode": "multiRow",
                        "checkboxes": True,
                        "headerCheckbox": False,
                        "enableClickSelection": True,
                        "enableSelectionWithoutKeys": True,
                    },
                    "selectionColumnDef": {"width": 36, "maxWidth": 36, "pinned": "left", "resizable": False},
                    "ensureDomOrder": True,
                    "animateRows": False,
                    "rowHeight": 28,
                    "headerHeight": 32,
                    "suppressFieldDotNotation": True,
                    "localeText": {"noRowsToShow": "No trials"},
                },
                className="ag-theme-quartz table",
            ),
            html.P(id="operators-legend", className="note legend"),
        ],
        className="card",
        **attributes(aria_labelledby="table-title"),
    )


def _hypervolume() -> html.Section:
    return html.Section(
        [
            html.Div(
                [html.H2("Hypervolume", id="volume-title"), html.Span(id="reference", className="note")],
                className="bar",
            ),
            graph("volume", "low", "Hypervolume over the trials", displayModeBar=False),
        ],
        className="card",
        **attributes(aria_labelledby="volume-title"),
    )
