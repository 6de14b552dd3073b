"""What a pruner is given and what it answers: plain numbers, without ledger, engine or sampler."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hybrid_search.errors import SettingsError, one_of
from hybrid_search.objectives import Direction, Objective

Verdict = Literal["keep", "stop", "spare"]  # spare: it would be stopped, and goes on for the audit


@dataclass(frozen=True)
class Aims:
    """What a search wants: a direction for each objective, which are known before training, where scales end.

    `best` is the natural best of an objective (accuracy 1, a loss 0), None where there is none. SettingsError where the
    three do not fit.
    """

    directions: tuple[Direction, ...]
    known: tuple[int, ...] = ()  # places among the objectives
    best: tuple[float | None, ...] = ()  # empty: none is known

    def __post_init__(self) -> None:
        count = len(self.directions)
        for direction in self.directions:
            one_of("direction", direction, ("maximize", "minimize"), SettingsError)
        if not count or len(self.best) not in (0, count) or any(i not in range(count) for i in self.known):
            raise SettingsError(
                f"aims must be one or more directions, known places among them and a best for each or none; got "
                f"{count} directions, known {list(self.known)}, {len(self.best)} bests."
            )

    @classmethod
    def of(cls, objectives: Sequence[Objective]) -> "Aims":
        """The aims of these objectives of the table."""
        return cls(
            tuple(objective.direction for objective in objectives),
            tuple(i for i, objective in enumerate(objectives) if objective.known),
            tuple(objective.best for objective in objectives),
        )

    @property
    def unknown(self) -> tuple[int, ...]:
        """The places of the objectives that training shows."""
        return tuple(i for i in range(len(self.directions)) if i not in self.known)

    def row(self, known: Sequence[float], unknown: Sequence[float]) -> list[float]:
        """Known and unknown values in the order of the objectives."""
        found = dict(zip(self.known, known, strict=True)) | dict(zip(self.unknown, unknown, strict=True))
        return [found[i] for i in range(len(self.directions))]


@dataclass(frozen=True)
class Seen:
    """One trial as a pruner sees it.

    `known` are its exact values of the known objectives, `reached` the unknown ones after each epoch (nan: not
    reported), `final` those of the full budget, None unless it is complete. `spared` is the rung at which it would have
    been stopped, `stopped` says that it was. `signs` are other numbers after each epoch that may foretell the end, such
    as the training loss: as many as there are, the same ones in every trial. `features` are other numbers known before
    training, `answers` those that chose the design.
    """

    digest: str
    known: tuple[float, ...]
    reached: Mapping[int, tuple[float, ...]]
    final: tuple[float, ...] | None = None
    spared: int | None = None
    stopped: bool = False
    signs: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    features: tuple[float, ...] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The last epoch it reported, 0 before the first."""
        return max(self.reached, default=0)


class Pruner(Protocol):
    """Who says whether a trial is worth its epochs: before the first, and after each. A function of its arguments."""

    @property
    def hope(self) -> float:
        """The chance of the front from which a design is worth its first epoch."""

    def chances(self, waiting: Sequence[Seen], others: Sequence[Seen]) -> list[float]:
        """How probably each design that has not begun would be on the front; `others` are all trials so far."""

    def judge(self, trial: Seen, rung: int, others: Sequence[Seen]) -> Verdict:
        """Keep, stop or spare a trial that has just reached `rung`; `others` are all other trials so far."""

    def expected(self, trial: Seen, rung: int, others: Sequence[Seen]) -> tuple[float, ...]:
        """The unknown objectives that the trial may be expected to end with, as it stands at `rung`."""


def full_budget(trials: Sequence[Seen]) -> int:
    """The epochs of a whole trial, as the shortest complete one with a curve shows; 0 before there is one."""
    return min((trial.last for trial in trials if trial.final is not None and trial.last), default=0)


def complete(trials: Sequence[Seen]) -> list[Seen]:
    """The complete trials with finite ends, in an order that does not depend on when they ended."""
    found = [trial for trial in trials if trial.final is not None and all(map(math.isfinite, trial.final))]
    return sorted(found, key=lambda trial: trial.digest)
