"""How noisy a number of a table is: what differs between seeds against what differs between designs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from hybrid_search.analysis.confidence import Belief, front_probability
from hybrid_search.analysis.replay.table import Array, Result, Table
from hybrid_search.errors import DataError

SURE = 0.95
KNOWN = 1e6  # degrees of freedom of a deviation that hundreds of designs tell


@dataclass(frozen=True)
class Noise:
    """Noise of a number at the end of training.

    `deviation` is the standard deviation of one seed around its design's mean, pooled over designs; `spread` that of
    all single numbers. `reliability` is 1 - deviation^2 / spread^2: the share of the variance between single numbers
    that the designs make. `between_seeds` is Spearman's rank correlation of two seeds, their mean over pairs, and
    `by_rung` that of each rung with the mean at the end. `shift` are the means of the seeds, less the mean of all.
    """

    deviation: float
    spread: float
    between_seeds: float
    by_rung: tuple[tuple[int, float], ...]
    shift: tuple[float, ...]

    @property
    def reliability(self) -> float:
        """The share of the variance that the designs make: 1 without noise, about 0 where nothing else is."""
        return 1 - self.deviation**2 / self.spread**2


def noise_of(result: Result) -> Noise:
    """The noise of a number that was measured under several seeds; DataError where it was not."""
    ends = result.ends
    if ends.shape[1] < 2:
        raise DataError(f"noise needs two seeds or more; {result.name} has {ends.shape[1]}.")
    pairs = [(i, j) for j in range(ends.shape[1]) for i in range(j)]
    by_rung = []
    for k, rung in enumerate(result.rungs):
        single = [_ranks(result.values[:, j, k], result.scored) for j in range(ends.shape[1])]
        by_rung.append((rung, float(np.mean(single))))
    return Noise(
        deviation=pooled(ends),
        spread=float(ends.std(ddof=1)),
        between_seeds=float(np.mean([_ranks(ends[:, i], ends[:, j]) for i, j in pairs])),
        by_rung=tuple(by_rung),
        shift=tuple(float(x) for x in ends.mean(axis=0) - ends.mean()),
    )


def pooled(ends: Array) -> float:
    """The standard deviation of one seed, from (designs, seeds)."""
    return float(np.sqrt(ends.var(axis=1, ddof=1).mean()))


def _ranks(one: Array, other: Array) -> float:
    return float(spearmanr(one, other).statistic)


def front_shares(table: Table, deviations: Sequence[float]) -> Array:
    """How probably each design is on the front, where one seed is off by these deviations (an objective each)."""
    noise = np.tile(np.asarray(deviations, dtype=np.float64), (len(table.designs), 1))
    errors = noise / np.sqrt([len(result.seeds) or 1 for result in table.objectives])
    return front_probability(Belief(table.scored, errors, np.full(noise.shape, KNOWN), noise, table.directions))
