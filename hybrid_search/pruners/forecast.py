"""Forecast of a trial's final value from its learning curve, by regression over the completed trials.

Values are warped first: the logarithm of their distance from the natural best (accuracy 1, loss 0). On this scale a
step early in training means as much for a good network as for a poor one. The forecast is a ridge regression on the
value at the rung, the logarithms of the known costs and the surrogate's mean for the design (surrogate.py). Its scale
is the residual standard deviation over the completed trials. With few trials the variance of the final values counts
too, so that the forecast is wide.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]
SOFTENING = 0.01  # share of the median distance from the best; smaller distances count as equal
RIDGE = 1.0  # weight, in trials, of the prior that pulls each slope to zero
PRIOR_TRIALS = 0.1  # weight, in trials, of the plain variance of the final values


@dataclass(frozen=True)
class Warp:
    """A monotone map of one objective to a scale where less is better and differences can be compared.

    Args:
        sign: -1 if the objective is maximized, otherwise 1.
        best: the natural best value; None: values are only multiplied by `sign`.
        softening: added to the distance from `best` before the logarithm is taken.
    """

    sign: float
    best: float | None
    softening: float = 0.0

    @classmethod
    def of(cls, finals: Array, maximize: bool, best: float | None) -> "Warp":
        """Return the warp for these final values; no logarithm if some exceed `best` or all equal it."""
        sign = -1.0 if maximize else 1.0
        if best is None:
            return cls(sign, None)
        distance = sign * (finals - best)
        softening = SOFTENING * float(np.median(distance))
        return cls(sign, best, softening) if distance.min() >= 0 and softening > 0 else cls(sign, None)

    def to(self, values: Array) -> Array:
        """Return the warped values; less is better."""
        if self.best is None:
            return np.asarray(self.sign * values)
        return np.asarray(np.log(np.maximum(self.sign * (values - self.best), 0.0) + self.softening))

    def back(self, warped: Array) -> Array:
        """Return values of the objective from warped ones."""
        if self.best is None:
            return np.asarray(self.sign * warped)
        return np.asarray(self.best + self.sign * np.maximum(np.exp(warped) - self.softening, 0.0))


@dataclass(frozen=True)
class Forecast:
    """The predictive distribution of a warped final value: a Student t distribution."""

    mean: float
    scale: float
    degrees_of_freedom: float

    def sample(self, count: int, stream: int = 0) -> Array:
        """Return `count` evenly spaced quantiles in random order, (count,); the same for the same stream."""
        order = np.random.default_rng((1, stream)).permutation(count)
        return np.asarray(self.mean + stdtrit(max(self.degrees_of_freedom, 1.0), (order + 0.5) / count) * self.scale)


def forecast(inputs: Array, finals: Array, row: Array) -> Forecast:
    """Return the forecast for one row, by ridge regression.

    Args:
        inputs: (trials, columns) of completed trials. Constant columns are ignored.
        finals: (trials,) their final values, warped.
        row: (columns,) of the trial to forecast.
    """
    count = len(finals)
    varies = np.ptp(inputs, axis=0) > 1e-12
    inputs, row = inputs[:, varies], row[varies]
    centre, unit = inputs.mean(axis=0), inputs.std(axis=0)
    rows, point = (inputs - centre) / unit, (row - centre) / unit
    mean = float(finals.mean())
    gram = np.linalg.inv(rows.T @ rows + RIDGE * np.eye(rows.shape[1]))
    slopes = gram @ (rows.T @ (finals - mean))
    residuals = finals - mean - rows @ slopes
    plain = float(((finals - mean) ** 2).sum()) / max(count - 1, 1)
    freedom = max(count - 1.0 - rows.shape[1], 0.0) + PRIOR_TRIALS
    variance = (float(residuals @ residuals) + PRIOR_TRIALS * plain) / freedom
    scale = float(np.sqrt(variance * (1.0 + 1.0 / count + float(point @ gram @ point))))
    return Forecast(mean + float(point @ slopes), scale, freedom)
