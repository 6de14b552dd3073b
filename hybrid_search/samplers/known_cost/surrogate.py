"""The surrogate model of one unknown objective: a Gaussian process over warped values.

Values are those to minimize. The warp is the logarithm of their distance from a floor slightly below the best value.
It spreads out accuracies that are close to their limit, and makes their growth with the logarithm of the cost linear.
The distance of the floor, or no warp at all, is chosen by the likelihood of the observations.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_search.gaussian_process import MAX_FITTED, GaussianProcess, Inputs, fit, squared_distances
from hybrid_search.samplers.known_cost.ehvi import NormalPosterior

Array = NDArray[np.float64]
FLOOR_MARGINS = (0.1, 0.3, 1.0, 3.0)  # distance from the floor to the best, as a share of best to median
DEFAULT_FLOOR = 3  # position in (None, *FLOOR_MARGINS) of the floor that hyperparameters are fitted with first
OUTLIER = 10.0  # quartile distances above the upper quartile beyond which values are clipped


@dataclass(frozen=True)
class TrainingData:
    """The observations of one objective.

    Args:
        inputs: rows of the observations.
        values: (n,) values; less is better.
        noise_scale: (n,) factors of the noise variance.
        order: (n,) the order in which rows are chosen if not all can be used. It does not depend on time.
    """

    inputs: Inputs
    values: Array
    noise_scale: Array
    order: NDArray[np.intp]


class ObjectiveSurrogate:
    """The model of one objective, fitted to its observations.

    Args:
        data: the observations.
    """

    def __init__(self, data: TrainingData) -> None:
        self._floor: float | None = None
        lower, middle, upper = np.quantile(data.values, [0.25, 0.5, 0.75])
        values = np.minimum(data.values, upper + OUTLIER * max(upper - lower, 1e-12 + 1e-6 * abs(upper)))
        some = np.sort(data.order[:MAX_FITTED])
        inputs, noise_scale = data.inputs.take(some), data.noise_scale[some]
        squared = squared_distances(inputs)
        best = float(values.min())
        reach = float(middle) - best or float(values.max()) - best
        self._mean, self._unit = 0.0, 1.0
        if reach > 0:
            floors = [None, *(best - margin * reach for margin in FLOOR_MARGINS)]
            targets = [self._warped(values, floor)[0] for floor in floors]
            parameters = fit(inputs, squared, targets[DEFAULT_FLOOR][some], noise_scale)
            likelihoods = []
            for target, floor in zip(targets, floors, strict=True):
                likelihood = GaussianProcess(inputs, target[some], noise_scale, parameters).log_likelihood()
                unit = self._warped(values, floor)[2]
                likelihoods.append(likelihood + self._warped(values[some], floor, unit=unit)[3])
            pick = int(np.argmax(likelihoods))
            self._floor = floors[pick]
            target, self._mean, self._unit, _ = self._warped(values, self._floor)
            if pick != DEFAULT_FLOOR:
                parameters = fit(inputs, squared, target[some], noise_scale, parameters)
        else:
            target = np.zeros(len(values))
            self._mean = best
            parameters = fit(inputs, squared, target[some], noise_scale)
        self._data, self._parameters, self._target = data, parameters, target
        self._process = GaussianProcess(data.inputs, target, data.noise_scale, parameters)

    @staticmethod
    def _warped(values: Array, floor: float | None, unit: float | None = None) -> tuple[Array, float, float, float]:
        """Return standardised warped values, their mean and unit, and the log derivative of the warp, summed."""
        warped = values if floor is None else np.log(values - floor)
        mean = float(warped.mean())
        unit = unit or float(warped.std()) or 1.0
        log_derivative = -len(values) * np.log(unit) - (0.0 if floor is None else float(warped.sum()))
        return (warped - mean) / unit, mean, unit, log_derivative

    def fantasize(self, inputs: Inputs) -> None:
        """Condition on running trials at their posterior mean (kriging believer), so that uncertainty falls near them.

        A second call replaces the rows of the first.
        """
        expected = self._process.mean(inputs)
        observed = self._data.inputs
        rows = Inputs(np.vstack([observed.rows, inputs.rows]), observed.groups)
        noise_scale = np.append(self._data.noise_scale, np.ones(len(expected)))
        self._process = GaussianProcess(rows, np.append(self._target, expected), noise_scale, self._parameters)

    def median(self, inputs: Inputs) -> Array:
        """Return the posterior median without noise, (rows,), in the unit of the objective (less is better)."""
        value = self._process.mean(inputs) * self._unit + self._mean
        return value if self._floor is None else self._floor + np.exp(value)

    def posterior(self, inputs: Inputs) -> NormalPosterior:
        """Return the posterior of these rows."""
        mean, deviation = self._process.predict(inputs)
        return NormalPosterior(mean * self._unit + self._mean, deviation * self._unit, self._floor)
