"""Expected hypervolume improvement, exact for any number of independent objectives.

The region that no front point dominates is cut into boxes; the expected part of a box that a candidate will dominate is
a product over objectives of psi(high) - psi(low), where psi(t) = E[max(0, t - value)]. Of an objective that is known
the expectation is the value itself. Less is better throughout. (For two objectives: Emmerich et al., 2011.)
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
ROOM = 4_000_000  # numbers held at once


class Belief(Protocol):
    """What is believed of one objective of every candidate."""

    def psi(self, bounds: Array) -> Array:
        """E[max(0, bound - value)] as (candidates, bounds)."""


class Exact:
    """Values that are known."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def psi(self, bounds: Array) -> Array:
        """max(0, bound - value)."""
        return np.maximum(0.0, bounds - self.values[:, None])


class Gaussian:
    """Normal values, or with `floor` values whose distance from it has a normal logarithm."""

    def __init__(self, mean: Array, deviation: Array, floor: float | None = None) -> None:
        self.mean = mean[:, None]
        self.deviation = np.maximum(deviation, 1e-9)[:, None]
        self.floor = floor

    def psi(self, bounds: Array) -> Array:
        """Bachelier's and Black and Scholes' price of a put."""
        if self.floor is None:
            z = (bounds - self.mean) / self.deviation
            density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
            return np.asarray(self.deviation * (z * ndtr(z) + density))
        strike = np.maximum(bounds - self.floor, 0.0)
        with np.errstate(divide="ignore"):
            z = (np.log(strike) - self.mean) / self.deviation
        expected = np.exp(self.mean + 0.5 * self.deviation**2)
        return np.asarray(np.maximum(0.0, strike * ndtr(z) - expected * ndtr(z - self.deviation)))


def open_boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """The boxes (lows, highs), each (boxes, objectives), of what is better than the reference and not dominated."""
    front = front[(front < reference).all(axis=1)]
    if front.shape[1] == 1:
        best = min(float(reference[0]), float(front.min())) if len(front) else float(reference[0])
        return np.array([[-np.inf]]), np.array([[best]])
    levels = np.unique(front[:, -1])
    lows, highs = [], []
    for low, high in zip([-np.inf, *levels], [*levels, reference[-1]], strict=True):
        below, above = open_boxes(front[front[:, -1] <= low][:, :-1], reference[:-1])
        lows.append(np.column_stack([below, np.full(len(below), low)]))
        highs.append(np.column_stack([above, np.full(len(above), high)]))
    return np.vstack(lows), np.vstack(highs)


def expected_improvement(beliefs: Sequence[Belief], front: Array, reference: Array) -> Array:
    """The expected gain of hypervolume of every candidate, given the front (points, objectives) and the reference."""
    lows, highs = open_boxes(front, reference)
    parts: list[tuple[Array, NDArray[np.intp], NDArray[np.intp]]] = []
    for k, belief in enumerate(beliefs):
        bounds, index = np.unique(np.concatenate([lows[:, k], highs[:, k]]), return_inverse=True)
        price = np.zeros((1, len(bounds)))
        finite = np.isfinite(bounds)
        found = belief.psi(bounds[finite])
        price = np.zeros((len(found), len(bounds)))
        price[:, finite] = found
        parts.append((price, index[: len(lows)], index[len(lows) :]))
    gain: Array = np.zeros(len(parts[0][0]))
    step = max(1, ROOM // max(1, len(gain)))
    for start in range(0, len(lows), step):
        here = slice(start, start + step)
        product = np.ones((len(gain), len(lows[here])))
        for price, low, high in parts:
            product *= price[:, high[here]] - price[:, low[here]]
        gain += product.sum(axis=1)
    return gain
