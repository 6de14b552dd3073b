"""What a value after some epochs foretells of the final one, learned from complete trials.

Values are warped, the logarithm of their distance from the natural best (accuracy 1, a loss 0), in which a step early
in training means as much for a good network as for a poor one. The final value is a line in the one at the rung, in the
logarithms of the known costs, and in what worth.py says of its design, fitted by least squares a little damped; its
doubt is the spread of what complete trials did instead. With few of them the spread of the final values themselves
counts too, so that a forecast is wide.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]
SOFT = 0.01  # of the median distance from the best: nearer to it, distances count as equal
DAMPING = 1.0  # trials' worth of weight that pull a slope to zero
SCEPTICAL = 0.1  # trials' worth of weight of the plain spread of final values


@dataclass(frozen=True)
class Warp:
    """Values of one objective turned so that less is better, on a scale where differences compare."""

    sign: float
    best: float | None  # None: no warp
    soft: float = 0.0

    @classmethod
    def of(cls, finals: Array, maximize: bool, best: float | None) -> "Warp":
        """The warp for these final values; none where they pass their natural best, or all lie on it."""
        sign = -1.0 if maximize else 1.0
        if best is None:
            return cls(sign, None)
        far = sign * (finals - best)
        soft = SOFT * float(np.median(far))
        return cls(sign, best, soft) if far.min() >= 0 and soft > 0 else cls(sign, None)

    def to(self, values: Array) -> Array:
        """Values, warped: less is better."""
        if self.best is None:
            return np.asarray(self.sign * values)
        return np.asarray(np.log(np.maximum(self.sign * (values - self.best), 0.0) + self.soft))

    def back(self, warped: Array) -> Array:
        """Warped values as they were."""
        if self.best is None:
            return np.asarray(self.sign * warped)
        return np.asarray(self.best + self.sign * np.maximum(np.exp(warped) - self.soft, 0.0))


@dataclass(frozen=True)
class Forecast:
    """A final value before it is known: expected, its doubt (one standard deviation), and degrees of freedom."""

    mean: float
    doubt: float
    freedom: float

    def drawn(self, count: int, stream: int = 0) -> Array:
        """Ends that it may have, (count,); the same for the same stream."""
        even = np.random.default_rng((1, stream)).permutation(count)
        return np.asarray(self.mean + stdtrit(max(self.freedom, 1.0), (even + 0.5) / count) * self.doubt)


def forecast(inputs: Array, finals: Array, at: Array) -> Forecast:
    """The final value expected at the row `at`, from rows `inputs` (trials, columns) and how they ended (trials,).

    A column that does not vary is left out.
    """
    count = len(finals)
    kept = np.ptp(inputs, axis=0) > 1e-12
    inputs, at = inputs[:, kept], at[kept]
    middle, unit = inputs.mean(axis=0), inputs.std(axis=0)
    rows, point = (inputs - middle) / unit, (at - middle) / unit
    level = float(finals.mean())
    gram = np.linalg.inv(rows.T @ rows + DAMPING * np.eye(rows.shape[1]))
    slopes = gram @ (rows.T @ (finals - level))
    left = finals - level - rows @ slopes
    plain = float(((finals - level) ** 2).sum()) / max(count - 1, 1)
    freedom = max(count - 1.0 - rows.shape[1], 0.0) + SCEPTICAL
    spread = (float(left @ left) + SCEPTICAL * plain) / freedom
    doubt = float(np.sqrt(spread * (1.0 + 1.0 / count + float(point @ gram @ point))))
    return Forecast(level + float(point @ slopes), doubt, freedom)
