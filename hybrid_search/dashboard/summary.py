"""The line of numbers at the head of the page, and the note beside the front."""

from typing import Any

from dash import html

from hybrid_search._internal.counted import counted
from hybrid_search.charts.axes import TRIAL
from hybrid_search.charts.front import FrontNumbers, knee_of, retrained_numbers
from hybrid_search.charts.hypervolume import HypervolumeNumbers, volume_text
from hybrid_search.dashboard.snapshot import SearchView
from hybrid_search.ledger.leases import host_and_pid, purpose_of

SYMBOLS = {"complete": "●", "running": "◌", "stopped": "■", "failed": "✕"}  # AGREES with SYMBOLS in page.js
WORDS = {"complete": "completed", "stopped": "pruned"}  # the state in words if it differs


def state_word(state: str) -> str:
    """Return the state of a trial as the page shows it: `completed`, `running`, `pruned`, `failed`."""
    return WORDS.get(state, state)


def summary_facts(view: SearchView, volume: HypervolumeNumbers) -> list[Any]:
    """Return the facts at the head: counts by state, the best of the first objective, front, hypervolume, driver."""
    counts = view.counts
    first = view.axes[view.search.objectives[0]]
    members = [view.points[number] for number in view.front]
    values = [point.values[first.name] for point in members]
    best = (max if first.direction == "maximize" else min)(values, default=None)
    holder = next((point.number for point in members if point.values[first.name] == best), None)
    ended = sum(counts.values()) - counts["running"]
    states = [_state(name, counts[name], _word(name, view)) for name in ("complete", "running", "stopped", "failed")]
    about = "" if volume.exact else "≈ "
    return [
        _fact("trials ended", f"{ended:,}", f"of {view.search.target:,}"),
        html.Div(
            [html.Div("trials by state", className="what"), html.Div(states, className="states")], className="fact"
        ),
        _fact(f"best {first.label}", first.text(best), "" if holder is None else f"trial {holder}"),
        _fact("on the front", f"{len(view.front):,}", ("trial" if len(view.front) == 1 else "trials") + _knee(view)),
        _fact("hypervolume", "-" if volume.last is None else about + volume_text(volume.last), ""),
        _fact("driver", *_driver(view)),
        _fact("sampler", view.search.sampler, f"seed {view.search.seed}"),
        _fact("data", view.search.settings.data, counted(view.search.settings.epochs, "epoch")),
    ]


def front_note(numbers: FrontNumbers, view: SearchView) -> str:
    """Return what the chart of the front does not show, in words."""
    counts = view.counts
    hidden = [f"{counts[name]:,} {_word(name, view)}" for name in ("running", "stopped", "failed") if counts[name]]
    sentences = []
    if not counts["complete"]:
        sentences.append("No trial has completed yet." if not counts["failed"] else "No trial has completed.")
    if hidden:
        sentences.append(f"Not drawn: {', '.join(hidden)}.")
    if numbers.missing:
        sentences.append(f"{numbers.missing:,} completed without a finite number on an axis.")
    if numbers.dominated or counts["complete"] > len(view.front):
        others = "dominated, or not retrained" if retrained_numbers(view.standings) else "dominated"
        sentences.append(f"Large markers: on the front. Pale markers: {others}.")
    if numbers.knee is not None:
        sentences.append("Outlined diamond: the knee of the front.")
    if numbers.baselines:
        sentences.append("Stars: baselines, which were never proposed.")
    if numbers.bars:
        sentences.append("Error bars: 95 % intervals of the mean over fresh seeds.")
    if not set(view.search.objectives) <= {numbers.x.name, numbers.y.name} and numbers.x.name != TRIAL.name:
        sentences.append("The front is of all objectives, the line of these two axes.")
    return " ".join(sentences)


def _driver(view: SearchView) -> tuple[str, str]:
    """Return whether a process runs the search, and its host; for an interrupted search, what to do."""
    if view.lease.active:
        word = "confirming" if purpose_of(view.lease.holder) == "confirm" else "running"
        return word, f"on {host_and_pid(view.lease.holder)}"
    return ("interrupted", "rerun to continue") if view.counts["running"] else ("none", "")


def _knee(view: SearchView) -> str:
    """Return the knee of the front in words; "" if there is none."""
    knee = knee_of(list(view.points.values()), view.search.objective_list, view.front)
    return "" if knee is None else f", knee: trial {knee}"


def _fact(what: str, value: str, more: str) -> html.Div:
    shown = [html.Div(what, className="what"), html.Div([value, html.Span(more)], className="value")]
    return html.Div(shown, className="fact")


def _word(state: str, view: SearchView) -> str:
    """Return a state in words; a running trial of a search that has no driver is unfinished."""
    return "unfinished" if state == "running" and view.counts[state] and not view.lease.active else state_word(state)


def _state(name: str, count: int, word: str) -> html.Span:
    return html.Span([html.Span(SYMBOLS[name], className="symbol"), f" {count:,} {word}"], className=f"state {name}")
