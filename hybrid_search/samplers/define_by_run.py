"""Define-by-run search spaces: run one with a suggester in place of an Optuna trial, and enumerate its designs.

A space is a function `space(trial)` that calls `suggest_categorical`, `suggest_int` and `suggest_float`, as an Optuna
objective does. Its return value is ignored. `hybrid_search.spaces.SearchSpace.choose` is such a function.
"""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hybrid_search.samplers.distributions import MAX_LISTED, contains, random_value, values_of

Params = Mapping[str, Any]
Space = Callable[[Any], object]


class Suggester(ABC):
    """A stand-in for an Optuna trial. It records the parameters that a space asks for.

    Attributes:
        params: parameter name -> value.
        distributions: parameter name -> its distribution.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    @abstractmethod
    def pick(self, name: str, distribution: BaseDistribution) -> Any:
        """Return a value of the distribution for a parameter that is suggested for the first time."""

    def suggest(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the value of a parameter; the same one if it is suggested again."""
        if name not in self.params:
            self.params[name] = self.pick(name, distribution)
            self.distributions[name] = distribution
        return self.params[name]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""
        return self.suggest(name, CategoricalDistribution(choices))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return an integer of a range."""
        return int(self.suggest(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a float of a range."""
        return float(self.suggest(name, FloatDistribution(low, high, log=log, step=step)))


AnySuggester = TypeVar("AnySuggester", bound=Suggester)


class RandomSuggester(Suggester):
    """A suggester that returns given values where they are possible, and otherwise random ones.

    Args:
        rng: the random generator.
        given: parameter name -> value.
    """

    def __init__(self, rng: random.Random, given: Params | None = None) -> None:
        super().__init__()
        self._rng = rng
        self._given = given or {}

    def pick(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the given value, or a random one."""
        if name in self._given and contains(distribution, self._given[name]):
            return self._given[name]
        return random_value(distribution, self._rng)


class _PathSuggester(Suggester):
    """A suggester that follows a path of (index, number of values), and extends it with first values."""

    def __init__(self, path: list[tuple[int, int]]) -> None:
        super().__init__()
        self._path = path
        self._depth = 0

    def pick(self, name: str, distribution: BaseDistribution) -> Any:
        values = values_of(distribution)
        if values is None:
            raise NotEnumerable
        if self._depth == len(self._path):
            self._path.append((0, len(values)))
        self._depth += 1
        return values[self._path[self._depth - 1][0]]


class NotEnumerable(Exception):
    """A parameter has too many values to list."""


def run_space(space: Space, suggester: AnySuggester) -> AnySuggester:
    """Call the space with the suggester and return the suggester, which has recorded every parameter."""
    space(suggester)
    return suggester


def iterate_designs(space: Space) -> Iterator[Suggester]:
    """Yield every design of a space; the last parameter changes first.

    Raises:
        NotEnumerable: a parameter has too many values to list.
    """
    path: list[tuple[int, int]] = []
    while True:
        yield run_space(space, _PathSuggester(path))
        while path and path[-1][0] + 1 == path[-1][1]:
            path.pop()
        if not path:
            return
        path[-1] = (path[-1][0] + 1, path[-1][1])


def list_designs(space: Space, limit: int) -> list[Suggester] | None:
    """Return every design of a space; None if there are more than `limit`.

    Random designs give an estimate first, so that a much larger space is recognised without enumerating it.
    """
    rng = random.Random(0)
    products = []
    for _ in range(20):  # the mean of these products estimates the number of designs (Knuth, 1975)
        distributions = run_space(space, RandomSuggester(rng)).distributions.values()
        products.append(math.prod(len(values_of(each) or range(MAX_LISTED)) for each in distributions))
    if sum(products) / len(products) > 10 * limit:
        return None
    designs: list[Suggester] = []
    try:
        for design in iterate_designs(space):
            designs.append(design)
            if len(designs) > limit:
                return None
    except NotEnumerable:
        return None
    return designs


def params_key(params: Params) -> tuple[tuple[str, str], ...]:
    """Return a hashable key of a set of parameter values."""
    return tuple(sorted((name, repr(value)) for name, value in params.items()))
