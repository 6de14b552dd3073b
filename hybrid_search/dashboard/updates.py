"""The updates that the server sends to a browser: everything at first, then only what is new.

Dominated trials are appended to their trace, and changed rows to the table; the front is small and sent whole. The
browser reports in `received` what it has, so that the server stores nothing about browsers.
"""

import time
from typing import Any

from dash import Patch, no_update

from hybrid_search.charts import THEMES, front_figure, hypervolume_figure, hypervolume_numbers
from hybrid_search.charts.front import FrontNumbers, front_numbers
from hybrid_search.charts.front_figure import (
    BARS,
    DOMINATED,
    FRONT_MARKERS,
    KNEE,
    LEGEND,
    LINE,
    PINNED,
    faded,
    marker_columns,
    without_dominated,
)
from hybrid_search.charts.front_marks import pinned_trace
from hybrid_search.charts.theme import Theme
from hybrid_search.dashboard.columns import operators_legend, table_columns, table_row
from hybrid_search.dashboard.snapshot import SearchView, Snapshot
from hybrid_search.dashboard.summary import front_note, summary_facts

# The outputs of the callback that draws the page, in its order.
OUTPUTS = (
    "front", "volume", "rows", "row_changes", "columns", "received", "summary", "note", "reference", "heartbeat",
    "legend",
)  # fmt: skip


def outputs(**changed: Any) -> tuple[Any, ...]:
    """Return the outputs of the callback: those given, and `no_update` for the others."""
    return tuple(changed.get(name, no_update) for name in OUTPUTS)


def page_update(
    snapshot: Snapshot, view: SearchView | None, wanted: dict[str, Any], pinned: list[int], received: dict[str, Any]
) -> tuple[Any, ...]:
    """Return the outputs that bring a browser up to date.

    Args:
        snapshot: the copy of the ledger.
        view: the search that the browser shows; None if the ledger has no search.
        wanted: the search, axes, colour and look that the browser shows.
        pinned: the selected trials.
        received: what the browser has already; empty for a new page.
    """
    if view is None:
        return _empty_page(wanted)
    theme = THEMES[wanted["theme"]]
    same = received.get("wanted") == wanted and received.get("generation") == view.generation
    heartbeat = _heartbeat(view)
    if same and received["version"] == view.version and received["pinned"] == pinned:
        return outputs(heartbeat=heartbeat)
    new = [number for number, version in view.changed_in.items() if not same or version > received["version"]]
    start = received["drawn"] if same else 0
    numbers = _numbers(view, wanted, list(view.dominated[start:]))
    changed: dict[str, Any] = {
        "received": {
            "wanted": wanted,
            "generation": view.generation,
            "version": view.version,
            "drawn": len(view.dominated),
            "pinned": pinned,
            "touched": [number for number in new if number in pinned],
        },
        "heartbeat": heartbeat,
        "front": _front(view, numbers, wanted, pinned, theme, received if same else None),
        **_table(view, wanted, received),
    }
    if not same or received["version"] != view.version:
        volume = snapshot.hypervolume(view.search)
        changed["volume"] = hypervolume_figure(volume, theme)
        changed["summary"] = summary_facts(view, volume)
        changed["reference"] = f"reference point: {volume.reference_text}" if volume.values else volume.unknown
        changed["note"] = front_note(numbers, view)
        changed["legend"] = operators_legend(view)
    return outputs(**changed)


