"""Which points of a space are looked at: all of a small one; of a large one a sample, its ends, and near ones."""

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from optuna.distributions import BaseDistribution

from hybrid_search.samplers.define_by_run import (
    Chooser,
    Dice,
    LearnedSpace,
    Params,
    Space,
    every,
    key_of,
    moved,
    walked,
)
from hybrid_search.samplers.known_cost.points import History, Point

LISTED = 3000  # a space up to this size is looked at as a whole
SAMPLE = 1000  # random candidates of a larger one
CHILDREN = 12  # points looked at near one


class PointOf(Protocol):
    """The point of some answers; where they are a guess (not `sure`) that known functions refuse, None."""

    def __call__(self, params: Params, offered: Mapping[str, BaseDistribution], *, sure: bool = True) -> Point | None:
        """See above."""


@dataclass(frozen=True)
class _Signed:
    """A known number of a point, turned so that less is wanted."""

    at: int
    sign: float

    def __call__(self, point: Point) -> float:
        return self.sign * point.known[self.at]


class Candidates:
    """The candidates of a space, the same ones for the same seed.

    `known` is how many objectives are known; `sure` whether the space is told, so that every way through it is a design
    whose price can be asked for. `offers` are the questions of the last pool, `answers` those that
    one of its designs answers at most.
    """

    def __init__(self, point: PointOf, known: int, seed: int, *, sure: bool) -> None:
        self._point, self._known, self._seed, self._sure = point, known, seed, sure
        self._near: dict[tuple[tuple[str, str], ...], list[Point]] = {}
        self._pool: tuple[Hashable, list[Point], bool] | None = None
        self.offers: Mapping[str, BaseDistribution] = {}
        self.answers = 0

    def chosen(self, space: Space, chooser: Chooser) -> Point | None:
        """The point of a chooser's answers."""
        walked(space, chooser)
        return self._point(chooser.params, chooser.offered, sure=self._sure)

    def pool(self, space: Space, shape: str) -> tuple[list[Point], bool]:
        """Every point of a small space (True), or a sample of a large one with its cheapest and dearest (False)."""
        if self._pool is not None and self._pool[0] == shape:
            return self._pool[1], self._pool[2]
        ways = every(space, LISTED)
        found: dict[Hashable, Point] = {}
        if ways is not None:
            points = [self._point(c.params, c.offered, sure=self._sure) for c in ways]
        else:
            dice = random.Random(f"{self._seed}/pool")
            points = [self.chosen(space, Dice(dice)) for _ in range(SAMPLE)]
            points += self._inside(space, points, dice)
            for i in range(self._known):
                for sign in (1.0, -1.0):
                    points += self._climb(space, points, _Signed(i, sign), dice)
        for point in points:
            if point is not None:
                found.setdefault(point.mark, point)
        self._near.clear()
        self.offers = {name: each for point in found.values() for name, each in point.offered.items()}
        asked = (sum(not each.single() for each in point.offered.values()) for point in found.values())
        self.answers = max(asked, default=0)
        self._pool = (shape, list(found.values()), ways is not None)
        return self._pool[1], self._pool[2]

    def _inside(self, space: Space, points: Sequence[Point | None], dice: random.Random) -> list[Point]:
        """More points within a budget that few random ones meet: the way there, and steps that stay inside."""
        found = [point for point in points if point is not None and point.allowed]
        if len(found) >= SAMPLE // 4:
            return []
        more: list[Point] = []
        if not found:
            here = min((point for point in points if point is not None), key=lambda p: p.excess, default=None)
            for _ in range(SAMPLE):
                if here is None or here.allowed:
                    break
                step = self._changed(space, here, dice)
                here = step if step is not None and step.excess < here.excess else here
            if here is None or not here.allowed:
                return []
            found, more = [here], [here]
        for _ in range(SAMPLE):
            step = self._changed(space, dice.choice(found), dice)
            if step is not None and step.allowed:
                found.append(step)
                more.append(step)
        return more

    def _climb(
        self, space: Space, points: Sequence[Point | None], price: Callable[[Point], float], dice: random.Random
    ) -> list[Point]:
        """From the least of the points by single changes downhill: the points passed."""
        passed: list[Point] = []
        here = min((p for p in points if p is not None and p.allowed), key=price, default=None)
        misses = 0
        while here is not None and misses < 30 and len(passed) < 60:
            step = self._changed(space, here, dice)
            if step is not None and step.allowed and price(step) < price(here):
                here, misses = step, 0
                passed.append(step)
            else:
                misses += 1
        return passed

    def _changed(self, space: Space, point: Point, dice: random.Random) -> Point | None:
        """The point with one answer changed, at times two; what that opens is answered at random."""
        given = dict(point.params)
        names = sorted(name for name, each in point.offered.items() if not each.single())
        if not names:
            return point
        for name in dice.sample(names, min(len(names), 1 if dice.random() < 0.7 else 2)):
            given[name] = moved(point.offered[name], given[name], dice)
        return self.chosen(space, Dice(dice, given))

    def neighbours(self, space: Space, point: Point) -> list[Point]:
        """Points near one, the same ones for the same point."""
        if point.name not in self._near:
            dice = random.Random(f"{self._seed}/{point.name}")
            near = [self._changed(space, point, dice) for _ in range(CHILDREN)]
            self._near[point.name] = [each for each in near if each is not None and each.allowed]
        return self._near[point.name]

    def wander(self, space: Space, history: History, dice: random.Random) -> list[Point]:
        """Points never seen, where the sample is used up: by single steps from random points and from those told."""
        here: list[Point | None] = [self.chosen(space, Dice(dice)) for _ in range(SAMPLE // 4)]
        here += [self._changed(space, dice.choice(history.told)[0], dice) for _ in range(SAMPLE // 4) if history.told]
        found = {p.mark: p for p in here if p is not None and p.allowed and p.key not in history.seen}
        return list(found.values())

    def untried(self, learned: LearnedSpace, history: History, dice: random.Random) -> Point | None:
        """A point with an answer that nobody gave yet: what it opens must be seen before it can be priced."""
        for _ in range(30):
            chooser = walked(learned, Dice(dice))
            if learned.untried(chooser.params):
                name = key_of(chooser.params)
                known = self._point(chooser.params, chooser.offered, sure=False)
                if known is None:
                    return Point(chooser.params, chooser.offered, name, name, (), (), 0.0, name)
                if known.allowed and known.key not in history.seen:
                    return known
        return None
