"""Intervals hold the truth as often as they say, and probabilities are what counting gives."""

import numpy as np
import pytest

from hybrid_search.analysis.confidence import Belief, believed, front_probability, means, next_seed, settled, standings
from hybrid_search.analysis.confidence.means import scale_of
from hybrid_search.analysis.confidence.membership import in_doubt
from hybrid_search.ledger import Repeats
from hybrid_search.pareto import pareto_front

UP, DOWN = "maximize", "minimize"


@pytest.mark.parametrize(("trials", "seeds", "uneven"), [(3, 2, 0.0), (8, 2, 0.0), (8, 3, 0.7), (1, 3, 0.0)])
def test_the_interval_holds_the_true_mean_in_about_95_of_100_repeats(trials, seeds, uneven):
    generator = np.random.default_rng(trials * 10 + seeds)
    held = []
    for _ in range(500):
        noise = 0.01 * np.exp(generator.normal(0, uneven, trials))
        found = means((0.9 + noise[:, None] * generator.normal(size=(trials, seeds))).tolist())
        held += [low <= 0.9 <= high for low, high in map(found.interval, range(trials))]
    assert 0.92 <= np.mean(held) <= 0.98


def test_a_trial_noisier_than_the_others_is_not_far_short_of_its_interval():
    generator = np.random.default_rng(3)
    held = []
    for _ in range(400):
        noise = np.array([0.01] * 6 + [0.03])
        low, high = means((0.9 + noise[:, None] * generator.normal(size=(7, 3))).tolist()).interval(6)
        held.append(low <= 0.9 <= high)
    assert 0.78 <= np.mean(held) <= 0.93


def test_two_seeds_that_agree_are_no_certainty_for_a_share():
    repeats = {0: Repeats({"accuracy": 0.95, "flops": 1.0}, {1: {"accuracy": 0.95}, 2: {"accuracy": 0.95}})}
    low, high = standings(repeats, {0: {"accuracy": 0.95, "flops": 1.0}}, ("accuracy", "flops"))[0].intervals[
        "accuracy"
    ]
    assert low < 0.95 < high


def test_the_variance_is_the_own_one_and_four_degrees_of_the_others():
    found = means([[0.0, 2.0], [5.0, 5.0, 5.0], [7.0]])
    assert found.mean.tolist() == [1.0, 5.0, 7.0]
    pool = [0.0 / 2, 2.0 / 1, 2.0 / 3]  # sums of squares over degrees, of the other trials
    expected = [max((2 * pool[0] + 2.0) / 3, 2.0), (1 * pool[1] + 0.0) / 3, pool[2]]
    assert (found.noise**2).tolist() == pytest.approx(expected)
    assert found.degrees[2] == pytest.approx(3)  # all it knows of noise comes from the others
    assert found.error[1] == pytest.approx(found.noise[1] / 3**0.5)


def test_a_share_near_1_borrows_less_noise_than_one_in_the_middle():
    generator = np.random.default_rng(5)
    held, reach = [], []
    for _ in range(300):
        true = np.array([0.8, 0.8, 0.9, 0.99])
        noise = 0.05 * np.sqrt(true * (1 - true))
        samples = true[:, None] + noise[:, None] * generator.normal(size=(4, 2))
        found = means(samples.tolist(), lambda mean: scale_of(mean, share=True))
        held += [low <= value <= high for value, (low, high) in zip(true, map(found.interval, range(4)), strict=True)]
        reach.append(found.error)
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.median(reach, axis=0)[3] < 0.4 * np.median(reach, axis=0)[0]
    assert scale_of(np.array([2.0, 0.0]), share=False)[0] == 4.0
    assert scale_of(np.array([0.0, 1.0]), share=True) == pytest.approx(0.001 * 0.999)


