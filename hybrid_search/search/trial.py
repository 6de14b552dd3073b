"""Trial, outcome and progress: the values that a search and an engine exchange. They need neither Optuna nor torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import Settings


@dataclass(frozen=True)
class Trial:
    """One architecture to train under one set of settings; results count for its present attempt alone."""

    id: int
    number: int
    architecture: Architecture
    choices: Mapping[str, Any]
    settings: Settings
    attempt: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: complete with its numbers, stopped early, or failed with a kind and a text."""

    state: Literal["complete", "stopped", "failed"]
    measurements: Mapping[str, float] = field(default_factory=dict)
    failure_kind: str | None = None
    failure_text: str | None = None
    expected: Mapping[str, float] = field(default_factory=dict)  # of a stopped trial: what it would have ended with


@dataclass(frozen=True)
class Progress:
    """Where a search stands."""

    counts: Mapping[str, int]
    target: int
    gated: int
    duplicates: int
    front: int
    hypervolume: float
    reference: Sequence[float]
    best: float | None
    passed: int = 0  # designs that wait: the pruner passed them over before their first epoch
    saved: int = 0  # epochs that stopped trials were not given
    retried: int = 0  # attempts that failed and were followed by another
