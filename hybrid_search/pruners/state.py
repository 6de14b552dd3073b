"""PrunerState: the pruner of a search, with the trials and deferred designs in the form that it reads."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hybrid_search.objectives import Objective
from hybrid_search.pruners.audit import Audit, audit_of, saved_epochs
from hybrid_search.pruners.queue import DeferredDesigns
from hybrid_search.pruners.types import Pruner, PrunerObjectives, TrialView, Verdict

INDICATORS = (
    "train_loss",
)  # measurements of a rung that help to predict the end; this one has less noise than accuracy


class PrunerState:
    """The pruner of a search together with every trial and every deferred design it has to know.

    Failed trials are left out.

    Args:
        pruner: the pruner.
        objectives: the objectives of the search.
    """

    def __init__(self, pruner: Pruner, objectives: Sequence[Objective]) -> None:
        self.aims = PrunerObjectives.of(objectives)
        self.unknown = [objectives[i].name for i in self.aims.unknown]
        self.trials: dict[int, TrialView] = {}  # by number
        self.deferred = DeferredDesigns()  # by digest
        self._known = [objectives[i].name for i in self.aims.known]
        self._pruner = pruner

    def add_design(self, digest: str, costs: Mapping[str, float], choices: Mapping[str, Any]) -> None:
        """Add a proposed design that has not started.

        Args:
            digest: identity of the architecture.
            costs: name -> exact value known before training (FLOPs, parameters).
            choices: parameter name -> choice.
        """
        self.deferred.add(digest, self._view(digest, costs, choices))

    def next_design(self, *, required: bool = False) -> TrialView | None:
        """Remove the deferred design to train next and return it; None if every one stays deferred.

        Args:
            required: return the most probable design even if its probability is low.

        Returns:
            The design, or None.
        """
        before = dict(self.deferred.designs)
        key = self.deferred.next_design(self._pruner, list(self.trials.values()), required=required)
        return None if key is None else before[key]

    def start(self, number: int, digest: str, costs: Mapping[str, float], choices: Mapping[str, Any]) -> None:
        """Add a trial that starts. A trial that was added before stays as it is.

        Args:
            number: number of the trial.
            digest: identity of the architecture.
            costs: name -> exact value known before training.
            choices: parameter name -> choice.
        """
        self.trials.setdefault(number, self._view(digest, costs, choices))

    def _view(self, digest: str, costs: Mapping[str, float], choices: Mapping[str, Any]) -> TrialView:
        features = tuple(float(costs[name]) for name in sorted(costs) if name not in self._known)
        return TrialView(digest, _values(costs, self._known), {}, features=features, choices=dict(choices))

    def add_rung(self, number: int, rung: int, measurements: Mapping[str, float]) -> None:
        """Add the measurements of one epoch of a trial. Later epochs, of an earlier attempt, are removed.

        Args:
            number: number of a trial that started.
            rung: the epoch.
            measurements: name -> value after this epoch.
        """
        before = self.trials[number]
        curve = {epoch: row for epoch, row in before.curve.items() if epoch < rung}
        indicators = {epoch: row for epoch, row in before.indicators.items() if epoch < rung}
        spared = before.spared if before.spared is not None and before.spared < rung else None
        curve[rung], indicators[rung] = _values(measurements, self.unknown), _values(measurements, INDICATORS)
        self.trials[number] = replace(before, curve=curve, indicators=indicators, spared=spared)

    def restore(self, number: int, curve: Mapping[int, Mapping[str, float]], spared: int | None) -> None:
        """Add what an earlier driver recorded of a trial: its measurements by epoch, and the rung of a spared stop.

        Args:
            number: number of a trial that started.
            curve: epoch -> measurements.
            spared: the rung at which the audit spared the trial; None if it did not.
        """
        for rung, measurements in curve.items():
            self.add_rung(number, rung, measurements)
        self.trials[number] = replace(self.trials[number], spared=spared)

    def judge(self, number: int, rung: int) -> Verdict:
        """Return the pruner's verdict on a trial at this rung. A spared trial is marked as spared.

        Args:
            number: number of a running trial.
            rung: the epoch that it has completed.
        """
        verdict = self._pruner.judge(self.trials[number], rung, self._others(number))
        if verdict == "spare":
            self.trials[number] = replace(self.trials[number], spared=rung)
        return verdict

    def expected_values(self, number: int, rung: int) -> dict[str, float]:
        """Return the expected final value of each unknown objective of a trial, by name.

        Args:
            number: number of a trial.
            rung: the epoch that it has completed.
        """
        values = self._pruner.expected_values(self.trials[number], rung, self._others(number))
        return dict(zip(self.unknown, values, strict=True))

    def finish(self, number: int, state: str, measurements: Mapping[str, float]) -> None:
        """Set how a trial ended: "complete" with its final measurements, "stopped", or "failed" (it is removed).

        Args:
            number: number of the trial.
            state: "complete", "stopped" or "failed".
            measurements: its final numbers by name.
        """
        if state == "failed":
            self.trials.pop(number, None)
        elif number in self.trials:
            final = _values(measurements, self.unknown) if state == "complete" else None
            self.trials[number] = replace(self.trials[number], final=final, stopped=state == "stopped")

    def audit(self) -> Audit:
        """Return what pruning saved, and an estimate of what it missed."""
        trials = list(self.trials.values())
        probabilities = self._pruner.front_probabilities(list(self.deferred.designs.values()), trials)
        audit = audit_of(trials, self.aims)
        return replace(audit, deferred=len(probabilities), deferred_on_front=math.fsum(probabilities))

    def saved_epochs(self) -> int:
        """Return the number of epochs that stopped trials did not train."""
        return saved_epochs(list(self.trials.values()))

    def _others(self, number: int) -> list[TrialView]:
        return [trial for other, trial in self.trials.items() if other != number]


def _values(numbers: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    return tuple(float(numbers.get(name, math.nan)) for name in names)
