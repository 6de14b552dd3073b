"""Confidence intervals and front probabilities of the trials of one search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hybrid_search.analysis.confidence.membership import ObjectivePosterior, front_probability
from hybrid_search.analysis.confidence.seed_means import (
    MIN_RELATIVE_VARIANCE,
    SeedMeans,
    reference_variance,
    seed_means,
)
from hybrid_search.ledger import Ledger, Repeats, reads
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.records import SearchRecord

TEST_ACCURACY = "test_accuracy"  # a measurement of retrainings only; never an objective
Measurements = Mapping[str, float]


@dataclass(frozen=True)
class TrialConfidence:
    """What fresh seeds say about one trial.

    Attributes:
        number: Number of the trial.
        seeds: Number of fresh seeds.
        intervals: 95 % confidence interval of each measured mean by name. Empty without a fresh seed, and while no
            trial has two fresh seeds.
        probability: Probability of being on the Pareto front; None while no trial has two fresh seeds.
        test: Mean accuracy on the test split, 0..1; None without a retraining.
    """

    number: int
    seeds: int
    intervals: Mapping[str, tuple[float, float]]
    probability: float | None
    test: float | None = None


def seed_values(repeats: Repeats, name: str) -> list[float]:
    """Return the values of one measurement that count.

    Args:
        repeats: The measurements of one trial by seed.
        name: Name of the measurement.

    Returns:
        The values under the fresh seeds; without a fresh seed, the value under the seed of the search.
    """
    fresh = [values[name] for _, values in sorted(repeats.fresh.items()) if name in values]
    return fresh or ([repeats.own[name]] if name in repeats.own else [])


def objective_posterior(
    repeats: Mapping[int, Repeats], values: Mapping[int, Measurements], objectives: Sequence[str]
) -> ObjectivePosterior | None:
    """Return the posterior of the true objective values.

    Args:
        repeats: Measurements by seed of the retrained trials; others may be missing.
        values: Present value of every objective, by trial number.
        objectives: Names of the objectives.

    Returns:
        The posterior, with trials in the order of `values`; None if no measurement has two fresh seeds.
    """
    size = (len(values), len(objectives))
    errors, degrees, noise = np.zeros(size), np.zeros(size), np.zeros(size)
    for column, name in enumerate(objectives):
        if OBJECTIVES[name].known:
            continue
        found = _objective_means(repeats, values, name)
        if not found.degrees.all():
            return None
        errors[:, column], degrees[:, column], noise[:, column] = found.standard_error, found.degrees, found.noise
    means = np.array([[row[name] for name in objectives] for row in values.values()]).reshape(size)
    return ObjectivePosterior(means, errors, degrees, noise, [OBJECTIVES[name].direction for name in objectives])


def trial_confidence(
    repeats: Mapping[int, Repeats], values: Mapping[int, Measurements], objectives: Sequence[str]
) -> dict[int, TrialConfidence]:
    """Return the confidence of every trial that was retrained or may be on the front.

    Args:
        repeats: Measurements by seed of the retrained trials.
        values: Present values of the completed trials, with at least every objective.
        objectives: Names of the objectives.

    Returns:
        Trial number -> confidence.
    """
    posterior = objective_posterior(repeats, values, objectives)
    probabilities = [None] * len(values) if posterior is None else front_probability(posterior).tolist()
    retrained = {number: found for number, found in repeats.items() if found.fresh and number in values}
    intervals: dict[int, dict[str, tuple[float, float]]] = {number: {} for number in retrained}
    for name in [*(name for name, kind in OBJECTIVES.usable().items() if not kind.known), TEST_ACCURACY]:
        samples = {number: seed_values(found, name) for number, found in retrained.items()}
        samples = {number: row for number, row in samples.items() if row}
        means = seed_means(list(samples.values()), *_noise_model(name))
        largest = 1.0 if _is_share(name) else np.inf
        for index, number in enumerate(samples):
            if (interval := means.interval(index)) is not None:
                low, high = interval
                intervals[number][name] = (max(low, 0.0), min(high, largest))  # no measurement is negative
    result = {}
    for number, probability in zip(values, probabilities, strict=True):
        if number in retrained:
            tests = seed_values(retrained[number], TEST_ACCURACY)
            test = sum(tests) / len(tests) if tests else None
            seeds = len(retrained[number].fresh)
            result[number] = TrialConfidence(number, seeds, intervals[number], probability, test)
        elif probability is None or probability:
            result[number] = TrialConfidence(number, 0, {}, probability)
    return result


def read_confidence(
    ledger: Ledger, search: SearchRecord, values: Mapping[int, Measurements] | None = None
) -> dict[int, TrialConfidence]:
    """Read the confidence of the trials of a search from its ledger.

    Args:
        ledger: The open ledger.
        search: The search.
        values: Present values of its completed trials, if they were read before.

    Returns:
        Trial number -> confidence; empty if no trial was retrained.
    """
    repeats = ledger.read(reads.repeats, search.id, confirmed=True)
    if not repeats:
        return {}
    if values is None:
        values = ledger.read(reads.values, search.id, search.objectives)
    finite = {
        number: row
        for number, row in values.items()
        if all(np.isfinite(row.get(name, np.nan)) for name in search.objectives)
    }
    return trial_confidence(repeats, finite, search.objectives)


def _objective_means(repeats: Mapping[int, Repeats], values: Mapping[int, Measurements], name: str) -> SeedMeans:
    samples = [seed_values(repeats[n], name) if n in repeats else [row[name]] for n, row in values.items()]
    return seed_means(samples, *_noise_model(name))


def _noise_model(name: str) -> tuple[partial[np.ndarray], float]:
    """Return the variance function of a measurement and its smallest relative variance."""
    is_share = _is_share(name)
    return partial(reference_variance, share=is_share), MIN_RELATIVE_VARIANCE if is_share else 0.0


def _is_share(name: str) -> bool:
    return name == TEST_ACCURACY or OBJECTIVES[name].unit == "share"
