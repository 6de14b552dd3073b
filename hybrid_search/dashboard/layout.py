"""The layout of the page: what stands where, with a label on every control and the headings in order."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from dash_ag_grid import AgGrid

from hybrid_search.charts.front import AXES
from hybrid_search.objectives import OBJECTIVES, Objective
from hybrid_search.records import SearchRecord

REFRESH_MS = 2000

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

GRAPH: dict[str, Any] = {"displaylogo": False, "responsive": True, "scrollZoom": False}
PICTURE: dict[str, Any] = {"toImageButtonOptions": {"format": "svg", "filename": "hybrid-search-front"}}
LEAN: dict[str, Any] = {"modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


def layout(searches: Sequence[SearchRecord]) -> html.Div:
    """The whole page, before any number is known."""
    return html.Div(
        id="page",
        **attributes(data_ready="false"),
        children=[
            *(dcc.Store(id=name) for name in ("link", "look", "seen", "pinned", "asked", "beat", "wanted")),
            *(html.Div(id=name, hidden=True) for name in ("settled", "written")),
            dcc.Interval(id="tick", interval=REFRESH_MS, disabled=True),  # page.js enables it once drawn
            dcc.Interval(id="clock", interval=1000),
            dcc.Download(id="file"),
            _header(searches),
            html.Div(id="banner", role="alert", className="banner", hidden=True),
            html.Main(
                [
                    html.Section(id="summary", className="summary", **attributes(aria_label="Summary of the search")),
                    html.Div([_front(), html.Div([_table(), _hypervolume()], className="column")], className="split"),
                    html.Section(id="detail", className="card detail", **attributes(aria_label="Pinned trials")),
                ]
            ),
        ],
    )


def attributes(**given: str) -> Any:
    """Attributes whose names hold a dash: `aria_label` is aria-label."""
    return {name.replace("_", "-"): value for name, value in given.items()}


def graph(name: str, height: str, figure: Any = None, **config: Any) -> html.Div:
    """A chart in a box of this height, which the style sheet sets."""
    given: Any = {"config": GRAPH | config, **({"figure": figure} if figure else {})}
    made = dcc.Graph(id=name, style={"height": "100%"}, **given)
    return html.Div(made, className=f"graph {height}")


def search_options(searches: Sequence[SearchRecord]) -> list[dict[str, str]]:
    """The choices of the search picker; two searches never share a name."""
    return [{"label": search.name, "value": search.name} for search in searches]


def _header(searches: Sequence[SearchRecord]) -> html.Header:
    return html.Header(
        [
            html.H1(["hybrid", html.Span("-", className="mark"), "search"]),
            _labelled("Search", dcc.Dropdown(search_options(searches), id="search", clearable=False, className="wide")),
            html.Div(id="status", className="status", role="status"),
            html.Button("Dark", id="theme", className="quiet", n_clicks=0, title="Switch between dark and light"),
        ]
    )


def _labelled(label: str, control: Any) -> html.Div:
    return html.Div([html.Label(label, htmlFor=control.id), control], className="labelled")


def _axis_options(axes: Sequence[Objective]) -> list[dict[str, str]]:
    return [{"label": axis.label, "value": axis.name} for axis in axes]


def colour_options(stages: int) -> list[dict[str, str]]:
    """What the colour of a marker can tell; its shape always tells the mix."""
    fixed = [{"label": "operator mix", "value": "mix"}, {"label": "trial number", "value": "trial"}]
    return fixed + [{"label": f"operator of stage {i + 1}", "value": f"stage:{i}"} for i in range(stages)]


def _front() -> html.Section:
    log = dcc.Checklist([{"label": "log cost", "value": "log"}], ["log"], id="log", className="check")
    closed: Any = {"clearable": False, "searchable": False}
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
                    _labelled("x axis", dcc.Dropdown(_axis_options(list(AXES.values())), id="x", **closed)),
                    _labelled("y axis", dcc.Dropdown(_axis_options([*OBJECTIVES.usable().values()]), id="y", **closed)),
                    _labelled("Colour", dcc.Dropdown(colour_options(4), "mix", id="colour", **closed)),
                    log,
                ],
                className="bar",
            ),
            graph("front", "tall", **PICTURE, **LEAN),
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
                    dcc.Input(id="filter", type="search", placeholder="filter: 12, failed, attention", debounce=False),
                    html.Span(id="shown", className="note", role="status"),
                    html.Button("Clear filters", id="unfilter", className="quiet", n_clicks=0),
                    html.Button("CSV", id="csv", className="quiet", n_clicks=0, title="Download the trials shown"),
                    html.Button("JSON", id="json", className="quiet", n_clicks=0, title="Download the trials shown"),
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
                },
                className="ag-theme-quartz table",
            ),
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
            graph("volume", "low", displayModeBar=False),
        ],
        className="card",
        **attributes(aria_labelledby="volume-title"),
    )


def columns(search: SearchRecord, *, confirmed: bool = False) -> list[dict[str, Any]]:
    """The columns of the table: the objectives first, then the costs that are none of them; where trials were confirmed
    their seeds, their probability of being on the front and their test accuracy too."""
    names = dict.fromkeys([*search.objectives, "flops", "params"])
    order = {"function": "hsEmptyLast"}
    numeric = {"filter": "agNumberColumnFilter", "type": "rightAligned", "comparator": order}
    measured = [
        {
            "field": name,
            "headerName": _heading(OBJECTIVES[name]),
            "width": 86,
            "headerTooltip": OBJECTIVES[name].label,
            "valueFormatter": {
                "function": "hsShare(params)" if OBJECTIVES[name].unit == "share" else "hsScaled(params)"
            },
            "sortingOrder": ["desc", "asc", None]
            if OBJECTIVES[name].direction == "maximize"
            else ["asc", "desc", None],
            **numeric,
        }
        for name in names
    ]
    share = {"valueFormatter": {"function": "hsShare(params)"}, **numeric}
    told = {
        "probability": ("on front [%]", "probability of being on the front, given the noise between seeds", 112),
        "test": ("test [%]", "accuracy on the test split, the mean over fresh seeds", 80),
    }
    sure = [
        {"field": name, "headerName": heading, "headerTooltip": tip, "width": width, **share}
        for name, (heading, tip, width) in told.items()
    ]
    sure.append({"field": "seeds", "headerTooltip": "fresh seeds that the mean is over", "width": 70, **numeric})
    return [
        {"field": "trial", "width": 62, **numeric},
        {"field": "state", "width": 96, "valueFormatter": _written("hsState")},
        {"field": "front", "width": 66},
        *measured,
        *(sure if confirmed else []),
        {
            "field": "seconds",
            "headerName": "took [s]",
            "width": 86,
            "valueFormatter": {"function": "hsScaled(params)"},
            **numeric,
        },
        {"field": "operators", "minWidth": 132, "flex": 1, "tooltipField": "operators"},
    ]


def _written(function: str) -> dict[str, str]:
    """A cell as one of the functions in assets/page.js writes it."""
    return {"function": f"{function}(params)"}


def _heading(objective: Objective) -> str:
    """A column's short name and unit."""
    if objective.unit == "share":
        return "acc. [%]"
    name = objective.name.removesuffix("_ms").replace("_", " ")
    return objective.unit if objective.unit.lower() == name else f"{name} [{objective.unit}]".removesuffix(" []")
