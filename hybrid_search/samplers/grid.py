"""A sampler that proposes every design of a space once, for tables of whole spaces."""

import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_search.errors import SettingsError
from hybrid_search.samplers.define_by_run import (
    NotEnumerable,
    Params,
    Space,
    Suggester,
    iterate_designs,
    params_key,
)
from hybrid_search.samplers.distributions import random_value


class GridSampler(BaseSampler):
    """An Optuna sampler that proposes every design of a define-by-run space once; the last parameter changes first.

    Designs that the study has in any state are not proposed again. When no design is left, parameters are random.

    Args:
        space: a function that calls `suggest_...` on its argument (see `define_by_run`).
        canonical: params -> hashable identity; designs of one identity count as one. Default: the parameters.
        budget_excess: params -> how far a design exceeds a budget. Designs above 0 are left out.
        seed: seed of the random parameters after the last design.

    Raises:
        SettingsError: when it is first used, if a parameter has too many values to list.

    Example:
        >>> def space(trial):
        ...     trial.suggest_categorical("width", (8, 16))
        >>> study = optuna.create_study(sampler=GridSampler(space))
    """

    def __init__(
        self,
        space: Space,
        *,
        canonical: Callable[[Params], Hashable] | None = None,
        budget_excess: Callable[[Params], float] | None = None,
        seed: int | None = None,
    ) -> None:
        self._canonical = canonical or params_key
        self._budget_excess = budget_excess
        self._seed = seed
        self._designs = iterate_designs(space)
        self._visited: dict[Hashable, Suggester | None] = {}  # designs so far by key; None: over the budget
        self._proposed: dict[int, Hashable] = {}  # trial number -> key, while its parameters are suggested

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Choose the next design and return its distributions.

        Args:
            study: the study.
            trial: the new trial.

        Returns:
            Parameter name -> its distribution; empty if every design was proposed.

        Raises:
            SettingsError: a parameter has too many values to list.
        """
        used = set(self._proposed.values())
        used |= {self._canonical(other.params) for other in study.get_trials(deepcopy=False) if other.params}
        key = next((key for key, design in self._visited.items() if design is not None and key not in used), None)
        if key is None:
            key = next((key for key in self._new_keys() if key not in used), None)
        if key is None:
            return {}
        self._proposed[trial.number] = key
        distributions = self._design(key).distributions
        return {name: each for name, each in distributions.items() if not each.single()}

    def _new_keys(self) -> Iterator[Hashable]:
        """Continue the enumeration: yield the keys of new designs within the budget."""
        try:
            for design in self._designs:
                key = self._canonical(design.params)
                if key not in self._visited:
                    allowed = self._budget_excess is None or self._budget_excess(design.params) <= 0
                    self._visited[key] = design if allowed else None
                    if allowed:
                        yield key
        except NotEnumerable:
            raise SettingsError(
                "sampler grid needs parameters whose values can be listed; a range of this space is too long."
            ) from None

    def _design(self, key: Hashable) -> Suggester:
        design = self._visited[key]
        assert design is not None
        return design

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the values of the chosen design.

        Args:
            study: the study.
            trial: the new trial.
            search_space: the distributions of the chosen design.
        """
        key = self._proposed.get(trial.number)
        return {} if key is None else {name: self._design(key).params[name] for name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a random value: every design was proposed.

        Args:
            study: the study.
            trial: the new trial.
            param_name: name of the parameter.
            param_distribution: its distribution.
        """
        return random_value(param_distribution, random.Random(f"{self._seed}/{trial.number}/{param_name}"))

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Forget the proposal: the finished trial has the parameters itself.

        Args:
            study: the study.
            trial: the trial that ended.
            state: how it ended.
            values: its objectives; None if it has none.
        """
        self._proposed.pop(trial.number, None)
