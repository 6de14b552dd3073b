"""Confidence intervals have their nominal coverage, and front probabilities agree with direct simulation."""

import numpy as np
import pytest

from hybrid_search.analysis.confidence import (
    ObjectivePosterior,
    decided_share,
    front_probability,
    next_trial,
    objective_posterior,
    seed_means,
    trial_confidence,
)
from hybrid_search.analysis.confidence.front_membership import undecided
from hybrid_search.analysis.confidence.seed_means import reference_variance
from hybrid_search.ledger import Repeats
from hybrid_search.pareto import pareto_front

UP, DOWN = "maximize", "minimize"


@pytest.mark.parametrize(("trials", "seeds", "uneven"), [(3, 2, 0.0), (8, 2, 0.0), (8, 3, 0.7), (1, 3, 0.0)])
def test_the_interval_contains_the_true_mean_in_about_95_percent_of_repeats(trials, seeds, uneven):
    generator = np.random.default_rng(trials * 10 + seeds)
    covered = []
    for _ in range(500):
        noise = 0.01 * np.exp(generator.normal(0, uneven, trials))
        found = seed_means((0.9 + noise[:, None] * generator.normal(size=(trials, seeds))).tolist())
        covered += [low <= 0.9 <= high for low, high in map(found.interval, range(trials))]
    assert 0.92 <= np.mean(covered) <= 0.98


def test_the_interval_of_a_noisier_trial_has_nearly_its_nominal_coverage():
    generator = np.random.default_rng(3)
    covered = []
    for _ in range(400):
        noise = np.array([0.01] * 6 + [0.03])
        low, high = seed_means((0.9 + noise[:, None] * generator.normal(size=(7, 3))).tolist()).interval(6)
        covered.append(low <= 0.9 <= high)
    assert 0.78 <= np.mean(covered) <= 0.93


def test_two_equal_values_of_a_share_still_have_an_interval():
    repeats = {0: Repeats({"accuracy": 0.95, "flops": 1.0}, {1: {"accuracy": 0.95}, 2: {"accuracy": 0.95}})}
    low, high = trial_confidence(repeats, {0: {"accuracy": 0.95, "flops": 1.0}}, ("accuracy", "flops"))[0].intervals[
        "accuracy"
    ]
    assert low < 0.95 < high


def test_the_variance_combines_its_own_and_the_pooled_variance_with_at_most_four_degrees():
    found = seed_means([[0.0, 2.0], [5.0, 5.0, 5.0], [7.0]])
    assert found.mean.tolist() == [1.0, 5.0, 7.0]
    pool = [0.0 / 2, 2.0 / 1, 2.0 / 3]  # pooled variance of the other trials
    expected = [max((2 * pool[0] + 2.0) / 3, 2.0), (1 * pool[1] + 0.0) / 3, pool[2]]
    assert (found.noise**2).tolist() == pytest.approx(expected)
    assert found.degrees[2] == pytest.approx(3)  # its noise is estimated from the other trials alone
    assert found.standard_error[1] == pytest.approx(found.noise[1] / 3**0.5)


def test_a_share_near_1_gets_a_smaller_pooled_variance_than_one_in_the_middle():
    generator = np.random.default_rng(5)
    covered, reach = [], []
    for _ in range(300):
        true = np.array([0.8, 0.8, 0.9, 0.99])
        noise = 0.05 * np.sqrt(true * (1 - true))
        samples = true[:, None] + noise[:, None] * generator.normal(size=(4, 2))
        found = seed_means(samples.tolist(), lambda mean: reference_variance(mean, share=True))
        covered += [
            low <= value <= high for value, (low, high) in zip(true, map(found.interval, range(4)), strict=True)
        ]
        reach.append(found.standard_error)
    assert 0.92 <= np.mean(covered) <= 0.98
    assert np.median(reach, axis=0)[3] < 0.4 * np.median(reach, axis=0)[0]
    assert reference_variance(np.array([2.0, 0.0]), share=False)[0] == 4.0
    assert reference_variance(np.array([0.0, 1.0]), share=True) == pytest.approx(0.001 * 0.999)


def test_the_noise_is_unknown_if_no_trial_has_a_second_seed():
    found = seed_means([[0.5], [0.6]])
    assert found.interval(0) is None
    assert np.isnan(found.noise).all()
    assert objective_posterior({}, {0: {"accuracy": 0.5}, 1: {"accuracy": 0.6}}, ("accuracy",)) is None


def posterior(values, errors, directions, degrees=30.0):
    values, errors = np.array(values, dtype=float), np.array(errors, dtype=float)
    return ObjectivePosterior(values, errors, np.where(errors > 0, degrees, 0.0), 2 * errors, directions)


