"""The probability of being on the front, from a seeded draw of what the true means may be; exact costs are facts.

Every measured mean is drawn from its posterior, mean + error * t(degrees), 2,000 times; the share of draws in which no
other trial dominates a trial is its probability. Objectives are drawn one by one, as if their noise were unrelated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_search.objectives import Direction
from hybrid_search.pareto import pareto_front, to_minimize

Array = NDArray[np.float64]
DRAWS = 2000
BINS = 20  # of 100 draws each, in `next_seed`
MOST = 500  # trials that are drawn, the most hopeful ones
DOUBT = 0.05  # a trial within this of 0 or 1 is settled
HOPELESS = 0.005  # trials less likely to be on the front than this count as never on it
CONSIDERED = 64  # trials, those in most doubt, that `next_seed` weighs against each other


@dataclass(frozen=True, eq=False)
class Belief:
    """What is known of n trials in d objectives: `values`, their standard `errors` (0: exact), `degrees` of freedom of
    those, and the `noise` of one more seed, all (n, d); `directions` of the d columns."""

    values: Array
    errors: Array
    degrees: Array
    noise: Array
    directions: Sequence[Direction]


@dataclass(frozen=True, eq=False)
class _Drawn:
    """The trials worth drawing: `indices` (m,), their `costs` (d, m, draws), less being better, and whether each is
    `on` the front of its draw (m, draws)."""

    indices: NDArray[np.intp]
    costs: Array
    on: NDArray[np.bool_]


def front_probability(belief: Belief, seed: int = 0) -> Array:
    """(n,) probabilities of being on the front. Cost: n times the front, and m^2 draws of the m trials near it."""
    drawn = _drawn(belief, seed)
    probability = np.zeros(len(belief.values))
    probability[drawn.indices] = drawn.on.mean(axis=1)
    return probability


def in_doubt(probabilities: Array) -> NDArray[np.bool_]:
    """Of which trials it is not certain to 95 % whether they are on the front."""
    doubtful: NDArray[np.bool_] = (probabilities > DOUBT) & (probabilities < 1 - DOUBT)
    return doubtful


def settled(probabilities: Array) -> float:
    """The share of these trials (0..1) that are not in doubt; 1 for no trials."""
    return 1.0 - float(in_doubt(probabilities).mean()) if len(probabilities) else 1.0


def next_seed(belief: Belief, pending: Array, seed: int = 0) -> int | None:
    """The trial whose next seed takes away most doubt; None where none is left.

    Doubt is the sum over trials of p (1 - p), p the probability of being on the front. What a seed of trial i would
    show is drawn along with the means; doubt that is left once it is known, bin by bin, is left in expectation.
    `pending` (n,) counts the seeds that already run: they halve, third, ... what another one is worth.
    """
    drawn = _drawn(belief, seed)
    p = drawn.on.mean(axis=1)
    if settled(p) == 1.0:
        return None
    places = np.sort(np.argsort(-p * (1 - p), kind="stable")[:CONSIDERED])
    doubtful = drawn.on[(p > HOPELESS) & (p < 1 - HOPELESS)].astype(np.float32)
    generator = np.random.default_rng(seed + 1)
    best, chosen = -np.inf, None
    for place in places:
        index = int(drawn.indices[place])
        for column in np.flatnonzero(belief.errors[index] > 0):
            shown = drawn.costs[column, place] + belief.noise[index, column] * generator.standard_normal(DRAWS)
            bins = doubtful[:, np.argsort(shown, kind="stable")].reshape(len(doubtful), BINS, -1).mean(axis=2)
            gain = float(bins.var(axis=1).sum()) / (1 + pending[index])
            if gain > best:
                best, chosen = gain, index
    return chosen


def _drawn(belief: Belief, seed: int) -> _Drawn:
    costs = to_minimize(belief.values, belief.directions)
    indices = _hopeful(costs, belief)
    costs, errors, degrees = costs[indices], belief.errors[indices], belief.degrees[indices]
    sampled = np.repeat(costs.T[:, :, None], DRAWS, axis=2)
    generator = np.random.default_rng(seed)
    for place, column in np.argwhere(errors > 0):
        sampled[column, place] += errors[place, column] * generator.standard_t(degrees[place, column], DRAWS)
    exact: NDArray[np.bool_] = (errors == 0).all(axis=0)  # columns in which every order is known
    if exact.sum() <= 1 and (~exact).sum() == 1:
        on = _on_by_price(costs[:, exact].sum(axis=1), sampled[int(np.argmin(exact))])
    else:
        on = _on_by_pairs(costs[:, exact], sampled[~exact])
    return _Drawn(indices, sampled, on)


def _on_by_price(price: Array, measured: Array) -> NDArray[np.bool_]:
    """Who is on the front (m, draws) of one exact cost (m,) and one measured one (m, draws): from the cheapest up, who
    is better than all that cost less and than none that costs the same."""
    on = np.empty(measured.shape, dtype=np.bool_)
    bar = np.full(measured.shape[1], np.inf)
    for level in np.unique(price):
        same = price == level
        best = measured[same].min(axis=0)
        on[same] = (measured[same] < bar) & (measured[same] <= best)
        bar = np.minimum(bar, best)
    return on


def _on_by_pairs(exact: Array, measured: Array) -> NDArray[np.bool_]:
    """Who is on the front (m, draws) of any costs: `exact` (m, some) and `measured` (some, m, draws)."""
    on = np.ones((len(exact), DRAWS), dtype=np.bool_)
    for place in range(len(exact)):
        rivals = np.flatnonzero((exact <= exact[place]).all(axis=1))
        ahead: NDArray[np.bool_] = (exact[rivals] < exact[place]).any(axis=1)
        beaten = np.ones((len(rivals), DRAWS), dtype=np.bool_)
        better = np.repeat(ahead[:, None], DRAWS, axis=1)
        for column in measured:
            beaten &= column[rivals] <= column[place]
            better |= column[rivals] < column[place]
        on[place] = ~(beaten & better).any(axis=0)
    return on


def _hopeful(costs: Array, belief: Belief) -> NDArray[np.intp]:
    """Indices of the trials that may be on the front.

    A rival that costs no more keeps a trial off it unless the trial is better in some measured column: the chances of
    that, added up, bound its probability. Rivals are the front as it is seen.
    """
    from scipy.special import stdtr

    finite = np.asarray(np.isfinite(costs).all(axis=1))
    kept = pareto_front(np.where(finite[:, None], costs, np.nan), ["minimize"] * costs.shape[1])
    noisy = np.asarray((belief.errors > 0).any(axis=0))
    hope = np.where(finite, 1.0, 0.0)
    for rival in kept:
        no_worse = (costs[rival, ~noisy] <= costs[:, ~noisy]).all(axis=1)
        chance = np.zeros(len(costs))
        for column in np.flatnonzero(noisy):
            error = np.hypot(belief.errors[:, column], belief.errors[rival, column])
            degrees = np.minimum(belief.degrees[:, column], belief.degrees[rival, column])
            with np.errstate(divide="ignore", invalid="ignore"):
                ahead = (costs[rival, column] - costs[:, column]) / error
            chance += np.where(
                error > 0, stdtr(np.maximum(degrees, 1.0), ahead), costs[:, column] < costs[rival, column]
            )
        hope = np.where(no_worse, np.minimum(hope, chance), hope)
    hope[kept] = 1.0  # no rival, or itself
    likely = np.argsort(-hope, kind="stable")[:MOST]
    return np.sort(likely[hope[likely] > HOPELESS])
