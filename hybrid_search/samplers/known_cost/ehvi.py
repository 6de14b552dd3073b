"""Expected hypervolume improvement, exact for any number of independent objectives; less is better throughout.

The region that no front point dominates is partitioned into boxes. The expected part of a box that a candidate
dominates is a product over objectives of psi(upper) - psi(lower), with psi(t) = E[max(0, t - Y)]. For a known objective
Y is a constant. (For two objectives: Emmerich et al., 2011.)
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
MAX_ENTRIES = 4_000_000  # entries of the largest array


class Posterior(Protocol):
    """The distribution of one objective for every candidate."""

    def psi(self, bounds: Array) -> Array:
        """Return E[max(0, bound - Y)], (candidates, bounds)."""


class KnownValues:
    """The posterior of an objective that is known exactly.

    Args:
        values: (candidates,) the values.
    """

    def __init__(self, values: Array) -> None:
        self.values = values

    def psi(self, bounds: Array) -> Array:
        """Return max(0, bound - value), (candidates, bounds)."""
        return np.maximum(0.0, bounds - self.values[:, None])


class NormalPosterior:
    """A normal posterior; with `floor` a shifted log-normal one, where log(Y - floor) is normal.

    Args:
        mean: (candidates,) means of the normal distribution.
        deviation: (candidates,) its standard deviations.
        floor: lower bound of Y.
    """

    def __init__(self, mean: Array, deviation: Array, floor: float | None = None) -> None:
        self.mean = mean[:, None]
        self.deviation = np.maximum(deviation, 1e-9)[:, None]
        self.floor = floor

    def psi(self, bounds: Array) -> Array:
        """Return the closed form of E[max(0, bound - Y)], (candidates, bounds)."""
        if self.floor is None:
            z = (bounds - self.mean) / self.deviation
            density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
            return np.asarray(self.deviation * (z * ndtr(z) + density))
        shifted = np.maximum(bounds - self.floor, 0.0)
        with np.errstate(divide="ignore"):
            z = (np.log(shifted) - self.mean) / self.deviation
        expected = np.exp(self.mean + 0.5 * self.deviation**2)
        return np.asarray(np.maximum(0.0, shifted * ndtr(z) - expected * ndtr(z - self.deviation)))


def non_dominated_boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """Partition the region that is better than the reference and not dominated by the front.

    Args:
        front: (points, objectives).
        reference: (objectives,).

    Returns:
        Lower and upper corners of the boxes, each (boxes, objectives).
    """
    front = front[(front < reference).all(axis=1)]
    if front.shape[1] == 1:
        best = min(float(reference[0]), float(front.min())) if len(front) else float(reference[0])
        return np.array([[-np.inf]]), np.array([[best]])
    levels = np.unique(front[:, -1])
    lower, upper = [], []
    for low, high in zip([-np.inf, *levels], [*levels, reference[-1]], strict=True):
        below, above = non_dominated_boxes(front[front[:, -1] <= low][:, :-1], reference[:-1])
        lower.append(np.column_stack([below, np.full(len(below), low)]))
        upper.append(np.column_stack([above, np.full(len(above), high)]))
    return np.vstack(lower), np.vstack(upper)


def expected_hypervolume_improvement(posteriors: Sequence[Posterior], front: Array, reference: Array) -> Array:
    """Return the expected hypervolume improvement of every candidate, (candidates,).

    Args:
        posteriors: the posterior of each objective.
        front: (points, objectives) of the current front.
        reference: (objectives,) the reference point.
    """
    lower, upper = non_dominated_boxes(front, reference)
    parts: list[tuple[Array, NDArray[np.intp], NDArray[np.intp]]] = []
    for k, posterior in enumerate(posteriors):
        bounds, index = np.unique(np.concatenate([lower[:, k], upper[:, k]]), return_inverse=True)
        finite = np.isfinite(bounds)
        values = posterior.psi(bounds[finite])
        psi = np.zeros((len(values), len(bounds)))  # psi(-inf) = 0
        psi[:, finite] = values
        parts.append((psi, index[: len(lower)], index[len(lower) :]))
    improvement: Array = np.zeros(len(parts[0][0]))
    step = max(1, MAX_ENTRIES // max(1, len(improvement)))
    for start in range(0, len(lower), step):
        boxes = slice(start, start + step)
        product = np.ones((len(improvement), len(lower[boxes])))
        for psi, low, high in parts:
            product *= psi[:, high[boxes]] - psi[:, low[boxes]]
        improvement += product.sum(axis=1)
    return improvement
