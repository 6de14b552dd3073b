"""The probability of being on the Pareto front, by Monte Carlo simulation.

Every measured mean has the posterior `mean + standard_error * t(degrees of freedom)`. 2,000 draws are made with a fixed
seed. The probability of a trial is the share of draws in which no other trial dominates it. Objectives are drawn
independently. Exact values, such as FLOPs, are not drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_search.objectives import Direction
from hybrid_search.pareto import pareto_front, to_minimize

Array = NDArray[np.float64]
DRAWS = 2000
BINS = 20  # of 100 draws each, in `next_trial`
MAX_DRAWN = 500  # the most likely trials; the others have probability 0
UNDECIDED_MARGIN = 0.05  # a probability within this of 0 or 1 is decided
NEGLIGIBLE = 0.005  # a smaller probability counts as 0
MAX_COMPARED = 64  # the least decided trials, which `next_trial` compares


@dataclass(frozen=True, eq=False)
class ObjectivePosterior:
    """Posterior of the true values of n trials in d objectives.

    Attributes:
        means: (n, d) posterior means.
        errors: (n, d) standard errors of the means; 0 for an exact value.
        degrees: (n, d) degrees of freedom of the errors.
        noise: (n, d) standard deviation of one more seed.
        directions: Direction of each objective.
    """

    means: Array
    errors: Array
    degrees: Array
    noise: Array
    directions: Sequence[Direction]


@dataclass(frozen=True, eq=False)
class _Draws:
    """Posterior draws of the m most likely trials: `indices` (m,), `costs` (d, m, draws; less is better), and whether
    each trial is `on_front` in each draw (m, draws)."""

    indices: NDArray[np.intp]
    costs: Array
    on_front: NDArray[np.bool_]


def front_probability(posterior: ObjectivePosterior, seed: int = 0) -> Array:
    """Return the probability of each trial to be on the front.

    Args:
        posterior: The posterior of n trials.
        seed: Seed of the draws.

    Returns:
        (n,) probabilities.
    """
    draws = _draw(posterior, seed)
    probability = np.zeros(len(posterior.means))
    probability[draws.indices] = draws.on_front.mean(axis=1)
    return probability


def undecided(probabilities: Array) -> NDArray[np.bool_]:
    """Return which trials are neither on nor off the front with 95 % probability.

    Args:
        probabilities: (n,) front probabilities.

    Returns:
        (n,) booleans.
    """
    result: NDArray[np.bool_] = (probabilities > UNDECIDED_MARGIN) & (probabilities < 1 - UNDECIDED_MARGIN)
    return result


def decided_share(probabilities: Array) -> float:
    """Return the share of decided trials, 0..1; 1 without trials.

    Args:
        probabilities: (n,) front probabilities.
    """
    return 1.0 - float(undecided(probabilities).mean()) if len(probabilities) else 1.0


def next_trial(posterior: ObjectivePosterior, pending: Array, seed: int = 0) -> int | None:
    """Return the trial whose next seed reduces the uncertainty of the front most (one-step look-ahead).

    The uncertainty is the sum of `p (1 - p)` over the trials, the variance of their front membership. The result of one
    more seed is drawn together with the true means. The draws are sorted by that result and divided into bins. The
    variance of `p` between the bins is the expected reduction.

    Args:
        posterior: The posterior of n trials.
        pending: (n,) number of seeds that already run; k running seeds divide the reduction by 1 + k.
        seed: Seed of the draws.

    Returns:
        Index of the trial; None if all trials are decided.
    """
    draws = _draw(posterior, seed)
    p = draws.on_front.mean(axis=1)
    if decided_share(p) == 1.0:
        return None
    places = np.sort(np.argsort(-p * (1 - p), kind="stable")[:MAX_COMPARED])
    uncertain = draws.on_front[(p > NEGLIGIBLE) & (p < 1 - NEGLIGIBLE)].astype(np.float32)
    rng = np.random.default_rng(seed + 1)
    best, chosen = -np.inf, None
    for place in places:
        index = int(draws.indices[place])
        for column in np.flatnonzero(posterior.errors[index] > 0):
            result = draws.costs[column, place] + posterior.noise[index, column] * rng.standard_normal(DRAWS)
            order = np.argsort(result, kind="stable")
            bins = uncertain[:, order].reshape(len(uncertain), BINS, -1).mean(axis=2)
            reduction = float(bins.var(axis=1).sum()) / (1 + pending[index])
            if reduction > best:
                best, chosen = reduction, index
    return chosen


def _draw(posterior: ObjectivePosterior, seed: int) -> _Draws:
    costs = to_minimize(posterior.means, posterior.directions)
    indices = _likely_trials(costs, posterior)
    costs, errors, degrees = costs[indices], posterior.errors[indices], posterior.degrees[indices]
    sampled = np.repeat(costs.T[:, :, None], DRAWS, axis=2)
    rng = np.random.default_rng(seed)
    for place, column in np.argwhere(errors > 0):
        sampled[column, place] += errors[place, column] * rng.standard_t(degrees[place, column], DRAWS)
    exact: NDArray[np.bool_] = (errors == 0).all(axis=0)  # objectives without noise
    if exact.sum() <= 1 and (~exact).sum() == 1:
        on_front = _sweep(costs[:, exact].sum(axis=1), sampled[int(np.argmin(exact))])
    else:
        on_front = _compare_pairs(costs[:, exact], sampled[~exact])
    return _Draws(indices, sampled, on_front)


def _sweep(exact: Array, measured: Array) -> NDArray[np.bool_]:
    """Return front membership (m, draws) for one exact cost (m,) and one measured cost (m, draws).

    Trials are visited by increasing exact cost. A trial is on the front if its measured cost is smaller than that of
    all trials with a smaller exact cost, and not larger than that of trials with the same exact cost.
    """
    on_front = np.empty(measured.shape, dtype=np.bool_)
    smallest = np.full(measured.shape[1], np.inf)
    for level in np.unique(exact):
        same = exact == level
        smallest_here = measured[same].min(axis=0)
        on_front[same] = (measured[same] < smallest) & (measured[same] <= smallest_here)
        smallest = np.minimum(smallest, smallest_here)
    return on_front


def _compare_pairs(exact: Array, measured: Array) -> NDArray[np.bool_]:
    """Return front membership (m, draws) for exact costs (m, any) and measured costs (any, m, draws)."""
    on_front = np.ones((len(exact), DRAWS), dtype=np.bool_)
    for place in range(len(exact)):
        rivals = np.flatnonzero((exact <= exact[place]).all(axis=1))
        exactly_better: NDArray[np.bool_] = (exact[rivals] < exact[place]).any(axis=1)
        no_worse = np.ones((len(rivals), DRAWS), dtype=np.bool_)
        better = np.repeat(exactly_better[:, None], DRAWS, axis=1)
        for column in measured:
            no_worse &= column[rivals] <= column[place]
            better |= column[rivals] < column[place]
        on_front[place] = ~(no_worse & better).any(axis=0)
    return on_front


def _likely_trials(costs: Array, posterior: ObjectivePosterior) -> NDArray[np.intp]:
    """Return the indices of the trials that may be on the front.

    Take a rival on the front of the means whose exact costs are not larger. A trial is on the front only if it is
    better than this rival in a measured objective. The sum of these probabilities (union bound) bounds the front
    probability of the trial.
    """
    from scipy.special import stdtr

    finite = np.asarray(np.isfinite(costs).all(axis=1))
    front = pareto_front(np.where(finite[:, None], costs, np.nan), ["minimize"] * costs.shape[1])
    noisy = np.asarray((posterior.errors > 0).any(axis=0))
    bound = np.where(finite, 1.0, 0.0)
    for rival in front:
        no_worse = (costs[rival, ~noisy] <= costs[:, ~noisy]).all(axis=1)
        probability = np.zeros(len(costs))
        for column in np.flatnonzero(noisy):
            error = np.hypot(posterior.errors[:, column], posterior.errors[rival, column])
            degrees = np.minimum(posterior.degrees[:, column], posterior.degrees[rival, column])
            with np.errstate(divide="ignore", invalid="ignore"):
                difference = (costs[rival, column] - costs[:, column]) / error
            probability += np.where(
                error > 0, stdtr(np.maximum(degrees, 1.0), difference), costs[:, column] < costs[rival, column]
            )
        bound = np.where(no_worse, np.minimum(bound, probability), bound)
    bound[front] = 1.0  # a front member is its own rival
    likely = np.argsort(-bound, kind="stable")[:MAX_DRAWN]
    return np.sort(likely[bound[likely] > NEGLIGIBLE])
