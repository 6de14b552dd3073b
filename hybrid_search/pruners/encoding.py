"""Encode choices as rows of numbers: ranked numbers, one-hot words, the middle for an inactive parameter."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_search.gaussian_process import Inputs


def encode_choices(designs: Sequence[Mapping[str, Any]]) -> Inputs:
    """Return a row for each design and a group of columns for each parameter.

    Two designs that differ in one parameter are at most 1 apart. The choices of a parameter are those that occur among
    the designs. The rows depend on the set of designs, not on their order.

    Args:
        designs: for each design, parameter name -> choice. A missing parameter is inactive.
    """
    columns: list[list[float]] = []
    groups: list[int] = []
    for name in sorted({name for design in designs for name in design}):
        chosen = [design.get(name) for design in designs]
        values = {value for value in chosen if value is not None}
        if len(values) < 2:
            continue
        group = groups[-1] + 1 if groups else 0
        if all(map(_is_number, values)):
            rank = {value: i / (len(values) - 1) for i, value in enumerate(sorted(values))}
            columns.append([rank.get(value, 0.5) for value in chosen])
        else:
            columns += [[0.5**0.5 * (value == word) for value in chosen] for word in sorted(values, key=str)]
        groups += [group] * (len(columns) - len(groups))
    rows = np.array(columns, dtype=np.float64).reshape(-1, len(designs)).T
    return Inputs(rows, np.array(groups, dtype=np.intp))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
