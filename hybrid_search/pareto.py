"""The Pareto front, its hypervolume and its knee: pure functions of numbers.

Points are rows of objective values; `directions` says for each column whether more or less is better.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_search.errors import SettingsError, one_of
from hybrid_search.objectives import OBJECTIVES, Direction, Objective

Array = NDArray[np.float64]
FROZEN = 8  # points that fix the reference of an objective without a known or natural worst


def as_costs(points: ArrayLike, directions: Sequence[Direction]) -> Array:
    """(n, objectives) values with every column turned so that less is better; SettingsError where shapes disagree."""
    for direction in directions:
        one_of("direction", direction, ("maximize", "minimize"), SettingsError)
    values = np.asarray(points, dtype=np.float64)
    if values.size == 0:
        values = values.reshape(0, len(directions))
    values = np.atleast_2d(values)
    if values.ndim != 2 or values.shape[1] != len(directions):
        raise SettingsError(
            f"points must have a column for each of {len(directions)} directions; got shape {values.shape}."
        )
    signs: Array = np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])
    turned: Array = values * signs
    return turned


def pareto_front(points: ArrayLike, directions: Sequence[Direction]) -> list[int]:
    """Indices of the non-dominated points, in the order given.

    A point is dominated when another is at least as good everywhere and better somewhere; of equal points all stay.
    Points with a NaN are on no front.
    """
    costs = as_costs(points, directions)
    finite = np.flatnonzero(~np.isnan(costs).any(axis=1))
    order = finite[np.lexsort(costs[finite].T[::-1])]  # by the first objective: a dominator comes before its victims
    rows = costs[order]
    if not len(order) or rows.shape[1] == 1:
        return sorted(order[rows[:, 0] == rows[0, 0]].tolist()) if len(order) else []
    return sorted(order[_swept(rows) if rows.shape[1] == 2 else _sieved(rows)].tolist())


def _swept(rows: Array) -> NDArray[np.intp]:
    """Which of some sorted rows of two costs are dominated by none: those of least second cost among their equals in
    the first, and of less than all before."""
    first, second = rows.T
    starts = np.append(True, first[1:] != first[:-1])
    group = np.cumsum(starts) - 1
    least = second[starts]
    before = np.append(np.inf, np.minimum.accumulate(least)[:-1])
    kept: NDArray[np.intp] = np.flatnonzero((second == least[group]) & ((group == 0) | (second < before[group])))
    return kept


def _sieved(rows: Array) -> NDArray[np.intp]:
    """Which of some sorted rows are dominated by none: the first of what is left is, and what it dominates falls."""
    kept, left = [], np.arange(len(rows))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        others = rows[left]
        left = left[~((rows[best] <= others).all(axis=1) & (rows[best] < others).any(axis=1))]
    return np.array(kept, dtype=np.intp)


class RunningFront:
    """The front of numbered points that come one at a time: each costs what the front is long, not what came before."""

    def __init__(self, directions: Sequence[Direction]) -> None:
        self._directions = directions
        self._costs: dict[int, Array] = {}

    def add(self, number: int, row: Sequence[float]) -> bool:
        """Take a point; whether it is on the front. Those that it dominates are so no longer."""
        cost = as_costs([row], self._directions)[0]
        if np.isnan(cost).any():
            return False
        front = np.array(list(self._costs.values())).reshape(-1, len(cost))
        if ((front <= cost).all(axis=1) & (front < cost).any(axis=1)).any():
            return False
        fallen = (cost <= front).all(axis=1) & (cost < front).any(axis=1)
        for other in [other for other, falls in zip(self._costs, fallen, strict=True) if falls]:
            del self._costs[other]
        self._costs[number] = cost
        return True

    @property
    def numbers(self) -> list[int]:
        """The points on the front, in the order in which they came."""
        return list(self._costs)


def hypervolume(points: ArrayLike, reference: ArrayLike, directions: Sequence[Direction]) -> float:
    """The volume between the front and the reference point; points no better than the reference add nothing.

    Exact, by slicing along the last objective: n log n for two objectives, fine to a few hundred front points for four.
    """
    costs = as_costs(points, directions)
    bound = as_costs(reference, directions)[0]
    costs = costs[(costs < bound).all(axis=1)]
    return _volume(costs, bound)


def _volume(costs: Array, bound: Array) -> float:
    if not len(costs):
        return 0.0
    if costs.shape[1] == 1:
        return float(bound[0] - costs.min())
    costs = costs[np.argsort(costs[:, -1], kind="stable")]
    if costs.shape[1] == 2:
        best = np.minimum.accumulate(costs[:, 0])
        heights = np.append(costs[1:, 1], bound[1]) - costs[:, 1]
        return float(((bound[0] - best) * heights).sum())
    total = 0.0
    for i, depth in enumerate(np.append(costs[1:, -1], bound[-1]) - costs[:, -1]):
        if depth > 0:
            slab = costs[: i + 1, :-1]
            slab = slab[pareto_front(slab, ["minimize"] * slab.shape[1])]
            total += float(depth) * _volume(slab, bound[:-1])
    return total


def reference_point(
    points: ArrayLike, objectives: Sequence[Objective], known: Mapping[str, float] | None = None
) -> list[float]:
    """The point that the hypervolume of a search is measured from; it stands still once the search is under way.

    `points` are rows in the order in which they came. An objective has its bound of `known` (see `reference_costs`),
    else its natural worst (accuracy 0), else a value a little worse than the worst of the first FROZEN rows: until then
    it can only move away from the points, so the hypervolume of a growing search never falls.
    """
    values = np.asarray(points, dtype=np.float64).reshape(-1, len(objectives))
    reference = []
    for column, objective in zip(values.T, objectives, strict=True):
        column = column[~np.isnan(column)][:FROZEN]
        if known is not None and objective.name in known:
            reference.append(known[objective.name])
        elif objective.worst is not None or not len(column):
            reference.append(objective.worst or 0.0)
        else:
            low, high = float(column.min()), float(column.max())
            margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
            reference.append(high + margin if objective.direction == "minimize" else low - margin)
    return reference


def front_box(points: ArrayLike, directions: Sequence[Direction]) -> list[float]:
    """The worst of each objective on the front, and a tenth of the front's range worse than that.

    The hypervolume from here is that between the ends of the front: what is far off it, such as the dearest design of
    a space, makes no share of it small. Of a front with one value in an objective, the range is that of all points.
    """
    costs = as_costs(points, directions)
    front = costs[pareto_front(points, directions)]
    if not len(front):
        raise SettingsError("a front's box needs at least one point with finite numbers; got none.")
    span = np.where(
        np.ptp(front, axis=0) > 0, np.ptp(front, axis=0), np.nanmax(costs, axis=0) - np.nanmin(costs, axis=0)
    )
    worst = front.max(axis=0) + 0.1 * np.where(span > 0, span, 1.0)
    return [float(value) for value in as_costs([worst], directions)[0]]


def knee(points: ArrayLike, directions: Sequence[Direction]) -> int:
    """Index of the front point farthest from the straight line between the front's ends, each axis scaled to 0..1.

    With more than two objectives: the front point nearest to the best of every objective. Costs such as FLOPs should
    be given as logarithms where they span decades. SettingsError when there is no point.
    """
    front = pareto_front(points, directions)
    if not front:
        raise SettingsError("a knee needs at least one finished trial with finite numbers; got none.")
    costs = as_costs(points, directions)[front]
    span = costs.max(axis=0) - costs.min(axis=0)
    scaled = (costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)
    distance = scaled.sum(axis=1) if scaled.shape[1] == 2 else np.linalg.norm(scaled, axis=1)
    return front[int(np.argmin(distance))]


def front_rows(trials: Sequence[tuple[int, dict[str, float]]], names: Sequence[str]) -> list[int]:
    """The numbers of the trials on the front of these objectives, best first objective first.

    `trials` are (number, values by name) of completed trials; those that lack an objective are left out.
    """
    kinds = [OBJECTIVES[name] for name in names]
    rows = [[values.get(name, math.nan) for name in names] for _, values in trials]
    indices = pareto_front(rows, [kind.direction for kind in kinds]) if rows else []
    first = -1.0 if kinds[0].direction == "maximize" else 1.0
    return [trials[i][0] for i in sorted(indices, key=lambda i: (first * rows[i][0], rows[i]))]
