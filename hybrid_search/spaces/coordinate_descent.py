"""Coordinate descent: change one choice of a space at a time until none improves the cost."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hybrid_search.networks.architecture import Architecture
from hybrid_search.spaces.choosers import Chooser, FixedChoices

Point = tuple[float, Architecture, FixedChoices]  # cost, architecture, its choices


def descend(
    choose: Callable[[Chooser], Architecture], cost: Callable[[Architecture], float], start: Mapping[str, Any]
) -> tuple[float, Architecture, dict[str, Any]]:
    """Return a local minimum of the cost.

    Args:
        choose: `SearchSpace.choose`.
        cost: a function of the architecture.
        start: the first choices (parameter name -> choice).

    Returns:
        The cost, the architecture and its choices. No other choice of a single parameter has a smaller cost.
    """

    def settle(given: Mapping[str, Any], names: Sequence[str]) -> Point:
        """Return the best choices of the parameters `names`, with those of the parameters that they open."""
        chooser = FixedChoices(given)
        architecture = choose(chooser)
        best = (cost(architecture), architecture, chooser)
        for name in names:
            for choice in best[2].offered.get(name, ()):
                if choice != best[2].params.get(name):
                    best = min(best, changed(best[2], name, choice), key=lambda point: point[0])
        return best

    def changed(here: FixedChoices, name: str, choice: Any) -> Point:
        """Return the point with another choice of one parameter; new parameters are settled too."""
        other = FixedChoices({**here.params, name: choice})
        choose(other)
        return settle(other.params, [new for new in other.offered if new not in here.offered])

    best = settle(start, ())
    improved = True
    while improved:
        improved = False
        for name, choices in list(best[2].offered.items()):
            for choice in choices:
                point = changed(best[2], name, choice)
                if point[0] < best[0]:
                    best, improved = point, True
    return best[0], best[1], best[2].params
