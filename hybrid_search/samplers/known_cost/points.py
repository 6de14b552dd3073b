"""Points of a space: answers with all that is known of them before they are evaluated, and their costs as columns."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from hybrid_search.samplers.define_by_run import Params

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Point:
    """One set of answers, with all that is known of it before it is evaluated."""

    params: Params
    offered: Mapping[str, BaseDistribution]
    name: tuple[tuple[str, str], ...]
    key: Hashable
    known: tuple[float, ...]
    features: tuple[float, ...]
    excess: float  # how far over what is allowed; 0 or less is within
    mark: Hashable  # of two points with one mark only one is weighed, of two with one key only one is proposed

    @property
    def allowed(self) -> bool:
        """Whether it may be proposed."""
        return self.excess <= 0


Tale = tuple[Point, list[float], float]  # a point that was told, its values turned so that less is better, and doubt


@dataclass(frozen=True)
class History:
    """What a study holds: points told with their values, points being evaluated, and every point met."""

    told: list[Tale]
    pending: list[Point]
    seen: set[Hashable]
    met: list[Point]  # of every trial, in order
    count: int


Encode = Callable[[Sequence[Point]], Array]  # points -> rows of numbers for a model


def cost_columns(rows: Sequence[tuple[float, ...]]) -> tuple[Array, NDArray[np.bool_]]:
    """Columns of numbers as they should be compared: logarithms where all are above 0."""
    values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    positive = (values > 0).all(axis=0)
    found: Array = np.where(positive, np.log(np.where(positive, values, 1.0)), values)
    return found, np.asarray(positive)


class Columns:
    """Numbers known of every point, scaled to 0..1 over the points met."""

    def __init__(self, rows: Sequence[tuple[float, ...]]) -> None:
        values, self._positive = cost_columns(rows)
        self._low = values.min(axis=0) if values.size else np.zeros(values.shape[1])
        span = np.ptp(values, axis=0) if values.size else np.ones(values.shape[1])
        self._kept = np.flatnonzero(span > 0)
        self._span = np.where(span > 0, span, 1.0)
        self.count = len(self._kept)

    def scaled(self, rows: Sequence[tuple[float, ...]]) -> Array:
        """The columns of these points."""
        values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
        if not self.count:
            return np.zeros((len(rows), 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.where(self._positive, np.log(np.maximum(values, 1e-300)), values)
        return np.asarray(((values - self._low) / self._span)[:, self._kept])
