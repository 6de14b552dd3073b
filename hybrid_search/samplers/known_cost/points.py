"""Points: designs with everything that is known of them before they are evaluated."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from hybrid_search.samplers.define_by_run import Params, params_key
from hybrid_search.samplers.known_cost.objectives import KnownObjectives

Array = NDArray[np.float64]
ParamsKey = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Point:
    """One design and what is known of it before it is evaluated.

    Args:
        params: parameter name -> value.
        distributions: parameter name -> distribution.
        name: hashable form of `params`.
        key: identity of the design. Of two points with one key, only one is proposed.
        known: values of the known objectives, in the order of the objectives.
        features: other numbers known before the evaluation.
        budget_excess: amount above the budget; 0 or less is within it.
        variant_key: identity and variant. Of two points with one variant key, only one is a candidate.
    """

    params: Params
    distributions: Mapping[str, BaseDistribution]
    name: ParamsKey
    key: Hashable
    known: tuple[float, ...]
    features: tuple[float, ...]
    budget_excess: float
    variant_key: Hashable

    @property
    def allowed(self) -> bool:
        """Whether the point is within the budget."""
        return self.budget_excess <= 0


class PointFactory:
    """Create points from parameters, and cache them.

    Args:
        objectives: the known objectives.
        features, canonical, variant, budget, budget_excess: see `KnownCostSampler`.
    """

    def __init__(
        self,
        objectives: KnownObjectives,
        *,
        features: Callable[[Params], Sequence[float]] | None,
        canonical: Callable[[Params], Hashable] | None,
        variant: Callable[[Params], Hashable] | None,
        budget: Mapping[int, float],
        budget_excess: Callable[[Params], float] | None,
    ) -> None:
        self._objectives = objectives
        self._features, self._canonical, self._variant = features, canonical, variant
        self._budget, self._budget_excess = dict(budget), budget_excess
        self._points: dict[ParamsKey, Point | None] = {}

    def __call__(
        self, params: Params, distributions: Mapping[str, BaseDistribution], *, certain: bool = True
    ) -> Point | None:
        """Return the point of these parameters.

        Args:
            params: parameter name -> value.
            distributions: parameter name -> distribution.
            certain: whether the parameters are a design of the space for sure. If not, they may be an incomplete
                guess; None is returned if one of the user's functions raises.
        """
        name = params_key(params)
        if name in self._points and (self._points[name] is not None or not certain):
            return self._points[name]
        point: Point | None = None
        try:
            point = self._create(name, params, distributions)
        except Exception:
            if certain:
                raise
        self._points[name] = point
        return point

    def _create(self, name: ParamsKey, params: Params, distributions: Mapping[str, BaseDistribution]) -> Point:
        known = self._objectives.values(params)
        positions = self._objectives.positions
        excess = [known[positions.index(i)] - bound for i, bound in self._budget.items()]
        excess += [] if self._budget_excess is None else [float(self._budget_excess(params))]
        key = name if self._canonical is None else self._canonical(params)
        features = () if self._features is None else tuple(float(x) for x in self._features(params))
        variant_key = key if self._variant is None else (key, self._variant(params))
        return Point(
            dict(params), dict(distributions), name, key, known, features, max(excess, default=0.0), variant_key
        )


Encode = Callable[[Sequence[Point]], Array]  # points -> (points, columns) rows for a model


def log_columns(rows: Sequence[tuple[float, ...]]) -> tuple[Array, NDArray[np.bool_]]:
    """Return columns on the scale on which they are compared, and which of them are logarithms: those above 0."""
    values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    positive = (values > 0).all(axis=0)
    columns: Array = np.where(positive, np.log(np.where(positive, values, 1.0)), values)
    return columns, np.asarray(positive)


class ScaledColumns:
    """Columns of numbers, scaled to 0..1 over a set of rows. Constant columns are dropped.

    Args:
        rows: the rows that define the scale.

    Attributes:
        count: number of columns that are left.
    """

    def __init__(self, rows: Sequence[tuple[float, ...]]) -> None:
        values, self._positive = log_columns(rows)
        self._low = values.min(axis=0) if values.size else np.zeros(values.shape[1])
        span = np.ptp(values, axis=0) if values.size else np.ones(values.shape[1])
        self._varying = np.flatnonzero(span > 0)
        self._span = np.where(span > 0, span, 1.0)
        self.count = len(self._varying)

    def scale(self, rows: Sequence[tuple[float, ...]]) -> Array:
        """Return the scaled columns of these rows, (rows, count)."""
        values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
        if not self.count:
            return np.zeros((len(rows), 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.where(self._positive, np.log(np.maximum(values, 1e-300)), values)
        return np.asarray(((values - self._low) / self._span)[:, self._varying])
