"""The importance of each parameter: how its choices among the best trials differ from those among all trials.

The best trials are the first Pareto fronts, peeled off until they contain a tenth of all trials, and ten at least. The
importance of a parameter is the Pearson divergence of its choices among the best trials from those among all:

    D = sum over choices c of (p_best(c) - p(c))^2 / p(c)

This is the idea of PED-ANOVA (Watanabe et al., 2023), with non-dominated fronts in place of a quantile. By chance alone
D is about (choices - 1) / best trials, which is subtracted. A parameter that exists under some designs only is judged
among these.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_search.analysis.effects.trained_designs import ABSENT, Array, TrainedDesigns
from hybrid_search.objectives import Objective
from hybrid_search.pareto import pareto_front

BEST_SHARE, LEAST_BEST = 0.1, 10
LEAST_AMONG_BEST = 5  # best trials with a parameter, below which nothing is said of it


@dataclass(frozen=True)
class Importance:
    """The importance of one parameter.

    Attributes:
        name: The parameter.
        share: Its share of the importance of all parameters, 0..1.
        favoured: The choice that gained most among the best trials.
    """

    name: str
    share: float
    favoured: object


def importance(designs: TrainedDesigns, points: Array, objectives: tuple[Objective, ...]) -> list[Importance]:
    """Return the importance of every parameter with at least two choices, the most important first.

    Args:
        designs: The trained designs.
        points: (n, objectives) all objectives of the search.
        objectives: The objectives.

    Returns:
        Shares that add up to 1; all 0 if no parameter matters. A parameter that few of the best trials have is left
        out.
    """
    best = np.zeros(len(designs), dtype=bool)
    best[_best(points, objectives)] = True
    found: list[tuple[str, float, object]] = []
    for column, name in enumerate(designs.parameters):
        code, levels = designs.codes[:, column], designs.levels[name]
        there, among = code != ABSENT, (code != ABSENT) & best
        if len(levels) < 2 or among.sum() < LEAST_AMONG_BEST:
            continue
        every = np.bincount(code[there], minlength=len(levels)) / there.sum()
        near = np.bincount(code[among], minlength=len(levels)) / among.sum()
        chance = (len(levels) - 1) * (1 / among.sum() - 1 / there.sum())
        divergence = float(((near - every) ** 2 / every).sum()) - chance
        found.append((name, max(0.0, divergence), levels[int(np.argmax(near - every))]))
    total = sum(value for _, value, _ in found) or 1.0
    rows = [Importance(name, float(value / total), favoured) for name, value, favoured in found]
    return sorted(rows, key=lambda row: -row.share)


def _best(points: Array, objectives: tuple[Objective, ...]) -> NDArray[np.intp]:
    """Return the indices of the best trials."""
    left, found = np.arange(len(points)), np.zeros(0, dtype=np.intp)
    directions = [objective.direction for objective in objectives]
    wanted = min(len(points), max(LEAST_BEST, round(BEST_SHARE * len(points))))
    while len(found) < wanted and len(left):
        front = np.array(pareto_front(points[left], directions), dtype=np.intp)
        if not len(front):
            break
        found = np.append(found, left[front])
        left = np.delete(left, front)
    return found
