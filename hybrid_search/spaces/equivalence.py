"""How many designs of a space are one network: what equivalence saves a search."""

from collections.abc import Mapping
from typing import Any

from hybrid_search.networks.costs import fitted
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.space import SearchSpace

MOST = 1000  # ways that are counted of one network


def ways_to_write(space: SearchSpace, choices: Mapping[str, Any], input_size: tuple[int, int, int]) -> int:
    """How many sets of answers build the network of `choices` on such images, itself among them; at most MOST.

    Found by changing one answer at a time, so ways that differ in two answers which only together have no effect are
    not met: at times too few, never too many.
    """
    start = FixedChoices(choices)
    digest = fitted(space.choose(start), input_size).digest
    met = {_name(start.params)}
    queue = [start]
    while queue and len(met) < MOST:
        here = queue.pop()
        for question, offered in here.offered.items():
            for answer in offered:
                near = FixedChoices({**here.params, question: answer})
                if answer == here.params[question] or fitted(space.choose(near), input_size).digest != digest:
                    continue
                if _name(near.params) not in met:
                    met.add(_name(near.params))
                    queue.append(near)
    return len(met)


def _name(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((question, repr(answer)) for question, answer in params.items())
