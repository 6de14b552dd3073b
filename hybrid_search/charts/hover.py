"""The text that a trial of the front shows when the pointer is on it.

plotly reads hover text as markup, so every text that comes from a ledger or a plugin is escaped.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from hybrid_search.charts.families import count_repeated_operators
from hybrid_search.charts.front import FrontPoint
from hybrid_search.networks.architecture import size_text
from hybrid_search.objectives import Objective


def hover_template(shown: Sequence[Objective]) -> str:
    """Return plotly's template around the values of `hover_row`: the trial, these measurements, the architecture."""
    lines = [f"{_literal(objective.label)}: <b>%{{customdata[{3 + i}]}}</b>" for i, objective in enumerate(shown)]
    return "<br>".join(["<b>trial %{customdata[0]}</b> %{customdata[1]}", *lines, "%{customdata[2]}<extra></extra>"])


def hover_row(spot: FrontPoint, shown: Sequence[Objective], *, member: bool, design: str | None = None) -> list[Any]:
    """Return the values that the template shows for one trial.

    Args:
        spot: the trial.
        shown: the measurements of the template.
        member: whether the trial is on the front.
        design: its one-line architecture; default: its image size, if it has one, and its operators.
    """
    duration = "" if spot.seconds is None else f", {spot.seconds:.3g} s"
    operators = " → ".join(count_repeated_operators(spot.operators))
    lines = design.split(" | ") if design else [*size_text(spot.image_size), operators]
    state = f"completed{duration}{' · <b>on the front</b>' if member else ''}"
    values = [escape(objective.text(spot.values.get(objective.name))) for objective in shown]
    return [spot.number, state, "<br>".join(map(escape, lines)), *values]


def _literal(text: str) -> str:
    """Escape a text inside a template, where `%{` would begin a variable."""
    return escape(text).replace("%{", "%&#123;")
