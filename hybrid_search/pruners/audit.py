"""The audit of a pruner: the epochs that it saved, and an estimate of its wrong stops, from the trials of a search."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from hybrid_search._internal.counted import counted
from hybrid_search.pareto import pareto_front
from hybrid_search.pruners.types import PrunerObjectives, TrialView, completed, full_budget

MIN_TRIALS = 4  # with fewer trials a rank correlation means nothing


@dataclass(frozen=True)
class Audit:
    """The audit of a pruner.

    Args:
        complete: number of completed trials.
        stopped: number of stopped trials.
        spent: epochs trained.
        saved: epochs that stopped trials did not train.
        correlations: epoch before the full budget -> Spearman rank correlation of the first unknown objective with its
            final value over completed trials; None with fewer than four trials or constant values.
        spared: completed trials that would have been stopped, but were spared for the audit.
        spared_on_front: how many of them reached the front.
        missed: (low, share, high) of the spared trials that reached the front, with the 95 % Wilson interval.
        deferred: designs that are deferred.
        deferred_on_front: how many of them are expected on the front.
    """

    complete: int
    stopped: int
    spent: int
    saved: int
    correlations: Mapping[int, float | None] = field(default_factory=dict)
    spared: int = 0
    spared_on_front: int = 0
    missed: tuple[float, float, float] | None = None
    deferred: int = 0
    deferred_on_front: float = 0.0

    def lines(self) -> list[str]:
        """Return the audit as two to five lines of text."""
        share = self.saved / max(self.saved + self.spent, 1)
        lines = [
            f"pruning stopped {self.stopped} of {counted(self.stopped + self.complete, 'trial')} and saved "
            f"{self.saved} of {counted(self.saved + self.spent, 'epoch')} ({100 * share:.0f} %)"
        ]
        known = [f"{rung}: {value:.2f}" for rung, value in self.correlations.items() if value is not None]
        if known:
            lines.append(f"rank correlation with the full budget, by epoch: {', '.join(known)}")
        else:
            lines.append(f"rank correlation: not enough data ({counted(self.complete, 'completed trial')})")
        if self.missed is None and self.stopped:
            lines.append("share of wrong stops: unknown, because no stop was skipped for the audit")
        elif self.missed is not None:
            low, share, high = self.missed
            lines.append(
                f"share of wrong stops: {self.spared_on_front} of {counted(self.spared, 'trial')} whose stop was "
                f"skipped reached the front, {100 * share:.0f} % (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
            )
        if self.deferred:
            lines.append(
                f"deferred {counted(self.deferred, 'design')} before their first epoch; {self.deferred_on_front:.1f} "
                "of them are expected on the front"
            )
        return lines


def saved_epochs(trials: Sequence[TrialView]) -> int:
    """Return the number of epochs that stopped trials did not train."""
    full = full_budget(trials)
    return sum(max(full - trial.last_epoch, 0) for trial in trials if trial.stopped)


def audit_of(trials: Sequence[TrialView], aims: PrunerObjectives) -> Audit:
    """Return the audit of a search's trials; running ones may be among them.

    Args:
        trials: all trials of a search.
        aims: its objectives.
    """
    done, full = completed(trials), full_budget(trials)
    spared = [trial for trial in done if trial.spared is not None]
    rows = [aims.row(trial.known, trial.final or ()) for trial in done]
    front = {done[i].digest for i in pareto_front(rows, aims.directions)} if rows else set()
    on_front = sum(trial.digest in front for trial in spared)
    return Audit(
        complete=len(done),
        stopped=sum(trial.stopped for trial in trials),
        spent=sum(trial.last_epoch for trial in trials),
        saved=saved_epochs(trials),
        correlations={rung: _correlation(done, rung) for rung in range(1, full)} if aims.unknown else {},
        spared=len(spared),
        spared_on_front=on_front,
        missed=wilson(on_front, len(spared)) if spared else None,
    )


def _correlation(done: Sequence[TrialView], rung: int) -> float | None:
    pairs = [(t.curve[rung][0], t.final[0]) for t in done if rung in t.curve and t.final is not None]
    pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
    return spearman(*zip(*pairs, strict=True)) if len(pairs) >= MIN_TRIALS else None


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Return Spearman's rank correlation (ties share their mean rank); None if one of the sequences is constant."""
    from scipy.stats import spearmanr

    if np.ptp(np.asarray(first)) == 0 or np.ptp(np.asarray(second)) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def wilson(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return (low, share, high): the observed share `hits` / `count` with its Wilson score interval."""
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(confidence, method="wilson")
    return float(interval.low), hits / count, float(interval.high)
