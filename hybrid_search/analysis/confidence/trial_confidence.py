"""Confidence intervals and front probabilities of the trials of one search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hybrid_search.analysis.confidence.front_membership import ObjectivePosterior, front_probability
from hybrid_search.analysis.confidence.seed_means import (
    MIN_RELATIVE_VARIANCE,
    SeedMeans,
    reference_variance,
    seed_means,
)
from hybrid_search.ledger import Ledger, Repeats, reads
from hybrid_search.objectives import OBJECTIVES, Objective
from hybrid_search.objectives import objectives as find_objectives
from hybrid_search.records import SearchRecord

TEST_ACCURACY = "test_accuracy"  # a measurement of retrainings only; never an objective
TEST_OBJECTIVE = Objective(TEST_ACCURACY, "maximize", unit="share")  # it has the noise of an accuracy
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
    repeats: Mapping[int, Repeats], values: Mapping[int, Measurements], objectives: Sequence[str | Objective]
) -> ObjectivePosterior | None:
    """Return the posterior of the true objective values.

    Args:
        repeats: Measurements by seed of the retrained trials; others may be missing.
        values: Present value of every objective, by trial number.
        objectives: The objectives, or their names in the table.

    Returns:
        The posterior, with trials in the order of `values`; None if no measurement has two fresh seeds.
    """
    size = (len(values), len(objectives))
    errors, degrees, noise = np.zeros(size), np.zeros(size), np.zeros(size)
    kinds = find_objectives(objectives)
    for column, kind in enumerate(kinds):
        if kind.known:
            continue
        found = _objective_means(repeats, values, kind)
        if not found.degrees.all():
            return None
        errors[:, column], degrees[:, column], noise[:, column] = found.standard_error, found.degrees, found.noise
    means = np.array([[row[kind.name] for kind in kinds] for row in values.values()]).reshape(size)
    return ObjectivePosterior(means, errors, degrees, noise, [kind.direction for kind in kinds])


def trial_confidence(
    repeats: Mapping[int, Repeats], values: Mapping[int, Measurements], objectives: Sequence[str | Objective]
) -> dict[int, TrialConfidence]:
    """Return the confidence of every trial that was retrained or may be on the front.

    Args:
        repeats: Measurements by seed of the retrained trials.
        values: Present values of the completed trials, with at least every objective.
        objectives: The objectives, or their names in the table.

    Returns:
        Trial number -> confidence.
    """
    posterior = objective_posterior(repeats, values, objectives)
    probabilities = [None] * len(values) if posterior is None else front_probability(posterior).tolist()
    retrained = {number: found for number, found in repeats.items() if found.fresh and number in values}
    intervals: dict[int, dict[str, tuple[float, float]]] = {number: {} for number in retrained}
    kinds = {**OBJECTIVES.usable(), **{kind.name: kind for kind in find_objectives(objectives)}}
    for kind in [*(kind for kind in kinds.values() if not kind.known), TEST_OBJECTIVE]:
        name = kind.name
        samples = {number: seed_values(found, name) for number, found in retrained.items()}
        samples = {number: row for number, row in samples.items() if row}
        means = seed_means(list(samples.values()), *_noise_model(kind))
        smallest = 0.0 if kind.is_built_in or kind.unit == "share" else -np.inf
        largest = 1.0 if kind.unit == "share" else np.inf
        for index, number in enumerate(samples):
            if (interval := means.interval(index)) is not None:
                low, high = interval
                intervals[number][name] = (max(low, smallest), min(high, largest))
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
    return trial_confidence(repeats, finite, search.objective_list)


def _objective_means(repeats: Mapping[int, Repeats], values: Mapping[int, Measurements], kind: Objective) -> SeedMeans:
    name = kind.name
    samples = [seed_values(repeats[n], name) if n in repeats else [row[name]] for n, row in values.items()]
    return seed_means(samples, *_noise_model(kind))


def _noise_model(kind: Objective) -> tuple[partial[np.ndarray], float]:
    """Return the variance function of a measurement and its smallest relative variance."""
    is_share = kind.unit == "share"
    return partial(reference_variance, share=is_share), MIN_RELATIVE_VARIANCE if is_share else 0.0
