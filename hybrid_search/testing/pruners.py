"""The contract of a pruner as a class of tests."""

import math
import random
from dataclasses import replace
from typing import ClassVar

import pytest

from hybrid_search.pruners import Pruner, PrunerObjectives, TrialView

_EPOCHS = 6


def _trial(number: int, rung: int, rng: random.Random) -> TrialView:
    """Return a trial with a learning curve up to `rung`; it is completed if the rung is the last epoch."""
    wide = rng.choice((8, 16, 32))
    flops = 1e4 * wide * (1 + rng.random())
    accuracy = 0.6 + 0.05 * math.log2(wide / 8) + 0.05 * rng.random()
    curve = {epoch: (accuracy * (1 - 0.5**epoch),) for epoch in range(1, rung + 1)}
    indicators = {epoch: (1 - value[0],) for epoch, value in curve.items()}
    final = curve[_EPOCHS] if rung == _EPOCHS else None
    return TrialView(
        f"{number:04d}", (flops,), curve, final, indicators=indicators, features=(float(wide),), choices={"width": wide}
    )


class PrunerContract:
    """The tests that every pruner must pass. Inherit from it in a test module.

    Attributes:
        factory: a function (aims, seed) -> pruner, as `staticmethod`.

    Example:
        >>> class TestMyPruner(PrunerContract):
        ...     factory = staticmethod(lambda aims, seed: MyPruner(aims))
    """

    factory: "ClassVar[staticmethod[[PrunerObjectives, int], Pruner]]"

    @pytest.fixture
    def pruner(self) -> Pruner:
        """The pruner of a search for accuracy and FLOPs."""
        return type(self).factory(PrunerObjectives(("maximize", "minimize"), (1,), (1.0, None)), 0)

    @pytest.fixture
    def completed(self) -> list[TrialView]:
        """Twenty completed trials."""
        rng = random.Random(0)
        return [_trial(number, _EPOCHS, rng) for number in range(20)]

    @pytest.fixture
    def running(self) -> list[TrialView]:
        """Twelve trials that have reached the second epoch."""
        rng = random.Random(1)
        return [_trial(100 + number, 2, rng) for number in range(12)]

    def test_the_bound_is_a_probability(self, pruner: Pruner) -> None:
        """`min_probability` is between 0 and 1."""
        assert 0.0 <= pruner.min_probability <= 1.0

    def test_each_design_gets_a_probability(
        self, pruner: Pruner, completed: list[TrialView], running: list[TrialView]
    ) -> None:
        """`front_probabilities` returns one number from 0 to 1 for each design, in their order."""
        designs = [replace(trial, curve={}, indicators={}) for trial in running]
        values = pruner.front_probabilities(designs, completed)
        assert len(values) == len(designs)
        assert all(-1e-5 <= value <= 1.0 for value in values)
        assert pruner.front_probabilities([], completed) == []
        backwards = pruner.front_probabilities(designs[::-1], completed)[::-1]
        assert backwards == pytest.approx(values)

    def test_nothing_is_deferred_or_stopped_before_a_trial_is_completed(
        self, pruner: Pruner, running: list[TrialView]
    ) -> None:
        """Without completed trials there is nothing to compare with."""
        first, *others = running
        assert pruner.judge(first, 2, others) == "keep"
        assert pruner.front_probabilities([replace(first, curve={})], others)[0] >= pruner.min_probability

    def test_the_order_of_the_trials_does_not_matter(
        self, pruner: Pruner, completed: list[TrialView], running: list[TrialView]
    ) -> None:
        """The same trials in another order give the same verdicts and expected values."""
        shuffled = random.Random(2).sample(completed, len(completed))
        for trial in running:
            assert pruner.judge(trial, 2, completed) == pruner.judge(trial, 2, shuffled)
            assert pruner.expected_values(trial, 2, completed) == pruner.expected_values(trial, 2, shuffled)

    def test_a_verdict_is_keep_stop_or_spare(
        self, pruner: Pruner, completed: list[TrialView], running: list[TrialView]
    ) -> None:
        """`judge` returns one of three words."""
        assert {pruner.judge(trial, 2, completed) for trial in running} <= {"keep", "stop", "spare"}

    def test_expected_values_are_finite(
        self, pruner: Pruner, completed: list[TrialView], running: list[TrialView]
    ) -> None:
        """There is one expected value for each unknown objective."""
        for others in (completed, []):
            values = pruner.expected_values(running[0], 2, others)
            assert len(values) == 1
            assert math.isfinite(values[0])
