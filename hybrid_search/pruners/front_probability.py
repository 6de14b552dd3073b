"""Asynchronous successive halving with several objectives; what may still reach the front goes on.

Idea: rungs and promotion from ASHA (Li et al., 2020, arXiv:1810.05934), ranks by non-domination in place of one loss
(Schmucker et al., 2021, arXiv:2106.12639). Added: known costs are exact at every rung, so that a cheap network is
judged among the cheap; a veto by the learning curve; and a rung before the first epoch.

The chance of a design is the probability that, at its exact cost, what it is worth is not dominated by what a complete
trial is worth. Both are drawn together from one model of the complete trials (worth.py), so that one that was lucky
does not end what is as good; of a trial that has begun, given the end that its curve foretells (forecast.py).

A trial is stopped at a rung when both say so:

* its rank there: of all trials that reached the rung, at least one in `reduction` lies on better non-dominated fronts;
* its chance, which is below 1 - `confidence`.

Before its first epoch a design waits as long as its chance is below `hope`: nothing is lost, for as more trials end it
may be picked. Nothing waits or is stopped before `first` trials are complete. Of those to be stopped, `audit` of all
designs, picked by digest, go on instead (spared), and tell in the end how often a stop was wrong.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hybrid_search.errors import SettingsError, whole
from hybrid_search.gaussian_process import Array, Inputs
from hybrid_search.pareto import pareto_front
from hybrid_search.pruners.encoding import columns
from hybrid_search.pruners.forecast import Forecast, Warp, forecast
from hybrid_search.pruners.surrogate import DRAWS, Worths
from hybrid_search.pruners.types import Aims, Seen, Verdict, complete, full_budget

HELD = 150  # complete trials that are learned from
SLIGHT = 1e-6  # of two chances that are equal, that of the design which is nearer to the front is so much greater


@dataclass(frozen=True, eq=False)
class End:
    """How trials end in one objective, warped: of the complete ones and the judged one.

    `worths` is None where the answers say nothing.
    """

    warp: Warp
    ends: Array  # (complete,)
    inputs: Inputs
    worths: Worths | None


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
    confidence: float = 0.98
    hope: float = 0.08
    audit: float = 0.05
    first: int = 6

    def __post_init__(self) -> None:
        for name, low, high in (("ratio", 1.0, math.inf), ("reduction", 1.0, math.inf), ("confidence", 0.5, 1.0)):
            if not low < getattr(self, name) < high:
                raise SettingsError(f"{name} must be between {low:g} and {high:g}; got {getattr(self, name)!r}.")
        for name in ("audit", "hope"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be a share from 0 to 1; got {getattr(self, name)!r}.")
        whole("first", self.first, 4, SettingsError)  # a spread wants more than a line has ends

    def rungs(self, full: int) -> list[int]:
        """The epochs after which a trial of `full` epochs is judged, the last first."""
        found: dict[int, None] = {}
        epochs = float(full)
        while (epochs := epochs / self.ratio) >= 1.0:
            found[min(round(epochs), full - 1)] = None
        return list(found)

    def chances(self, waiting: Sequence[Seen], others: Sequence[Seen]) -> list[float]:
        """How probably each design that has not begun would be on the front: 1 until enough trials are complete."""
        done = complete(others)
        if not waiting or len(done) < self.first:
            return [1.0] * len(waiting)
        order = sorted(range(len(waiting)), key=lambda at: waiting[at].digest)  # what, not when
        chances = self._chances([waiting[at] for at in order], 0, self._held(done))
        found = dict(zip(order, chances.tolist(), strict=True))
        return [found[at] for at in range(len(waiting))]

    def judge(self, trial: Seen, rung: int, others: Sequence[Seen]) -> Verdict:
        """Keep, stop or spare: see the head of this file."""
        done = complete(others)
        if trial.spared is not None or len(done) < self.first or rung not in self.rungs(full_budget(others)):
            return "keep"
        chance = self._chances([trial], rung, self._held(done))[0]
        if chance >= 1.0 - self.confidence or self._ranks_well(trial, rung, others):
            return "keep"
        return "spare" if self._picked(trial.digest) else "stop"

    def expected(self, trial: Seen, rung: int, others: Sequence[Seen]) -> tuple[float, ...]:
        """The final values forecast at this rung; what it has reached where no trial is complete."""
        done = complete(others)
        if not done:
            return trial.reached[rung]
        held = self._held(done)
        ends = self._ends([trial], held)
        means = [self._forecast(end, trial, rung, held, at).mean for at, end in enumerate(ends)]
        return tuple(float(end.warp.back(np.array(mean))) for end, mean in zip(ends, means, strict=True))

    def _ends(self, trials: Sequence[Seen], done: Sequence[Seen]) -> list[End]:
        """For each unknown objective how complete trials ended, and what their answers and costs say of all."""
        every = [*done, *trials]
        answers = columns([other.answers for other in every])
        costs = _scaled(_logarithms(np.array([[*other.known, *other.features] for other in every])), len(done))
        count = len(np.unique(answers.groups))
        groups = np.append(answers.groups, count + np.arange(costs.shape[1])).astype(np.intp)
        inputs = Inputs(np.column_stack([answers.rows, costs]), groups)
        found = []
        for at, place in enumerate(self.aims.unknown):
            best = self.aims.best[place] if self.aims.best else None
            finals = np.array([other.final[at] for other in done if other.final is not None])
            warp = Warp.of(finals, self.aims.directions[place] == "maximize", best)
            ends = warp.to(finals)
            worths = _learned(_Told.of(inputs.take(np.arange(len(done))), ends)) if count else None
            found.append(End(warp, ends, inputs, worths))
        return found

    def _forecast(self, end: End, trial: Seen, rung: int, done: Sequence[Seen], at: int) -> Forecast:
        """How a trial will end, from its curve, its costs and what its answers say of it."""
        every = [*done, trial]
        inputs = _logarithms(np.array([other.known for other in every]).reshape(len(every), -1))
        if end.worths is not None:
            mine = end.worths.expected(end.inputs.take(np.array([len(done)])))
            inputs = np.column_stack([inputs, [*end.worths.unseen, *mine]])
        shown = np.array([_at(other, rung, at) for other in every])
        told = np.isfinite(shown[:-1])
        if np.isfinite(shown[-1]) and told.sum() >= min(self.first, len(done)):
            inputs = np.column_stack([inputs, end.warp.to(shown), _signs(every, rung)])
        else:
            told = np.ones(len(done), dtype=bool)  # the objective is only measured at the end
        return forecast(inputs[:-1][told], end.ends[told], inputs[-1])

    def _chances(self, trials: Sequence[Seen], rung: int, done: Sequence[Seen]) -> Array:
        """The chance of each of these trials; before the first epoch of many together, else of one at a rung."""
        signs = [-1.0 if self.aims.directions[i] == "maximize" else 1.0 for i in self.aims.known]
        costs = np.array([other.known for other in [*done, *trials]]).reshape(len(done) + len(trials), -1) * signs
        drawn = []
        for at, end in enumerate(self._ends(trials, done)):
            last = self._forecast(end, trials[0], rung, done, at).drawn(DRAWS, at) if rung else None
            if end.worths is not None:
                drawn.append(end.worths.drawn(end.inputs, last, stream=at))
            elif last is not None:
                drawn.append(np.column_stack([np.tile(end.ends, (DRAWS, 1)), last]))
            else:
                return np.ones(len(trials))
        return np.array([_undominated(costs, drawn, len(done), len(done) + n) for n in range(len(trials))])

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


def _undominated(costs: Array, drawn: Sequence[Array], count: int, mine: int) -> float:
    """The share of draws in which none of the first `count` rows dominates the row `mine`; less is better."""
    ahead = (costs[:count] <= costs[mine]).all(axis=1)
    if not ahead.any():
        return 1.0
    better = np.zeros((DRAWS, int(ahead.sum())), dtype=bool) | (costs[:count][ahead] < costs[mine]).any(axis=1)
    short = np.full(better.shape, np.inf)  # what it lacks in one objective or the other to be as good
    for values in drawn:
        others, own = values[:, :count][:, ahead], values[:, mine, None]
        short = np.minimum(short, own - others)
        better |= others < own
    lacks = float(np.maximum(short, 0.0).max(axis=1).mean())
    return 1.0 - float(((short >= 0) & better).any(axis=1).mean()) - SLIGHT * lacks / (1.0 + lacks)


@dataclass(frozen=True)
class _Told:
    """Rows, their groups and ends as words: what a model is remembered by."""

    rows: bytes
    shape: tuple[int, ...]
    groups: tuple[int, ...]
    ends: bytes

    @classmethod
    def of(cls, inputs: Inputs, ends: Array) -> "_Told":
        """These rows and ends."""
        return cls(inputs.rows.tobytes(), inputs.rows.shape, tuple(inputs.groups.tolist()), ends.tobytes())


@lru_cache(maxsize=8)
def _learned(told: _Told) -> Worths:
    """The model of these rows and ends, learned once for all who ask."""
    rows = np.frombuffer(told.rows).reshape(told.shape)
    return Worths(Inputs(rows, np.array(told.groups, dtype=np.intp)), np.frombuffer(told.ends))


def _scaled(values: Array, count: int) -> Array:
    """Columns from 0 to 1 over the first rows; one that does not vary among them is left out."""
    low, span = values[:count].min(axis=0), np.ptp(values[:count], axis=0)
    kept = span > 1e-12
    return np.asarray((values[:, kept] - low[kept]) / span[kept])


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
