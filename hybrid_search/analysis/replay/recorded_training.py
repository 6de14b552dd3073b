"""Training that is replayed from recorded learning curves, with a pruner."""

from collections.abc import Hashable
from dataclasses import replace

from hybrid_search.analysis.replay.objective_table import LearningCurves, ObjectiveTable
from hybrid_search.analysis.replay.results_table import Params
from hybrid_search.pruners import PRUNERS, DeferredDesigns, TrialView


class RecordedTraining:
    """The trainings of one simulated run.

    Args:
        table: the objective table.
        curves: its learning curves.
        pruner: name of the pruner.
        seed: seed of the run.

    Attributes:
        stopped: identity of a stopped design -> its expected final values.
    """

    def __init__(self, table: ObjectiveTable, curves: LearningCurves, pruner: str, seed: int) -> None:
        self._table, self._curves = table, curves
        self._pruner = PRUNERS[pruner](curves.aims, seed)
        self._measure = curves.measure(seed)
        self._trials: dict[Hashable, TrialView] = {}
        self._deferred = DeferredDesigns()
        self._deferred_params: dict[Hashable, Params] = {}
        self.stopped: dict[Hashable, tuple[float, ...]] = {}

    def next_design(self, params: Params, *, required: bool) -> Params | None:
        """Add a proposed design, and return the design to train next: this one, a deferred one, or None.

        Args:
            params: the proposed design.
            required: return a design even if all have a low probability of reaching the front.
        """
        key = self._table.canonical(params)
        self._deferred_params[key] = params
        self._deferred.add(key, self._view(params))
        chosen = self._deferred.next_design(self._pruner, list(self._trials.values()), required=required)
        return None if chosen is None else self._deferred_params.pop(chosen)

    def deferred(self) -> list[Params]:
        """Return the designs that were proposed and have not been trained."""
        return list(self._deferred_params.values())

    def _view(self, params: Params) -> TrialView:
        known = tuple(self._table.known[i](params) for i in self._curves.aims.known)
        features = () if self._table.features is None else tuple(self._table.features(params))
        return TrialView(str(self._table.canonical(params)), known, {}, features=features, choices=params)

    def train(self, params: Params) -> int:
        """Train a design to the end, or until the pruner stops it. Return the number of epochs."""
        key = self._table.canonical(params)
        self.stopped.pop(key, None)  # a stopped design that is trained again may complete
        others = [trial for other, trial in self._trials.items() if other != key]
        trial = self._view(params)
        values, indicators = self._measure(params)
        last = self._curves.rungs[-1]
        for rung, row, extra in zip(self._curves.rungs, values.tolist(), indicators.tolist(), strict=True):
            trial = replace(
                trial,
                curve={**trial.curve, rung: tuple(row)},
                indicators={**trial.indicators, rung: tuple(extra)},
                final=tuple(row) if rung == last else None,
            )
            verdict = "keep" if rung == last else self._pruner.judge(trial, rung, others)
            if verdict == "stop":
                self._trials[key] = replace(trial, stopped=True)
                self.stopped[key] = self._pruner.expected_values(trial, rung, others)
                return rung
            if verdict == "spare":
                trial = replace(trial, spared=rung)
        self._trials[key] = trial
        return last
