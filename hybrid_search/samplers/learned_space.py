"""A search space that is inferred from past trials, for studies whose sampler does not receive the space."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from optuna.distributions import BaseDistribution, CategoricalDistribution

from hybrid_search.samplers.define_by_run import Params, Suggester, params_key
from hybrid_search.samplers.distributions import is_ordered

INACTIVE = "(absent)"


@dataclass(frozen=True)
class _Condition:
    """When a parameter is active, as a function of other parameters.

    Args:
        parents: the other parameters.
        active: values of the parents (their repr) -> whether the parameter is active.
        by_number: for a single numeric parent: value -> whether the parameter is active. The nearest value decides.
    """

    parents: tuple[str, ...]
    active: Mapping[tuple[str, ...], bool]
    by_number: Mapping[float, bool] = field(default_factory=dict)

    def __call__(self, params: Params) -> bool:
        key = tuple(repr(params[parent]) if parent in params else INACTIVE for parent in self.parents)
        if key in self.active:
            return self.active[key]
        if self.by_number and self.parents[0] in params:
            value = params[self.parents[0]]
            return self.by_number[min(self.by_number, key=lambda known: abs(known - value))]
        return False


class LearnedSpace:
    """The parameters of past trials in order, and the conditions under which each of them is active.

    The condition of a parameter is the one earlier parameter (or pair) whose values explain every trial so far.

    Args:
        trials: for each trial its parameters and their distributions.

    Attributes:
        signature: a string that changes whenever the space changes.
    """

    def __init__(self, trials: Iterator[tuple[Params, Mapping[str, BaseDistribution]]]) -> None:
        self.names: list[str] = []
        self.distributions: dict[str, BaseDistribution] = {}
        seen: dict[tuple[tuple[str, str], ...], Params] = {}
        for params, distributions in trials:
            seen.setdefault(params_key(params), params)
            self.distributions.update(distributions)
            after = 0
            for name in params:
                if name not in self.names:
                    self.names.insert(after, name)
                after = max(after, self.names.index(name) + 1)
        self._past = list(seen.values())
        self._tried = {(name, repr(value)) for params in self._past for name, value in params.items()}
        self._conditions = {name: self._condition(name) for name in self.names}
        described = [
            (name, condition and (condition.parents, sorted(condition.active.items())))
            for name, condition in self._conditions.items()
        ]
        self.signature = repr((described, self.distributions))

    def __call__(self, suggester: Suggester) -> None:
        """Suggest every parameter that is active given the values before it."""
        for name in self.names:
            condition = self._conditions[name]
            if condition is None or condition(suggester.params):
                suggester.suggest(name, self.distributions[name])

    def count_untried(self, params: Params) -> int:
        """Return how many categorical choices no trial has had yet. Which parameters they activate is unknown."""
        return sum(
            1
            for name, value in params.items()
            if isinstance(self.distributions[name], CategoricalDistribution) and (name, repr(value)) not in self._tried
        )

    def _condition(self, name: str) -> _Condition | None:
        if all(name in params for params in self._past):
            return None
        earlier = self.names[: self.names.index(name)]
        for size in (1, 2):
            possible = [
                condition for parents in combinations(earlier, size) if (condition := self._explain(name, parents))
            ]
            if possible:  # the condition with the fewest cases, and among equals that of the latest parameter
                return min(reversed(possible), key=lambda condition: len(condition.active))
        return _Condition((), {(): False})

    def _explain(self, name: str, parents: tuple[str, ...]) -> _Condition | None:
        """Return the condition on these parents; None if two trials contradict it."""
        active: dict[tuple[str, ...], bool] = {}
        for params in self._past:
            key = tuple(repr(params[parent]) if parent in params else INACTIVE for parent in parents)
            if active.setdefault(key, name in params) != (name in params):
                return None
        by_number = {}
        if len(parents) == 1 and is_ordered(self.distributions[parents[0]]):
            by_number = {params[parents[0]]: name in params for params in self._past if parents[0] in params}
        return _Condition(parents, active, by_number)
