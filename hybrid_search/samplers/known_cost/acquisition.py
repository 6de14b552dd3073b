"""The acquisition function of one proposal: surrogates of the unknown objectives, the expected front, and EHVI."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid_search.gaussian_process import Inputs
from hybrid_search.objectives import Direction
from hybrid_search.pareto import front_reference, hypervolume, pareto_front
from hybrid_search.samplers.known_cost.ehvi import KnownValues, Posterior, expected_hypervolume_improvement
from hybrid_search.samplers.known_cost.encoding import informative_columns
from hybrid_search.samplers.known_cost.history import History, Observation
from hybrid_search.samplers.known_cost.points import Array, Encode, ParamsKey, Point, ScaledColumns
from hybrid_search.samplers.known_cost.surrogate import ObjectiveSurrogate, TrainingData

MAX_FRONT = 24  # front points that count with three or more objectives: the number of boxes grows with their square
MAX_OBSERVATIONS = 2000  # observations that a surrogate is conditioned on: its time grows with their third power


class Acquisition:
    """The surrogates and the front of one proposal.

    Args:
        known: numbers of the known objectives.
        history: the trials of the study.
        signs: for each objective the factor that makes less better.
        pool: candidates; costs are scaled over them and the observations.
        encode: encodes points as rows.
        groups: for each column of the rows the number of its parameter.
        reference: the reference point, in the unit of the objectives; None: derived from observations and pool.
        cost_inputs: whether known costs are inputs of the surrogates.

    Attributes:
        front: the points on the expected front.
    """

    def __init__(
        self,
        known: Sequence[int],
        history: History,
        signs: Sequence[float],
        pool: Sequence[Point],
        encode: Encode,
        groups: NDArray[np.intp],
        *,
        reference: Sequence[float] | None = None,
        cost_inputs: bool = True,
    ) -> None:
        self._encode, self._signs = encode, signs
        self._known = list(known)
        # Sorted by content, so that the order in which trials finished has no influence.
        observations = sorted(select_observations(history.observations), key=lambda o: (o.point.name, o.values))
        points = [observation.point for observation in observations]
        values = np.array([observation.values for observation in observations], dtype=np.float64)
        self._cost_inputs = cost_inputs
        self._costs = ScaledColumns([*map(self._costs_of, points), *map(self._costs_of, pool)])
        self._features = ScaledColumns([p.features for p in points] + [p.features for p in pool])
        rows = np.vstack([encode(points), encode(history.pending)])
        self._columns = informative_columns(rows) if rows.size else np.zeros(0, dtype=np.intp)
        groups = np.unique(groups[self._columns], return_inverse=True)[1] if rows.size else self._columns
        more = self._costs.count + self._features.count
        first = int(groups.max()) + 1 if groups.size else 0
        self._groups = np.concatenate([groups, first + np.arange(more)]).astype(np.intp)
        noise_scale = np.array([observation.noise_scale for observation in observations])
        order = np.array(sorted(range(len(points)), key=lambda i: _hash(points[i].name, i)), dtype=np.intp)
        inputs = self._inputs(points)
        self._surrogates: dict[int, ObjectiveSurrogate] = {}
        evaluated = [*points, *history.pending]
        self._pending = history.pending
        for i in range(len(signs)):
            if i not in self._known:
                finite = values[np.isfinite(values[:, i]), i]
                column = np.clip(values[:, i], finite.min(), finite.max()) if len(finite) else np.zeros(len(values))
                surrogate = ObjectiveSurrogate(TrainingData(inputs, column, noise_scale, order))
                if history.pending:
                    surrogate.fantasize(self._inputs(history.pending))
                self._surrogates[i] = surrogate
        self._medians = self._median(evaluated)
        self._reference = self._reference_point(reference, values, pool)
        members = pareto_front(self._medians, ["minimize"] * len(signs))
        self.front = [evaluated[i] for i in members]
        self._front_values = self._medians[members]
        if len(signs) > 2 and len(members) > MAX_FRONT:
            span = np.ptp(self._front_values, axis=0)
            self._front_values = _thinned(self._front_values / np.where(span > 0, span, 1.0), self._front_values)

    def _costs_of(self, point: Point) -> tuple[float, ...]:
        return point.known if self._cost_inputs else ()

    def _reference_point(self, given: Sequence[float] | None, values: Array, pool: Sequence[Point]) -> Array:
        """Return the given reference, or a point slightly beyond the worst observation and the highest cost."""
        if given is not None:
            return np.array([sign * value for sign, value in zip(self._signs, given, strict=True)])
        reference = np.empty(len(self._signs))
        for i, sign in enumerate(self._signs):
            column = values[:, i]
            if i in self._known:
                at = self._known.index(i)
                allowed = [sign * point.known[at] for point in pool if point.allowed]
                column = np.concatenate([column, allowed])
            column = column[np.isfinite(column)]
            low, high = (float(column.min()), float(column.max())) if len(column) else (0.0, 1.0)
            reference[i] = high + 0.02 * (high - low or abs(high) or 1.0)
        return reference

    def _inputs(self, points: Sequence[Point]) -> Inputs:
        costs = self._costs.scale([self._costs_of(point) for point in points])
        features = self._features.scale([point.features for point in points])
        rows = self._encode(points)[:, self._columns] if len(self._columns) else np.zeros((len(points), 0))
        return Inputs(np.column_stack([rows, costs, features]), self._groups)

    def _posteriors(self, points: Sequence[Point], inputs: Inputs) -> list[Posterior]:
        posteriors: list[Posterior] = []
        for i, sign in enumerate(self._signs):
            if i in self._known:
                at = self._known.index(i)
                posteriors.append(KnownValues(np.array([sign * point.known[at] for point in points])))
            else:
                posteriors.append(self._surrogates[i].posterior(inputs))
        return posteriors

    def _median(self, points: Sequence[Point]) -> Array:
        """Return the posterior median of each objective, (points, objectives); known objectives are exact."""
        medians = np.empty((len(points), len(self._signs)))
        for at, i in enumerate(self._known):
            medians[:, i] = [self._signs[i] * point.known[at] for point in points]
        for i, surrogate in self._surrogates.items():
            medians[:, i] = surrogate.median(self._inputs(points))
        return medians

    def improvement(self, points: Sequence[Point]) -> Array:
        """Return the expected hypervolume improvement of each point, (points,)."""
        posteriors = self._posteriors(points, self._inputs(points))
        return expected_hypervolume_improvement(posteriors, self._front_values, self._reference)

    def relative_improvement(self, points: Sequence[Point], count: int) -> float:
        """Return the expected improvement of the best `count` points together, as a share of the hypervolume.

        The hypervolume is measured from the `front_reference`. The points are chosen one after the other; each chosen
        point counts as an observation at its median (kriging believer).
        """
        front = self._front_values
        directions: list[Direction] = ["minimize"] * len(self._signs)
        reference = np.array(front_reference(self._medians, directions))
        volume = hypervolume(front, reference, directions)
        total, left, fantasies = 0.0, list(points), list(self._pending)
        for _ in range(count):
            if not left:
                break
            inputs = self._inputs(left)
            improvements = expected_hypervolume_improvement(self._posteriors(left, inputs), front, reference)
            best = best_point(left, improvements)
            total += float(improvements.max())
            fantasies.append(best)
            front = np.vstack([front, self._median([best])])
            front = front[pareto_front(front, directions)]
            for surrogate in self._surrogates.values():
                surrogate.fantasize(self._inputs(fantasies))
            left = [point for point in left if point.key != best.key]
        return total / volume


def select_observations(observations: Sequence[Observation]) -> list[Observation]:
    """Return at most MAX_OBSERVATIONS: the front, the newest, and of the others every k-th."""
    if len(observations) <= MAX_OBSERVATIONS:
        return list(observations)
    front = pareto_front([o.values for o in observations], ["minimize"] * len(observations[0].values))
    kept = {*front[:MAX_OBSERVATIONS], *range(len(observations) - MAX_OBSERVATIONS // 2, len(observations))}
    others = [i for i in range(len(observations)) if i not in kept]
    room = max(0, MAX_OBSERVATIONS - len(kept))
    kept |= {others[i * len(others) // room] for i in range(room)}
    return [observations[i] for i in sorted(kept)]


def best_point(points: Sequence[Point], improvements: Array) -> Point:
    """Return the point of the greatest improvement; of equal ones the first by name, whatever their order."""
    best = float(improvements.max())
    return min((points[int(i)] for i in np.flatnonzero(improvements >= best)), key=lambda point: point.name)


def _hash(name: ParamsKey, more: int) -> bytes:
    return hashlib.sha256(repr((name, more)).encode()).digest()


def _thinned(scaled: Array, front: Array) -> Array:
    """Return MAX_FRONT points of the front: the best of each objective, then always the farthest from those chosen."""
    kept = [int(i) for i in np.unique(np.argmin(scaled, axis=0))]
    distance = np.min([((scaled - scaled[i]) ** 2).sum(1) for i in kept], axis=0)
    while len(kept) < MAX_FRONT:
        kept.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((scaled - scaled[kept[-1]]) ** 2).sum(1))
    return np.asarray(front[kept])
