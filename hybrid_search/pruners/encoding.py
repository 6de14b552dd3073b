"""Answers as rows of numbers: numbers by their order, words one-hot, a question that was not asked in the middle."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_search.gaussian_process import Inputs


def columns(answers: Sequence[Mapping[str, Any]]) -> Inputs:
    """A row a design, a group a question: designs that differ in one answer are at most 1 apart in it.

    A choice is what some design has. A function of the set of designs, whatever their order.
    """
    found: list[list[float]] = []
    groups: list[int] = []
    for name in sorted({name for each in answers for name in each}):
        given = [each.get(name) for each in answers]
        values = {value for value in given if value is not None}
        if len(values) < 2:
            continue
        group = groups[-1] + 1 if groups else 0
        if all(map(_is_number, values)):
            place = {value: rank / (len(values) - 1) for rank, value in enumerate(sorted(values))}
            found.append([place.get(value, 0.5) for value in given])
        else:
            found += [[0.5**0.5 * (value == word) for value in given] for word in sorted(values, key=str)]
        groups += [group] * (len(found) - len(groups))
    rows = np.array(found, dtype=np.float64).reshape(-1, len(answers)).T
    return Inputs(rows, np.array(groups, dtype=np.intp))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
