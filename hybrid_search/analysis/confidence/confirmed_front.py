"""The front of a search. After a confirmation it has retrained trials only, compared by their means."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from hybrid_search.objectives import Objective
from hybrid_search.pareto import front_rows


class ConfirmedFront(NamedTuple):
    """The front of a search.

    Attributes:
        members: Trials on the front, sorted by the first objective, the best first.
        not_retrained: Trials that would be on the front with the value of their single seed. They are not members:
            they were selected for this value, so it is biased upwards.
    """

    members: list[int]
    not_retrained: list[int]


def confirmed_front(
    values: Mapping[int, Mapping[str, float]], retrained: Collection[int], objectives: Sequence[str | Objective]
) -> ConfirmedFront:
    """Return the front of the retrained trials; if there are none, the front of all trials.

    Args:
        values: Present value of every objective, by trial number: the mean over fresh seeds, if there are any.
        retrained: Numbers of the trials with fresh seeds.
        objectives: The objectives, or their names in the table.

    Returns:
        The front, and the trials that were not retrained yet.

    Example:
        >>> values = {0: {"accuracy": 0.9, "flops": 1.0}, 1: {"accuracy": 0.95, "flops": 1.0}}
        >>> confirmed_front(values, {0}, ("accuracy", "flops"))
        ConfirmedFront(members=[0], not_retrained=[1])
    """
    everything = front_rows([(number, dict(row)) for number, row in values.items()], objectives)
    means = [(number, dict(row)) for number, row in values.items() if number in retrained]
    if not means:
        return ConfirmedFront(everything, [])
    return ConfirmedFront(front_rows(means, objectives), [number for number in everything if number not in retrained])
