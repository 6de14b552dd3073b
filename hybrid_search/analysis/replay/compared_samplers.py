"""The samplers that a replay can compare: all samplers of the table, variants of known-cost, and variants of Optuna's.

Each variant of known-cost lacks one part of its information. The `-ordered` variants of Optuna's samplers receive
numeric choices as integers, which is more information than they have in a search.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler

from hybrid_search.analysis.replay.objective_table import ObjectiveTable
from hybrid_search.samplers import SAMPLERS, KnownCostSampler, make_sampler


@dataclass(frozen=True)
class ComparedSampler:
    """One sampler of a comparison.

    Args:
        make: (objective table, seed) -> Optuna sampler.
        about: a short description.
        ranked: whether numeric choices are suggested as integers, their ranks.
    """

    make: Callable[[ObjectiveTable, int], BaseSampler]
    about: str
    ranked: bool = False


def _by_name(name: str, table: ObjectiveTable, seed: int) -> BaseSampler:
    return make_sampler(name, seed, table.facts)


def _known_cost(table: ObjectiveTable, seed: int, **changed: Any) -> BaseSampler:
    facts = table.facts
    options = {"known": facts.known, "features": facts.features, "canonical": facts.canonical, "space": facts.space}
    return KnownCostSampler(**{**options, **changed}, seed=seed)


def _cost_not_exact(table: ObjectiveTable, seed: int) -> BaseSampler:
    costs, more = list(table.known.values()), table.features
    return _known_cost(
        table, seed, known={}, features=lambda p: [*(cost(p) for cost in costs), *(more(p) if more else ())]
    )


def _no_information(table: ObjectiveTable, seed: int) -> BaseSampler:
    return _known_cost(table, seed, known={}, features=None, ordered=False, space=None)


def _tpe(_: ObjectiveTable, seed: int) -> BaseSampler:
    return TPESampler(multivariate=True, group=True, seed=seed, n_startup_trials=8)


def _nsga2(size: int, _: ObjectiveTable, seed: int) -> BaseSampler:
    return NSGAIISampler(population_size=size, seed=seed)


def _gp(_: ObjectiveTable, seed: int) -> BaseSampler:
    return GPSampler(n_startup_trials=8, seed=seed, warn_independent_sampling=False)


VARIANTS: dict[str, ComparedSampler] = {
    "known-cost-space-unknown": ComparedSampler(partial(_known_cost, space=None), "known-cost without the space"),
    "known-cost-no-features": ComparedSampler(partial(_known_cost, features=None), "known-cost without features"),
    "known-cost-no-inputs": ComparedSampler(
        partial(_known_cost, cost_inputs=False, features=None), "known-cost without costs as inputs"
    ),
    "known-cost-not-exact": ComparedSampler(_cost_not_exact, "known-cost with costs as inputs only"),
    "known-cost-words": ComparedSampler(partial(_known_cost, ordered=False), "known-cost with numbers as words"),
    "known-cost-blind": ComparedSampler(_no_information, "known-cost without any of these"),
    "tpe-default": ComparedSampler(lambda _, seed: TPESampler(seed=seed), "TPE with Optuna's defaults"),
    "tpe-ordered": ComparedSampler(_tpe, "multivariate TPE with numbers as integers", ranked=True),
    "nsga2-20-ordered": ComparedSampler(
        partial(_nsga2, 20), "NSGA-II, population 20, numbers as integers", ranked=True
    ),
    "nsga2-50-ordered": ComparedSampler(
        partial(_nsga2, 50), "NSGA-II, population 50, numbers as integers", ranked=True
    ),
    "gp-ordered": ComparedSampler(_gp, "GPSampler with numbers as integers", ranked=True),
}


def _of_table() -> dict[str, ComparedSampler]:
    return {name: ComparedSampler(partial(_by_name, name), f"{name} as in a search") for name in SAMPLERS.names()}


BASELINES: dict[str, ComparedSampler] = {**_of_table(), **VARIANTS}
