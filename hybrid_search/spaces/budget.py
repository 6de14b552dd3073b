"""The worst that a search can meet of what is known before training: where its hypervolume is measured from.

It follows from the question alone, so the progress bar, the page and a search that is opened again agree.
"""

import json
from functools import lru_cache

from hybrid_search.errors import UserError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import fitted, price
from hybrid_search.records import SearchRecord
from hybrid_search.spaces.space import SearchSpace

PRICES = ("flops", "params")
BEYOND = 1.1  # a point on the reference would add nothing


def known_worst(record: SearchRecord) -> dict[str, float]:
    """A tenth more than the dearest design of the space costs, or than the budget where that is less, by objective.

    Only of the search's own objectives that are known before training (FLOPs as 2 x MACs, parameters); none where the
    space cannot be read here, because it needs a plugin that is not installed.
    """
    names = tuple(name for name in PRICES if name in record.objectives)
    dearest = _dearest(json.dumps(dict(record.space)), record.input_size, record.classes, names)
    budget = {"flops": record.max_flops, "params": record.max_params}
    return {name: BEYOND * min(value, budget[name] or value) for name, value in dearest.items()}


@lru_cache(maxsize=64)  # some tenths of a second, and the page asks again whenever a trial ends
def _dearest(space: str, input_size: tuple[int, int, int], classes: int, names: tuple[str, ...]) -> dict[str, float]:
    found = {}
    try:
        offered = SearchSpace.from_dict(json.loads(space))
        for at, name in enumerate(PRICES):
            if name in names:

                def priced(architecture: Architecture, at: int = at) -> float:
                    return float(price(fitted(architecture, input_size), input_size, classes)[at])

                found[name] = priced(offered.extreme(priced, largest=True)[0])
    except UserError:
        return {}
    return found


def over_budget(record: SearchRecord, architecture: Architecture) -> float:
    """How far over the search's budget an architecture is, as a share of it; 0 or less is within."""
    budget = (record.max_flops, record.max_params)
    if budget == (None, None):
        return 0.0
    pairs = zip(price(architecture, record.input_size, record.classes), budget, strict=True)
    return max(value / bound - 1.0 for value, bound in pairs if bound is not None)
