"""Pruner `low-accuracy`: stop a trial whose first unknown objective is the worst of all at its rung."""

from collections.abc import Sequence

from hybrid_search.pruners import Pruner, PrunerObjectives, TrialView, Verdict


class LowAccuracy:
    """Compare the first unknown objective with that of all trials at the same rung, once there are four."""

    min_probability = 0.0

    def __init__(self, aims: PrunerObjectives) -> None:
        self._sign = 1.0 if aims.directions[aims.unknown[0]] == "maximize" else -1.0

    def front_probabilities(self, designs: Sequence[TrialView], others: Sequence[TrialView]) -> list[float]:
        """Return 1 for every design: none is deferred."""
        return [1.0] * len(designs)

    def judge(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> Verdict:
        """Return "stop" if no other trial was worse at this rung."""
        values = [self._sign * other.curve[rung][0] for other in others if rung in other.curve]
        if len(values) < 4:
            return "keep"
        return "stop" if self._sign * trial.curve[rung][0] < min(values) else "keep"

    def expected_values(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> tuple[float, ...]:
        """Return the values that the trial has reached."""
        return trial.curve[rung]


def low_accuracy(aims: PrunerObjectives, seed: int) -> Pruner:
    """Return the pruner for these objectives."""
    return LowAccuracy(aims)
