"""What the page does. One callback draws, so that what a browser has and what it believes it has never part.

A refresh sends only what is new: dominated points are appended to their trace, changed rows to the table; the front,
which is small, is sent whole. A browser says in `seen` what it has; the server keeps nothing about browsers.
"""

import time
from typing import Any
from urllib.parse import parse_qs

from dash import ClientsideFunction, Dash, Input, Output, Patch, State, ctx, dcc, no_update
from dash.exceptions import PreventUpdate

from hybrid_search.charts import THEMES, default_axes, front_figure, hypervolume_figure
from hybrid_search.charts.front import (
    AXES,
    COLOURS,
    LOGARITHMIC,
    FrontNumbers,
    arrays,
    front_numbers,
    hover_names,
    pinned_trace,
    runs,
    without_dominated,
)
from hybrid_search.charts.theme import Theme
from hybrid_search.dashboard import page
from hybrid_search.dashboard.detail import detail
from hybrid_search.dashboard.download import as_csv, as_json
from hybrid_search.dashboard.summary import note, summary
from hybrid_search.dashboard.watch import View, Watch
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.record import SearchRecord

DRAWN = ("front", "volume", "table-rows", "table-changes", "columns", "seen", "summary", "note", "reference", "beat")


def register(app: Dash, watch: Watch) -> None:
    """Give the application its callbacks."""
    _in_the_browser(app)

    @app.callback(
        Output("search", "value"),
        Output("x", "value"),
        Output("y", "value"),
        Output("colour", "value"),
        Output("colour", "options"),
        Output("log", "value"),
        Output("asked", "data"),
        Input("url", "search"),
        Input("search", "value"),
    )
    def choose(query: str | None, name: str | None) -> tuple[Any, ...]:
        """The search and axes that the address asks for, or the defaults of a search picked by hand."""
        given = {key: values[-1] for key, values in parse_qs((query or "").removeprefix("?")).items()}
        if name is not None and ctx.triggered_id == "search":
            given = {"search": name}
        searches = watch.searches()
        search = next((s for s in searches if s.name == given.get("search")), searches[0] if searches else None)
        if search is None:
            return (None, "flops", "accuracy", "mix", page.colour_options(4), [], {"trials": []})
        x, y = default_axes(search.objectives)
        x = given["x"] if given.get("x") in AXES else x
        y = given["y"] if given.get("y") in OBJECTIVES else y
        options = page.colour_options(watch.view(search).stages or 4)
        colours = [option["value"] for option in options]
        colour = given["colour"] if given.get("colour") in colours else COLOURS[0]
        log = ["log"] if given.get("log") == "1" else []
        trials = [int(text) for text in given.get("trials", "").split(",") if text.isdecimal() and len(text) < 10][:2]
        return search.name, x, y, colour, options, log, {"trials": trials}

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
            return _only(beat={"now": time.time() * 1000, "error": type(error).__name__})
        key = {"search": name, "x": x, "y": y, "colour": colour, "log": bool(log), **look}
        return _drawn(watch, view, key, pinned or [], seen or {})

    @app.callback(
        Output("detail", "children"),
        Input("pinned", "data"),
        Input("look", "data"),
        Input("seen", "data"),
        State("search", "value"),
    )
    def pins(pinned: list[int] | None, look: Any, seen: Any, name: str | None) -> Any:
        """What is known of the pinned trials; again when one of them changes."""
        if not look or not seen:
            raise PreventUpdate
        if {*ctx.triggered_prop_ids} == {"seen.data"} and not set(seen["touched"]) & set(pinned or []):
            raise PreventUpdate
        search = next((s for s in _reading(watch.searches) if s.name == name), None)
        return detail(watch, search, pinned or [], THEMES[look["theme"]])

    @app.callback(Output("file", "data"), Input("wanted", "data"), State("search", "value"), prevent_initial_call=True)
    def download(wanted: dict[str, Any] | None, name: str | None) -> Any:
        """The trials that the table shows, as a file."""
        search = next((s for s in _reading(watch.searches) if s.name == name), None)
        if not wanted or search is None:
            raise PreventUpdate
        trials = {trial.number: trial for trial in watch.ask(lambda ledger: ledger.trials(search.id))}
        chosen = [trials[number] for number in wanted["trials"] if number in trials]
        write, kind = (as_csv, "csv") if wanted["format"] == "csv" else (as_json, "json")
        return dcc.send_string(write(search, chosen), f"hybrid-search-{search.id}.{kind}")


def _reading(question: Any) -> Any:
    """An answer of the ledger; nothing changes on the page where it cannot be read (the banner says so)."""
    try:
        return question()
    except Exception:
        raise PreventUpdate from None


def _only(**changed: Any) -> tuple[Any, ...]:
    return tuple(changed.get(name.replace("-", "_"), no_update) for name in DRAWN)


