"""Trial, outcome and progress: the values that a search and an engine exchange. They need neither Optuna nor torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hybrid_search.errors import SettingsError, one_of
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import RETRIES, Settings


@dataclass(frozen=True)
class Trial:
    """One architecture to train under one set of settings.

    Args:
        id: Row of the trial in the ledger.
        number: Number of the trial in its search, from 0.
        architecture: The architecture.
        choices: Parameter name -> choice.
        settings: How it is trained.
        attempt: Number of the attempt, from 1; results of earlier attempts are refused.
    """

    id: int
    number: int
    architecture: Architecture
    choices: Mapping[str, Any]
    settings: Settings
    attempt: int = 1

    def __repr__(self) -> str:
        return f"<trial {self.number}, attempt {self.attempt}, seed {self.settings.seed}: {self.architecture}>"


@dataclass(frozen=True)
class Outcome:
    """The end of a trial.

    Args:
        state: "complete", "stopped" by the pruner, or "failed".
        measurements: Final numbers of a completed trial.
        failure_kind: Kind of failure, one of `RETRIES`.
        failure_text: Text of the failure for people.
        expected: Expected final values of a stopped trial.

    Raises:
        SettingsError: The state or the kind of failure is unknown.

    Example:
        >>> search.tell(trial, Outcome("complete", {"accuracy": 0.97}))
    """

    state: Literal["complete", "stopped", "failed"]
    measurements: Mapping[str, float] = field(default_factory=dict)
    failure_kind: str | None = None
    failure_text: str | None = None
    expected: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of("state of an outcome", self.state, ("complete", "stopped", "failed"), SettingsError)
        if self.state == "failed":
            one_of("failure_kind", self.failure_kind, RETRIES, SettingsError)


@dataclass(frozen=True)
class Progress:
    """The progress of a search.

    Args:
        counts: State -> number of trials.
        target: Total number of trials.
        over_budget: Proposals over the budget.
        duplicates: Proposals of a known architecture.
        front: Number of trials on the front.
        hypervolume: Hypervolume of the front, measured from `reference`.
        reference: Reference point, in the order of the objectives.
        best: Best value of the first objective; None before the first completed trial.
        deferred: Designs that the pruner defers.
        saved_epochs: Epochs that stopped trials did not train.
        retried: Failed attempts that were followed by another.
    """

    counts: Mapping[str, int]
    target: int
    over_budget: int
    duplicates: int
    front: int
    hypervolume: float
    reference: Sequence[float]
    best: float | None
    deferred: int = 0
    saved_epochs: int = 0
    retried: int = 0
