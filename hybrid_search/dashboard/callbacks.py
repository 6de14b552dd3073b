"""What the page does when something is chosen, clicked or due. One callback draws, so that what a browser shows and
what it believes it shows never part."""

import time
from typing import Any
from urllib.parse import parse_qs

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from hybrid_search.charts import THEMES, default_axes
from hybrid_search.charts.front import AXES, COLOURS
from hybrid_search.dashboard import layout as page
from hybrid_search.dashboard.detail import detail
from hybrid_search.dashboard.download import as_csv, as_json
from hybrid_search.dashboard.snapshot import Watch
from hybrid_search.dashboard.updates import drawn, only
from hybrid_search.ledger import reads
from hybrid_search.objectives import OBJECTIVES


def register(app: Dash, watch: Watch, opened: str | None) -> None:
    """Give the application its callbacks. opened: the search that is shown where the address names none."""
    _in_the_browser(app)

    @app.callback(
        Output("search", "value"),
        Output("x", "value"),
        Output("y", "value"),
        Output("colour", "value"),
        Output("colour", "options"),
        Output("log", "value"),
        Output("asked", "data"),
        Input("link", "data"),
        Input("search", "value"),
        State("asked", "data"),
    )
    def choose(query: str | None, name: str | None, asked: dict[str, Any] | None) -> tuple[Any, ...]:
        """The search and axes that the address asks for, or the defaults of a search picked by hand."""
        given = {key: values[-1] for key, values in parse_qs((query or "").removeprefix("?")).items()}
        if query is None:
            raise PreventUpdate
        if name is not None and ctx.triggered_id == "search":
            if asked and asked["search"] == name:
                raise PreventUpdate  # the picker repeats what it was told
            given = {"search": name}
        searches = watch.searches()
        by_name = {search.name: search for search in searches}
        newest = searches[0] if searches else None
        search = by_name.get(given.get("search", opened or ""), newest)
        if search is None:
            return (None, "flops", "accuracy", "mix", page.colour_options(4), [], {"search": None, "trials": []})
        x, y = default_axes(search.objectives)
        x = given["x"] if given.get("x") in AXES else x
        y = given["y"] if given.get("y") in OBJECTIVES else y
        options = page.colour_options(watch.view(search).stages or 4)
        colours = [option["value"] for option in options]
        colour = given["colour"] if given.get("colour") in colours else COLOURS[0]
        log = [] if given.get("log") == "0" else ["log"]  # costs span powers of ten
        trials = [int(text) for text in given.get("trials", "").split(",") if text.isdecimal() and len(text) < 10][:2]
        return search.name, x, y, colour, options, log, {"search": search.name, "trials": trials}

    @app.callback(Output("search", "options"), Input("tick", "n_intervals"), State("search", "options"))
    def searches(_tick: int | None, known: list[dict[str, str]]) -> Any:
        """New searches join the picker."""
        options = page.search_options(_reading(watch.searches))
        return options if options != known else no_update

    @app.callback(
        Output("front", "figure"),
        Output("volume", "figure"),
        Output("table", "rowData"),
        Output("table", "rowTransaction"),
        Output("table", "columnDefs"),
        Output("seen", "data"),
        Output("summary", "children"),
        Output("note", "children"),
        Output("reference", "children"),
        Output("beat", "data"),
        Input("tick", "n_intervals"),
        Input("search", "value"),
        Input("x", "value"),
        Input("y", "value"),
        Input("colour", "value"),
        Input("log", "value"),
        Input("look", "data"),
        Input("pinned", "data"),
        State("seen", "data"),
    )
    def draw(
        _tick: Any, name: Any, x: Any, y: Any, colour: Any, log: Any, look: Any, pinned: Any, seen: Any
    ) -> tuple[Any, ...]:
        """Draw everything, or only what is new since `seen`."""
        if not look or x not in AXES or y not in OBJECTIVES:
            raise PreventUpdate
        try:
            search = next((s for s in watch.searches() if s.name == name), None)
            view = watch.view(search) if search else None
        except Exception as error:
            # Whatever the database says, the page stays up with what it has, and tells so without the message, which
            # may hold an address.
            return only(beat={"now": time.time() * 1000, "error": type(error).__name__})
        key = {"search": name, "x": x, "y": y, "colour": colour, "log": bool(log), **look}
        return drawn(watch, view, key, pinned or [], seen or {})

    @app.callback(
        Output("detail", "children"),
        Input("pinned", "data"),
        Input("look", "data"),
        Input("seen", "data"),
        State("search", "value"),
        State("detail", "children"),
    )
    def pins(pinned: list[int] | None, look: Any, seen: Any, name: str | None, shown: Any) -> Any:
        """What is known of the pinned trials; again when one of them changes."""
        if not look or not seen:
            raise PreventUpdate
        if shown and {*ctx.triggered_prop_ids} == {"seen.data"} and not set(seen["touched"]) & set(pinned or []):
            raise PreventUpdate
        search = next((s for s in _reading(watch.searches) if s.name == name), None)
        return detail(watch, search, pinned or [], THEMES[look["theme"]])

    @app.callback(Output("file", "data"), Input("wanted", "data"), State("search", "value"), prevent_initial_call=True)
    def download(wanted: dict[str, Any] | None, name: str | None) -> Any:
        """The trials that the table shows, as a file."""
        search = next((s for s in _reading(watch.searches) if s.name == name), None)
        if not wanted or search is None:
            raise PreventUpdate
        trials = {trial.number: trial for trial in watch.ask(lambda ledger: ledger.read(reads.trials, search.id))}
        chosen = [trials[number] for number in wanted["trials"] if number in trials]
        write, kind = (as_csv, "csv") if wanted["format"] == "csv" else (as_json, "json")
        return {
            "content": write(search, chosen),
            "filename": f"hybrid-search-{search.id}.{kind}",
            "type": f"text/{kind}",
        }


def _reading(question: Any) -> Any:
    """An answer of the ledger; nothing changes on the page where it cannot be read (the banner says so)."""
    try:
        return question()
    except Exception:
        raise PreventUpdate from None


def _in_the_browser(app: Dash) -> None:
    """The callbacks whose functions stand in assets/page.js."""

    def clientside(function: str, *dependencies: Any, initial: bool = True) -> None:
        target = ClientsideFunction("page", function)
        app.clientside_callback(target, *dependencies, prevent_initial_call=not initial)  # type: ignore[no-untyped-call]

    clientside("link", Output("link", "data"), Input("page", "id"))
    clientside("theme", Output("look", "data"), Output("theme", "children"), Input("theme", "n_clicks"))
    clientside(
        "pin",
        Output("pinned", "data"),
        Output("front", "clickData"),
        Input("front", "clickData"),
        Input("asked", "data"),
    )
    clientside("settle", Output("settled", "children"), Input("seen", "data"), Input("pinned", "data"))
    clientside(
        "address",
        Output("written", "children"),
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
        Input("beat", "data"),
    )
    clientside("filter", Output("shown", "children"), Input("filter", "value"), Input("table", "virtualRowData"))
    clientside("unfilter", Output("filter", "value"), Input("unfilter", "n_clicks"), initial=False)
    clientside("want", Output("wanted", "data"), Input("csv", "n_clicks"), Input("json", "n_clicks"), initial=False)
