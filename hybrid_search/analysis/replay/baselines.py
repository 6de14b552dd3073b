"""The table of entrants: the samplers of this project, and variants of them and of Optuna's to set beside them.

Variants of known-cost lack one of the things it is told; `-ordered` ones of Optuna's samplers get choices of numbers as
whole numbers, which is more than they are told in a search.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler

from hybrid_search.analysis.replay.objective_table import Landscape
from hybrid_search.samplers import SAMPLERS, KnownCostSampler

Make = Callable[[Landscape, int], BaseSampler]


@dataclass(frozen=True)
class Entrant:
    """One sampler of a comparison. `ranked`: choices of numbers are asked as whole numbers."""

    make: Make
    about: str
    ranked: bool = False


def _by_name(name: str, landscape: Landscape, seed: int) -> BaseSampler:
    return SAMPLERS[name](seed, landscape.facts)


def _known_cost(landscape: Landscape, seed: int, **changed: Any) -> BaseSampler:
    facts = landscape.facts
    told = {"known": facts.known, "features": facts.features, "canonical": facts.canonical, "space": facts.space}
    return KnownCostSampler(**{**told, **changed}, seed=seed)


def _cost_not_exact(landscape: Landscape, seed: int) -> BaseSampler:
    prices, more = list(landscape.known.values()), landscape.features
    return _known_cost(
        landscape, seed, known={}, features=lambda p: [*(f(p) for f in prices), *(more(p) if more else ())]
    )


def _blind(landscape: Landscape, seed: int) -> BaseSampler:
    return _known_cost(landscape, seed, known={}, features=None, ordered=False, space=None)


def _tpe(_: Landscape, seed: int) -> BaseSampler:
    return TPESampler(multivariate=True, group=True, seed=seed, n_startup_trials=8)


def _nsga2(size: int, _: Landscape, seed: int) -> BaseSampler:
    return NSGAIISampler(population_size=size, seed=seed)


ENTRANTS: dict[str, Entrant] = {
    **{name: Entrant(partial(_by_name, name), f"{name}, as a search has it") for name in SAMPLERS},
    "known-cost-space-unknown": Entrant(partial(_known_cost, space=None), "known-cost, space not told"),
    "known-cost-no-features": Entrant(partial(_known_cost, features=None), "known-cost, no features"),
    "known-cost-no-inputs": Entrant(
        partial(_known_cost, cost_inputs=False, features=None), "known-cost, cost no input"
    ),
    "known-cost-not-exact": Entrant(_cost_not_exact, "known-cost, cost an input but not exact"),
    "known-cost-words": Entrant(partial(_known_cost, ordered=False), "known-cost, numbers as words"),
    "known-cost-blind": Entrant(_blind, "known-cost, none of these"),
    "tpe-default": Entrant(lambda _, seed: TPESampler(seed=seed), "tpe, Optuna's default"),
    "tpe-ordered": Entrant(_tpe, "tpe multivariate, ordered", ranked=True),
    "nsga2-20-ordered": Entrant(partial(_nsga2, 20), "nsga2 20, ordered", ranked=True),
    "nsga2-50-ordered": Entrant(partial(_nsga2, 50), "nsga2 50, ordered", ranked=True),
    "gp-ordered": Entrant(
        lambda _, seed: GPSampler(n_startup_trials=8, seed=seed, warn_independent_sampling=False),
        "gp, ordered",
        ranked=True,
    ),
}
