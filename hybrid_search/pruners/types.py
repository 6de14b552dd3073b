"""The arguments and results of a pruner: plain numbers, independent of ledger, engine and sampler."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hybrid_search.errors import SettingsError, one_of
from hybrid_search.objectives import Direction, Objective

# "spare": the pruner would stop the trial, but the audit lets it run to the end to measure how often a stop is wrong.
Verdict = Literal["keep", "stop", "spare"]


@dataclass(frozen=True)
class PrunerObjectives:
    """The objectives of a search, as far as a pruner needs them.

    Args:
        directions: for each objective, "maximize" or "minimize".
        known: the positions of the objectives whose exact values are known before training.
        best: for each objective its natural best value (accuracy 1, loss 0) or None. Empty: none is known.

    Raises:
        SettingsError: the three do not fit together.
    """

    directions: tuple[Direction, ...]
    known: tuple[int, ...] = ()
    best: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.directions)
        for direction in self.directions:
            one_of("direction", direction, ("maximize", "minimize"), SettingsError)
        if not count or len(self.best) not in (0, count) or any(i not in range(count) for i in self.known):
            raise SettingsError(
                f"aims must be one or more directions, known positions among them and a best value for each or for "
                f"none; got {count} directions, known {list(self.known)}, {len(self.best)} best values."
            )

    @classmethod
    def of(cls, objectives: Sequence[Objective]) -> "PrunerObjectives":
        """Return the aims of these entries of the objective table.

        Args:
            objectives: the objectives of a search, in order.
        """
        return cls(
            tuple(objective.direction for objective in objectives),
            tuple(i for i, objective in enumerate(objectives) if objective.known),
            tuple(objective.best for objective in objectives),
        )

    @property
    def unknown(self) -> tuple[int, ...]:
        """The positions of the objectives that only training shows."""
        return tuple(i for i in range(len(self.directions)) if i not in self.known)

    def row(self, known: Sequence[float], unknown: Sequence[float]) -> list[float]:
        """Merge known and unknown values into one row, in the order of the objectives.

        Args:
            known: values of the known objectives.
            unknown: values of the unknown objectives.

        Returns:
            One value for each objective.
        """
        values = dict(zip(self.known, known, strict=True)) | dict(zip(self.unknown, unknown, strict=True))
        return [values[i] for i in range(len(self.directions))]


@dataclass(frozen=True)
class TrialView:
    """One trial as a pruner sees it.

    Args:
        digest: identity of the architecture.
        known: exact values of the known objectives.
        curve: epoch -> values of the unknown objectives; NaN where a value was not reported.
        final: values of the unknown objectives at the full budget; None unless the trial is completed.
        spared: the rung at which the audit spared the trial from a stop; None if it was never spared.
        stopped: whether the pruner stopped the trial.
        indicators: epoch -> other measurements that help to predict the final value, such as the training loss. Every
            trial has the same ones.
        features: other numbers known before training.
        choices: parameter name -> choice of the design.
    """

    digest: str
    known: tuple[float, ...]
    curve: Mapping[int, tuple[float, ...]]
    final: tuple[float, ...] | None = None
    spared: int | None = None
    stopped: bool = False
    indicators: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    features: tuple[float, ...] = ()
    choices: Mapping[str, Any] = field(default_factory=dict)

    @property
    def last_epoch(self) -> int:
        """The last epoch that was reported; 0 before the first."""
        return max(self.curve, default=0)


class Pruner(Protocol):
    """The contract of a pruner: decide which designs to train, and after each rung which trials to stop.

    Every method is a function of its arguments: the same trials give the same result, in whatever order they are.
    """

    @property
    def min_probability(self) -> float:
        """The probability of reaching the front below which a design is deferred."""

    def front_probabilities(self, designs: Sequence[TrialView], others: Sequence[TrialView]) -> list[float]:
        """Return for each design that has not started its probability of reaching the front.

        Args:
            designs: designs without a curve.
            others: all trials so far.
        """

    def judge(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> Verdict:
        """Return whether to keep, stop or spare a trial that has just reached `rung` (an epoch).

        Args:
            trial: the running trial.
            rung: the epoch it has completed.
            others: all other trials so far.
        """

    def expected_values(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> tuple[float, ...]:
        """Return the expected final values of the unknown objectives of a trial at `rung`.

        Args:
            trial: the running trial.
            rung: the epoch that it has completed.
            others: all other trials so far.
        """


def full_budget(trials: Sequence[TrialView]) -> int:
    """Return the number of epochs of a full training: the fewest of any completed trial. 0 if none is completed."""
    return min((trial.last_epoch for trial in trials if trial.final is not None and trial.last_epoch), default=0)


def completed(trials: Sequence[TrialView]) -> list[TrialView]:
    """Return the completed trials with finite final values, sorted by digest and not by time."""
    chosen = [trial for trial in trials if trial.final is not None and all(map(math.isfinite, trial.final))]
    return sorted(chosen, key=lambda trial: trial.digest)
