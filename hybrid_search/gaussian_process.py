"""A Gaussian process for up to a few thousand observations: Matern 5/2 kernel, one length scale for each parameter.

Length scales and noise are the maximum a posteriori estimate under a log-normal prior. The constant mean and the
variance have a closed form (generalised least squares). Hyperparameters are fitted to at most `MAX_FITTED` rows; the
process is conditioned on all of them. A trend in the cost is not modelled separately, because the cost is an input.
(Rasmussen and Williams, 2006, chapters 2 and 5.)
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

Array = NDArray[np.float64]
MAX_FITTED = 150  # rows that hyperparameters are fitted to
# The prior: medians and standard deviations of logarithms. Length scales are LENGTH times the root of their number.
LENGTH, LENGTH_SPREAD, NOISE, NOISE_SPREAD = 1.5, 1.0, 1e-2, 1.5
LOG_LENGTH_BOUNDS = (-3.0, 6.0)
LOG_NOISE_BOUNDS = (-12.0, 2.0)
JITTER = 1e-8


def one_blas_thread() -> Any:
    """Return a context manager: numpy and scipy compute with one thread in its block, and as before afterwards.

    The matrices are small, so more threads only wait for each other.
    """
    return _blas_libraries().limit(limits=1, user_api="blas")


@cache
def _blas_libraries() -> Any:
    """Return the controller of the linear algebra of numpy and scipy. Finding the libraries takes 5 ms or more."""
    return ThreadpoolController()


@dataclass(frozen=True)
class Inputs:
    """Rows of numbers, and the group of each column. The columns of a group share a length scale.

    Args:
        rows: (n, columns).
        groups: (columns,) group numbers from 0.
    """

    rows: Array
    groups: NDArray[np.intp]

    def take(self, indices: NDArray[np.intp]) -> "Inputs":
        """Return the rows of these indices."""
        return Inputs(self.rows[indices], self.groups)


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of the process.

    Args:
        lengths: (groups,) length scales.
        noise: noise variance as a share of the process variance.
    """

    lengths: Array
    noise: float


def _matern52(squared: Array) -> Array:
    r = np.sqrt(5.0 * squared)
    return np.asarray((1.0 + r + r * r / 3.0) * np.exp(-r))


def _scaled(inputs: Inputs, lengths: Array) -> Array:
    return np.asarray(inputs.rows / lengths[inputs.groups])


def _squared(a: Array, b: Array) -> Array:
    """Return squared distances, (rows of a, rows of b)."""
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2.0 * (a @ b.T)
    return np.asarray(np.maximum(squared, 0.0))


def squared_distances(inputs: Inputs) -> Array:
    """Return the squared distances between all rows within each group, (groups, n * n)."""
    n, count = len(inputs.rows), int(inputs.groups.max()) + 1 if inputs.groups.size else 0
    squared = np.empty((count, n, n))
    for group in range(count):
        columns = inputs.rows[:, inputs.groups == group]
        squared[group] = _squared(columns, columns)
    return squared.reshape(count, n * n)


