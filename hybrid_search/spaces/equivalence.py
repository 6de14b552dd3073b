"""The number of combinations of choices that build the same network."""

from collections.abc import Mapping
from typing import Any

from hybrid_search.networks.costs import simplified_for
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.space import SearchSpace

LARGEST_COUNT = 1000


def count_equivalent(space: SearchSpace, choices: Mapping[str, Any], input_size: tuple[int, int, int]) -> int:
    """Return how many combinations of choices build the same network on such images, at most LARGEST_COUNT.

    The search changes one choice at a time. It can miss combinations that differ in two choices which have no effect
    only together, so the result may be too small, never too large.

    Args:
        space: a search space.
        choices: parameter name -> choice; this combination is counted too.
        input_size: (channels, rows, cols) of the images.
    """
    start = FixedChoices(choices)
    digest = simplified_for(space.choose(start), input_size).digest
    met = {_key(start.params)}
    queue = [start]
    while queue and len(met) < LARGEST_COUNT:
        here = queue.pop()
        for name, offered in here.offered.items():
            for choice in offered:
                near = FixedChoices({**here.params, name: choice})
                if choice == here.params[name] or simplified_for(space.choose(near), input_size).digest != digest:
                    continue
                if _key(near.params) not in met:
                    met.add(_key(near.params))
                    queue.append(near)
    return len(met)


def _key(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, repr(choice)) for name, choice in params.items())