def _table(view: SearchView, wanted: dict[str, Any], received: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs of the table: all rows and columns, or only the rows that changed."""
    same_search = received.get("wanted", {}).get("search") == wanted["search"]
    if not same_search or received.get("generation") != view.generation:
        columns = table_columns(view.search, view.axes, confirmed=bool(view.standings))
        return {"rows": [table_row(view, number) for number in view.points], "columns": columns}
    if received["version"] == view.version:
        return {}
    new = [number for number, version in view.changed_in.items() if version > received["version"]]
    added = [table_row(view, number) for number in new if view.first_in[number] > received["version"]]
    updated = [table_row(view, number) for number in new if view.first_in[number] <= received["version"]]
    return {"row_changes": {"add": added, "update": updated, "async": False}}


def _front(
    view: SearchView,
    numbers: FrontNumbers,
    wanted: dict[str, Any],
    pinned: list[int],
    theme: Theme,
    received: dict[str, Any] | None,
) -> Any:
    """Return the figure of the front, or the patch that brings the browser's figure up to date."""
    pale = marker_columns(numbers.dominated, numbers.shown, theme, wanted["colour"], member=False)
    # plotly validates every colour of every point; for 10,000 points that takes a second, so they are added later.
    figure = front_figure(
        without_dominated(numbers),
        theme,
        colour=wanted["colour"],
        log=wanted["log"],
        designs=view.designs,
        webgl=wanted["webgl"],
    ).to_dict()
    rings = pinned_trace(_pinned_numbers(view, wanted, pinned), pinned, theme).to_plotly_json()
    if received is None:
        trace, marker = figure["data"][DOMINATED], figure["data"][DOMINATED]["marker"]
        trace |= {name: pale[name] for name in ("x", "y", "customdata")}
        marker |= faded(len(view.dominated), theme) | {"color": pale["color"], "symbol": pale["symbol"]}
        figure["data"][PINNED] = rings
        figure["layout"]["uirevision"] += f" {wanted['search']}"
        return figure
    patch = Patch()
    if numbers.dominated:
        for name in ("x", "y", "customdata"):
            patch["data"][DOMINATED][name].extend(pale[name])
        for name in ("color", "symbol"):
            patch["data"][DOMINATED]["marker"][name].extend(pale[name])
    if received["version"] != view.version:
        for trace in (LINE, FRONT_MARKERS, BARS, KNEE, *range(LEGEND, len(figure["data"]))):
            patch["data"][trace] = figure["data"][trace]
    patch["data"][PINNED] = rings
    return patch


def _numbers(view: SearchView, wanted: dict[str, Any], dominated: list[int]) -> FrontNumbers:
    """Return the numbers of the front with only these dominated trials; line, counts and legend are of all trials."""
    everything = front_numbers(
        list(view.points.values()),
        view.search.objectives,
        wanted["x"],
        wanted["y"],
        operators=view.operators,
        image_sizes=view.image_sizes,
        front=view.front,
        standings=view.standings,
        axes=view.axes,
        baselines=view.baselines,
    )
    spots = {spot.number: spot for spot in everything.dominated}
    drawn = tuple(spots[number] for number in dominated if number in spots)
    return FrontNumbers(**{**vars(everything), "dominated": drawn})


def _pinned_numbers(view: SearchView, wanted: dict[str, Any], pinned: list[int]) -> FrontNumbers:
    points = [view.points[number] for number in pinned if number in view.points]
    return front_numbers(points, view.search.objectives, wanted["x"], wanted["y"], front=(), axes=view.axes)


def _heartbeat(view: SearchView) -> dict[str, Any]:
    """Return what the status line of the page needs."""
    counts = view.counts
    return {
        "now": time.time() * 1000,
        "changed": view.last_change.timestamp() * 1000 if view.last_change else None,
        "running": counts["running"],
        "driven": view.lease.active,
        "ended": sum(counts.values()) - counts["running"],
        "target": view.search.target,
        "error": None,
    }


def _empty_page(wanted: dict[str, Any]) -> tuple[Any, ...]:
    """Return the outputs for a ledger without a search."""
    theme = THEMES[wanted["theme"]]
    received = {"wanted": wanted, "generation": "", "version": 0, "drawn": 0, "pinned": [], "touched": []}
    nothing = {"changed": None, "running": 0, "driven": False, "ended": 0, "target": 0, "error": None}
    return outputs(
        front=front_figure(front_numbers([], ["accuracy"], wanted["x"], wanted["y"]), theme),
        volume=hypervolume_figure(hypervolume_numbers([], ["accuracy"]), theme),
        rows=[],
        received=received,
        summary=[],
        note="This ledger has no search yet. Start one: hybrid-search run" if wanted["empty"] else "",
        reference="",
        heartbeat={"now": time.time() * 1000, **nothing},
    )
