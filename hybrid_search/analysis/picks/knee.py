"""The knee of a front: the one definition for the terminal, the page, the charts and `--pick knee`.

Every axis is scaled to 0..1 over the front itself, 0 is its best value. Objectives that charts draw on a logarithmic
axis (FLOPs, parameters, seconds, milliseconds) are scaled as logarithms. The ends of the front are the designs that are
the best in one objective; they are never the knee.

* Two objectives: the knee is the design farthest below the chord, the straight line between the two ends. This is the
  design with the smallest sum of its two scaled values.
* Three and more: the knee is the design farthest below the plane through the points that are best in one objective and
  worst in all others (normal-boundary intersection, Das and Dennis 1998). This is again the smallest sum.

If no design lies below the chord, the knee is the one nearest to it. A front without a design between its ends, such as
one of fewer than three designs, has no knee; its best design in the first objective takes its place.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_search._internal.counted import counted
from hybrid_search.errors import SettingsError
from hybrid_search.objectives import Objective

Array = NDArray[np.float64]


class Knee(NamedTuple):
    """The knee of a front, or the design that takes its place.

    Attributes:
        number: the trial.
        exists: whether the front has a design between its ends.
        why: why this trial, for people.
    """

    number: int
    exists: bool
    why: str


def front_knee(front: Mapping[int, Mapping[str, float]], objectives: Sequence[Objective]) -> Knee:
    """Return the knee of a front.

    Args:
        front: finite objective values by name, for each trial on the front.
        objectives: the objectives of the search, in order.

    Raises:
        SettingsError: the front is empty.

    Example:
        >>> front = {0: {"accuracy": 0.5, "flops": 1e6}, 1: {"accuracy": 0.9, "flops": 2e6}}
        >>> front |= {2: {"accuracy": 0.95, "flops": 9e6}}
        >>> front_knee(front, objectives(("accuracy", "flops"))).number
        1
    """
    if not front:
        raise SettingsError("a knee needs at least one completed trial with finite numbers; got none.")
    numbers = sorted(front)
    axes = np.array([_axis([front[number][each.name] for number in numbers], each) for each in objectives])
    best, worst = axes.min(axis=1, keepdims=True), axes.max(axis=1, keepdims=True)
    between = np.flatnonzero((axes > best).all(axis=0))
    if not len(between):
        return _without_knee(numbers, axes, objectives)
    sums = ((axes[:, between] - best) / (worst - best)).sum(axis=0)
    number = numbers[between[np.argmin(sums)]]
    ends = [numbers[index] for index in np.flatnonzero((axes == best).any(axis=0))]
    return Knee(number, True, _reason(float(sums.min()), ends, objectives))


def _axis(values: Sequence[float], objective: Objective) -> Array:
    """Return (designs,) values as an axis shows them: less is better, logarithms where charts draw them."""
    axis = np.asarray(values, dtype=np.float64)
    if objective.logarithmic and (axis > 0).all():
        axis = np.log(axis)
    return -axis if objective.direction == "maximize" else axis


def _without_knee(numbers: Sequence[int], axes: Array, objectives: Sequence[Objective]) -> Knee:
    """Return the best design in the first objective; ties are broken by the next objectives."""
    number = numbers[np.lexsort(axes[::-1])[0]]
    if len(numbers) < 3:
        rule = f"the front has no knee, because it has {counted(len(numbers), 'design')} and a knee needs three"
    else:
        rule = "the front has no knee, because each of its designs is the best in one objective"
    return Knee(number, False, rule if len(numbers) == 1 else f"{rule}; this one is the best in {objectives[0].name}")


def _reason(least: float, ends: Sequence[int], objectives: Sequence[Objective]) -> str:
    two = len(objectives) == 2
    line = "the line between the ends of the front" if two else "the plane through the best value of each objective"
    log = [each.name for each in objectives if each.logarithmic]
    scale = "axes scaled to the front" + (f", {' and '.join(log)} logarithmic" if log else "")
    which = f" (trials {', '.join(map(str, ends))})" if two and len(ends) < 5 else ""
    if least < len(objectives) - 1:
        return f"the knee, farthest from {line}{which} on its better side; {scale}"
    return f"the knee, although no design lies on the better side of {line}{which}: it is the nearest to it; {scale}"
