"""Asynchronous successive halving with several objectives; what may still reach the front by its curve goes on.

Idea: rungs and promotion from ASHA (Li et al., 2020, arXiv:1810.05934), ranks by non-domination in place of one loss
(Schmucker et al., 2021, arXiv:2106.12639). Added: known costs are exact at every rung, so that a cheap network is
judged among the cheap; and a veto by the learning curve.

A trial is stopped at a rung when both say so:

* its rank there: of all trials that reached the rung, at least one in `reduction` lies on better non-dominated fronts;
* its forecast: even the best end that is likely (`confidence`), at its exact cost, would be dominated by what a
  complete trial is worth. See forecast.py, and worth.py: after the first epoch the answers that chose a design
  foretell more than its curve does, and a complete trial that was lucky must not end what is as good.

Nothing is stopped before `first` trials are complete. Of those to be stopped, `audit` of all designs, picked by digest,
go on instead (spared), and tell in the end how often a stop was wrong.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_search.errors import SettingsError, whole
from hybrid_search.front import pareto_front
from hybrid_search.pruning.answers import columns
from hybrid_search.pruning.forecast import Array, Forecast, Warp, forecast
from hybrid_search.pruning.values import Aims, Seen, Verdict, complete, full_budget
from hybrid_search.pruning.worth import worth

HELD = 150  # complete trials that are learned from


@dataclass(frozen=True, eq=False)
class End:
    """How a trial may end in one objective, and what complete ones are worth in it, (trials,): both warped."""

    warp: Warp
    forecast: Forecast
    worths: Array


@dataclass(frozen=True)
class Moasha:
    """A pruner for these aims, `Pruner` in values.py. SettingsError for a setting out of range.

    ratio: from one rung to the one before, in epochs: 1.5 makes 4, 3, 2 and 1 of 6 epochs. reduction: the share that
    goes on for its rank alone is 1 / reduction. seed: of the audit's picks.
    """

    aims: Aims
    seed: int = 0
    ratio: float = 1.5
    reduction: float = 8.0
    confidence: float = 0.95
    audit: float = 0.05
    first: int = 8

    def __post_init__(self) -> None:
        for name, low, high in (("ratio", 1.0, math.inf), ("reduction", 1.0, math.inf), ("confidence", 0.5, 1.0)):
            if not low < getattr(self, name) < high:
                raise SettingsError(f"{name} must be between {low:g} and {high:g}; got {getattr(self, name)!r}.")
        if not 0 <= self.audit <= 1:
            raise SettingsError(f"audit must be a share from 0 to 1; got {self.audit!r}.")
        whole("first", self.first, 4, SettingsError)  # a spread wants more than a line has ends

    def rungs(self, full: int) -> list[int]:
        """The epochs after which a trial of `full` epochs is judged, the last first."""
        found: dict[int, None] = {}
        epochs = float(full)
        while (epochs := epochs / self.ratio) >= 1.0:
            found[min(round(epochs), full - 1)] = None
        return list(found)

    def judge(self, trial: Seen, rung: int, others: Sequence[Seen]) -> Verdict:
        """Keep, stop or spare: see the head of this file."""
        done = complete(others)
        if trial.spared is not None or len(done) < self.first or rung not in self.rungs(full_budget(others)):
            return "keep"
        if self._may_reach_the_front(trial, rung, self._held(done)) or self._ranks_well(trial, rung, others):
            return "keep"
        return "spare" if self._picked(trial.digest) else "stop"

    def expected(self, trial: Seen, rung: int, others: Sequence[Seen]) -> tuple[float, ...]:
        """The final values forecast at this rung; what it has reached where no trial is complete."""
        done = complete(others)
        if not done:
            return trial.reached[rung]
        ends = self._ends(trial, rung, self._held(done))
        return tuple(float(end.warp.back(np.array(end.forecast.mean))) for end in ends)

    def _ends(self, trial: Seen, rung: int, done: Sequence[Seen]) -> list[End]:
        """For each unknown objective how complete trials let this one end."""
        every = [*done, trial]
        answers = columns([other.answers for other in every])
        costs = _logarithms(np.array([[*other.known, *other.features] for other in every]))
        known = costs[:, : len(trial.known)]
        found = []
        for at, place in enumerate(self.aims.unknown):
            best = self.aims.best[place] if self.aims.best else None
            finals = np.array([other.final[at] for other in done if other.final is not None])
            warp = Warp.of(finals, self.aims.directions[place] == "maximize", best)
            ends = warp.to(finals)
            worths, inputs = ends, known
            if answers.shape[1]:
                design = worth(costs, answers, ends)
                worths, inputs = design.complete, np.column_stack([known, [*design.unseen, design.other]])
            shown = np.array([_at(other, rung, at) for other in every])
            told = np.isfinite(shown[:-1])
            if np.isfinite(shown[-1]) and told.sum() >= min(self.first, len(done)):
                inputs = np.column_stack([inputs, warp.to(shown), _signs(every, rung)])
            else:
                told = np.ones(len(done), dtype=bool)  # the objective is only measured at the end
            found.append(End(warp, forecast(inputs[:-1][told], ends[told], inputs[-1]), worths))
        return found

    def _may_reach_the_front(self, trial: Seen, rung: int, done: Sequence[Seen]) -> bool:
        """Whether the best likely end of the trial would not be dominated by what a complete one is worth."""
        signs = [-1.0 if self.aims.directions[i] == "maximize" else 1.0 for i in self.aims.known]
        costs = np.array([other.known for other in [*done, trial]]).reshape(len(done) + 1, -1) * signs
        for end in self._ends(trial, rung, done):
            costs = np.column_stack([costs, [*end.worths, end.forecast.hoped(self.confidence)]])
        return not _dominated(costs[-1], costs[:-1])

    def _ranks_well(self, trial: Seen, rung: int, others: Sequence[Seen]) -> bool:
        """Whether fewer than one in `reduction` of those at the rung lie on better non-dominated fronts."""
        shows = [at for at in range(len(self.aims.unknown)) if math.isfinite(_at(trial, rung, at))]
        there = [other for other in others if all(math.isfinite(_at(other, rung, at)) for at in shows)]
        there = [other for other in there if rung in other.reached]
        signs = [-1.0 if direction == "maximize" else 1.0 for direction in self.aims.directions]
        costs = np.array(
            [
                [signs[i] * value for i, value in zip(self.aims.known, other.known, strict=True)]
                + [signs[self.aims.unknown[at]] * _at(other, rung, at) for at in shows]
                for other in [*there, trial]
            ]
        )
        return better_ranked(costs, enough=len(costs) / self.reduction) < len(costs) / self.reduction

    def _held(self, done: Sequence[Seen]) -> Sequence[Seen]:
        """The complete trials that are learned from: all, or of many the front and some others."""
        if len(done) <= HELD:
            return done
        front = set(pareto_front([self.aims.row(t.known, t.final or ()) for t in done], self.aims.directions))
        others = [i for i in range(len(done)) if i not in front][: max(HELD - len(front), 0)]
        return [done[i] for i in sorted({*front, *others})]

    def _picked(self, digest: str) -> bool:
        drawn = hashlib.sha256(f"{self.seed}/{digest}".encode()).digest()
        return int.from_bytes(drawn[:8]) < self.audit * 2**64


def better_ranked(costs: Array, enough: float = math.inf) -> int:
    """How many rows (less is better) lie on better non-dominated fronts than the last one; counted up to `enough`."""
    if not costs.shape[1]:
        return 0
    rows, counts = np.unique(costs, axis=0, return_counts=True)
    mine = costs[-1]
    better = 0
    while better < enough and _dominated(mine, rows):
        first = _first_front(rows)
        better += int(counts[first].sum())
        rows, counts = rows[~first], counts[~first]
    return better


def _first_front(rows: Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of these different rows, in their order as words, are not dominated."""
    found = np.zeros(len(rows), dtype=bool)
    if rows.shape[1] == 2:
        found[0] = True
        found[1:] = rows[1:, 1] < np.minimum.accumulate(rows[:, 1])[:-1]
    else:
        found[pareto_front(rows, ["minimize"] * rows.shape[1])] = True
    return found


def _dominated(row: Array, others: Array) -> bool:
    return bool(((others <= row).all(axis=1) & (others < row).any(axis=1)).any())


def _at(trial: Seen, rung: int, at: int) -> float:
    return trial.reached[rung][at] if rung in trial.reached else math.nan


def _signs(trials: Sequence[Seen], rung: int) -> Array:
    """(trials, signs) at a rung: those signs that every trial shows."""
    rows = [trial.signs.get(rung, ()) for trial in trials]
    if len({len(row) for row in rows}) > 1:
        return np.empty((len(rows), 0))
    values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    return _logarithms(values[:, np.isfinite(values).all(axis=0)])


def _logarithms(columns: Array) -> Array:
    """Columns as logarithms where all are above 0."""
    positive = (columns > 0).all(axis=0)
    return np.asarray(np.where(positive, np.log(np.where(positive, columns, 1.0)), columns))
