"""Non-dominated ranking of rows, and the probability of not being dominated. Less is better throughout."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid_search.gaussian_process import Array
from hybrid_search.pareto import pareto_front
from hybrid_search.pruners.surrogate import N_SAMPLES

TIE_BREAK = 1e-6  # largest difference in probability that the distance to the front makes


def count_better_ranked(rows: Array, enough: float = math.inf) -> int:
    """Return how many rows lie on better non-dominated fronts than the last row.

    Args:
        rows: (n, objectives).
        enough: stop counting once this number is reached.
    """
    if not rows.shape[1]:
        return 0
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    last = rows[-1]
    better = 0
    while better < enough and _is_dominated(last, distinct):
        first = _first_front(distinct)
        better += int(counts[first].sum())
        distinct, counts = distinct[~first], counts[~first]
    return better


def _first_front(rows: Array) -> NDArray[np.bool_]:
    """Return a mask of the non-dominated rows; the rows are distinct and in lexicographic order."""
    mask = np.zeros(len(rows), dtype=bool)
    if rows.shape[1] == 2:
        mask[0] = True
        mask[1:] = rows[1:, 1] < np.minimum.accumulate(rows[:, 1])[:-1]
    else:
        mask[pareto_front(rows, ["minimize"] * rows.shape[1])] = True
    return mask


def _is_dominated(row: Array, others: Array) -> bool:
    return bool(((others <= row).all(axis=1) & (others < row).any(axis=1)).any())


def non_dominated_probability(known: Array, samples: Sequence[Array], count: int, row: int) -> float:
    """Return the share of samples in which none of the first `count` rows dominates the row `row`.

    Between two rows of equal probability, the one nearer to the front gets up to `TIE_BREAK` more.

    Args:
        known: (rows, known objectives) exact values.
        samples: for each unknown objective (N_SAMPLES, rows) joint samples.
        count: how many of the rows are completed trials.
        row: index of the row to judge.
    """
    ahead = (known[:count] <= known[row]).all(axis=1)
    if not ahead.any():
        return 1.0
    better = np.zeros((N_SAMPLES, int(ahead.sum())), dtype=bool) | (known[:count][ahead] < known[row]).any(axis=1)
    shortfall = np.full(better.shape, np.inf)  # smallest distance, over objectives, from being as good
    for values in samples:
        others, own = values[:, :count][:, ahead], values[:, row, None]
        shortfall = np.minimum(shortfall, own - others)
        better |= others < own
    distance = float(np.maximum(shortfall, 0.0).max(axis=1).mean())
    dominated = float(((shortfall >= 0) & better).any(axis=1).mean())
    return 1.0 - dominated - TIE_BREAK * distance / (1.0 + distance)
