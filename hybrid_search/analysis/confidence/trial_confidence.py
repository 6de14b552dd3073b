"""Confidence intervals and front probabilities of the trials of one search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hybrid_search.analysis.confidence.front_membership import ObjectivePosterior, front_probability
from hybrid_search.analysis.confidence.measurement_noise import TEST_OBJECTIVES, class_step, repeated_means
from hybrid_search.analysis.confidence.seed_means import SeedMeans
from hybrid_search.ledger import Ledger, Repeats, reads
from hybrid_search.objectives import OBJECTIVES, Objective
from hybrid_search.objectives import objectives as find_objectives
from hybrid_search.records import SearchRecord

TEST_ACCURACY = "test_accuracy"  # a measurement of retrainings only; never an objective
Measurements = Mapping[str, float]


@dataclass(frozen=True)
class TrialConfidence:
    """The confidence in one trial: intervals, probability of the front, results on the test split.

    Attributes:
        number: Number of the trial.
        seeds: Number of fresh seeds.
        intervals: 95 % confidence interval of each measured mean by name. Empty without a fresh seed, and while no
            trial has two fresh seeds.
        probability: Probability of being on the Pareto front; None while no trial has two fresh seeds.
        test: Mean accuracy on the test split, 0..1; None without a retraining.
        tests: Mean of each measurement on the test split by name, such as `test_balanced_accuracy`.
    """

    number: int
    seeds: int
    intervals: Mapping[str, tuple[float, float]]
    probability: float | None
    test: float | None = None
    tests: Mapping[str, float] = field(default_factory=dict)


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
    repeats: Mapping[int, Repeats],
    values: Mapping[int, Measurements],
    objectives: Sequence[str | Objective],
    step: float = 0.0,
) -> ObjectivePosterior | None:
    """Return the posterior of the true objective values.

    Args:
        repeats: Measurements by seed of the retrained trials; others may be missing.
        values: Present value of every objective, by trial number.
        objectives: The objectives, or their names in the table.
        step: How much one image changes a mean over classes; see `class_step`.

    Returns:
        The posterior, with trials in the order of `values`; None if no measurement has two fresh seeds.
    """
    size = (len(values), len(objectives))
    errors, degrees, noise = np.zeros(size), np.zeros(size), np.zeros(size)
    kinds = find_objectives(objectives)
    for column, kind in enumerate(kinds):
        if kind.known:
            continue
        found = _objective_means(repeats, values, kind, step)
        if not found.degrees.all():
            return None
        errors[:, column], degrees[:, column], noise[:, column] = found.standard_error, found.degrees, found.noise
    means = np.array([[row[kind.name] for kind in kinds] for row in values.values()]).reshape(size)
    return ObjectivePosterior(means, errors, degrees, noise, [kind.direction for kind in kinds])


def trial_confidence(
    repeats: Mapping[int, Repeats],
    values: Mapping[int, Measurements],
    objectives: Sequence[str | Objective],
    step: float = 0.0,
) -> dict[int, TrialConfidence]:
    """Return the confidence of every trial that was retrained or may be on the front.

    Args:
        repeats: Measurements by seed of the retrained trials.
        values: Present values of the completed trials, with at least every objective.
        objectives: The objectives, or their names in the table.
        step: How much one image changes a mean over classes; see `class_step`.

    Returns:
        Trial number -> confidence.
    """
    posterior = objective_posterior(repeats, values, objectives, step)
    probabilities = [None] * len(values) if posterior is None else front_probability(posterior).tolist()
    retrained = {number: found for number, found in repeats.items() if found.fresh and number in values}
    intervals: dict[int, dict[str, tuple[float, float]]] = {number: {} for number in retrained}
    kinds = {**OBJECTIVES.usable(), **{kind.name: kind for kind in find_objectives(objectives)}}
    for kind in [*(kind for kind in kinds.values() if not kind.known), *TEST_OBJECTIVES]:
        name = kind.name
        samples = {number: seed_values(found, name) for number, found in retrained.items()}
        samples = {number: row for number, row in samples.items() if row}
        means = repeated_means(list(samples.values()), kind, step)
        smallest = 0.0 if kind.is_built_in or kind.unit == "share" else -np.inf
        largest = 1.0 if kind.unit == "share" else np.inf
        for index, number in enumerate(samples):
            if (interval := means.interval(index)) is not None:
                low, high = interval
                intervals[number][name] = (max(low, smallest), min(high, largest))
    result = {}
    for number, probability in zip(values, probabilities, strict=True):
        if number in retrained:
            rows = {kind.name: seed_values(retrained[number], kind.name) for kind in TEST_OBJECTIVES}
            tests = {name: sum(row) / len(row) for name, row in rows.items() if row}
            seeds, test = len(retrained[number].fresh), tests.get(TEST_ACCURACY)
            result[number] = TrialConfidence(number, seeds, intervals[number], probability, test, tests)
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
    return trial_confidence(repeats, finite, search.objective_list, class_step(ledger, search.id))


def _objective_means(
    repeats: Mapping[int, Repeats], values: Mapping[int, Measurements], kind: Objective, step: float
) -> SeedMeans:
    name = kind.name
    samples = [seed_values(repeats[n], name) if n in repeats else [row[name]] for n, row in values.items()]
    return repeated_means(samples, kind, step)
