"""What pruning saved and what it may have cost: numbers from the trials of a search, and how they are said."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from hybrid_search.pareto import pareto_front
from hybrid_search.pruners.types import Aims, Seen, complete, full_budget

FEW = 4  # trials below which a rank correlation says nothing


@dataclass(frozen=True)
class Audit:
    """Pruning, looked at afterwards.

    `correlations`: for each epoch short of the full budget the Spearman rank correlation of the first unknown objective
    with its final value, over complete trials, the spared among them; None where fewer than four or all equal.
    `missed`: of the spared, the share that reached the front, and its 95 % Wilson interval.
    """

    complete: int
    stopped: int
    spent: int  # epochs
    saved: int
    correlations: Mapping[int, float | None] = field(default_factory=dict)
    spared: int = 0  # and complete
    reached: int = 0  # of those, how many are on the front
    missed: tuple[float, float, float] | None = None  # low, share, high
    passed: int = 0  # designs that wait for their first epoch
    hoped: float = 0.0  # how many of those are expected on the front

    def lines(self) -> list[str]:
        """Two to five plain lines."""
        share = self.saved / max(self.saved + self.spent, 1)
        found = [
            f"pruning stopped {self.stopped} of {self.stopped + self.complete} trials and saved {self.saved} of "
            f"{self.saved + self.spent} epochs ({100 * share:.0f} %)"
        ]
        told = [f"{rung}: {value:.2f}" for rung, value in self.correlations.items() if value is not None]
        if told:
            found.append(f"rank correlation with the full budget, by epoch: {', '.join(told)}")
        else:
            found.append(f"rank correlation: too little to say ({self.complete} complete trials)")
        if self.missed is None and self.stopped:
            found.append(
                "no trial that would have been stopped was let go on, so how often a stop was wrong is unknown"
            )
        elif self.missed is not None:
            low, share, high = self.missed
            found.append(
                f"of {self.spared} that would have been stopped and went on, {self.reached} reached the front: "
                f"{100 * share:.0f} % (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
            )
        if self.passed:
            found.append(
                f"passed over {self.passed} designs before their first epoch, of which {self.hoped:.1f} would be "
                "expected on the front"
            )
        return found


def saved_epochs(trials: Sequence[Seen]) -> int:
    """The epochs that stopped trials were not given."""
    full = full_budget(trials)
    return sum(max(full - trial.last, 0) for trial in trials if trial.stopped)


def audited(trials: Sequence[Seen], aims: Aims) -> Audit:
    """The audit of a search's trials, running ones among them."""
    done, full = complete(trials), full_budget(trials)
    spared = [trial for trial in done if trial.spared is not None]
    rows = [aims.row(trial.known, trial.final or ()) for trial in done]
    front = {done[i].digest for i in pareto_front(rows, aims.directions)} if rows else set()
    reached = sum(trial.digest in front for trial in spared)
    return Audit(
        complete=len(done),
        stopped=sum(trial.stopped for trial in trials),
        spent=sum(trial.last for trial in trials),
        saved=saved_epochs(trials),
        correlations={rung: _correlation(done, rung) for rung in range(1, full)} if aims.unknown else {},
        spared=len(spared),
        reached=reached,
        missed=wilson(reached, len(spared)) if spared else None,
    )


def _correlation(done: Sequence[Seen], rung: int) -> float | None:
    pairs = [(t.reached[rung][0], t.final[0]) for t in done if rung in t.reached and t.final is not None]
    pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
    return spearman(*zip(*pairs, strict=True)) if len(pairs) >= FEW else None


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """The rank correlation of two rows of numbers, equal ones sharing their mean rank; None where one is constant."""
    from scipy.stats import spearmanr

    if np.ptp(np.asarray(first)) == 0 or np.ptp(np.asarray(second)) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def wilson(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """(low, share, high) of a share seen `hits` times in `count`: the Wilson score interval."""
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(confidence, method="wilson")
    return float(interval.low), hits / count, float(interval.high)
