"""The line of numbers at the head of the page, and the note below the front."""

from typing import Any

from dash import html

from hybrid_search.charts.front import FrontNumbers
from hybrid_search.charts.hypervolume import HypervolumeNumbers, volume_text
from hybrid_search.dashboard.snapshot import View
from hybrid_search.ledger.leases import host_and_pid
from hybrid_search.objectives import OBJECTIVES

SYMBOLS = {"complete": "●", "running": "◌", "stopped": "■", "failed": "✕"}  # AGREES with hsState in page.js


def summary(view: View, volume: HypervolumeNumbers) -> list[Any]:
    """Counts by state, the best of the first objective, the front's size and its hypervolume."""
    counts = view.counts
    first = OBJECTIVES[view.search.objectives[0]]
    members = [view.points[number] for number in view.front]
    values = [point.values[first.name] for point in members]
    best = (max if first.direction == "maximize" else min)(values, default=None)
    holder = next((point.number for point in members if point.values[first.name] == best), None)
    ended = sum(counts.values()) - counts["running"]
    states = [_state(name, counts[name], _word(name, view)) for name in ("complete", "running", "stopped", "failed")]
    about = "" if volume.exact else "≈ "
    return [
        _fact("trials ended", f"{ended:,}", f"of {view.search.target:,}"),
        html.Div([html.Div("by state", className="what"), html.Div(states, className="states")], className="fact"),
        _fact(f"best {first.label}", first.text(best), "" if holder is None else f"trial {holder}"),
        _fact("on the front", f"{len(view.front):,}", "trials"),
        _fact("hypervolume", "-" if volume.last is None else about + volume_text(volume.last), ""),
        _fact("driver", *_driver(view)),
        _fact("sampler", view.search.sampler, f"seed {view.search.seed}"),
        _fact("data", view.search.settings.data, f"{view.search.settings.epochs} epochs"),
    ]


def _driver(view: View) -> tuple[str, str]:
    """Who runs the search at the moment, in a word and its host; of one that nobody runs, whether it was cut."""
    if view.lease.active:
        return "running", f"on {host_and_pid(view.lease.holder)}"
    return ("interrupted", "run it again") if view.counts["running"] else ("none", "")


def note(numbers: FrontNumbers, view: View) -> str:
    """What is not in the picture, in words."""
    counts = view.counts
    told = [f"{counts[name]:,} {_word(name, view)}" for name in ("running", "stopped", "failed") if counts[name]]
    said = []
    if not counts["complete"]:
        said.append("No trial has completed yet." if not counts["failed"] else "No trial has completed.")
    if told:
        said.append(f"Not drawn: {', '.join(told)}.")
    if numbers.missing:
        said.append(f"{numbers.missing:,} completed without a finite number on an axis.")
    if numbers.bars:
        said.append("Bars: 95 % intervals of means over fresh seeds.")
    shown = {numbers.x.name, numbers.y.name}
    if not set(view.search.objectives) <= shown and numbers.x.name != "trial":
        said.append("Filled markers are on the front of all objectives; the line is the front of these two axes.")
    return " ".join(said)


def _fact(what: str, value: str, more: str) -> html.Div:
    shown = [html.Div(what, className="what"), html.Div([value, html.Span(more)], className="value")]
    return html.Div(shown, className="fact")


def _word(state: str, view: View) -> str:
    """A state as it is said: what nobody runs is only left to go on with."""
    return "to go on" if state == "running" and view.counts[state] and not view.lease.active else state


def _state(name: str, count: int, word: str) -> html.Span:
    return html.Span([html.Span(SYMBOLS[name], className="symbol"), f" {count:,} {word}"], className=f"state {name}")
