"""What the told values of one unknown objective say of untold ones.

Values are turned so that less is better, then warped: the logarithm of their distance from a bound a little below the
best. Accuracies that crowd below their ceiling come apart, and what they gain with the logarithm of the cost becomes a
line. How far below, or no warp at all, is what makes the told values likeliest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_search.gaussian_process import FITTED, Inputs, Process, distances, fit
from hybrid_search.samplers.known_cost.ehvi import Gaussian

Array = NDArray[np.float64]
ROOMS = (0.1, 0.3, 1.0, 3.0)  # of the bound below the best, as shares of the distance from there to the middle
OUTLYING = 10.0  # quartile distances above the upper quartile, beyond which a value is only "very bad"


@dataclass(frozen=True)
class Told:
    """The rows told, their values (less is better), and the doubt that multiplies each one's noise."""

    inputs: Inputs
    values: Array
    doubt: Array
    order: NDArray[np.intp]  # in which rows are taken where not all can be: fixed by what they are, not by when


class Model:
    """One objective, learned from what was told."""

    def __init__(self, told: Told) -> None:
        self._floor: float | None = None
        lower, middle, upper = np.quantile(told.values, [0.25, 0.5, 0.75])
        values = np.minimum(told.values, upper + OUTLYING * max(upper - lower, 1e-12 + 1e-6 * abs(upper)))
        some = np.sort(told.order[:FITTED])
        inputs, doubt = told.inputs.take(some), told.doubt[some]
        flat = distances(inputs)
        best = float(values.min())
        reach = float(middle) - best or float(values.max()) - best
        self._level, self._unit = 0.0, 1.0
        if reach > 0:
            floors = [None, *(best - room * reach for room in ROOMS)]
            targets = [self._warped(values, floor)[0] for floor in floors]
            shape = fit(inputs, flat, targets[3][some], doubt)
            prices = []
            for target, floor in zip(targets, floors, strict=True):
                likely = Process(inputs, target[some], doubt, shape).fit_quality()
                prices.append(likely + self._warped(values[some], floor, unit=self._warped(values, floor)[2])[3])
            pick = int(np.argmax(prices))
            self._floor = floors[pick]
            target, self._level, self._unit, _ = self._warped(values, self._floor)
            if pick != 3:
                shape = fit(inputs, flat, target[some], doubt, shape)
        else:
            target = np.zeros(len(values))
            self._level = best
            shape = fit(inputs, flat, target[some], doubt)
        self._told, self._shape, self._target = told, shape, target
        self._process = Process(told.inputs, target, told.doubt, shape)

    @staticmethod
    def _warped(values: Array, floor: float | None, unit: float | None = None) -> tuple[Array, float, float, float]:
        """Standardised warped values, their level and unit, and the logarithm of the warp's slope over them."""
        warped = values if floor is None else np.log(values - floor)
        level = float(warped.mean())
        unit = unit or float(warped.std()) or 1.0
        slope = -len(values) * np.log(unit) - (0.0 if floor is None else float(warped.sum()))
        return (warped - level) / unit, level, unit, slope

    def suppose(self, inputs: Inputs) -> None:
        """Take rows that are being evaluated as told what is expected of them: their neighbours become certain too."""
        expected = self._process.mean(inputs)
        told = self._told.inputs
        rows = Inputs(np.vstack([told.rows, inputs.rows]), told.groups)
        doubt = np.append(self._told.doubt, np.ones(len(expected)))
        self._process = Process(rows, np.append(self._target, expected), doubt, self._shape)

    def _back(self, target: Array) -> Array:
        found = target * self._unit + self._level
        return found if self._floor is None else self._floor + np.exp(found)

    def typical(self, inputs: Inputs) -> Array:
        """The median under the noise, in the objective's own unit (less is better)."""
        return self._back(self._process.mean(inputs))

    def belief(self, inputs: Inputs) -> Gaussian:
        """What is believed of these rows."""
        mean, deviation = self._process.predict(inputs)
        return Gaussian(mean * self._unit + self._level, deviation * self._unit, self._floor)
