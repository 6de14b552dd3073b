"""The table of samplers: who proposes the next architecture. Each is an ordinary Optuna sampler, made from a seed."""

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from hybrid_search.errors import SettingsError, one_of
from hybrid_search.samplers.grid import GridSampler
from hybrid_search.samplers.known_cost.sampler import KnownCostSampler

__all__ = ["DEFAULT", "SAMPLERS", "Facts", "GridSampler", "KnownCostSampler", "make_known_cost", "make_sampler"]

DEFAULT = "known-cost"


@dataclass(frozen=True)
class Facts:
    """What is known of a search before its first trial, for the samplers that use it; see KnownCostSampler."""

    known: Mapping[int, Callable[[Mapping[str, Any]], float]] = field(default_factory=dict)
    features: Callable[[Mapping[str, Any]], Sequence[float]] | None = None
    canonical: Callable[[Mapping[str, Any]], Hashable] | None = None
    variant: Callable[[Mapping[str, Any]], Hashable] | None = None
    excess: Callable[[Mapping[str, Any]], float] | None = None
    space: Callable[[Any], object] | None = None
    held: int = 0  # trials the study holds already: a sampler that draws from one stream goes on elsewhere in it

    def moved(self, seed: int) -> int:
        """The seed of a sampler that would otherwise ask its first questions again."""
        return (seed + self.held) % 2**32


def make_known_cost(seed: int, facts: Facts) -> KnownCostSampler:
    """The sampler that knows the cost: the default, and the judge of what the next trials of any study may gain."""
    return KnownCostSampler(
        facts.known,
        features=facts.features,
        canonical=facts.canonical,
        variant=facts.variant,
        excess=facts.excess,
        space=facts.space,
        seed=seed,
    )


def _tpe(seed: int, facts: Facts) -> BaseSampler:
    # Univariate TPE proposes a known network in half of its trials; multivariate and grouped in one of eight.
    return optuna.samplers.TPESampler(
        multivariate=True, group=True, constant_liar=True, n_startup_trials=8, seed=facts.moved(seed)
    )


def _nsga2(seed: int, facts: Facts) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=20, seed=facts.moved(seed))


def _random(seed: int, facts: Facts) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=facts.moved(seed))


def _gp(seed: int, facts: Facts) -> BaseSampler:
    return optuna.samplers.GPSampler(n_startup_trials=8, seed=facts.moved(seed), warn_independent_sampling=False)


def _grid(seed: int, facts: Facts) -> BaseSampler:
    if facts.space is None:
        raise SettingsError("sampler grid needs to be told the space.")
    return GridSampler(facts.space, canonical=facts.canonical, excess=facts.excess, seed=seed)


SAMPLERS: dict[str, Callable[[int, Facts], BaseSampler]] = {
    "known-cost": make_known_cost,
    "tpe": _tpe,
    "nsga2": _nsga2,
    "random": _random,
    "gp": _gp,
    "grid": _grid,
}


def make_sampler(name: str, seed: int, facts: Facts | None = None) -> BaseSampler:
    """The sampler of this name; UnknownName lists those there are."""
    one_of("sampler", name, SAMPLERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna marks arguments that have stood for years
        return SAMPLERS[name](seed, facts or Facts())
