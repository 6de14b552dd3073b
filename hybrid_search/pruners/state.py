"""What a search has shown its pruner so far."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hybrid_search.objectives import Objective
from hybrid_search.pruners.audit import Audit, audited, saved_epochs
from hybrid_search.pruners.queue import Waiting
from hybrid_search.pruners.types import Aims, Pruner, Seen, Verdict

SIGNS = ("train_loss",)  # numbers of a rung that foretell the end: this one is less noisy than an accuracy


class Watch:
    """The trials of a search by number, as its pruner sees them; without those that failed."""

    def __init__(self, pruner: Pruner, objectives: Sequence[Objective]) -> None:
        self.aims = Aims.of(objectives)
        self.unknown = [objectives[i].name for i in self.aims.unknown]
        self.seen: dict[int, Seen] = {}
        self.waiting = Waiting()  # by digest
        self._known = [objectives[i].name for i in self.aims.known]
        self._pruner = pruner

    def wait(self, digest: str, prices: Mapping[str, float], answers: Mapping[str, Any]) -> None:
        """A design that has not begun."""
        self.waiting.add(digest, self._start(digest, prices, answers))

    def pick(self, *, must: bool = False) -> Seen | None:
        """Which of the designs that wait is to begin; it waits no longer."""
        before = dict(self.waiting.designs)
        key = self.waiting.pick(self._pruner, list(self.seen.values()), must=must)
        return None if key is None else before[key]

    def begin(self, number: int, digest: str, prices: Mapping[str, float], answers: Mapping[str, Any]) -> None:
        """A trial and what is known of it before training; of one that has begun, nothing new."""
        self.seen.setdefault(number, self._start(digest, prices, answers))

    def _start(self, digest: str, prices: Mapping[str, float], answers: Mapping[str, Any]) -> Seen:
        more = tuple(float(prices[name]) for name in sorted(prices) if name not in self._known)
        return Seen(digest, _values(prices, self._known), {}, features=more, answers=dict(answers))

    def show(self, number: int, rung: int, measurements: Mapping[str, float]) -> None:
        """One rung of a trial that has begun. One that was started again is forgotten from there on."""
        before = self.seen[number]
        reached = {epoch: row for epoch, row in before.reached.items() if epoch < rung}
        signs = {epoch: row for epoch, row in before.signs.items() if epoch < rung}
        spared = before.spared if before.spared is not None and before.spared < rung else None
        reached[rung], signs[rung] = _values(measurements, self.unknown), _values(measurements, SIGNS)
        self.seen[number] = replace(before, reached=reached, signs=signs, spared=spared)

    def restore(self, number: int, curve: Mapping[int, Mapping[str, float]], spared: int | None) -> None:
        """What a trial showed before: its numbers after each epoch, and where it was spared."""
        for rung, measurements in curve.items():
            self.show(number, rung, measurements)
        self.seen[number] = replace(self.seen[number], spared=spared)

    def judge(self, number: int, rung: int) -> Verdict:
        """What the pruner says of a trial that has shown this rung. A spared one is so from now on."""
        verdict = self._pruner.judge(self.seen[number], rung, self._others(number))
        if verdict == "spare":
            self.seen[number] = replace(self.seen[number], spared=rung)
        return verdict

    def expected(self, number: int, rung: int) -> dict[str, float]:
        """The unknown objectives that a trial may be expected to end with, by name."""
        values = self._pruner.expected(self.seen[number], rung, self._others(number))
        return dict(zip(self.unknown, values, strict=True))

    def end(self, number: int, state: str, numbers: Mapping[str, float]) -> None:
        """How a trial ended: complete with its final numbers, stopped, or failed."""
        if state == "failed":
            self.seen.pop(number, None)
        elif number in self.seen:
            final = _values(numbers, self.unknown) if state == "complete" else None
            self.seen[number] = replace(self.seen[number], final=final, stopped=state == "stopped")

    def audit(self) -> Audit:
        """What pruning saved, and what it may have cost."""
        trials = list(self.seen.values())
        chances = self._pruner.chances(list(self.waiting.designs.values()), trials)
        return replace(audited(trials, self.aims), passed=len(chances), hoped=math.fsum(chances))

    def saved(self) -> int:
        """The epochs that stopped trials were not given."""
        return saved_epochs(list(self.seen.values()))

    def _others(self, number: int) -> list[Seen]:
        return [seen for other, seen in self.seen.items() if other != number]


def _values(numbers: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    return tuple(float(numbers.get(name, math.nan)) for name in names)