def fit(
    inputs: Inputs, squared: Array, targets: Array, noise_scale: Array, start: Hyperparameters | None = None
) -> Hyperparameters:
    """Return the hyperparameters of the largest posterior density (L-BFGS-B).

    Args:
        inputs: the rows.
        squared: (groups, n * n) their `squared_distances`.
        targets: (n,) values.
        noise_scale: (n,) factors of the noise variance of each row.
        start: where the optimisation starts; by default the median of the prior.
    """
    n, count = len(targets), len(squared)
    centre = np.log(LENGTH) + 0.5 * np.log(max(1, count))
    diagonal = np.arange(n)

    def neg_log_posterior(theta: Array) -> tuple[float, Array]:
        """Return the negative log posterior, without constants, and its gradient; theta are logarithms."""
        log_lengths, noise = theta[:-1], float(np.exp(theta[-1]))
        inverse_squared = np.exp(-2.0 * log_lengths)
        r = np.sqrt(5.0 * (inverse_squared @ squared)).reshape(n, n)
        decay = np.exp(-r)
        k = (1.0 + r + r * r / 3.0) * decay
        k[diagonal, diagonal] += noise * noise_scale + JITTER
        factor = cho_factor(k, lower=True, check_finite=False)
        residual, _ = _centred(factor, targets)
        alpha = cho_solve(factor, residual, check_finite=False)
        variance = max(float(residual @ alpha) / n, 1e-12)
        inverse, _ = dpotri(factor[0], lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        weight = inverse - np.outer(alpha, alpha) / variance
        kernel_gradient = weight * ((5.0 / 3.0) * (1.0 + r) * decay)
        length_gradient = 0.5 * (squared @ kernel_gradient.ravel()) * inverse_squared
        noise_gradient = 0.5 * noise * float((weight[diagonal, diagonal] * noise_scale).sum())
        length_offset, noise_offset = log_lengths - centre, theta[-1] - np.log(NOISE)
        value = 0.5 * n * np.log(variance) + float(np.log(np.diag(factor[0])).sum())
        prior = 0.5 * float(length_offset @ length_offset) / LENGTH_SPREAD**2
        value += prior + 0.5 * noise_offset**2 / NOISE_SPREAD**2
        gradient = np.append(
            length_gradient + length_offset / LENGTH_SPREAD**2, noise_gradient + noise_offset / NOISE_SPREAD**2
        )
        return value, gradient

    first = np.append(np.full(count, centre), np.log(NOISE))
    if start is not None:
        first = np.append(np.log(start.lengths), np.log(start.noise))
    bounds = [LOG_LENGTH_BOUNDS] * count + [LOG_NOISE_BOUNDS]
    # The tolerance is loose: the prior makes the maximum broad, and its last digits cost as much time as the rest.
    options = {"maxiter": 30, "maxfun": 40, "ftol": 1e-5, "gtol": 1e-3}
    best = minimize(neg_log_posterior, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Hyperparameters(np.exp(best[:-1]), float(np.exp(best[-1])))


def _centred(factor: tuple[Array, bool], targets: Array) -> tuple[Array, float]:
    """Return the targets without their generalised least squares mean, and this mean."""
    weights = cho_solve(factor, np.ones(len(targets)), check_finite=False)
    gls_mean = float(weights @ targets) / float(weights.sum())
    return targets - gls_mean, gls_mean


class GaussianProcess:
    """A Gaussian process with fixed hyperparameters, conditioned on targets.

    Args:
        inputs: the n rows.
        targets: (n,) values.
        noise_scale: (n,) factors of the noise variance of each row.
        parameters: the hyperparameters.

    Attributes:
        variance: the estimated variance of the process.
    """

    def __init__(self, inputs: Inputs, targets: Array, noise_scale: Array, parameters: Hyperparameters) -> None:
        self.inputs, self.parameters = inputs, parameters
        self._rows = _scaled(inputs, parameters.lengths)
        k = _matern52(_squared(self._rows, self._rows))
        k[np.diag_indices(len(k))] += parameters.noise * noise_scale + JITTER
        self._factor = cho_factor(k, lower=True, check_finite=False, overwrite_a=True)
        residual, self._gls_mean = _centred(self._factor, targets)
        self._alpha = cho_solve(self._factor, residual, check_finite=False)
        self.variance = max(float(residual @ self._alpha) / len(targets), 1e-12)

    def log_likelihood(self) -> float:
        """Return the log likelihood of the targets, without constants."""
        n = len(self._alpha)
        return -0.5 * n * float(np.log(self.variance)) - float(np.log(np.diag(self._factor[0])).sum())

    def mean(self, inputs: Inputs) -> Array:
        """Return the posterior mean at these rows, (rows,)."""
        cross = _matern52(_squared(_scaled(inputs, self.parameters.lengths), self._rows))
        return np.asarray(cross @ self._alpha + self._gls_mean)

    def predict(self, inputs: Inputs) -> tuple[Array, Array]:
        """Return posterior mean and standard deviation without observation noise, each (rows,)."""
        cross = _matern52(_squared(_scaled(inputs, self.parameters.lengths), self._rows))
        mean = cross @ self._alpha + self._gls_mean
        half = solve_triangular(self._factor[0], cross.T, lower=True, check_finite=False, overwrite_b=True)
        share = np.maximum(1.0 - (half * half).sum(0), 1e-9)
        return np.asarray(mean), np.sqrt(self.variance * share)

    def joint_posterior(self, inputs: Inputs) -> tuple[Array, Array]:
        """Return posterior mean (rows,) and covariance (rows, rows) without observation noise."""
        rows = _scaled(inputs, self.parameters.lengths)
        cross = _matern52(_squared(rows, self._rows))
        half = solve_triangular(self._factor[0], cross.T, lower=True, check_finite=False)
        covariance = self.variance * (_matern52(_squared(rows, rows)) - half.T @ half)
        return np.asarray(cross @ self._alpha + self._gls_mean), covariance

    def loo_mean(self, targets: Array) -> Array:
        """Return the leave-one-out posterior mean of every training row, (n,)."""
        inverse = cho_solve(self._factor, np.eye(len(targets)), check_finite=False)
        return np.asarray(targets - self._alpha / np.diag(inverse))
