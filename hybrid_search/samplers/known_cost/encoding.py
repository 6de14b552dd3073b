"""Encode parameters as rows of numbers: one-hot words, ranked numbers, a flag for an inactive parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hybrid_search.samplers.define_by_run import Params
from hybrid_search.samplers.distributions import is_ordered, position_of
from hybrid_search.samplers.known_cost.points import Array, ParamsKey, Point


def _number(choice: Any) -> float:
    return float(choice)


class ParamsEncoding:
    """The map from parameters to a row of numbers.

    A choice of k words has k columns. A number has one column from 0 to 1. Categorical numbers are encoded by rank,
    because the widths 8, 16, 32 are steps of one kind. An inactive parameter has the middle value, and one more column
    marks it as inactive.

    Args:
        distributions: parameter name -> distribution.
        ordered: whether categorical numbers are encoded by rank. If not, they are treated as words.

    Attributes:
        groups: for each column the number of its parameter.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], *, ordered: bool = True) -> None:
        self._parameters: list[tuple[str, BaseDistribution, dict[str, Sequence[float]] | None]] = []
        groups: list[int] = []
        for name in sorted(distributions):
            distribution = distributions[name]
            table: dict[str, Sequence[float]] | None = None
            width = 2
            if isinstance(distribution, CategoricalDistribution):
                choices = distribution.choices
                if ordered and is_ordered(distribution):
                    steps = max(1, len(choices) - 1)
                    ranks = {repr(c): rank / steps for rank, c in enumerate(sorted(choices, key=_number))}
                    table = {**{word: [rank, 0.0] for word, rank in ranks.items()}}
                elif len(choices) == 2:
                    table = {repr(c): [float(i), 0.0] for i, c in enumerate(choices)}
                else:
                    width = len(choices) + 1
                    one_hot = 0.5**0.5 * np.eye(len(choices), width)
                    table = {repr(c): one_hot[i].tolist() for i, c in enumerate(choices)}
            self._parameters.append((name, distribution, table))
            groups += [len(self._parameters) - 1] * width
        self.groups = np.array(groups, dtype=np.intp)
        self._widths = (
            np.bincount(self.groups, minlength=len(self._parameters)) if groups else np.zeros(0, dtype=np.intp)
        )

    def row(self, params: Params) -> list[float]:
        """Return the row of a design. Parameters without a distribution are ignored."""
        row: list[float] = []
        for (name, distribution, table), width in zip(self._parameters, self._widths, strict=True):
            if name not in params:
                row += [0.5, 1.0] if width == 2 else [0.0] * (width - 1) + [1.0]
            elif table is not None:
                row += table.get(repr(params[name]), [0.0] * int(width))
            else:
                assert isinstance(distribution, IntDistribution | FloatDistribution)
                row += [position_of(distribution, params[name]), 0.0]
        return row


def informative_columns(rows: Array) -> NDArray[np.intp]:
    """Return the indices of the columns that are neither constant nor the copy or complement of an earlier one."""
    kept, seen = [], set()
    for i, column in enumerate(rows.T):
        if column.min() == column.max():
            continue
        oriented = column if column[0] == column.min() else column.max() - column
        mark = np.round(oriented, 9).tobytes()
        if mark not in seen:
            seen.add(mark)
            kept.append(i)
    return np.array(kept, dtype=np.intp)


def encoded_rows(encoding: ParamsEncoding, cache: dict[ParamsKey, Array], points: Sequence[Point]) -> Array:
    """Return points as rows.

    Args:
        encoding: the encoding.
        cache: the rows of earlier points; new ones are added.
        points: the points.

    Returns:
        (number of points, number of columns).
    """
    for point in points:
        if point.name not in cache:
            cache[point.name] = np.array(encoding.row(point.params), dtype=np.float64)
    return np.stack([cache[point.name] for point in points]) if points else np.zeros((0, len(encoding.groups)))