def simulated(known, repeats=6000):
    """Return the share of draws in which each trial is on the Pareto front."""
    generator = np.random.default_rng(77)
    shares = np.zeros(len(known.means))
    for _ in range(repeats):
        drawn = known.means + known.errors * generator.standard_t(np.maximum(known.degrees, 1.0))
        shares[pareto_front(drawn, known.directions)] += 1 / repeats
    return shares


CASES = {
    "accuracy against an exact cost": (
        [[0.90, 1.0], [0.91, 2.0], [0.905, 3.0], [0.95, 4.0], [0.95, 4.0], [0.80, 5.0]],
        [[0.01, 0]] * 6,
        (UP, DOWN),
    ),
    "one objective": ([[0.90], [0.91], [0.905], [0.85]], [[0.01]] * 4, (UP,)),
    "two measured and one exact": (
        [[0.90, 3.0, 1.0], [0.91, 2.5, 2.0], [0.89, 2.9, 2.0], [0.92, 3.2, 3.0]],
        [[0.01, 0.3, 0]] * 4,
        (UP, DOWN, DOWN),
    ),
    "accuracy against two exact costs": (
        [[0.90, 1.0, 2.0], [0.91, 2.0, 1.0], [0.905, 2.0, 2.0], [0.91, 2.0, 1.0]],
        [[0.01, 0, 0]] * 4,
        (UP, DOWN, DOWN),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_front_probability_agrees_with_direct_simulation(case):
    known = posterior(*case)
    assert front_probability(known) == pytest.approx(simulated(known), abs=0.04)


def test_exact_values_have_probability_0_or_1_and_equal_trials_both_stay():
    known = posterior([[0.9, 1.0], [0.9, 1.0], [0.8, 2.0]], np.zeros((3, 2)), (UP, DOWN))
    assert front_probability(known).tolist() == [1.0, 1.0, 0.0]
    assert next_trial(known, np.zeros(3)) is None


def test_of_ten_thousand_trials_only_those_near_the_front_are_drawn():
    cost = np.linspace(1, 2, 10_000)
    values = np.column_stack([0.9 - 0.2 * np.random.default_rng(0).random(10_000), cost])
    found = front_probability(
        posterior(values, np.column_stack([np.full(10_000, 0.002), np.zeros(10_000)]), (UP, DOWN))
    )
    assert 1 <= np.count_nonzero(found) < 500
    assert found[pareto_front(values, (UP, DOWN))].sum() > 1


def test_a_probability_within_5_percent_of_0_or_1_is_decided():
    assert decided_share(np.array([0.0, 0.05, 0.95, 1.0])) == 1.0
    assert decided_share(np.array([0.0, 0.5, 0.94, 1.0])) == 0.5
    assert undecided(np.array([0.05, 0.06, 0.94, 0.95])).tolist() == [False, True, True, False]
    assert decided_share(np.array([])) == 1.0


def test_the_next_seed_goes_to_the_trial_that_reduces_uncertainty_most():
    known = posterior([[0.90, 1.0], [0.901, 2.0], [0.99, 3.0]], [[0.0001, 0], [0.004, 0], [0.004, 0]], (UP, DOWN))
    assert next_trial(known, np.zeros(3)) == 1
    level = posterior([[0.90, 1.0], [0.901, 2.0], [0.99, 3.0]], [[0.004, 0], [0.004, 0], [0.004, 0]], (UP, DOWN))
    first = next_trial(level, np.zeros(3))
    assert first in (0, 1)
    assert next_trial(level, np.array([float(n == first) for n in range(3)])) == 1 - first


def test_the_seed_of_the_search_is_ignored_once_there_are_fresh_seeds():
    repeats = {0: Repeats({"accuracy": 0.99, "flops": 1.0}, {})}
    fresh = {s: {"accuracy": a, "flops": 1.0, "test_accuracy": a - 0.1} for s, a in ((1, 0.90), (2, 0.92))}
    repeats[0] = Repeats(repeats[0].own, fresh)
    found = trial_confidence(
        repeats, {0: {"accuracy": 0.91, "flops": 1.0}, 1: {"accuracy": 0.2, "flops": 2.0}}, ("accuracy", "flops")
    )
    assert found[1].seeds == 0
    assert 0 < found[1].probability < 0.05  # one degree of freedom leaves a small probability
    assert (found[0].seeds, found[0].probability) == (2, 1.0)
    assert found[0].test == pytest.approx(0.81)
    low, high = found[0].intervals["accuracy"]
    assert low < 0.91 < high == 1.0  # a wide interval, cut at 1 because a share is at most 1
