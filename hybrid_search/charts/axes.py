"""The possible axes of a chart: every objective of a search, and the number of the trial."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from hybrid_search.errors import one_of
from hybrid_search.objectives import BUILT_IN, Objective
from hybrid_search.records import SearchRecord

# Not an objective: the horizontal axis of a search with one objective.
TRIAL = Objective("trial", "minimize", "trial", "", known=True)
AXES: dict[str, Objective] = {**BUILT_IN, TRIAL.name: TRIAL}
NEAR = 4.0  # a smaller ratio of the largest to the smallest value may have no tick at 1, 2 or 5
COUNTS = ("flops", "params")  # with prefixes: 500k


def objectives_of(search: SearchRecord) -> dict[str, Objective]:
    """Return every objective that a trial of this search may have measured, by name; those of the search come first."""
    return {objective.name: objective for objective in (*search.objective_list, *search.all_objectives().values())}


def axes_of(search: SearchRecord) -> dict[str, Objective]:
    """Return everything that can be an axis of a search's front, by name: its objectives, then the trial number."""
    own = objectives_of(search)
    return {name: own[name] for name in dict.fromkeys([*BUILT_IN, *own])} | {TRIAL.name: TRIAL}


def axis_named(name: str, axes: Mapping[str, Objective]) -> Objective:
    """Return the axis of this name.

    Raises:
        UnknownName: no axis has this name; the message lists the axes.
    """
    one_of("axis", name, axes)
    return axes[name]


def default_axes(objectives: Sequence[str]) -> tuple[str, str]:
    """Return the axes that a page opens with: the second objective across (or the trial), the first one upward.

    Args:
        objectives: names of the objectives of a search, in order.
    """
    return (objectives[1] if len(objectives) > 1 else TRIAL.name, objectives[0])


def unit_of(objective: Objective) -> str:
    """Return the unit as an axis shows it: `%` for a share."""
    return "%" if objective.unit == "share" else objective.unit


def labelled(objective: Objective) -> str:
    """Return label and unit as markup: `validation accuracy [%]`. Labels are escaped, because plotly reads markup."""
    unit = unit_of(objective)
    return escape(f"{objective.label} [{unit}]" if unit else objective.label)


def axis_title(objective: Objective) -> str:
    """Return the title of an axis as markup: label, unit, and which direction is better."""
    return escape(axis_words(objective))


def axis_words(objective: Objective) -> str:
    """Return the title of an axis in plain text: label, unit, and which direction is better."""
    if objective.name == TRIAL.name:
        return "trial number"
    better, unit = "higher" if objective.direction == "maximize" else "lower", unit_of(objective)
    return f"{objective.label}{f' [{unit}]' if unit else ''}, {better} is better"


def axis_scale(objective: Objective, log: bool, values: Sequence[float] = ()) -> dict[str, Any]:
    """Return plotly's scale of an axis: a share in per cent, a cost linear or logarithmic. Counts have SI prefixes.

    Args:
        objective: what the axis shows.
        log: whether a cost is logarithmic.
        values: the values on the axis. A logarithmic axis has a tick at 1, 2 and 5, and at each digit if they are near
            each other.
    """
    if objective.unit == "share":
        # One trial alone would get an axis from below 0 to far above 1.
        return {"tickformat": "~%", "hoverformat": ".2%", "autorangeoptions": {"clipmin": 0.0, "clipmax": 1.03}}
    plain = {"tickformat": "~s" if objective.name in COUNTS else "~g"} if objective.logarithmic else {}
    near = bool(values) and min(values) > 0 and max(values) < NEAR * min(values)
    return {"type": "log", "dtick": "D1" if near else "D2", **plain} if log and plain else plain
