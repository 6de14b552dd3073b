"""The trained designs of a search as columns of numbers, for comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_search.objectives import Objective

Array = NDArray[np.float64]
ABSENT = -1  # the code of a parameter that a design does not have


@dataclass(frozen=True, eq=False)
class TrainedDesigns:
    """The n designs of a search that were trained to the end.

    Args:
        numbers: Number of the trial of each design.
        choices: Parameter name -> choice of each design. Parameters that do not apply are missing.
        values: (n,) the objective of each design; a mean over fresh seeds, if there are any.
        flops: (n,) FLOPs of one image.
        objective: What `values` are.

    Example:
        >>> choices = [{"stage1.operator": "conv"}, {"stage1.operator": "local_attention"}]
        >>> TrainedDesigns([0, 1], choices, np.array([0.91, 0.93]), np.array([2e6, 2.2e6]), OBJECTIVES["accuracy"])
    """

    numbers: Sequence[int]
    choices: Sequence[Mapping[str, Any]]
    values: Array
    flops: Array
    objective: Objective

    def __len__(self) -> int:
        return len(self.choices)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters, in the order of their first use."""
        return tuple(dict.fromkeys(name for design in self.choices for name in design))

    @cached_property
    def levels(self) -> dict[str, tuple[Any, ...]]:
        """The choices of each parameter that occur: numbers in order, then words."""
        found: dict[str, set[Any]] = {name: set() for name in self.parameters}
        for design in self.choices:
            for name, choice in design.items():
                found[name].add(choice)
        return {name: tuple(sorted(choices, key=_order)) for name, choices in found.items()}

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """The designs as numbers, (n, parameters): the index of a choice in `levels`, or ABSENT."""
        table = np.full((len(self), len(self.parameters)), ABSENT, dtype=np.int64)
        for column, name in enumerate(self.parameters):
            code = {choice: i for i, choice in enumerate(self.levels[name])}
            table[:, column] = [code[design[name]] if name in design else ABSENT for design in self.choices]
        return table

    def column(self, name: str) -> NDArray[np.int64]:
        """Return the codes of one parameter.

        Args:
            name: Name of the parameter.

        Returns:
            (n,) indices of choices in `levels`, or ABSENT.
        """
        return np.asarray(self.codes[:, self.parameters.index(name)])

    def take(self, rows: NDArray[np.intp]) -> "TrainedDesigns":
        """Return some of the designs.

        Args:
            rows: (k,) indices of the designs, in the order that the result has.

        Returns:
            The k designs.
        """
        picked = rows.tolist()
        choices = [self.choices[i] for i in picked]
        numbers = [self.numbers[i] for i in picked]
        return TrainedDesigns(numbers, choices, self.values[rows], self.flops[rows], self.objective)


def _order(choice: Any) -> tuple[bool, float, str]:
    """Return the sort key of a choice: numbers in order, then words."""
    number = isinstance(choice, int | float) and not isinstance(choice, bool)
    return not number, float(choice) if number else 0.0, str(choice)
