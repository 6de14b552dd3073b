"""Candidate designs: every design of a small space; a sample, extremes and neighbours of a large one."""

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from hybrid_search.errors import SettingsError
from hybrid_search.samplers.define_by_run import (
    RandomSuggester,
    Space,
    Suggester,
    list_designs,
    params_key,
    run_space,
)
from hybrid_search.samplers.distributions import changed_value, random_value, values_of
from hybrid_search.samplers.known_cost.history import History
from hybrid_search.samplers.known_cost.points import ParamsKey, Point, PointFactory
from hybrid_search.samplers.learned_space import LearnedSpace

MAX_LISTED_DESIGNS = 3000  # a space with at most this many designs is enumerated
SAMPLE_SIZE = 1000  # random candidates of a larger one
N_NEIGHBOURS = 12  # neighbours of a point


@dataclass(frozen=True)
class _SignedCost:
    """A known value of a point with a sign, so that less is preferred."""

    position: int
    sign: float

    def __call__(self, point: Point) -> float:
        return self.sign * point.known[self.position]


class Candidates:
    """The candidates of a space; the same ones for the same seed.

    Args:
        create_point: creates points.
        n_known: number of known objectives.
        seed: seed of the sample.
        certain: whether the space was given. Every set of parameters is then a design whose cost can be computed.

    Attributes:
        distributions: the distributions of all parameters of the last pool.
        n_parameters: the largest number of parameters that one design of the last pool has.
    """

    def __init__(self, create_point: PointFactory, n_known: int, seed: int, *, certain: bool) -> None:
        self._create_point, self._n_known, self._seed, self._certain = create_point, n_known, seed, certain
        self._neighbours: dict[ParamsKey, list[Point]] = {}
        self._pool: tuple[Hashable, list[Point], bool] | None = None
        self.distributions: Mapping[str, BaseDistribution] = {}
        self.n_parameters = 0

    def suggested(self, space: Space, suggester: Suggester) -> Point | None:
        """Run the space with a suggester and return the point of its parameters."""
        run_space(space, suggester)
        return self._create_point(suggester.params, suggester.distributions, certain=self._certain)

    def pool(self, space: Space, signature: str) -> tuple[list[Point], bool]:
        """Return the candidates, and whether they are all designs of the space.

        Args:
            space: the space.
            signature: changes whenever the space changes.
        """
        if self._pool is not None and self._pool[0] == signature:
            return self._pool[1], self._pool[2]
        designs = list_designs(space, MAX_LISTED_DESIGNS)
        if designs is not None:
            points = [self._create_point(d.params, d.distributions, certain=self._certain) for d in designs]
        else:
            rng = random.Random(f"{self._seed}/pool")
            points = [self.suggested(space, RandomSuggester(rng)) for _ in range(SAMPLE_SIZE)]
            points += self._within_budget(space, points, rng)
            for i in range(self._n_known):
                for sign in (1.0, -1.0):
                    points += self._descend(space, points, _SignedCost(i, sign), rng)
        unique: dict[Hashable, Point] = {}
        for point in points:
            if point is not None:
                unique.setdefault(point.variant_key, point)
        self._neighbours.clear()
        self.distributions = {name: each for p in unique.values() for name, each in p.distributions.items()}
        counts = (sum(not each.single() for each in p.distributions.values()) for p in unique.values())
        self.n_parameters = max(counts, default=0)
        self._pool = (signature, list(unique.values()), designs is not None)
        return self._pool[1], self._pool[2]

    def _within_budget(self, space: Space, points: Sequence[Point | None], rng: random.Random) -> list[Point]:
        """Return more points within the budget, if few random points are: descend to it, then take steps inside."""
        allowed = [point for point in points if point is not None and point.allowed]
        if len(allowed) >= SAMPLE_SIZE // 4:
            return []
        more: list[Point] = []
        if not allowed:
            current = min((p for p in points if p is not None), key=lambda p: p.budget_excess, default=None)
            for _ in range(SAMPLE_SIZE):
                if current is None or current.allowed:
                    break
                step = self._mutated(space, current, rng)
                current = step if step is not None and step.budget_excess < current.budget_excess else current
            if current is None or not current.allowed:
                return []
            allowed, more = [current], [current]
        for _ in range(SAMPLE_SIZE):
            step = self._mutated(space, rng.choice(allowed), rng)
            if step is not None and step.allowed:
                allowed.append(step)
                more.append(step)
        return more

    def _descend(
        self, space: Space, points: Sequence[Point | None], cost: Callable[[Point], float], rng: random.Random
    ) -> list[Point]:
        """Descend from the point of the lowest cost by single mutations. Return the points on the way."""
        path: list[Point] = []
        current = min((p for p in points if p is not None and p.allowed), key=cost, default=None)
        misses = 0
        while current is not None and misses < 30 and len(path) < 60:
            step = self._mutated(space, current, rng)
            if step is not None and step.allowed and cost(step) < cost(current):
                current, misses = step, 0
                path.append(step)
            else:
                misses += 1
        return path

    def _mutated(self, space: Space, point: Point, rng: random.Random) -> Point | None:
        """Return the point with one or two parameters changed. Parameters that become active are random."""
        params = dict(point.params)
        names = sorted(name for name, each in point.distributions.items() if not each.single())
        if not names:
            return point
        for name in rng.sample(names, min(len(names), 1 if rng.random() < 0.7 else 2)):
            params[name] = changed_value(point.distributions[name], params[name], rng)
        return self.suggested(space, RandomSuggester(rng, params))

    def neighbours(self, space: Space, point: Point) -> list[Point]:
        """Return neighbours of a point within the budget; the same ones for the same point."""
        if point.name not in self._neighbours:
            rng = random.Random(f"{self._seed}/{point.name}")
            near = [self._mutated(space, point, rng) for _ in range(N_NEIGHBOURS)]
            self._neighbours[point.name] = [each for each in near if each is not None and each.allowed]
        return self._neighbours[point.name]

    def fresh_sample(self, space: Space, history: History, rng: random.Random) -> list[Point]:
        """Return points that were never seen, for when the pool is used up: random ones and mutated observations."""
        points: list[Point | None] = [self.suggested(space, RandomSuggester(rng)) for _ in range(SAMPLE_SIZE // 4)]
        points += [
            self._mutated(space, rng.choice(history.observations).point, rng)
            for _ in range(SAMPLE_SIZE // 4)
            if history.observations
        ]
        unique = {p.variant_key: p for p in points if p is not None and p.allowed and p.key not in history.seen}
        return list(unique.values())

    def untried_point(self, learned: LearnedSpace, history: History, rng: random.Random) -> Point | None:
        """Return a point with a choice that no trial had. Its active parameters, and its cost, may be unknown."""
        for _ in range(30):
            suggester = run_space(learned, RandomSuggester(rng))
            if learned.count_untried(suggester.params):
                name = params_key(suggester.params)
                point = self._create_point(suggester.params, suggester.distributions, certain=False)
                if point is None:
                    return Point(suggester.params, suggester.distributions, name, name, (), (), 0.0, name)
                if point.allowed and point.key not in history.seen:
                    return point
        return None


def repeated_point(pool: Sequence[Point], rng: random.Random, *, whole_space: bool) -> Point | None:
    """Return a random point within the budget, when every point was seen.

    Args:
        pool: the candidates.
        rng: the random generator.
        whole_space: whether the pool comes from the whole space. Otherwise the trials so far may show too little of it.

    Raises:
        SettingsError: no design of the whole space is within the budget.
    """
    allowed = [point for point in pool if point.allowed]
    if allowed:
        return rng.choice(allowed)
    if not whole_space:
        return None
    nearest = min(pool, key=lambda point: point.budget_excess)
    raise SettingsError(
        f"budget must allow at least one design; the nearest of the candidates exceeds it by "
        f"{nearest.budget_excess:g}: {nearest.params}."
    )


def rarest_value(name: str, distribution: BaseDistribution, trials: Sequence[FrozenTrial], rng: random.Random) -> Any:
    """Return one of the least frequent values of a parameter; a random one where its values cannot be listed.

    Args:
        name: name of the parameter.
        distribution: its distribution.
        trials: the trials so far.
        rng: the random generator.
    """
    values = values_of(distribution)
    if values is None:
        return random_value(distribution, rng)
    used = [repr(trial.params[name]) for trial in trials if name in trial.params]
    counts = [used.count(repr(value)) for value in values]
    rarest = [value for value, count in zip(values, counts, strict=True) if count == min(counts)]
    return rarest[rng.randrange(len(rarest))]