def test_without_a_second_seed_anywhere_nothing_is_known_of_the_noise():
    found = means([[0.5], [0.6]])
    assert found.interval(0) is None
    assert np.isnan(found.noise).all()
    assert believed({}, {0: {"accuracy": 0.5}, 1: {"accuracy": 0.6}}, ("accuracy",)) is None


def belief(values, errors, directions, degrees=30.0):
    values, errors = np.array(values, dtype=float), np.array(errors, dtype=float)
    return Belief(values, errors, np.where(errors > 0, degrees, 0.0), 2 * errors, directions)


def counted(known, repeats=6000):
    """The share of draws in which each is on the front, by the plain front of every draw."""
    generator = np.random.default_rng(77)
    shares = np.zeros(len(known.values))
    for _ in range(repeats):
        drawn = known.values + known.errors * generator.standard_t(np.maximum(known.degrees, 1.0))
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
def test_the_probability_of_being_on_the_front_is_what_counting_gives(case):
    known = belief(*case)
    assert front_probability(known) == pytest.approx(counted(known), abs=0.04)


def test_exact_numbers_have_probabilities_of_0_and_1_and_equals_stay():
    known = belief([[0.9, 1.0], [0.9, 1.0], [0.8, 2.0]], np.zeros((3, 2)), (UP, DOWN))
    assert front_probability(known).tolist() == [1.0, 1.0, 0.0]
    assert next_seed(known, np.zeros(3)) is None


def test_ten_thousand_trials_are_judged_by_the_few_near_the_front():
    cost = np.linspace(1, 2, 10_000)
    values = np.column_stack([0.9 - 0.2 * np.random.default_rng(0).random(10_000), cost])
    found = front_probability(belief(values, np.column_stack([np.full(10_000, 0.002), np.zeros(10_000)]), (UP, DOWN)))
    assert 1 <= np.count_nonzero(found) < 500
    assert found[pareto_front(values, (UP, DOWN))].sum() > 1


def test_a_front_is_settled_where_everything_is_within_5_percent_of_0_or_1():
    assert settled(np.array([0.0, 0.05, 0.95, 1.0])) == 1.0
    assert settled(np.array([0.0, 0.5, 0.94, 1.0])) == 0.5
    assert in_doubt(np.array([0.05, 0.06, 0.94, 0.95])).tolist() == [False, True, True, False]
    assert settled(np.array([])) == 1.0


def test_the_next_seed_goes_where_it_takes_away_most_doubt():
    known = belief([[0.90, 1.0], [0.901, 2.0], [0.99, 3.0]], [[0.0001, 0], [0.004, 0], [0.004, 0]], (UP, DOWN))
    assert next_seed(known, np.zeros(3)) == 1
    level = belief([[0.90, 1.0], [0.901, 2.0], [0.99, 3.0]], [[0.004, 0], [0.004, 0], [0.004, 0]], (UP, DOWN))
    first = next_seed(level, np.zeros(3))
    assert first in (0, 1)
    assert next_seed(level, np.array([float(n == first) for n in range(3)])) == 1 - first


def test_standings_leave_out_the_seed_that_a_trial_was_chosen_for():
    repeats = {0: Repeats({"accuracy": 0.99, "flops": 1.0}, {})}
    fresh = {s: {"accuracy": a, "flops": 1.0, "test_accuracy": a - 0.1} for s, a in ((1, 0.90), (2, 0.92))}
    repeats[0] = Repeats(repeats[0].own, fresh)
    found = standings(
        repeats, {0: {"accuracy": 0.91, "flops": 1.0}, 1: {"accuracy": 0.2, "flops": 2.0}}, ("accuracy", "flops")
    )
    assert found[1].seeds == 0
    assert 0 < found[1].probability < 0.05  # with one degree of freedom a little is possible
    assert (found[0].seeds, found[0].probability) == (2, 1.0)
    assert found[0].test == pytest.approx(0.81)
    low, high = found[0].intervals["accuracy"]
    assert low < 0.91 < high == 1.0  # one degree of freedom reaches far, a share no farther than 1
