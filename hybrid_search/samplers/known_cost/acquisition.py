"""What candidates are worth: models of the unknown objectives, the front that they believe in, expected improvement."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid_search.gaussian_process import Inputs
from hybrid_search.objectives import Direction
from hybrid_search.pareto import front_box, hypervolume, pareto_front
from hybrid_search.samplers.known_cost.ehvi import Belief, Exact, expected_improvement
from hybrid_search.samplers.known_cost.encoding import telling
from hybrid_search.samplers.known_cost.points import Array, Columns, Encode, History, Point, Tale
from hybrid_search.samplers.known_cost.surrogate import Model, Told

FRONT = 24  # points of the front that count where there are three or more objectives
MODELLED = 2000  # trials that a model is made of at most: its time grows with their third power


class Choice:
    """One proposal's models and front, asked what candidates are worth.

    `known` are the objectives that are known, `signs` turn every objective so that less is better, `groups` names the
    question of each column that `encode` gives, `pool` is what the costs are scaled over.
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
        told = sorted(modelled(history.told), key=lambda each: (each[0].name, each[1]))  # what, not when
        points = [point for point, _, _ in told]
        values = np.array([row for _, row, _ in told], dtype=np.float64)
        inputs_of = (lambda p: p.known) if cost_inputs else (lambda p: ())
        self._cost_of = inputs_of
        self._costs = Columns([inputs_of(p) for p in points] + [inputs_of(p) for p in pool])
        self._extra = Columns([p.features for p in points] + [p.features for p in pool])
        rows = np.vstack([encode(points), encode(history.pending)])
        self._kept = telling(rows) if rows.size else np.zeros(0, dtype=np.intp)
        groups = np.unique(groups[self._kept], return_inverse=True)[1] if rows.size else self._kept
        more = self._costs.count + self._extra.count
        first = int(groups.max()) + 1 if groups.size else 0
        self._groups = np.concatenate([groups, first + np.arange(more)]).astype(np.intp)
        doubt = np.array([each[2] for each in told])
        order = np.array(sorted(range(len(told)), key=lambda i: _hash(points[i].name, i)), dtype=np.intp)
        inputs = self._inputs(points)
        self._models: dict[int, Model] = {}
        evaluated = [*points, *history.pending]
        self._pending = history.pending
        for i in range(len(signs)):
            if i not in self._known:
                finite = values[np.isfinite(values[:, i]), i]
                column = np.clip(values[:, i], finite.min(), finite.max()) if len(finite) else np.zeros(len(values))
                model = Model(Told(inputs, column, doubt, order))
                if history.pending:
                    model.suppose(self._inputs(history.pending))
                self._models[i] = model
        self._smooth = smooth = self._typical(evaluated)
        self._reference = self._from(reference, values, pool)
        members = pareto_front(smooth, ["minimize"] * len(signs))
        self.front = [evaluated[i] for i in members]
        self._volume_front = smooth[members]
        if len(signs) > 2 and len(members) > FRONT:  # boxes grow with the square of the front
            span = np.ptp(self._volume_front, axis=0)
            self._volume_front = _thinned(self._volume_front / np.where(span > 0, span, 1.0), self._volume_front)

    def _from(self, given: Sequence[float] | None, values: Array, pool: Sequence[Point]) -> Array:
        """The reference: the given one, or a little beyond the dearest candidate and the worst value told."""
        if given is not None:
            return np.array([sign * value for sign, value in zip(self._signs, given, strict=True)])
        found = np.empty(len(self._signs))
        for i, sign in enumerate(self._signs):
            column = values[:, i]
            if i in self._known:
                at = self._known.index(i)
                allowed = [sign * point.known[at] for point in pool if point.allowed]
                column = np.concatenate([column, allowed])
            column = column[np.isfinite(column)]
            low, high = (float(column.min()), float(column.max())) if len(column) else (0.0, 1.0)
            found[i] = high + 0.02 * (high - low or abs(high) or 1.0)
        return found

    def _inputs(self, points: Sequence[Point]) -> Inputs:
        costs = self._costs.scaled([self._cost_of(point) for point in points])
        extra = self._extra.scaled([point.features for point in points])
        rows = self._encode(points)[:, self._kept] if len(self._kept) else np.zeros((len(points), 0))
        return Inputs(np.column_stack([rows, costs, extra]), self._groups)

    def _beliefs(self, points: Sequence[Point], inputs: Inputs) -> list[Belief]:
        found: list[Belief] = []
        for i, sign in enumerate(self._signs):
            if i in self._known:
                at = self._known.index(i)
                found.append(Exact(np.array([sign * point.known[at] for point in points])))
            else:
                found.append(self._models[i].belief(inputs))
        return found

    def gain(self, points: Sequence[Point]) -> Array:
        """Expected hypervolume improvement of each point."""
        return expected_improvement(self._beliefs(points, self._inputs(points)), self._volume_front, self._reference)

    def expected_share(self, points: Sequence[Point], count: int) -> float:
        """What the best `count` of the points are expected to add to the hypervolume between the front's ends."""
        front = self._volume_front
        least: list[Direction] = ["minimize"] * len(self._signs)
        reference = np.array(front_box(self._smooth, least))
        volume = hypervolume(front, reference, least)
        gained, left, supposed = 0.0, list(points), list(self._pending)
        for _ in range(count):
            if not left:
                break
            inputs = self._inputs(left)
            gains = expected_improvement(self._beliefs(left, inputs), front, reference)
            best = first_best(left, gains)
            gained += float(gains.max())
            supposed.append(best)
            front = np.vstack([front, self._typical([best])])
            front = front[pareto_front(front, least)]
            for model in self._models.values():
                model.suppose(self._inputs(supposed))
            left = [point for point in left if point.key != best.key]
        return gained / volume

    def _typical(self, points: Sequence[Point]) -> Array:
        """The median that is expected of each point, the known objectives as they are."""
        found = np.empty((len(points), len(self._signs)))
        for at, i in enumerate(self._known):
            found[:, i] = [self._signs[i] * point.known[at] for point in points]
        for i, model in self._models.items():
            found[:, i] = model.typical(self._inputs(points))
        return found


