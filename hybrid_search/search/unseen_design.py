"""Find a design that was never proposed, without the sampler."""

import random
from collections.abc import Callable
from typing import Any

from hybrid_search.networks.architecture import Architecture
from hybrid_search.search.spec import SearchSpec
from hybrid_search.spaces.space import ENUMERABLE


def unseen_design(
    spec: SearchSpec, is_open: Callable[[Architecture], bool], rng: random.Random
) -> dict[str, Any] | None:
    """Return the choices of a design that is open; None if there is none, or none was found.

    A small space is enumerated. In a large one, random designs are tried first, then a random walk from the design of
    lowest cost, which stays within the budget.

    Args:
        spec: The configuration of the search.
        is_open: Whether an architecture may still be trained.
        rng: The random generator.
    """
    space = spec.space
    if space.size() <= ENUMERABLE:
        left = [choices for architecture, choices in space.enumerate_choices() if is_open(architecture)]
        return rng.choice(left) if left else None
    within = space.extreme(spec.budget_excess)[1]
    for draw in range(ENUMERABLE):
        if draw < ENUMERABLE // 4:
            architecture, choices = space.random_choices(rng)
        else:
            architecture, choices = space.neighbour(within, rng)
            if spec.budget_excess(architecture) <= 0:
                within = choices
        if is_open(architecture):
            return choices
    return None
