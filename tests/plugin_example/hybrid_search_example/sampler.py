"""Sampler `sobol`: Optuna's quasi-Monte-Carlo sampler."""

import optuna

from hybrid_search.samplers import Facts


def sobol(seed: int, facts: Facts) -> optuna.samplers.BaseSampler:
    """Return a sampler that walks a scrambled Sobol sequence."""
    return optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False, warn_asynchronous_seeding=False)
