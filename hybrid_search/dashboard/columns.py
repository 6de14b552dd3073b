"""The columns and the rows of the table of trials."""

import math
from collections.abc import Mapping
from typing import Any

from hybrid_search.charts.axes import unit_of
from hybrid_search.charts.families import count_repeated_operators, look_of
from hybrid_search.dashboard.snapshot import SearchView
from hybrid_search.dashboard.summary import state_word
from hybrid_search.objectives import Objective
from hybrid_search.records import SearchRecord

COSTS = ("flops", "params")  # columns of every search
SHORT = {
    "accuracy": "acc.",
    "balanced_accuracy": "bal. acc.",
    "macro_f1": "macro F1",
}  # headings that would be too long
CONFIRMED = {
    "probability": ("on front [%]", "probability of being on the front, given the noise between seeds", 112),
    "test": ("test [%]", "accuracy on the test split, mean over fresh seeds", 80),
}  # field -> heading, tooltip, width
OPERATORS_COLUMN = {
    "field": "operators",
    "minWidth": 104,
    "flex": 1,
    "tooltipField": "operators",
    "headerTooltip": "operator of each stage, from the first to the last; letters are explained below the table",
}  # shows the symbols, filters by the names


def table_columns(
    search: SearchRecord, axes: Mapping[str, Objective], *, confirmed: bool = False
) -> list[dict[str, Any]]:
    """Return the column definitions of the table.

    Args:
        search: the search; its objectives come first, then FLOPs and parameters.
        axes: every objective by name.
        confirmed: whether trials were retrained; then seeds, probability of the front and test accuracy are shown.
    """
    order = {"function": "hsEmptyLast"}
    numeric = {"filter": "agNumberColumnFilter", "type": "rightAligned", "comparator": order}
    share = {"valueFormatter": _formatted("hsShare"), **numeric}
    scaled = {"valueFormatter": _formatted("hsScaled"), **numeric}
    measured = [
        {
            "field": name,
            "headerName": _heading(axes[name]),
            "width": 88,
            "headerTooltip": axes[name].label,
            "sortingOrder": ["desc", "asc", None] if axes[name].direction == "maximize" else ["asc", "desc", None],
            **(share if axes[name].unit == "share" else scaled),
        }
        for name in dict.fromkeys([*search.objectives, *COSTS])
    ]
    retrained = [
        {"field": name, "headerName": heading, "headerTooltip": tooltip, "width": width, **share}
        for name, (heading, tooltip, width) in CONFIRMED.items()
    ]
    retrained.append({"field": "seeds", "headerTooltip": "number of fresh seeds of the mean", "width": 70, **numeric})
    sizes = {"field": "image_size", "headerName": "image [px]", "width": 92, **numeric}
    duration = {"field": "seconds", "headerName": "time [s]", "width": 86, **scaled}
    return [
        {"field": "trial", "width": 60, **numeric},
        {**OPERATORS_COLUMN, "valueFormatter": _formatted("hsPattern")},
        {"field": "state", "width": 100, "valueFormatter": _formatted("hsState")},
        {"field": "front", "width": 68, "headerTooltip": "whether the trial is on the front of all objectives"},
        *([{**sizes, "headerTooltip": "rows and columns of the images"}] if search.image_sizes else []),
        *measured,
        *(retrained if confirmed else []),
        {**duration, "headerTooltip": "time from start to end of the trial"},
    ]


def operators_legend(view: SearchView) -> str:
    """Return what the letters of the column of operators mean: `C convolution, A local attention`; "" without trials.

    Args:
        view: the search; only operators of its trials are named.
    """
    used = sorted({operator for operators in view.operators.values() for operator in operators})
    looks = [look_of(operator) for operator in used]
    return ", ".join(f"{look.symbol} {look.label}" for look in looks if look.symbol != look.label)


def table_row(view: SearchView, number: int) -> dict[str, Any]:
    """Return the row of one trial; a number that is missing or not finite is an empty cell."""
    point = view.points[number]
    names = dict.fromkeys([*view.search.objectives, *COSTS])
    return {
        "trial": number,
        "state": state_word(point.state),
        "front": "front" if number in view.front else "",
        **({"image_size": view.image_sizes.get(number)} if view.search.image_sizes else {}),
        **{name: _rounded(point.values.get(name)) for name in names},
        **_confirmed(view, number),
        "seconds": _rounded(point.seconds),
        "operators": ", ".join(count_repeated_operators(view.operators.get(number, ()))),
        "pattern": " ".join(look_of(operator).symbol for operator in view.operators.get(number, ())),
    }


def _confirmed(view: SearchView, number: int) -> dict[str, Any]:
    """Return what a confirmation adds to a row; nothing if no trial of the search was retrained."""
    standing = view.standings.get(number)
    if not view.standings:
        return {}
    return {
        "seeds": standing.seeds or None if standing else None,
        "probability": _rounded(standing.probability) if standing else 0.0,
        "test": _rounded(standing.test) if standing else None,
    }


def _rounded(value: float | None) -> float | None:
    """Return nine digits, which round like the value itself and are short to send; None if it is not finite."""
    return float(f"{value:.9g}") if value is not None and math.isfinite(value) else None


def _formatted(function: str) -> dict[str, str]:
    """Return a cell formatter of assets/page.js."""
    return {"function": f"{function}(params)"}


def _heading(objective: Objective) -> str:
    """Return the short heading of a column: name and unit."""
    name = SHORT.get(objective.name, objective.name.removesuffix("_ms").replace("_", " "))
    unit = unit_of(objective)
    return unit if unit.lower() == name else f"{name} [{unit}]".removesuffix(" []")
