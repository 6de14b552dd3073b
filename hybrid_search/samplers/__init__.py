"""The table of samplers. A sampler proposes the next architecture; each is an ordinary Optuna sampler.

Other packages add samplers through the entry-point group `hybrid_search.samplers`; an entry is a factory
`(seed, facts) -> optuna.samplers.BaseSampler`.
"""

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from hybrid_search.errors import SettingsError
from hybrid_search.plugins import Table
from hybrid_search.samplers.grid import GridSampler
from hybrid_search.samplers.known_cost.history import PRUNED_VALUES
from hybrid_search.samplers.known_cost.sampler import KnownCostSampler

__all__ = [
    "DEFAULT",
    "PRUNED_VALUES",
    "SAMPLERS",
    "Facts",
    "GridSampler",
    "KnownCostSampler",
    "SamplerFactory",
    "make_known_cost",
    "make_sampler",
]

DEFAULT = "known-cost"


@dataclass(frozen=True)
class Facts:
    """The facts that are known of a search before its first trial. Samplers use as much of it as they can.

    Args:
        known: number of an objective -> function from parameters to its exact value.
        features: function from parameters to other numbers known before training.
        canonical: function from parameters to the identity of the architecture.
        variant: function from parameters to what distinguishes proposals of one identity (the tuned settings).
        budget_excess: function from parameters to the amount above the budget; 0 or less is within it.
        space: the define-by-run space.
        n_existing: number of trials and proposals that the study already has.
    """

    known: Mapping[int, Callable[[Mapping[str, Any]], float]] = field(default_factory=dict)
    features: Callable[[Mapping[str, Any]], Sequence[float]] | None = None
    canonical: Callable[[Mapping[str, Any]], Hashable] | None = None
    variant: Callable[[Mapping[str, Any]], Hashable] | None = None
    budget_excess: Callable[[Mapping[str, Any]], float] | None = None
    space: Callable[[Any], object] | None = None
    n_existing: int = 0

    def shifted_seed(self, seed: int) -> int:
        """Return a seed for a sampler with one random stream; after a restart it must not repeat its first draws.

        Args:
            seed: the seed of the search.
        """
        return (seed + self.n_existing) % 2**32


SamplerFactory = Callable[[int, Facts], BaseSampler]


def make_known_cost(seed: int, facts: Facts) -> KnownCostSampler:
    """Return the default sampler. It also estimates the remaining improvement of studies with other samplers.

    Args:
        seed: seed of all random choices.
        facts: what is known of the search.

    Raises:
        SettingsError: the facts are not valid arguments of `KnownCostSampler`.
    """
    return KnownCostSampler(
        facts.known,
        features=facts.features,
        canonical=facts.canonical,
        variant=facts.variant,
        budget_excess=facts.budget_excess,
        space=facts.space,
        seed=seed,
    )


def _tpe(seed: int, facts: Facts) -> BaseSampler:
    # Of univariate TPE's proposals, half repeat an evaluated network; multivariate and grouped, one in eight.
    return optuna.samplers.TPESampler(
        multivariate=True, group=True, constant_liar=True, n_startup_trials=8, seed=facts.shifted_seed(seed)
    )


def _nsga2(seed: int, facts: Facts) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=20, seed=facts.shifted_seed(seed))


def _random(seed: int, facts: Facts) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=facts.shifted_seed(seed))


def _gp(seed: int, facts: Facts) -> BaseSampler:
    return optuna.samplers.GPSampler(n_startup_trials=8, seed=facts.shifted_seed(seed), warn_independent_sampling=False)


def _grid(seed: int, facts: Facts) -> BaseSampler:
    if facts.space is None:
        raise SettingsError("sampler grid needs the search space; got none.")
    return GridSampler(facts.space, canonical=facts.canonical, budget_excess=facts.budget_excess, seed=seed)


def _check(name: str, factory: object) -> SamplerFactory:
    if not callable(factory):
        raise SettingsError(
            f"a sampler must be a function (seed, facts) -> optuna sampler; got {type(factory).__name__}."
        )
    return factory


SAMPLERS: Table[SamplerFactory] = Table(
    "sampler",
    "hybrid_search.samplers",
    {"known-cost": make_known_cost, "tpe": _tpe, "nsga2": _nsga2, "random": _random, "gp": _gp, "grid": _grid},
    check=_check,
)


def make_sampler(sampler: str | SamplerFactory, seed: int, facts: Facts | None = None) -> BaseSampler:
    """Return an Optuna sampler.

    Args:
        sampler: a name of the table, or a factory `(seed, facts) -> optuna.samplers.BaseSampler`.
        seed: seed of the sampler.
        facts: what is known of the search.

    Raises:
        UnknownName: no sampler has this name.
        PluginError: the plugin of this name cannot be used.
        SettingsError: the factory raises an error, or returns something else.

    Example:
        >>> study = optuna.create_study(sampler=make_sampler("tpe", seed=0))
    """
    factory = SAMPLERS[sampler] if isinstance(sampler, str) else sampler
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of Optuna's long-standing arguments
        if isinstance(sampler, str) and SAMPLERS.is_built_in(sampler):
            return factory(seed, facts or Facts())
        wanted = "sampler must be a name or a factory (seed, facts) -> optuna sampler"
        try:
            made = factory(seed, facts or Facts())
        except Exception as error:  # the factory of a user may raise anything
            raise SettingsError(f"{wanted}; {sampler!r:.80} raised {type(error).__name__}: {error}") from error
    if not isinstance(made, BaseSampler):
        raise SettingsError(f"{wanted}; {sampler!r:.80} returned {made!r:.80}.")
    return made
