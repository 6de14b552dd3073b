"""Every design of a space, one after the other: what a table of all of them is made with."""

import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_search.errors import SettingsError
from hybrid_search.samplers.define_by_run import Chooser, Endless, Params, Space, draw, key_of, ways


class GridSampler(BaseSampler):
    """Proposes every design of `space(chooser)` once, in the order of the walk in which the last question turns first.

    `canonical(params)` is an identity under which two designs are the same (default: the answers), and `excess(params)`
    says how far over a budget a design is: what is over it, above 0, is left out. What a study already holds, in
    whatever state, is not proposed again; when nothing is left the answers are random, by `seed`, which nothing else
    depends on. SettingsError at a question that has too many answers to list.
    """

    def __init__(
        self,
        space: Space,
        *,
        canonical: Callable[[Params], Hashable] | None = None,
        excess: Callable[[Params], float] | None = None,
        seed: int | None = None,
    ) -> None:
        self._canonical = canonical or key_of
        self._excess = excess
        self._seed = seed
        self._walk = ways(space)
        self._met: dict[Hashable, Chooser | None] = {}  # what the walk has passed, None where over the budget
        self._proposed: dict[int, Hashable] = {}  # trials that this sampler is asked for now

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The questions of the next design."""
        held = set(self._proposed.values())
        held |= {self._canonical(other.params) for other in study.get_trials(deepcopy=False) if other.params}
        key = next((key for key, way in self._met.items() if way is not None and key not in held), None)
        if key is None:
            key = next((key for key in self._further() if key not in held), None)
        if key is None:
            return {}
        self._proposed[trial.number] = key
        offered = self._design(key).offered
        return {name: each for name, each in offered.items() if not each.single()}

    def _further(self) -> Iterator[Hashable]:
        """On with the walk: the designs that it had not met, and that the budget allows."""
        try:
            for way in self._walk:
                key = self._canonical(way.params)
                if key not in self._met:
                    allowed = self._excess is None or self._excess(way.params) <= 0
                    self._met[key] = way if allowed else None
                    if allowed:
                        yield key
        except Endless:
            raise SettingsError(
                "sampler grid needs questions with answers to list; a range of this space is too long."
            ) from None

    def _design(self, key: Hashable) -> Chooser:
        way = self._met[key]
        assert way is not None
        return way

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The answers of the next design."""
        key = self._proposed.get(trial.number)
        return {} if key is None else {name: self._design(key).params[name] for name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random answer: every design was proposed."""
        return draw(param_distribution, random.Random(f"{self._seed}/{trial.number}/{param_name}"))

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """The trial holds its design itself from now on."""
        self._proposed.pop(trial.number, None)
