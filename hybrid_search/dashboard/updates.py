"""What a browser is sent: everything at first, then only what is new.

Dominated points are appended to their trace and changed rows to the table; the front, which is small, is sent whole. A
browser says in `seen` what it has; the server keeps nothing about browsers.
"""

import math
import time
from typing import Any

from dash import Patch, no_update

from hybrid_search.charts import THEMES, front_figure, hypervolume_figure, hypervolume_numbers
from hybrid_search.charts.front import FrontNumbers, front_numbers
from hybrid_search.charts.front_figure import arrays, faded, hover_names, pinned_trace, runs, without_dominated
from hybrid_search.charts.theme import Theme
from hybrid_search.dashboard import layout as page
from hybrid_search.dashboard.snapshot import View, Watch
from hybrid_search.dashboard.summary import note, summary

# The outputs of the callback that draws, in its order.
DRAWN = ("front", "volume", "table-rows", "table-changes", "columns", "seen", "summary", "note", "reference", "beat")


def only(**changed: Any) -> tuple[Any, ...]:
    """Some of the outputs; the others stay as they are in the browser."""
    return tuple(changed.get(name.replace("-", "_"), no_update) for name in DRAWN)


def drawn(
    watch: Watch, view: View | None, key: dict[str, Any], pinned: list[int], seen: dict[str, Any]
) -> tuple[Any, ...]:
    """What brings a browser that has `seen` up to date with `view`, on the axes and in the look of `key`."""
    if view is None:
        return _nothing(key)
    theme = THEMES[key["theme"]]
    same = seen.get("key") == key and seen.get("epoch") == view.epoch
    beat = _beat(view)
    if same and seen["version"] == view.version and seen["pinned"] == pinned:
        return only(beat=beat)
    new = [number for number, version in view.versions.items() if not same or version > seen["version"]]
    begin = seen["drawn"] if same else 0
    numbers = _numbers(view, key, list(view.dominated[begin:]))
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
    changed: dict[str, Any] = {
        "seen": now,
        "beat": beat,
        "front": _front(view, numbers, key, pinned, theme, seen if same else None),
    }
    if not same_rows:
        changed["table_rows"] = [_row(view, number) for number in view.points]
        changed["columns"] = page.columns(view.search, confirmed=bool(view.standings))
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
        changed["note"] = note(numbers, view)
    return only(**changed)


def _front(
    view: View, numbers: FrontNumbers, key: dict[str, Any], pinned: list[int], theme: Theme, seen: dict[str, Any] | None
) -> Any:
    """The figure of the front: whole, or where the browser has one already the patch that brings it up to date."""
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
        trace, marker = figure["data"][0], figure["data"][0]["marker"]
        trace |= {name: faint[name] for name in ("x", "y", "customdata")}
        marker |= faded(len(view.dominated)) | {"color": faint["color"], "symbol": faint["symbol"]}
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
        patch["data"][4] = figure["data"][4]
    patch["data"][3] = rings
    return patch


def _numbers(view: View, key: dict[str, Any], dominated: list[int]) -> FrontNumbers:
    """The numbers of the front with these dominated trials alone; line and counts are of all."""
    everything = front_numbers(
        list(view.points.values()),
        view.search.objectives,
        key["x"],
        key["y"],
        operators=view.operators,
        front=view.front,
        standings=view.standings,
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
        **{name: _short(value) for name, value in values.items()},
        **_certainty(view, number),
        "seconds": _short(point.seconds),
        "operators": ", ".join(runs(view.operators.get(number, ()))).replace("local_attention", "attention"),
    }


def _certainty(view: View, number: int) -> dict[str, Any]:
    """What a confirmation adds to a row: nothing where the search has none."""
    standing = view.standings.get(number)
    if not view.standings:
        return {}
    return {
        "seeds": standing.seeds or None if standing else None,
        "probability": _short(standing.probability) if standing else 0.0,
        "test": _short(standing.test) if standing else None,
    }


def _short(value: float | None) -> float | None:
    """Six digits are enough for a table, and half as much to send; what is not finite is an empty cell."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def _beat(view: View) -> dict[str, Any]:
    counts = view.counts
    return {
        "now": time.time() * 1000,
        "changed": view.changed.timestamp() * 1000 if view.changed else None,
        "running": counts["running"],
        "driven": view.lease.active,
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
    beat = {
        "now": time.time() * 1000,
        "changed": None,
        "running": 0,
        "driven": False,
        "ended": 0,
        "target": 0,
        "error": None,
    }
    volume = hypervolume_figure(hypervolume_numbers([], ["accuracy"]), theme)
    return only(front=blank, volume=volume, table_rows=[], seen=seen, summary=[], note=text, reference="", beat=beat)
