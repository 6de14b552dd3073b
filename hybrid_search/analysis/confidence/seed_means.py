"""Means over seeds with Student's t intervals; the variance of each trial is shrunk towards the pooled variance.

    s^2 = (m * pooled + d * own) / (m + d)
    interval = mean -+ t(0.975, nu) * s / sqrt(n)
    nu = (m + d)^2 / (m^2 / e + d)

`n` is the number of seeds of the trial, `d = n - 1` its degrees of freedom, and `own` its sample variance. `pooled` is
the pooled variance of the other trials, with `e` degrees of freedom; its weight is `m = min(4, e)`. `nu` are the
Welch-Satterthwaite degrees of freedom. `s^2` is never smaller than `own`.

Variances are relative to the variance that a measurement of this mean typically has: `p (1 - p)` for a share `p`
(binomial), `mean^2` otherwise (constant relative noise).

Two or three seeds estimate a variance badly, so the other trials contribute. Their weight is limited, because the noise
may differ between trials. A trial with three times the noise of the others is inside its interval in 80, 86 and 90 % of
cases with 2, 3 and 4 seeds, instead of 95 %.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
MAX_POOLED_DEGREES = 4.0  # largest weight of the pooled variance, in degrees of freedom
CONFIDENCE = 0.95
MIN_RELATIVE_VARIANCE = 1e-4  # of a share: as if it were measured on 10,000 images
MIN_SHARE_DISTANCE = 0.001  # a share nearer to 0 or 1 has the variance of one at this distance


@dataclass(frozen=True, eq=False)
class SeedMeans:
    """One measurement of n trials.

    Attributes:
        mean: (n,) mean over the seeds.
        count: (n,) number of seeds.
        noise: (n,) standard deviation of one seed; NaN if no trial has two seeds.
        degrees: (n,) degrees of freedom of `noise`; 0 if no trial has two seeds.
    """

    mean: Array
    count: Array
    noise: Array
    degrees: Array

    @property
    def standard_error(self) -> Array:
        """(n,) standard error of each mean."""
        return self.noise / np.sqrt(self.count)

    def interval(self, index: int) -> tuple[float, float] | None:
        """Return the 95 % confidence interval of one mean.

        Args:
            index: Index of the trial.

        Returns:
            Lower and upper bound; None if no trial has two seeds.
        """
        if not self.degrees[index]:
            return None
        from scipy.special import stdtrit

        half_width = float(stdtrit(self.degrees[index], 0.5 + CONFIDENCE / 2) * self.standard_error[index])
        return float(self.mean[index]) - half_width, float(self.mean[index]) + half_width


def reference_variance(mean: Array, share: bool) -> Array:
    """Return the typical variance of measurements with these means, up to a common factor.

    Args:
        mean: (n,) means.
        share: Whether the measurement is a share, 0..1.

    Returns:
        (n,) variances, larger than 0.
    """
    if share:
        inside = np.clip(mean, MIN_SHARE_DISTANCE, 1 - MIN_SHARE_DISTANCE)
        return inside * (1 - inside)
    return np.maximum(mean**2, 1e-24)


def seed_means(
    samples: Sequence[Sequence[float]],
    variance: Callable[[Array], ArrayLike] = np.ones_like,
    min_relative_variance: float = 0.0,
    min_variance: float = 0.0,
) -> SeedMeans:
    """Return the mean of every trial and the noise of one seed.

    Args:
        samples: One sequence per trial with at least one value, one value per seed.
        variance: Means (n,) -> typical variances (n,). The default gives all trials the same variance.
        min_relative_variance: Smallest variance relative to `variance`. Two seeds with equal values do not prove that
            there is no noise.
        min_variance: Smallest variance, of a measurement that changes in steps.

    Returns:
        Means, counts, noise and degrees of freedom.
    """
    count = np.array([len(values) for values in samples], dtype=np.float64)
    mean = np.array([sum(values) / len(values) for values in samples])
    squares = np.array(
        [
            sum((value - centre) ** 2 for value in values) if len(values) > 1 else 0.0
            for values, centre in zip(samples, mean, strict=True)
        ]
    )  # sums of squares with count - 1 degrees of freedom
    typical = np.asarray(variance(mean), dtype=np.float64)
    squares = squares / typical
    degrees = count - 1
    other_degrees = degrees.sum() - degrees
    weight = np.minimum(MAX_POOLED_DEGREES, other_degrees)
    pooled = np.maximum(squares.sum() - squares, 0.0) / np.maximum(other_degrees, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shrunk = (weight * pooled + squares) / (weight + degrees)  # 0 / 0 is NaN: no trial has a second seed
        shrunk = np.where(degrees > 0, np.fmax(shrunk, squares / np.maximum(degrees, 1.0)), shrunk)
        noise = np.sqrt(np.maximum(shrunk, min_relative_variance))
        satterthwaite = (weight + degrees) ** 2 / (weight**2 / np.maximum(other_degrees, 1.0) + degrees)
    noise = np.maximum(noise * np.sqrt(typical), np.sqrt(min_variance))  # NaN stays NaN
    return SeedMeans(mean, count, noise, np.nan_to_num(satterthwaite))
