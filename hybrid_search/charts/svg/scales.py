"""Scales of an SVG picture: where a value is on an axis, and which values have a tick."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_search.objectives import Objective, scaled

STEPS = (1, 2, 5, 10)
MOST_TICKS = 7


@dataclass(frozen=True)
class Scale:
    """An axis between two pixels.

    Attributes:
        low, high: its values at the two ends.
        start, end: the pixels there.
        log: whether it is logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value.

        Args:
            value: a value; above 0 on a logarithmic axis.
        """
        low, high, here = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return self.start + (here - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = MOST_TICKS) -> list[float]:
        """Return the values that have a tick: round ones.

        Args:
            most: at most so many.
        """
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for digits in ((1, 2, 5), (1, 5), (1,)):
                found = [d * 10.0**k for k in decades for d in digits if self.low <= d * 10.0**k <= self.high]
                if 3 <= len(found) <= most:
                    return found
            if len(found) > most:
                return found[:: -(-len(found) // most)]
        step = _step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def fitted(
    values: Sequence[float],
    start: float,
    end: float,
    *,
    log: bool = False,
    least: float | None = None,
    most: float | None = None,
) -> Scale:
    """Return a scale that holds these values with some room at both ends.

    Args:
        values: finite values; none: 0 to 1.
        start, end: the pixels of the lower and of the upper end.
        log: logarithmic, if all values are above 0.
        least, most: the scale does not reach beyond them.
    """
    log = log and bool(values) and min(values) > 0
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if log:
        room = max(0.06 * math.log(high / low), 0.05)
        return Scale(low / math.exp(room), high * math.exp(room), start, end, True)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    below, above = low - room, high + room
    if least is not None and low >= least:
        below = max(below, least)
    if most is not None and high <= most:
        above = min(above, most + 0.02 * (most - below))
    return Scale(below, above, start, end)


def tick_texts(ticks: Sequence[float], objective: Objective) -> list[str]:
    """Return the texts of ticks, each different.

    Args:
        ticks: the values.
        objective: what the axis shows; a share has per cent.
    """
    if objective.unit == "share":
        return [f"{text} %" for text in _digits([100 * tick for tick in ticks])]
    texts = [scaled(tick).strip() for tick in ticks]
    return texts if len(set(texts)) == len(texts) else _digits(ticks)


def _digits(values: Sequence[float]) -> list[str]:
    """Return numbers with as many digits as make them different."""
    for digits in range(12):
        texts = [f"{value:.{digits}f}" for value in values]
        if len(set(texts)) == len(texts) and all(
            math.isclose(float(text), value, rel_tol=1e-6, abs_tol=1e-9)
            for text, value in zip(texts, values, strict=True)
        ):
            return texts
    return [f"{value:.6g}" for value in values]


def _step(smallest: float) -> float:
    """Return the smallest step of 1, 2 or 5 times a power of ten that is at least this."""
    power = 10.0 ** math.floor(math.log10(smallest))
    return next(digit * power for digit in STEPS if digit * power >= smallest * (1 - 1e-9))