def _drawn(watch: Watch, view: View | None, key: dict[str, Any], pinned: list[int], seen: dict[str, Any]) -> tuple[Any, ...]:
    if view is None:
        return _nothing(key)
    theme = THEMES[key["theme"]]
    same = seen.get("key") == key and seen.get("epoch") == view.epoch
    beat = _beat(view)
    if same and seen["version"] == view.version and seen["pinned"] == pinned:
        return _only(beat=beat)
    new = [number for number, version in view.versions.items() if not same or version > seen["version"]]
    now = {
        "key": key,
        "epoch": view.epoch,
        "version": view.version,
        "drawn": len(view.dominated),
        "pinned": pinned,
        "touched": [number for number in new if number in pinned],
    }
    same_rows = seen.get("epoch") == view.epoch and seen.get("key", {}).get("search") == key["search"]
    volume = watch.hypervolume(view.search)
    changed: dict[str, Any] = {"seen": now, "beat": beat, "front": _front(view, key, pinned, theme, seen if same else None)}
    if not same_rows:
        changed["table_rows"] = [_row(view, number) for number in view.points]
        changed["columns"] = page.columns(view.search)
    elif seen["version"] != view.version:
        new = [number for number, version in view.versions.items() if version > seen["version"]]
        added = [number for number in new if view.born[number] > seen["version"]]
        updated = [number for number in new if view.born[number] <= seen["version"]]
        rows = {"add": [_row(view, n) for n in added], "update": [_row(view, n) for n in updated], "async": False}
        changed["table_changes"] = rows
    if not same or seen["version"] != view.version:
        changed["volume"] = hypervolume_figure(volume, theme)
        changed["summary"] = summary(view, volume)
        changed["reference"] = f"measured from {volume.reference_text}" if volume.values else ""
        changed["note"] = note(_numbers(view, key, []), view)
    return _only(**changed)


def _front(view: View, key: dict[str, Any], pinned: list[int], theme: Theme, seen: dict[str, Any] | None) -> Any:
    """The figure of the front: whole, or where the browser has one already the patch that brings it up to date."""
    numbers = _numbers(view, key, list(view.dominated if seen is None else view.dominated[seen["drawn"] :]))
    names = hover_names(numbers, view.search.objectives)
    faint = arrays(numbers.dominated, names, theme, key["colour"], member=False)
    # plotly checks every colour of every point; ours need no check, and with 10,000 of them it takes a second.
    figure = front_figure(
        without_dominated(numbers),
        theme,
        objectives=view.search.objectives,
        colour=key["colour"],
        log=key["log"],
        designs=view.designs,
        webgl=key["webgl"],
    ).to_dict()
    rings = pinned_trace(_pinned_numbers(view, key, pinned), pinned, theme).to_plotly_json()
    if seen is None:
        faded, marker = figure["data"][0], figure["data"][0]["marker"]
        faded |= {name: faint[name] for name in ("x", "y", "customdata")}
        marker |= {"color": faint["color"], "symbol": faint["symbol"]}
        figure["data"][3] = rings
        figure["layout"]["uirevision"] += f" {key['search']}"
        return figure
    patch = Patch()
    if numbers.dominated:
        for name in ("x", "y", "customdata"):
            patch["data"][0][name].extend(faint[name])
        for name in ("color", "symbol"):
            patch["data"][0]["marker"][name].extend(faint[name])
    if seen["version"] != view.version:
        patch["data"][1] = figure["data"][1]
        patch["data"][2] = figure["data"][2]
    patch["data"][3] = rings
    return patch


def _numbers(view: View, key: dict[str, Any], dominated: list[int]) -> FrontNumbers:
    """The numbers of the front with these dominated trials alone; line and counts are of all."""
    everything = front_numbers(
        list(view.points.values()), view.search.objectives, key["x"], key["y"], operators=view.operators, front=view.front
    )
    spots = {spot.number: spot for spot in everything.dominated}
    kept = tuple(spots[number] for number in dominated if number in spots)
    return FrontNumbers(**{**vars(everything), "dominated": kept})


def _pinned_numbers(view: View, key: dict[str, Any], pinned: list[int]) -> FrontNumbers:
    points = [view.points[number] for number in pinned if number in view.points]
    return front_numbers(points, view.search.objectives, key["x"], key["y"], front=())


def _row(view: View, number: int) -> dict[str, Any]:
    point = view.points[number]
    names = dict.fromkeys([*view.search.objectives, "flops", "params"])
    values = {name: point.values.get(name) for name in names}
    return {
        "trial": number,
        "state": point.state,
        "front": "front" if number in view.front else "",
        **{name: value if value is not None and abs(value) < float("inf") else None for name, value in values.items()},
        "seconds": point.seconds,
        "operators": ", ".join(runs(view.operators.get(number, ()))),
    }


def _beat(view: View) -> dict[str, Any]:
    counts = view.counts
    return {
        "now": time.time() * 1000,
        "changed": view.changed.timestamp() * 1000 if view.changed else None,
        "running": counts["running"],
        "ended": sum(counts.values()) - counts["running"],
        "target": view.search.target,
        "error": None,
    }


def _nothing(key: dict[str, Any]) -> tuple[Any, ...]:
    """A ledger without a search."""
    theme = THEMES[key["theme"]]
    blank = front_figure(front_numbers([], ["accuracy"], key["x"], key["y"]), theme)
    seen = {"key": key, "epoch": "", "version": 0, "drawn": 0, "pinned": [], "touched": []}
    text = "This ledger holds no search yet. Start one: hybrid-search run"
    beat = {"now": time.time() * 1000, "changed": None, "running": 0, "ended": 0, "target": 0, "error": None}
    volume = hypervolume_figure(_no_volume(), theme)
    return _only(front=blank, volume=volume, table_rows=[], seen=seen, summary=[], note=text, reference="", beat=beat)


def _no_volume() -> Any:
    from hybrid_search.charts import hypervolume_numbers

    return hypervolume_numbers([], ["accuracy"])


def _in_the_browser(app: Dash) -> None:
    """The callbacks whose functions stand in assets/page.js."""

    def clientside(function: str, *dependencies: Any, initial: bool = True) -> None:
        target = ClientsideFunction("page", function)
        app.clientside_callback(target, *dependencies, prevent_initial_call=not initial)

    clientside("theme", Output("look", "data"), Output("theme", "children"), Input("theme", "n_clicks"))
    clientside(
        "pin",
        Output("pinned", "data"),
        Output("front", "clickData"),
        Input("front", "clickData"),
        Input("asked", "data"),
        State("pinned", "data"),
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
