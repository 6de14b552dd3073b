"""The table of samplers: who proposes the next architecture. Each is an ordinary Optuna sampler, made from a seed."""

import warnings
from collections.abc import Callable

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from hybrid_search.errors import one_of

DEFAULT = "tpe"


def _tpe(seed: int) -> BaseSampler:
    # Univariate TPE proposes a known network in half of its trials; multivariate and grouped in one of eight.
    return optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, n_startup_trials=8, seed=seed)


def _nsga2(seed: int) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=20, seed=seed)


def _random(seed: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _gp(seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(n_startup_trials=8, seed=seed, warn_independent_sampling=False)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": _tpe,
    "nsga2": _nsga2,
    "random": _random,
    "gp": _gp,
}


def make_sampler(name: str, seed: int) -> BaseSampler:
    """The sampler of this name; UnknownName lists those there are."""
    one_of("sampler", name, SAMPLERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna marks arguments that have stood for years
        return SAMPLERS[name](seed)
