"""Answers as rows of numbers for a model: choices one-hot, numbers by their order, "absent" a value of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hybrid_search.samplers.define_by_run import Params, is_ordered, place

Array = NDArray[np.float64]


def _number(choice: Any) -> float:
    return float(choice)


class Encoding:
    """From answers to a row. `groups` says for each column which question it stands for.

    A choice of k words is k columns, a number one from 0 to 1: a choice of numbers by rank, for widths 8, 16, 32 are
    steps of one kind. A question that is not asked stands in the middle, and a column says that it is absent.
    """

    def __init__(self, offered: Mapping[str, BaseDistribution], *, ordered: bool = True) -> None:
        self._places: list[tuple[str, BaseDistribution, dict[str, Sequence[float]] | None]] = []
        groups: list[int] = []
        for name in sorted(offered):
            distribution = offered[name]
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
            self._places.append((name, distribution, table))
            groups += [len(self._places) - 1] * width
        self.groups = np.array(groups, dtype=np.intp)
        self._widths = np.bincount(self.groups, minlength=len(self._places)) if groups else np.zeros(0, dtype=np.intp)

    def row(self, params: Params) -> list[float]:
        """The row of one set of answers; questions that it does not know are left out."""
        row: list[float] = []
        for (name, distribution, table), width in zip(self._places, self._widths, strict=True):
            if name not in params:
                row += [0.5, 1.0] if width == 2 else [0.0] * (width - 1) + [1.0]
            elif table is not None:
                row += table.get(repr(params[name]), [0.0] * int(width))
            else:
                assert isinstance(distribution, IntDistribution | FloatDistribution)
                row += [place(distribution, params[name]), 0.0]
        return row


def telling(rows: Array) -> NDArray[np.intp]:
    """The columns that tell something: neither constant nor the copy or complement of an earlier one."""
    kept, seen = [], set()
    for i, column in enumerate(rows.T):
        if column.min() == column.max():
            continue
        turned = column if column[0] == column.min() else column.max() - column
        mark = np.round(turned, 9).tobytes()
        if mark not in seen:
            seen.add(mark)
            kept.append(i)
    return np.array(kept, dtype=np.intp)
