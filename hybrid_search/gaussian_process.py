"""A Gaussian process for a few to a few thousand trials: Matern 5/2, a length for each question.

Its lengths and noise are the most probable ones under a log-normal prior; the level and the variance are solved for.
Fitted on at most `FITTED` trials, conditioned on all. A trend in the cost gains nothing: the cost is among the inputs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

Array = NDArray[np.float64]
FITTED = 150
LENGTH, LENGTH_SPREAD, NOISE, NOISE_SPREAD = 1.5, 1.0, 1e-2, 1.5  # the prior; lengths: LENGTH root(questions)
LOW, HIGH = -3.0, 6.0  # of log lengths
NOISE_LOW, NOISE_HIGH = -12.0, 2.0


@dataclass(frozen=True)
class Inputs:
    """Rows with the group of every column: the columns of a group share a length."""

    rows: Array  # (n, columns)
    groups: NDArray[np.intp]  # (columns,)

    def take(self, which: NDArray[np.intp]) -> "Inputs":
        """Some of the rows."""
        return Inputs(self.rows[which], self.groups)


def _kernel(squared: Array) -> Array:
    r = np.sqrt(5.0 * squared)
    return np.asarray((1.0 + r + r * r / 3.0) * np.exp(-r))


def _scaled(inputs: Inputs, lengths: Array) -> Array:
    return np.asarray(inputs.rows / lengths[inputs.groups])


def _squared(a: Array, b: Array) -> Array:
    found = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2.0 * (a @ b.T)
    return np.asarray(np.maximum(found, 0.0))


@dataclass(frozen=True)
class Shape:
    """Lengths for each group, and the noise's share of the variance."""

    lengths: Array
    noise: float


def distances(inputs: Inputs) -> Array:
    """How far rows are from each other in every group, squared: (groups, n * n)."""
    n, count = len(inputs.rows), int(inputs.groups.max()) + 1 if inputs.groups.size else 0
    apart = np.empty((count, n, n))
    for group in range(count):
        mine = inputs.rows[:, inputs.groups == group]
        apart[group] = _squared(mine, mine)
    return apart.reshape(count, n * n)


def fit(inputs: Inputs, flat: Array, targets: Array, doubt: Array, start: Shape | None = None) -> Shape:
    """The most probable shape; `flat` are the rows' `distances`, `doubt` multiplies the noise of each row."""
    n, count = len(targets), len(flat)
    centre = np.log(LENGTH) + 0.5 * np.log(max(1, count))
    eye = np.arange(n)

    def price(theta: Array) -> tuple[float, Array]:
        lengths, noise = theta[:-1], float(np.exp(theta[-1]))
        inverse = np.exp(-2.0 * lengths)
        r = np.sqrt(5.0 * (inverse @ flat)).reshape(n, n)
        fall = np.exp(-r)
        k = (1.0 + r + r * r / 3.0) * fall
        k[eye, eye] += noise * doubt + 1e-8
        factor = cho_factor(k, lower=True, check_finite=False)
        left, _ = _levelled(factor, targets)
        alpha = cho_solve(factor, left, check_finite=False)
        variance = max(float(left @ alpha) / n, 1e-12)
        full, _ = dpotri(factor[0], lower=1)
        full = np.tril(full) + np.tril(full, -1).T
        weight = full - np.outer(alpha, alpha) / variance
        steep = weight * ((5.0 / 3.0) * (1.0 + r) * fall)
        slope = 0.5 * (flat @ steep.ravel()) * inverse
        noise_slope = 0.5 * noise * float((weight[eye, eye] * doubt).sum())
        off, noise_off = lengths - centre, theta[-1] - np.log(NOISE)
        value = 0.5 * n * np.log(variance) + float(np.log(np.diag(factor[0])).sum())
        value += 0.5 * float(off @ off) / LENGTH_SPREAD**2 + 0.5 * noise_off**2 / NOISE_SPREAD**2
        return value, np.append(slope + off / LENGTH_SPREAD**2, noise_slope + noise_off / NOISE_SPREAD**2)

    first = np.append(np.full(count, centre), np.log(NOISE))
    if start is not None:
        first = np.append(np.log(start.lengths), np.log(start.noise))
    bounds = [(LOW, HIGH)] * count + [(NOISE_LOW, NOISE_HIGH)]
    # A loose stop: the prior makes the top broad, and the last digits cost as much as the rest.
    options = {"maxiter": 30, "maxfun": 40, "ftol": 1e-5, "gtol": 1e-3}
    best = minimize(price, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Shape(np.exp(best[:-1]), float(np.exp(best[-1])))


def _levelled(factor: tuple[Array, bool], targets: Array) -> tuple[Array, float]:
    """The targets less their level, and that: generalised least squares."""
    weights = cho_solve(factor, np.ones(len(targets)), check_finite=False)
    level = float(weights @ targets) / float(weights.sum())
    return targets - level, level


class Process:
    """The process of a shape, conditioned on targets."""

    def __init__(self, inputs: Inputs, targets: Array, doubt: Array, shape: Shape) -> None:
        self.inputs, self.shape = inputs, shape
        self._scaled = _scaled(inputs, shape.lengths)
        k = _kernel(_squared(self._scaled, self._scaled))
        k[np.diag_indices(len(k))] += shape.noise * doubt + 1e-8
        self._factor = cho_factor(k, lower=True, check_finite=False, overwrite_a=True)
        left, self._level = _levelled(self._factor, targets)
        self._alpha = cho_solve(self._factor, left, check_finite=False)
        self.variance = max(float(left @ self._alpha) / len(targets), 1e-12)

    def fit_quality(self) -> float:
        """The logarithm of the likelihood of the targets, without constants."""
        n = len(self._alpha)
        return -0.5 * n * float(np.log(self.variance)) - float(np.log(np.diag(self._factor[0])).sum())

    def mean(self, inputs: Inputs) -> Array:
        """What is expected at these rows."""
        cross = _kernel(_squared(_scaled(inputs, self.shape.lengths), self._scaled))
        return np.asarray(cross @ self._alpha + self._level)

    def predict(self, inputs: Inputs) -> tuple[Array, Array]:
        """Mean and deviation of what lies under the noise."""
        cross = _kernel(_squared(_scaled(inputs, self.shape.lengths), self._scaled))
        mean = cross @ self._alpha + self._level
        half = solve_triangular(self._factor[0], cross.T, lower=True, check_finite=False, overwrite_b=True)
        left = np.maximum(1.0 - (half * half).sum(0), 1e-9)
        return np.asarray(mean), np.sqrt(self.variance * left)

    def together(self, inputs: Inputs) -> tuple[Array, Array]:
        """Mean and covariance of what lies under the noise at these rows."""
        rows = _scaled(inputs, self.shape.lengths)
        cross = _kernel(_squared(rows, self._scaled))
        half = solve_triangular(self._factor[0], cross.T, lower=True, check_finite=False)
        return np.asarray(cross @ self._alpha + self._level), self.variance * (
            _kernel(_squared(rows, rows)) - half.T @ half
        )

    def left_out(self, targets: Array) -> Array:
        """What each of its rows would be expected to have, were its own target not told."""
        inverse = cho_solve(self._factor, np.eye(len(targets)), check_finite=False)
        return np.asarray(targets - self._alpha / np.diag(inverse))
