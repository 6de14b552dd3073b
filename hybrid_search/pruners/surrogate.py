"""A Gaussian process over the final values of completed trials. It separates quality from the noise of training.

The noise of one training (its seed) is the noise of the process; a design's quality is the value without this noise.
"""

import numpy as np

from hybrid_search.gaussian_process import Array, GaussianProcess, Inputs, fit, one_blas_thread, squared_distances

N_SAMPLES = 1000
ROUNDING = 1e-9  # as a share of the largest value: a smaller standard deviation is rounding error


class DesignSurrogate:
    """The model of one objective.

    Args:
        inputs: rows of the completed trials.
        finals: (trials,) their final values.

    Attributes:
        leave_one_out: (trials,) the posterior mean of each completed trial, computed without its own final value.
    """

    def __init__(self, inputs: Inputs, finals: Array) -> None:
        self._mean, deviation = float(finals.mean()), float(finals.std())
        self._unit = deviation if deviation > ROUNDING * float(np.abs(finals).max()) else 1.0
        targets, noise_scale = (finals - self._mean) / self._unit, np.ones(len(finals))
        with one_blas_thread():
            parameters = fit(inputs, squared_distances(inputs), targets, noise_scale)
            self._process = GaussianProcess(inputs, targets, noise_scale, parameters)
            self.leave_one_out = self._unscaled(self._process.loo_mean(targets))
        self._noise = float(np.sqrt(self._process.variance * parameters.noise))  # standard deviation

    def mean(self, inputs: Inputs) -> Array:
        """Return the posterior mean of the quality of these designs, (rows,)."""
        return self._unscaled(self._process.mean(inputs))

    def sample(self, inputs: Inputs, last: Array | None = None, *, stream: int = 0) -> Array:
        """Return joint samples of the quality of these designs, (N_SAMPLES, rows).

        The same rows and stream give the same samples.

        Args:
            inputs: the rows.
            last: (N_SAMPLES,) samples of the final value of the last row. Each joint sample is conditioned on one.
            stream: number of the random stream.
        """
        rng = np.random.default_rng((0, stream))
        with one_blas_thread():
            mean, covariance = self._process.joint_posterior(inputs)
            root = np.linalg.cholesky(covariance + 1e-8 * self._process.variance * np.eye(len(mean)))
            samples = mean + rng.standard_normal((N_SAMPLES, len(mean))) @ root.T
        if last is not None:
            noise = self._noise * rng.standard_normal(N_SAMPLES)
            residual = (last - self._mean) / self._unit - (samples[:, -1] + noise)
            samples = samples + np.outer(residual, covariance[:, -1] / (covariance[-1, -1] + self._noise**2))
        return self._unscaled(samples)

    def _unscaled(self, values: Array) -> Array:
        return np.asarray(self._mean + self._unit * values)
