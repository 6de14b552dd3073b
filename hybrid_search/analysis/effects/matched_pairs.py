"""The effect of a factor from matched pairs: trained designs that are equal but for this factor.

A context is everything else about a design. In a context where two choices of the factor were trained, the difference
of their mean objectives is one observation of the effect:

    d_i = mean(objective | context i, choice b) - mean(objective | context i, choice a)

Each trial has a seed of its own, so the observations are independent. Their scatter contains the noise of single seeds
as well as real differences between contexts. The interval of the mean is Student's t with the variance shrunk towards
that of the others of its kind (`confidence.seed_means`). The p-values of all comparisons are corrected by
the method of Holm (1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_search.analysis.confidence.seed_means import MIN_RELATIVE_VARIANCE, reference_variance, seed_means
from hybrid_search.analysis.effects.factors import Factor
from hybrid_search.analysis.effects.trained_designs import ABSENT, Array, TrainedDesigns

BANDS = 3  # of FLOPs, with equal numbers of trials
SIGNIFICANT = 0.05
HASH_SEED = 7


@dataclass(frozen=True)
class FlopsBand:
    """The effect within a band of FLOPs.

    Attributes:
        low, high: FLOPs of its smallest and its largest design.
        pairs: Number of contexts.
        difference: Mean difference; None without a context.
        interval: Its 95 % interval; None if it is unknown.
    """

    low: float
    high: float
    pairs: int
    difference: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Comparison:
    """Choice `b` of a factor against its choice `a`: b minus a.

    Attributes:
        factor: The factor.
        a, b: The two choices.
        pairs: Number of contexts in which both were trained.
        difference: Mean difference of the objective over the contexts; None without a context.
        interval: 95 % interval of the mean difference; None if it is unknown.
        p_value: Probability of such a difference without an effect, corrected for the number of comparisons.
        flops_ratio: FLOPs of b over FLOPs of a, the geometric mean over the contexts.
        bands: The effect in three bands of FLOPs; only for operators.
    """

    factor: Factor
    a: Any
    b: Any
    pairs: int
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    flops_ratio: float | None = None
    bands: tuple[FlopsBand, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether the effect has a sign, after the correction."""
        return self.p_value is not None and self.p_value < SIGNIFICANT

    def __str__(self) -> str:
        return f"{self.b} instead of {self.a}"


@dataclass(frozen=True, eq=False)
class _Contexts:
    """A comparison before its interval: `differences` (contexts,) and the mean logarithm of FLOPs (contexts, 2)."""

    comparison: Comparison
    differences: Array
    log_flops: Array


@dataclass(frozen=True)
class _Estimate:
    """A mean difference, its 95 % interval and its p-value; None where the noise is unknown."""

    mean: float
    interval: tuple[float, float] | None
    p_value: float | None


def compare(designs: TrainedDesigns, factors: Sequence[Factor]) -> list[Comparison]:
    """Return the comparison of every two choices of every factor.

    Args:
        designs: The trained designs.
        factors: The factors.

    Returns:
        In the order of the factors. The later choice is compared with the earlier one.

    Example:
        >>> for comparison in compare(designs, factors(designs, ("conv", "local_attention"))):
        ...     print(comparison.factor.name, comparison, comparison.difference, comparison.interval)
    """
    contexts = [each for factor in factors for each in _contexts(designs, factor)]
    estimates = _estimates(designs, contexts)
    p_values = _holm([None if estimate is None else estimate.p_value for estimate in estimates])
    edges = np.quantile(np.log(designs.flops), np.linspace(0, 1, BANDS + 1)) if len(designs) else np.zeros(BANDS + 1)
    return [
        each.comparison
        if estimate is None
        else replace(
            each.comparison,
            difference=estimate.mean,
            interval=estimate.interval,
            p_value=p_value,
            flops_ratio=float(np.exp((each.log_flops[:, 1] - each.log_flops[:, 0]).mean())),
            bands=_bands(designs, each, edges) if each.comparison.factor.kind == "operator" else (),
        )
        for each, estimate, p_value in zip(contexts, estimates, p_values, strict=True)
    ]


