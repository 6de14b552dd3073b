"""The callbacks of the page: after a selection, a click, or an update interval.

One callback draws everything, so that `received` always describes what the browser has.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from hybrid_search.charts import THEMES, Chart, default_axes
from hybrid_search.charts.axes import AXES, TRIAL, axes_of
from hybrid_search.charts.front import COLOURS
from hybrid_search.dashboard.chart_cards import charts_of_search
from hybrid_search.dashboard.download import as_csv, as_json, file_name
from hybrid_search.dashboard.layout import axis_options, colour_options, picker_value, search_options
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.dashboard.trial_panel import trial_panel
from hybrid_search.dashboard.updates import outputs, page_update
from hybrid_search.ledger import reads
from hybrid_search.records import SearchRecord

T = TypeVar("T")


def register(app: Dash, snapshot: Snapshot, opened: str | None, charts: Sequence[Chart]) -> None:
    """Add the callbacks to the application.

    Args:
        app: the application.
        snapshot: the copy of the ledger.
        opened: the search that is shown if the address names none; default: the newest.
        charts: every chart of the page.
    """
    _in_the_browser(app)

    @app.callback(
        Output("search", "value"),
        Output("x", "value"),
        Output("x", "options"),
        Output("y", "value"),
        Output("y", "options"),
        Output("colour", "value"),
        Output("colour", "options"),
        Output("log", "value"),
        Output("requested", "data"),
        Output("notice", "children"),
        Output("notice", "hidden"),
        Input("query", "data"),
        Input("search", "value"),
        State("requested", "data"),
    )
    def choose(query: str | None, name: str | None, requested: dict[str, Any] | None) -> tuple[Any, ...]:
        """Return the search and axes of the address, or the default axes of a search that the user picked.

        What the address names and the ledger does not have is said in a notice.
        """
        if query is None:
            raise PreventUpdate
        given = {key: values[-1] for key, values in parse_qs(query.removeprefix("?")).items()}
        if name is not None and ctx.triggered_id == "search":
            if requested and requested["search"] == name:
                raise PreventUpdate  # this callback itself has set the picker
            given = {"search": name}
        searches = snapshot.searches()
        wanted_name = given.get("search", opened)
        search = next((each for each in searches if wanted_name in (None, each.name, picker_value(each))), None)
        notices = [] if search or not searches else [f"This ledger has no search {wanted_name!r}. Choose one above."]
        axes = axes_of(search) if search else AXES
        pickers = axis_options(axes.values(), trial=True), axis_options(axes.values(), trial=False)
        if search is None:
            nothing: dict[str, Any] = {"search": None, "trials": []}
            shown: tuple[Any, ...]
            shown = None, "flops", pickers[0], "accuracy", pickers[1], "mix", colour_options(4), [], nothing
            return *shown, notices, not notices
        options = colour_options(snapshot.view(search).stages or 4)
        x, y = default_axes(search.objectives)
        allowed = {
            "x": ("x axis", [*axes], x),
            "y": ("y axis", [name for name in axes if name != TRIAL.name], y),
            "colour": ("colour", [option["value"] for option in options], COLOURS[0]),
        }
        chosen = {}
        for key, (what, names, default) in allowed.items():
            chosen[key] = given[key] if given.get(key) in names else default
            if key in given and given[key] not in names:
                notices.append(f"This search has no {what} {given[key]!r}; it shows {default!r}. ")
        log = [] if given.get("log") == "0" else ["log"]  # costs span powers of ten
        trials = [int(text) for text in given.get("trials", "").split(",") if text.isdecimal() and len(text) < 10][:2]
        name = picker_value(search)
        wanted = {"search": name, "trials": trials}
        shown = name, chosen["x"], pickers[0], chosen["y"], pickers[1], chosen["colour"], options, log, wanted
        return *shown, notices, not notices

    @app.callback(Output("search", "options"), Input("refresh", "n_intervals"), State("search", "options"))
    def list_searches(_refresh: int | None, known: list[dict[str, str]]) -> Any:
        """Add new searches to the picker."""
        options = search_options(_read(snapshot.searches))
        return options if options != known else no_update

    @app.callback(
        Output("front", "figure"),
        Output("volume", "figure"),
        Output("table", "rowData"),
        Output("table", "rowTransaction"),
        Output("table", "columnDefs"),
        Output("received", "data"),
        Output("summary", "children"),
        Output("note", "children"),
        Output("reference", "children"),
        Output("heartbeat", "data"),
        Output("operators-legend", "children"),
        Input("refresh", "n_intervals"),
        Input("search", "value"),
        Input("x", "value"),
        Input("y", "value"),
        Input("colour", "value"),
        Input("log", "value"),
        Input("look", "data"),
        Input("pinned", "data"),
        State("received", "data"),
    )
    def draw(
        _refresh: Any, name: Any, x: Any, y: Any, colour: Any, log: Any, look: Any, pinned: Any, received: Any
    ) -> tuple[Any, ...]:
        """Draw everything, or only what is new since `received`."""
        if not look:
            raise PreventUpdate
        try:
            search = _named(snapshot, name)
            view = snapshot.view(search) if search else None
            empty = view is None and not snapshot.searches()
        except Exception as error:
            # The page keeps what it shows. It reports the kind of error, not the message, which may hold a password.
            return outputs(heartbeat={"now": time.time() * 1000, "error": type(error).__name__})
        axes = view.axes if view else AXES
        if x not in axes or y not in axes or y == TRIAL.name:
            raise PreventUpdate
        wanted = {"search": name, "empty": empty, "x": x, "y": y, "colour": colour, "log": bool(log), **look}
        return page_update(snapshot, view, wanted, pinned or [], received or {})

    @app.callback(
        Output("detail", "children"),
        Input("pinned", "data"),
        Input("look", "data"),
        Input("received", "data"),
        State("search", "value"),
        State("detail", "children"),
    )
    def show_selection(pinned: list[int] | None, look: Any, received: Any, name: str | None, shown: Any) -> Any:
        """Show the selected trials, and show them again if one of them changes."""
        if not look or not received:
            raise PreventUpdate
        only_news = {*ctx.triggered_prop_ids} == {"received.data"}
        if shown and only_news and not set(received["touched"]) & set(pinned or []):
            raise PreventUpdate
        search = _read(lambda: _named(snapshot, name))
        return trial_panel(snapshot, search, pinned or [], THEMES[look["theme"]], charts)

    @app.callback(
        Output("more-charts", "children"),
        Input("received", "data"),
        Input("look", "data"),
        State("search", "value"),
        State("more-charts", "children"),
    )
    def show_more_charts(received: Any, look: Any, name: str | None, shown: Any) -> Any:
        """Draw the charts of the search that have no place of their own on the page."""
        if not look or not received:
            raise PreventUpdate
        search = _read(lambda: _named(snapshot, name))
        cards = charts_of_search(snapshot, search, THEMES[look["theme"]], charts) if search else []
        return cards if cards or shown else no_update

    @app.callback(
        Output("file", "data"), Input("download-request", "data"), State("search", "value"), prevent_initial_call=True
    )
    def download(wanted: dict[str, Any] | None, name: str | None) -> Any:
        """Return the trials that the table shows, as a file."""
        search = _read(lambda: _named(snapshot, name))
        if not wanted or search is None:
            raise PreventUpdate
        trials = {trial.number: trial for trial in snapshot.read(lambda ledger: ledger.read(reads.trials, search.id))}
        chosen = [trials[number] for number in wanted["trials"] if number in trials]
        write, kind = (as_csv, "csv") if wanted["format"] == "csv" else (as_json, "json")
        return {
            "content": write(search, chosen, snapshot.view(search).standings),
            "filename": f"{file_name(search.name)}.{kind}",
            "type": f"text/{kind}",
        }


def _named(snapshot: Snapshot, name: str | None) -> SearchRecord | None:
    """Return the search that the picker calls so, None if there is none."""
    return next((search for search in snapshot.searches() if picker_value(search) == name), None)


def _read(query: Callable[[], T]) -> T:
    """Return what the ledger returns; if it cannot be read, change nothing on the page (the banner reports it)."""
    try:
        return query()
    except Exception:
        raise PreventUpdate from None


def _in_the_browser(app: Dash) -> None:
    """Add the callbacks whose functions are in assets/page.js."""

    def clientside(function: str, *dependencies: Any, initial: bool = True) -> None:
        target = ClientsideFunction("page", function)
        app.clientside_callback(target, *dependencies, prevent_initial_call=not initial)  # type: ignore[no-untyped-call]

    clientside("query", Output("query", "data"), Input("page", "id"))
    clientside("theme", Output("look", "data"), Output("theme", "children"), Input("theme", "n_clicks"))
    clientside(
        "pin",
        Output("pinned", "data"),
        Output("front", "clickData"),
        Input("front", "clickData"),
        Input("requested", "data"),
    )
    clientside("applyPins", Output("pins-applied", "children"), Input("received", "data"), Input("pinned", "data"))
    clientside(
        "address",
        Output("address-written", "children"),
        *(Input(name, "value") for name in ("search", "x", "y", "colour", "log")),
        Input("pinned", "data"),
    )
    clientside(
        "status",
        Output("status", "children"),
        Output("status", "className"),
        Output("banner", "children"),
        Output("banner", "hidden"),
        Input("clock", "n_intervals"),
        Input("heartbeat", "data"),
    )
    clientside("filter", Output("row-count", "children"), Input("filter", "value"), Input("table", "virtualRowData"))
    clientside("clearFilters", Output("filter", "value"), Input("clear-filters", "n_clicks"), initial=False)
    clientside(
        "requestDownload",
        Output("download-request", "data"),
        Input("csv", "n_clicks"),
        Input("json", "n_clicks"),
        initial=False,
    )
