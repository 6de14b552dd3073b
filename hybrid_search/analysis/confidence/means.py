"""Means over seeds and how far they may be off: Student's t with a variance that borrows from the other trials.

    s^2 = (m * pool + d * own) / (m + d)      d = n - 1 the trial's own degrees of freedom, own its sample variance
    interval = mean -+ t * s / sqrt(n)       pool the variance within the other trials, of e degrees; m = min(4, e)
    t at 0.975 of (m + d)^2 / (m^2 / e + d)  degrees, as Satterthwaite has it

All variances are in units of `scale`, the variance that such a number has by its kind: m (1 - m) for a share of mean
m, as a binomial has, m^2 for any other (noise in per cent). A network at 80 % varies more than one at 99 %.

Two or three seeds say little of their own variance, so the other trials weigh in, but as four degrees of freedom at
most: noise that differs from trial to trial is its own again after a few seeds. Where a trial's own variance is larger
than s^2 it counts instead. Even so a trial three times as noisy as the others is within its interval in 80, 86, 90 % of
cases with 2, 3, 4 seeds, not 95.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
BORROWED = 4.0  # what the variance of the other trials weighs at most, in degrees of freedom
CONFIDENCE = 0.95
FINEST = 1e-4  # of its scale: the least variance a share is taken to have, that of a share of 10,000 images
LEAST = 0.001  # a share nearer to 0 or 1 than this is taken to vary as one at this distance


@dataclass(frozen=True, eq=False)
class Means:
    """One measured number of n trials: `mean`, `count` of seeds, `noise` (s of one seed) and `degrees`, all (n,).

    Where nothing was measured twice `degrees` is 0 and `noise` is NaN: how far the means are off is unknown.
    """

    mean: Array
    count: Array
    noise: Array
    degrees: Array

    @property
    def error(self) -> Array:
        """The standard error of each mean."""
        return self.noise / np.sqrt(self.count)

    def interval(self, index: int) -> tuple[float, float] | None:
        """The 95 % interval of one mean, None where it is unknown."""
        if not self.degrees[index]:
            return None
        from scipy.special import stdtrit

        reach = float(stdtrit(self.degrees[index], 0.5 + CONFIDENCE / 2) * self.error[index])
        return float(self.mean[index]) - reach, float(self.mean[index]) + reach


def scale_of(mean: Array, share: bool) -> Array:
    """The variance that numbers of these means have by their kind, up to a common factor; never 0."""
    if share:
        inside = np.clip(mean, LEAST, 1 - LEAST)
        return inside * (1 - inside)
    return np.maximum(mean**2, 1e-24)


def means(
    samples: Sequence[Sequence[float]], scale: Callable[[Array], ArrayLike] = np.ones_like, least: float = 0.0
) -> Means:
    """The values of every trial, one a seed and at least one each, as means with what is known of their noise.

    `scale` gives the variances (n,) by kind of means (n,); as it stands all trials have one noise. `least` is the
    smallest variance in units of it: two seeds that give the same number are no certainty.
    """
    count = np.array([len(values) for values in samples], dtype=np.float64)
    mean = np.array([sum(values) / len(values) for values in samples])
    own = np.array(
        [
            sum((value - centre) ** 2 for value in values) if len(values) > 1 else 0.0
            for values, centre in zip(samples, mean, strict=True)
        ]
    )  # sums of squares, of count - 1 degrees of freedom each
    units = np.asarray(scale(mean), dtype=np.float64)
    own = own / units
    degrees = count - 1
    elsewhere = degrees.sum() - degrees
    borrowed = np.minimum(BORROWED, elsewhere)
    pool = np.maximum(own.sum() - own, 0.0) / np.maximum(elsewhere, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        blend = (borrowed * pool + own) / (borrowed + degrees)  # 0 / 0 is NaN: nobody has a second seed
        blend = np.where(degrees > 0, np.fmax(blend, own / np.maximum(degrees, 1.0)), blend)
        noise = np.sqrt(np.maximum(blend, least))
        total = (borrowed + degrees) ** 2 / (borrowed**2 / np.maximum(elsewhere, 1.0) + degrees)
    return Means(mean, count, noise * np.sqrt(units), np.nan_to_num(total))
