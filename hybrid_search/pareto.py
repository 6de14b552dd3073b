"""The Pareto front and its hypervolume: pure functions of numbers.

Points are rows of objective values. `directions` states for each column whether it is maximized or minimized.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_search.errors import SettingsError, one_of
from hybrid_search.objectives import Direction, Objective, objectives

__all__ = [
    "RunningFront",
    "front_reference",
    "front_rows",
    "hypervolume",
    "pareto_front",
    "reference_point",
    "to_minimize",
]

Array = NDArray[np.float64]
REFERENCE_TRIALS = 8  # points that fix the reference value of an objective without a known or natural worst value


def to_minimize(points: ArrayLike, directions: Sequence[Direction]) -> Array:
    """Return the points, (n, objectives), with the sign changed in every maximized column: less is better.

    Args:
        points: (n, objectives) values.
        directions: "maximize" or "minimize" for each column.

    Raises:
        SettingsError: the number of columns differs from the number of directions, or the rows are no numbers or of
            unequal length.
    """
    for direction in directions:
        one_of("direction", direction, ("maximize", "minimize"), SettingsError)
    try:
        values = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        raise SettingsError(
            f"points must be rows of equal length with a number for each of {len(directions)} directions; got rows of "
            "different lengths, or values that are no numbers."
        ) from None
    if values.size == 0:
        values = values.reshape(0, len(directions))
    values = np.atleast_2d(values)
    if values.ndim != 2 or values.shape[1] != len(directions):
        raise SettingsError(
            f"points must have a column for each of {len(directions)} directions; got shape {values.shape}."
        )
    signs: Array = np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])
    signed: Array = values * signs
    return signed


def pareto_front(points: ArrayLike, directions: Sequence[Direction]) -> list[int]:
    """Return the indices of the non-dominated points, in ascending order.

    A point is dominated if another is at least as good in every objective and better in one. Equal points are all kept.
    Points with a NaN are never on the front.

    Args:
        points: (n, objectives) values.
        directions: "maximize" or "minimize" for each column.

    Raises:
        SettingsError: a direction is unknown, or the points do not have one number for each direction.

    Example:
        >>> pareto_front([[0.9, 10.0], [0.8, 20.0]], ["maximize", "minimize"])
        [0]
    """
    rows = to_minimize(points, directions)
    valid = np.flatnonzero(~np.isnan(rows).any(axis=1))
    order = valid[np.lexsort(rows[valid].T[::-1])]  # sorted: a point comes after every point that dominates it
    rows = rows[order]
    if not len(order) or rows.shape[1] == 1:
        return sorted(order[rows[:, 0] == rows[0, 0]].tolist()) if len(order) else []
    chosen = _front_of_two(rows) if rows.shape[1] == 2 else _front_of_many(rows)
    return sorted(order[chosen].tolist())


def _front_of_two(rows: Array) -> NDArray[np.intp]:
    """Return the indices of the non-dominated among sorted rows of two columns: one pass over the second column."""
    first, second = rows.T
    starts = np.append(True, first[1:] != first[:-1])
    group = np.cumsum(starts) - 1
    least = second[starts]
    before = np.append(np.inf, np.minimum.accumulate(least)[:-1])
    kept: NDArray[np.intp] = np.flatnonzero((second == least[group]) & ((group == 0) | (second < before[group])))
    return kept


def _front_of_many(rows: Array) -> NDArray[np.intp]:
    """Return the indices of the non-dominated among sorted rows: keep the first, remove what it dominates, repeat."""
    kept, left = [], np.arange(len(rows))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        others = rows[left]
        left = left[~((rows[best] <= others).all(axis=1) & (rows[best] < others).any(axis=1))]
    return np.array(kept, dtype=np.intp)


class RunningFront:
    """The Pareto front of numbered points that arrive one at a time. Adding a point costs O(size of the front).

    Args:
        directions: "maximize" or "minimize" for each objective.

    Example:
        >>> front = RunningFront(["maximize", "minimize"])
        >>> front.add(0, [0.9, 10.0]), front.add(1, [0.8, 20.0]), front.numbers
        (True, False, [0])
    """

    def __init__(self, directions: Sequence[Direction]) -> None:
        self._directions = directions
        self._rows: dict[int, Array] = {}

    def add(self, number: int, point: Sequence[float]) -> bool:
        """Add a point, remove the points that it dominates, and return whether it is on the front.

        Args:
            number: number of the point.
            point: one value for each objective. A point with a NaN is never on the front.

        Returns:
            Whether the point is on the front.

        Raises:
            SettingsError: the point does not have one number for each direction.
        """
        row = to_minimize([point], self._directions)[0]
        if np.isnan(row).any():
            return False
        front = np.array(list(self._rows.values())).reshape(-1, len(row))
        if ((front <= row).all(axis=1) & (front < row).any(axis=1)).any():
            return False
        dominated = (row <= front).all(axis=1) & (row < front).any(axis=1)
        for other in [other for other, remove in zip(self._rows, dominated, strict=True) if remove]:
            del self._rows[other]
        self._rows[number] = row
        return True

    @property
    def numbers(self) -> list[int]:
        """The numbers of the points on the front, in the order in which they were added."""
        return list(self._rows)


def hypervolume(points: ArrayLike, reference: ArrayLike, directions: Sequence[Direction]) -> float:
    """Return the exact volume that the points dominate, up to the reference point.

    Points that are not better than the reference in every objective add nothing. One and two objectives take
    O(n log n); three and more are computed by moocore (Fonseca et al. 2006 and its successors).

    Args:
        points: (n, objectives) values.
        reference: (objectives,) the reference point.
        directions: "maximize" or "minimize" for each column.

    Raises:
        SettingsError: a direction is unknown, or points or reference do not have one number for each direction.

    Example:
        >>> hypervolume([[0.5, 5.0]], [0.0, 10.0], ["maximize", "minimize"])
        2.5
    """
    rows = to_minimize(points, directions)
    bound = to_minimize(reference, directions)[0]
    rows = rows[(rows < bound).all(axis=1)]
    if not len(rows):
        return 0.0
    if rows.shape[1] == 1:
        return float(bound[0] - rows.min())
    if rows.shape[1] == 2:
        return _area(rows, bound)
    if not (np.isfinite(rows).all() and np.isfinite(bound).all()):
        return math.inf  # a row is below the bound everywhere, and one side of its box has no end
    import moocore  # imported here: it takes a moment to load, and two objectives do not need it

    return float(moocore.hypervolume(rows, ref=bound))


def _area(rows: Array, bound: Array) -> float:
    """Return the hypervolume of rows of two columns that are all below the bound."""
    rows = rows[np.argsort(rows[:, -1], kind="stable")]
    best = np.minimum.accumulate(rows[:, 0])
    heights = np.append(rows[1:, 1], bound[1]) - rows[:, 1]
    return float(((bound[0] - best) * heights).sum())


def reference_point(
    points: ArrayLike, objectives: Sequence[Objective], known: Mapping[str, float] | None = None
) -> list[float]:
    """Return the reference point of the hypervolume of a search; it does not move once the search has made 8 trials.

    The value of an objective is its entry in `known`, otherwise its natural worst value (accuracy 0). Otherwise it is
    slightly worse than the worst of the first REFERENCE_TRIALS points. During these points it can only move away from
    the front, so the hypervolume of a growing search never decreases.

    Args:
        points: (n, objectives) values in the order of completion.
        objectives: the objectives.
        known: name -> worst possible value (see `spaces.budget.reference_costs`).
    """
    values = np.asarray(points, dtype=np.float64).reshape(-1, len(objectives))
    reference = []
    for column, objective in zip(values.T, objectives, strict=True):
        column = column[~np.isnan(column)][:REFERENCE_TRIALS]
        if known is not None and objective.name in known:
            reference.append(known[objective.name])
        elif objective.worst is not None or not len(column):
            reference.append(objective.worst or 0.0)
        else:
            low, high = float(column.min()), float(column.max())
            margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
            reference.append(high + margin if objective.direction == "minimize" else low - margin)
    return reference


def front_reference(points: ArrayLike, directions: Sequence[Direction]) -> list[float]:
    """Return the reference point just beyond the front: its worst value in each objective plus a tenth of its range.

    The hypervolume from this point covers the region between the ends of the front. A point far from the front, such as
    the most expensive design of a space, does not change it. If the front has a single value in an objective, the range
    is that of all points.

    Args:
        points: (n, objectives) values.
        directions: "maximize" or "minimize" for each column.

    Raises:
        SettingsError: no point has only finite numbers.
    """
    rows = to_minimize(points, directions)
    front = rows[pareto_front(points, directions)]
    if not len(front):
        raise SettingsError("the reference of a front needs at least one point with finite numbers; got none.")
    span = np.where(np.ptp(front, axis=0) > 0, np.ptp(front, axis=0), np.nanmax(rows, axis=0) - np.nanmin(rows, axis=0))
    worst = front.max(axis=0) + 0.1 * np.where(span > 0, span, 1.0)
    return [float(value) for value in to_minimize([worst], directions)[0]]


def front_rows(trials: Sequence[tuple[int, dict[str, float]]], names: Sequence[str | Objective]) -> list[int]:
    """Return the numbers of the trials on the front, sorted from the best to the worst first objective.

    Args:
        trials: (number, measurement name -> value) of completed trials. Trials without one of the objectives are
            ignored.
        names: the objectives, or their names in the table.

    Raises:
        UnknownName: no objective of the table has one of the names.
        SettingsError: there is no objective, or one twice.
    """
    kinds = objectives(names)
    rows = [[values.get(kind.name, math.nan) for kind in kinds] for _, values in trials]
    indices = pareto_front(rows, [kind.direction for kind in kinds]) if rows else []
    first = -1.0 if kinds[0].direction == "maximize" else 1.0
    return [trials[i][0] for i in sorted(indices, key=lambda i: (first * rows[i][0], rows[i]))]
