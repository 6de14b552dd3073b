"""The noise of a measurement of a table: the variation between seeds, compared with that between designs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from hybrid_search.analysis.confidence import ObjectivePosterior, front_probability
from hybrid_search.analysis.replay.results_table import Array, Result, ResultsTable
from hybrid_search.errors import DataError

SURE = 0.95
MANY_DEGREES = 1e6  # degrees of freedom of a standard deviation that is pooled over hundreds of designs


@dataclass(frozen=True)
class Noise:
    """Noise of a number at the end of training.

    Args:
        deviation: standard deviation of one seed around the mean of its design, pooled over designs.
        spread: standard deviation of all single numbers.
        between_seeds: Spearman's rank correlation of two seeds, averaged over pairs.
        by_rung: (rung, rank correlation of the number at this rung with the mean at the end).
        shift: mean of each seed minus the mean of all.
    """

    deviation: float
    spread: float
    between_seeds: float
    by_rung: tuple[tuple[int, float], ...]
    shift: tuple[float, ...]

    @property
    def reliability(self) -> float:
        """The share of the variance that comes from the designs, 1 - deviation^2 / spread^2: 1 without noise."""
        return 1 - self.deviation**2 / self.spread**2


def noise_of(result: Result) -> Noise:
    """Return the noise of a number. DataError unless it was measured under several seeds."""
    finals = result.finals
    if finals.shape[1] < 2:
        raise DataError(f"noise needs two seeds or more; {result.name} has {finals.shape[1]}.")
    pairs = [(i, j) for j in range(finals.shape[1]) for i in range(j)]
    by_rung = []
    for k, rung in enumerate(result.rungs):
        single = [_rank_correlation(result.values[:, j, k], result.means) for j in range(finals.shape[1])]
        by_rung.append((rung, float(np.mean(single))))
    return Noise(
        deviation=pooled_deviation(finals),
        spread=float(finals.std(ddof=1)),
        between_seeds=float(np.mean([_rank_correlation(finals[:, i], finals[:, j]) for i, j in pairs])),
        by_rung=tuple(by_rung),
        shift=tuple(float(x) for x in finals.mean(axis=0) - finals.mean()),
    )


def pooled_deviation(finals: Array) -> float:
    """Return the standard deviation of one seed, pooled over designs; `finals` is (designs, seeds)."""
    return float(np.sqrt(finals.var(axis=1, ddof=1).mean()))


def _rank_correlation(one: Array, other: Array) -> float:
    return float(spearmanr(one, other).statistic)


def front_shares(table: ResultsTable, deviations: Sequence[float]) -> Array:
    """Return the probability of each design to be on the front, (designs,).

    Args:
        table: the results.
        deviations: for each objective the standard deviation of one seed.
    """
    noise = np.tile(np.asarray(deviations, dtype=np.float64), (len(table.designs), 1))
    errors = noise / np.sqrt([len(result.seeds) or 1 for result in table.objectives])
    return front_probability(
        ObjectivePosterior(table.means, errors, np.full(noise.shape, MANY_DEGREES), noise, table.directions)
    )
