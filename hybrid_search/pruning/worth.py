"""What designs are worth by their answers and costs, before and beside training: a Gaussian process over final values.

A final value is a line in the logarithms of the costs and in the answers, a smooth rest over the answers, and the luck
of one training. How much there is of each, few trials cannot say, so every mixture of SHARES counts by how well it
foretells the complete trials (their marginal likelihood).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Array = NDArray[np.float64]
SHARES = (  # of the variance of the final values
    (0.1, 0.5),  # each cost's line
    (0.1, 0.3, 1.0),  # each answer's line
    (0.0, 0.2),  # the rest
    (0.01, 0.03, 0.1, 0.3, 0.9),  # luck
)
LEVEL = 0.1  # of the mean
_SHARES = np.array(list(product(*SHARES)))


@dataclass(frozen=True, eq=False)
class Worth:
    """What complete trials and one more are worth: their ends without the luck of one training.

    complete: (trials,), with their own ends told. unseen: the same as if its own end were not, (trials,), so that it
    compares with `other`, that of the trial which has no end yet.
    """

    complete: Array
    unseen: Array
    other: float


def worth(costs: Array, answers: Array, finals: Array) -> Worth:
    """From `costs` and `answers`, a row a trial and the last one that of the trial without an end, and `finals`."""
    count = len(finals)
    level, unit = float(finals.mean()), float(finals.std())
    if not unit:
        return Worth(finals, finals, level)
    x, a = _scaled(costs, count), answers - answers[:count].mean(axis=0)
    squared = (a * a).sum(axis=1)
    apart = np.maximum(squared[:, None] + squared - 2.0 * (a @ a.T), 0.0)
    on_costs, on_answers, on_rest, luck = _SHARES.T[:, :, None, None]
    k = LEVEL + on_costs * (x @ x.T) + on_answers * (a @ a.T) + on_rest * np.exp(-0.5 * apart)
    y = (finals - level) / unit
    told = k[:, :count, :count] + luck * np.eye(count)
    with threadpool_limits(1, "blas"):  # many small ones: more threads only wait for each other
        inverse = np.linalg.inv(told)
        likely = -0.5 * np.linalg.slogdet(told)[1]
    solved = inverse @ y
    likely = likely - 0.5 * (solved @ y)
    weights = np.exp(likely - likely.max())
    weights /= weights.sum()
    ends = (k[:, :, :count] @ solved[:, :, None])[:, :, 0]
    unseen = y - solved / np.diagonal(inverse, axis1=1, axis2=2)
    return Worth(
        level + unit * (weights @ ends[:, :count]),
        level + unit * (weights @ unseen),
        level + unit * float(weights @ ends[:, count]),
    )


def _scaled(columns: Array, count: int) -> Array:
    """Columns in deviations of the first rows; one that does not vary among them is left out."""
    first = columns[:count]
    kept = np.ptp(first, axis=0) > 1e-12
    return np.asarray((columns[:, kept] - first[:, kept].mean(axis=0)) / first[:, kept].std(axis=0))
