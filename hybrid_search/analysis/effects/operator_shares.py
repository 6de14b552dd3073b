"""The share of each operator, block and stem at each place, on the front and among all trained designs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_search.analysis.effects.factors import Factor
from hybrid_search.analysis.effects.trained_designs import TrainedDesigns


@dataclass(frozen=True)
class OperatorShare:
    """One choice at one place.

    Attributes:
        factor: The factor: the operator, block or stem of a place.
        choice: The choice.
        trained: Number of trained designs with it.
        on_front: Number of designs of the front with it.
        best: The best objective of a design with it.
        best_trial: Number of the trial of that design.
    """

    factor: Factor
    choice: str
    trained: int
    on_front: int
    best: float
    best_trial: int


def operator_shares(designs: TrainedDesigns, factors: Sequence[Factor], front: Collection[int]) -> list[OperatorShare]:
    """Return the shares of the choices of every operator, block and stem.

    Args:
        designs: The trained designs.
        factors: The factors; options are left out.
        front: Numbers of the trials on the front.
    """
    on_front = np.isin(np.array(designs.numbers), np.array(sorted(front), dtype=np.int64))
    sign = 1.0 if designs.objective.direction == "maximize" else -1.0
    found = []
    for factor in factors:
        if factor.kind == "option":
            continue
        code = designs.column(factor.name)
        for choice in factor.levels:
            rows = np.flatnonzero(code == designs.levels[factor.name].index(choice))
            best = int(rows[np.argmax(sign * designs.values[rows])])
            counts = len(rows), int(on_front[rows].sum())
            found.append(OperatorShare(factor, choice, *counts, float(designs.values[best]), designs.numbers[best]))
    return found
