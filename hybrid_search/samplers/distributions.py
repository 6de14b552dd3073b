"""Values of Optuna's distributions: list them, draw one, change one, map a number to its position in its range."""

import math
import random
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

MAX_LISTED = 64  # a range with at most this many values is listed, a longer one is sampled


def values_of(distribution: BaseDistribution) -> Sequence[Any] | None:
    """Return every value of a distribution; None if there are more than MAX_LISTED."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        if (distribution.high - distribution.low) // distribution.step < MAX_LISTED:
            return range(distribution.low, distribution.high + 1, distribution.step)
    elif isinstance(distribution, FloatDistribution):
        if distribution.low == distribution.high:
            return [distribution.low]
        if distribution.step is not None:
            count = round((distribution.high - distribution.low) / distribution.step) + 1
            if count <= MAX_LISTED:
                return [distribution.low + i * distribution.step for i in range(count)]
    return None


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a value is one of the distribution's."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False


def position_of(distribution: IntDistribution | FloatDistribution, value: float) -> float:
    """Return the position of a number in its range, 0 to 1; on a logarithmic scale if the range is logarithmic."""
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low) if high > low else 0.5


def value_at(distribution: IntDistribution | FloatDistribution, position: float) -> float:
    """Return the number at a position of its range, 0 to 1: the inverse of `position_of`."""
    low, high, position = float(distribution.low), float(distribution.high), min(1.0, max(0.0, position))
    value = math.exp(math.log(low) * (1 - position) + math.log(high) * position) if distribution.log else low
    if not distribution.log:
        value += position * (high - low)
    if distribution.step is not None:
        value = low + round((value - low) / distribution.step) * distribution.step
    value = min(high, max(low, value))
    return round(value) if isinstance(distribution, IntDistribution) else value


def random_value(distribution: BaseDistribution, rng: random.Random) -> Any:
    """Draw a value of a distribution."""
    values = values_of(distribution)
    if values is not None and not getattr(distribution, "log", False):
        return values[rng.randrange(len(values))]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return value_at(distribution, rng.random())


def changed_value(distribution: BaseDistribution, value: Any, rng: random.Random) -> Any:
    """Draw another value: for numbers, in half of the cases a near one. Return `value` if there is no other."""
    if isinstance(distribution, IntDistribution | FloatDistribution) and not distribution.single():
        position = position_of(distribution, value)
        for _ in range(8):
            step = rng.gauss(0, 0.15) if rng.random() < 0.5 else rng.random() - position
            changed = value_at(distribution, position + step)
            if changed != value:
                return changed
    others = [other for other in values_of(distribution) or () if other != value]
    if not others:
        return value
    if rng.random() < 0.5 and is_ordered(distribution):
        assert isinstance(value, int | float)
        below = [other for other in others if other < value]
        above = [other for other in others if other > value]
        others = [pick(side) for pick, side in ((max, below), (min, above)) if side]
    return others[rng.randrange(len(others))]


def is_ordered(distribution: BaseDistribution) -> bool:
    """Return whether all values are numbers. Categorical choices count as ordered if they are numbers."""
    if isinstance(distribution, CategoricalDistribution):
        return all(isinstance(c, int | float) and not isinstance(c, bool) for c in distribution.choices)
    return True
