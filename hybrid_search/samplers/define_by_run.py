"""Walks through a define-by-run space: who answers its questions, and what past trials tell of its shape.

A space is a function that asks: `space(chooser)` calls `chooser.suggest_categorical`, `suggest_int` and `suggest_float`
as an objective calls them on an Optuna trial. Where none is given, `LearnedSpace` stands in for it.
"""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Params = Mapping[str, Any]
Space = Callable[[Any], object]
LISTED = 64  # a range of numbers up to this long is listed, a longer one is sampled
ABSENT = "(absent)"


class Chooser(ABC):
    """Whoever answers. `params` keeps the answers, `offered` what was asked."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.offered: dict[str, BaseDistribution] = {}

    @abstractmethod
    def answer(self, name: str, distribution: BaseDistribution) -> Any:
        """One value of the distribution."""

    def ask(self, name: str, distribution: BaseDistribution) -> Any:
        """The answer, which stays the same when the question is repeated."""
        if name not in self.params:
            self.params[name] = self.answer(name, distribution)
            self.offered[name] = distribution
        return self.params[name]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""
        return self.ask(name, CategoricalDistribution(choices))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number."""
        return int(self.ask(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number."""
        return float(self.ask(name, FloatDistribution(low, high, log=log, step=step)))


class Dice(Chooser):
    """Answers with what is given where that is possible, else at random."""

    def __init__(self, dice: random.Random, given: Params | None = None) -> None:
        super().__init__()
        self.dice = dice
        self.given = given or {}

    def answer(self, name: str, distribution: BaseDistribution) -> Any:
        """The given answer, or a random one."""
        if name in self.given and holds(distribution, self.given[name]):
            return self.given[name]
        return draw(distribution, self.dice)


class _Odometer(Chooser):
    """Answers by a path of numbers; the last question turns first."""

    def __init__(self, path: list[tuple[int, int]]) -> None:
        super().__init__()
        self.path = path
        self.at = 0

    def answer(self, name: str, distribution: BaseDistribution) -> Any:
        values = values_of(distribution)
        if values is None:
            raise Endless
        if self.at == len(self.path):
            self.path.append((0, len(values)))
        self.at += 1
        return values[self.path[self.at - 1][0]]


class Endless(Exception):
    """A question with too many answers to list."""


def values_of(distribution: BaseDistribution) -> Sequence[Any] | None:
    """Every value of a distribution, None where there are too many to list."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        if (distribution.high - distribution.low) // distribution.step < LISTED:
            return range(distribution.low, distribution.high + 1, distribution.step)
    elif isinstance(distribution, FloatDistribution):
        if distribution.low == distribution.high:
            return [distribution.low]
        if distribution.step is not None:
            count = round((distribution.high - distribution.low) / distribution.step) + 1
            if count <= LISTED:
                return [distribution.low + i * distribution.step for i in range(count)]
    return None


def holds(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a distribution offers the value."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False


def place(distribution: IntDistribution | FloatDistribution, value: float) -> float:
    """Where a number stands in its range, 0 to 1, by its logarithm where the range is logarithmic."""
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low) if high > low else 0.5


def at_place(distribution: IntDistribution | FloatDistribution, where: float) -> float:
    """The number that stands at a place of its range."""
    low, high, where = float(distribution.low), float(distribution.high), min(1.0, max(0.0, where))
    found = math.exp(math.log(low) * (1 - where) + math.log(high) * where) if distribution.log else low
    if not distribution.log:
        found += where * (high - low)
    if distribution.step is not None:
        found = low + round((found - low) / distribution.step) * distribution.step
    found = min(high, max(low, found))
    return round(found) if isinstance(distribution, IntDistribution) else found


def draw(distribution: BaseDistribution, dice: random.Random) -> Any:
    """A random value of a distribution."""
    values = values_of(distribution)
    if values is not None and not getattr(distribution, "log", False):
        return values[dice.randrange(len(values))]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return at_place(distribution, dice.random())


def moved(distribution: BaseDistribution, value: Any, dice: random.Random) -> Any:
    """Another value: of numbers a near one as often as any."""
    if isinstance(distribution, IntDistribution | FloatDistribution) and not distribution.single():
        where = place(distribution, value)
        for _ in range(8):
            step = dice.gauss(0, 0.15) if dice.random() < 0.5 else dice.random() - where
            found = at_place(distribution, where + step)
            if found != value:
                return found
    others = [other for other in values_of(distribution) or () if other != value]
    if not others:
        return value
    if dice.random() < 0.5 and is_ordered(distribution):
        assert isinstance(value, int | float)
        below = [other for other in others if other < value]
        above = [other for other in others if other > value]
        others = [pick(side) for pick, side in ((max, below), (min, above)) if side]
    return others[dice.randrange(len(others))]


def is_ordered(distribution: BaseDistribution) -> bool:
    """Whether the values are numbers with an order; a choice of numbers is one too."""
    if isinstance(distribution, CategoricalDistribution):
        return all(isinstance(c, int | float) and not isinstance(c, bool) for c in distribution.choices)
    return True


def walked(space: Space, chooser: Chooser) -> Chooser:
    """The chooser after it answered every question of the space."""
    space(chooser)
    return chooser


def every(space: Space, limit: int) -> list[Chooser] | None:
    """Every way through a space, None where there are more than `limit`.

    A space that is far larger is seen to be so from some random ways through it, before any walk.
    """
    dice = random.Random(0)
    guesses = []
    for _ in range(20):  # the mean of these products is the number of ways (Knuth, 1975)
        offered = walked(space, Dice(dice)).offered.values()
        guesses.append(math.prod(len(values_of(each) or range(LISTED)) for each in offered))
    if sum(guesses) / len(guesses) > 10 * limit:
        return None
    found: list[Chooser] = []
    try:
        for way in ways(space):
            found.append(way)
            if len(found) > limit:
                return None
    except Endless:
        return None
    return found


def ways(space: Space) -> Iterator[Chooser]:
    """Every way through a space, one after the other; Endless at a question with too many answers to list."""
    path: list[tuple[int, int]] = []
    while True:
        yield walked(space, _Odometer(path))
        while path and path[-1][0] + 1 == path[-1][1]:
            path.pop()
        if not path:
            return
        path[-1] = (path[-1][0] + 1, path[-1][1])


def key_of(params: Params) -> tuple[tuple[str, str], ...]:
    """A hashable name of a set of answers."""
    return tuple(sorted((name, repr(value)) for name, value in params.items()))


@dataclass(frozen=True)
class _Rule:
    """When a question is asked: by the answers to others."""

    parents: tuple[str, ...]
    asked: Mapping[tuple[str, ...], bool]
    numbers: Mapping[float, bool] = field(default_factory=dict)  # one numeric parent: the nearest value decides

    def __call__(self, params: Params) -> bool:
        key = tuple(repr(params[parent]) if parent in params else ABSENT for parent in self.parents)
        if key in self.asked:
            return self.asked[key]
        if self.numbers and self.parents[0] in params:
            value = params[self.parents[0]]
            return self.numbers[min(self.numbers, key=lambda known: abs(known - value))]
        return False


class LearnedSpace:
    """What past trials tell of a space: its questions in order, and which answers open which question.

    A conditional question is explained by the one earlier answer (or pair) that decided it in every trial so far.
    """

    def __init__(self, trials: Iterator[tuple[Params, Mapping[str, BaseDistribution]]]) -> None:
        self.names: list[str] = []
        self.offered: dict[str, BaseDistribution] = {}
        seen: dict[tuple[tuple[str, str], ...], Params] = {}
        for params, distributions in trials:
            seen.setdefault(key_of(params), params)
            self.offered.update(distributions)
            after = 0
            for name in params:
                if name not in self.names:
                    self.names.insert(after, name)
                after = max(after, self.names.index(name) + 1)
        self._past = list(seen.values())
        self._tried = {(name, repr(value)) for params in self._past for name, value in params.items()}
        self._rules = {name: self._rule(name) for name in self.names}
        rules = [(name, rule and (rule.parents, sorted(rule.asked.items()))) for name, rule in self._rules.items()]
        self.shape = repr((rules, self.offered))

    def __call__(self, chooser: Chooser) -> None:
        """Ask the questions that past trials would ask after these answers."""
        for name in self.names:
            rule = self._rules[name]
            if rule is None or rule(chooser.params):
                chooser.ask(name, self.offered[name])

    def untried(self, params: Params) -> int:
        """How many answers nobody gave yet, among choices: what they open is not known."""
        return sum(
            1
            for name, value in params.items()
            if isinstance(self.offered[name], CategoricalDistribution) and (name, repr(value)) not in self._tried
        )

    def _rule(self, name: str) -> _Rule | None:
        if all(name in params for params in self._past):
            return None
        earlier = self.names[: self.names.index(name)]
        for size in (1, 2):
            rules = [rule for parents in combinations(earlier, size) if (rule := self._explains(name, parents))]
            if rules:  # the fewest cases; of those the last asked
                return min(reversed(rules), key=lambda rule: len(rule.asked))
        return _Rule((), {(): False})

    def _explains(self, name: str, parents: tuple[str, ...]) -> _Rule | None:
        asked: dict[tuple[str, ...], bool] = {}
        for params in self._past:
            key = tuple(repr(params[parent]) if parent in params else ABSENT for parent in parents)
            if asked.setdefault(key, name in params) != (name in params):
                return None
        numbers = {}
        if len(parents) == 1 and is_ordered(self.offered[parents[0]]):
            numbers = {params[parents[0]]: name in params for params in self._past if parents[0] in params}
        return _Rule(parents, asked, numbers)
