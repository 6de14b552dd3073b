"""The numbers of the Pareto front on two chosen axes; charts/front_figure.py draws them.

Only completed trials with finite numbers are drawn. Failed, stopped and running ones are counted, never placed.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hybrid_search.analysis.confidence import Standing
from hybrid_search.errors import one_of
from hybrid_search.ledger import Point
from hybrid_search.objectives import OBJECTIVES, Objective
from hybrid_search.pareto import pareto_front

if TYPE_CHECKING:
    pass

# Not an objective: the horizontal axis of a search with one objective.
TRIAL = Objective("trial", "minimize", "trial", "", known=True)
AXES: dict[str, Objective] = {**OBJECTIVES.usable(), "trial": TRIAL}
LOGARITHMIC = ("flops", "params", "train_seconds", "latency_ms")
COLOURS = ("mix", "trial")  # and `stage:0`, `stage:1`, ...


class Spot(NamedTuple):
    """One drawn trial: where it stands, what it measured, and the operator of each of its stages."""

    number: int
    x: float
    y: float
    values: Mapping[str, float]
    seconds: float | None
    operators: tuple[str, ...]


class Bars(NamedTuple):
    """How far a confirmed trial's numbers may be off: its place, and the 95 % interval on each axis (a known number
    has an interval without width)."""

    number: int
    x: float
    y: float
    across: tuple[float, float]
    up: tuple[float, float]


@dataclass(frozen=True)
class FrontNumbers:
    """What the chart of the front says. `line` is the front of the two axes shown, which with more objectives is only
    a part of `front`; `missing` counts completed trials that lack a finite number on an axis; `bars` are those of
    confirmed trials."""

    x: Objective
    y: Objective
    front: tuple[Spot, ...]
    dominated: tuple[Spot, ...]
    line: tuple[tuple[float, float], ...]
    counts: Mapping[str, int]
    missing: int
    bars: tuple[Bars, ...] = ()


def default_axes(objectives: Sequence[str]) -> tuple[str, str]:
    """The axes to begin with: the second objective across (or the trial's number), the first one upward."""
    return (objectives[1] if len(objectives) > 1 else "trial", objectives[0])


def front_numbers(
    points: Sequence[Point],
    objectives: Sequence[str],
    x: str,
    y: str,
    *,
    operators: Mapping[int, tuple[str, ...]] | None = None,
    front: Collection[int] | None = None,
    standings: Mapping[int, Standing] | None = None,
) -> FrontNumbers:
    """Points of the ledger -> what is drawn. `front` gives the numbers of the front's trials where they are known,
    `standings` what is known of the confirmed ones."""
    one_of("axis", x, AXES)
    one_of("axis", y, OBJECTIVES)
    members = front_of(points, objectives) if front is None else front
    spots, missing = spots_of(points, x, y, operators or {})
    return FrontNumbers(
        AXES[x],
        AXES[y],
        front=tuple(spot for spot in spots if spot.number in members),
        dominated=tuple(spot for spot in spots if spot.number not in members),
        line=tuple(_line(spots, AXES[x], AXES[y])),
        counts=dict(Counter(point.state for point in points)),
        missing=missing,
        bars=tuple(bars_of(spots, standings or {}, x, y)),
    )


def bars_of(spots: Sequence[Spot], standings: Mapping[int, Standing], x: str, y: str) -> list[Bars]:
    """The intervals of the trials that have any on these axes."""
    found = []
    for spot in spots:
        intervals = standings[spot.number].intervals if spot.number in standings else {}
        if x in intervals or y in intervals:
            across, up = intervals.get(x, (spot.x, spot.x)), intervals.get(y, (spot.y, spot.y))
            found.append(Bars(spot.number, spot.x, spot.y, across, up))
    return found


def spots_of(
    points: Sequence[Point], x: str, y: str, operators: Mapping[int, tuple[str, ...]]
) -> tuple[list[Spot], int]:
    """The completed trials that can be placed on these axes, and how many cannot."""
    spots, missing = [], 0
    for point in points:
        if point.state != "complete":
            continue
        across = float(point.number) if x == "trial" else point.values.get(x)
        up = point.values.get(y)
        if across is None or up is None or not (math.isfinite(across) and math.isfinite(up)):
            missing += 1
            continue
        spots.append(Spot(point.number, across, up, point.values, point.seconds, operators.get(point.number, ())))
    return spots, missing


def front_of(points: Sequence[Point], objectives: Sequence[str]) -> set[int]:
    """The numbers of the completed trials that no other dominates in all the objectives."""
    whole = [point for point in points if has_all(point, objectives)]
    rows = [[point.values[name] for name in objectives] for point in whole]
    return {whole[i].number for i in pareto_front(rows, [OBJECTIVES[name].direction for name in objectives])}


def has_all(point: Point, objectives: Sequence[str]) -> bool:
    """Whether a trial completed with a finite number for every objective."""
    return point.state == "complete" and all(math.isfinite(point.values.get(name, math.nan)) for name in objectives)


def _line(spots: Sequence[Spot], x: Objective, y: Objective) -> list[tuple[float, float]]:
    """The front of two axes as corners from left to right: sort by x from its better end, keep what improves y."""
    if not spots:
        return []
    across = np.array([spot.x for spot in spots]) * (1 if x.direction == "minimize" else -1)
    up = np.array([spot.y for spot in spots]) * (1 if y.direction == "minimize" else -1)
    order = np.lexsort((up, across))
    best = np.minimum.accumulate(up[order])
    better = np.concatenate([[True], up[order][1:] < best[:-1]])
    return sorted((spots[i].x, spots[i].y) for i in order[better])