def modelled(told: Sequence[Tale]) -> list[Tale]:
    """At most MODELLED of the trials told: those on the front, the newest, and of the others every so-many-th."""
    if len(told) <= MODELLED:
        return list(told)
    front = pareto_front([row for _, row, _ in told], ["minimize"] * len(told[0][1]))
    kept = {*front[:MODELLED], *range(len(told) - MODELLED // 2, len(told))}
    others = [i for i in range(len(told)) if i not in kept]
    room = max(0, MODELLED - len(kept))
    kept |= {others[i * len(others) // room] for i in range(room)}
    return [told[i] for i in sorted(kept)]


def first_best(points: Sequence[Point], gains: Array) -> Point:
    """The best point, of equals the first by name: the order of candidates decides nothing."""
    best = float(gains.max())
    return min((points[int(i)] for i in np.flatnonzero(gains >= best)), key=lambda point: point.name)


def _hash(name: tuple[tuple[str, str], ...], more: int) -> bytes:
    return hashlib.sha256(repr((name, more)).encode()).digest()


def _thinned(scaled: Array, front: Array) -> Array:
    """Some of the front, each far from those kept before."""
    kept = [int(i) for i in np.unique(np.argmin(scaled, axis=0))]
    apart = np.min([((scaled - scaled[i]) ** 2).sum(1) for i in kept], axis=0)
    while len(kept) < FRONT:
        kept.append(int(np.argmax(apart)))
        apart = np.minimum(apart, ((scaled - scaled[kept[-1]]) ** 2).sum(1))
    return np.asarray(front[kept])