def _estimates(designs: TrainedDesigns, contexts: Sequence[_Contexts]) -> list[_Estimate | None]:
    """Return the estimate of every comparison; None without a context.

    Operators, blocks and stems share a pooled variance, and options of operators share another one, because options
    change less.
    """
    found: list[_Estimate | None] = [None] * len(contexts)
    for options in (False, True):
        some = [
            i
            for i, each in enumerate(contexts)
            if len(each.differences) and (each.comparison.factor.kind == "option") == options
        ]
        for i, estimate in zip(some, _means(designs, [contexts[i].differences for i in some]), strict=True):
            found[i] = estimate
    return found


def _contexts(designs: TrainedDesigns, factor: Factor) -> list[_Contexts]:
    """Return the differences of every two choices of a factor."""
    code = designs.column(factor.name)
    present = np.flatnonzero(code != ABSENT)
    others = [i for i, name in enumerate(designs.parameters) if name not in factor.owned]
    key = _hash(designs.codes[present][:, others])
    _, context = np.unique(key, return_inverse=True)
    count, n = len(designs.levels[factor.name]), int(context.max()) + 1 if len(present) else 0
    cell = context * count + code[present]
    size = n * count
    trials = np.bincount(cell, minlength=size).reshape(n, count)
    with np.errstate(invalid="ignore"):
        values = np.bincount(cell, designs.values[present], size).reshape(n, count) / trials
        flops = np.bincount(cell, np.log(designs.flops[present]), size).reshape(n, count) / trials
    index = {level: i for i, level in enumerate(designs.levels[factor.name])}
    found = []
    for second, b in enumerate(factor.levels):
        for a in factor.levels[:second]:
            pair = [index[a], index[b]]
            both = (trials[:, pair] > 0).all(axis=1)
            difference = values[both, index[b]] - values[both, index[a]]
            found.append(_Contexts(Comparison(factor, a, b, int(both.sum())), difference, flops[both][:, pair]))
    return found


def _hash(codes: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a 64-bit number for each row; equal rows have equal numbers."""
    rng = np.random.default_rng(HASH_SEED)
    factors = rng.integers(1, 2**63, size=codes.shape[1], dtype=np.uint64) | np.uint64(1)
    with np.errstate(over="ignore"):
        hashed: NDArray[np.uint64] = (codes.astype(np.uint64) * factors).sum(axis=1, dtype=np.uint64)
    return hashed


def _means(designs: TrainedDesigns, samples: Sequence[Array]) -> list[_Estimate]:
    """Return the mean of every sample of differences with its interval.

    The standard deviation of one difference is at least that of two counts of 10,000 images, so that two equal
    differences do not prove that there is no noise.
    """
    if not samples:
        return []
    from scipy.special import stdtr

    share = designs.objective.unit == "share"
    typical = float(np.median(reference_variance(designs.values, share)))
    means = seed_means([each.tolist() for each in samples], min_variance=2 * MIN_RELATIVE_VARIANCE * typical)
    estimates = []
    for i, mean in enumerate(means.mean.tolist()):
        degrees, p_value = float(means.degrees[i]), None
        if degrees:
            p_value = float(2 * stdtr(degrees, -abs(mean) / means.standard_error[i]))
        estimates.append(_Estimate(mean, means.interval(i), p_value))
    return estimates


def _holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values corrected for their number; the step-down method of Holm (1979)."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    before = 0.0
    for rank, (p, i) in enumerate(known):
        before = max(before, min(1.0, p * (len(known) - rank)))
        corrected[i] = before
    return corrected


def _bands(designs: TrainedDesigns, contexts: _Contexts, edges: Array) -> tuple[FlopsBand, ...]:
    """Return the effect in each band of FLOPs. A context belongs to the band of the mean FLOPs of its two sides."""
    band = np.clip(np.searchsorted(edges, contexts.log_flops.mean(axis=1), side="right") - 1, 0, BANDS - 1)
    samples = [contexts.differences[band == i] for i in range(BANDS)]
    estimates = iter(_means(designs, [sample for sample in samples if len(sample)]))
    bands = []
    for i, sample in enumerate(samples):
        estimate = next(estimates) if len(sample) else None
        mean, interval = (None, None) if estimate is None else (estimate.mean, estimate.interval)
        bands.append(FlopsBand(float(np.exp(edges[i])), float(np.exp(edges[i + 1])), len(sample), mean, interval))
    return tuple(bands)
