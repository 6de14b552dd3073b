"""The time that is left to a run, with a clock that the tests move."""

import random

import pytest

from hybrid_search.runs.time_left import TimeLeft


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def simulate(durations, costs, workers, rungs=5, startup=0.0, gap=0.0):
    """Run trials on workers; return (elapsed, estimate) at the end of each trial, and the whole time."""
    clock = Clock()
    times = TimeLeft(clock)
    waiting, events, found = list(range(len(durations))), [], []

    def start(at, first):
        number = waiting.pop(0)
        clock.now = at
        times.start(number, rungs, costs[number])
        late = startup if first else 0.0
        step = durations[number] / rungs
        events.extend((at + late + step * (i + 1), number, i + 1) for i in range(rungs))

    for _ in range(min(workers, len(durations))):
        start(0.0, True)
    while events:
        events.sort()
        clock.now, number, rung = events.pop(0)
        if rung < rungs:
            times.rung(number)
            continue
        times.end(number)
        ended = clock.now
        if waiting:
            start(ended + gap, False)
        mean = sum(costs) / len(costs)
        found.append((ended, times.seconds(len(waiting), mean)))
    return found, clock.now


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("startup", [0.0, 20.0])
def test_after_a_tenth_the_estimate_is_right_within_a_factor_of_one_and_a_half(workers, startup):
    rng = random.Random(0)
    costs = [rng.uniform(0.2, 4.0) for _ in range(80)]
    durations = [1.0 + 2.0 * cost * rng.uniform(0.8, 1.2) for cost in costs]
    found, total = simulate(durations, costs, workers, startup=startup, gap=0.1)
    ratios = [estimate / (total - at) for at, estimate in found[8:70]]
    assert all(1 / 1.5 < ratio < 1.5 for ratio in ratios), (min(ratios), max(ratios))


def test_large_networks_at_first_do_not_make_the_rest_seem_long():
    costs = [10.0, 8.0, 9.0, 4.0] + [1.0] * 36
    durations = [2.0 + cost for cost in costs]
    found, total = simulate(durations, costs, workers=2)
    at, estimate = found[4]
    assert 1 / 1.5 < estimate / (total - at) < 1.5


def test_without_a_timed_rung_nothing_is_known():
    times = TimeLeft(Clock())
    assert times.seconds(10) is None
    times.start(0, rungs=3, cost=1.0)
    assert times.seconds(10) is None


def test_the_first_epochs_of_running_trials_give_an_estimate():
    clock = Clock()
    times = TimeLeft(clock)
    times.start(0, rungs=4, cost=1.0)
    for clock.now in (2.0, 3.0):
        times.rung(0)
    assert times.seconds(0) == pytest.approx(2.0)
    assert times.running() == [(0, 2, 4, 3.0)]


def test_pruned_trials_shorten_the_estimate():
    clock = Clock()
    times = TimeLeft(clock)
    for number in range(4):
        times.start(number, rungs=10, cost=1.0)
        clock.now += 1.0
        times.rung(number)
        clock.now += 1.0
        times.end(number)  # after two of ten rungs
    assert times.seconds(5, 1.0) == pytest.approx(10.0, rel=0.1)


def test_failed_trials_are_left_out_of_the_estimate():
    times = TimeLeft(Clock())
    times.start(0, rungs=4, cost=1.0)
    times.end(0, failed=True)
    assert times.running() == []
    assert times.seconds(4) is None


def test_one_trial_can_run_twice_at_a_time_as_a_confirmation_does():
    clock = Clock()
    times = TimeLeft(clock)
    times.start(3, rungs=2, cost=1.0)
    times.start(3, rungs=2, cost=1.0)
    clock.now = 1.0
    times.rung(3)
    times.rung(3)
    assert times.running() == [(3, 1, 2, 1.0), (3, 1, 2, 1.0)]
    times.end(3)
    assert len(times.running()) == 1
