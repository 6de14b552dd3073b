"""A decision tree over the parameters of a results table. It leads a sampler to one of the designs of the table.

Optuna's samplers need the same choices for a parameter in every trial. A table can have gaps, because an unfinished
search trained only some designs of its space. So every parameter offers all its choices. A parameter is chosen only
while more than one of its choices leads to a remaining design. A choice that leads to none counts as the nearest one
that does: the next number, or the next word in order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_search.analysis.replay.results_table import Params, ResultsTable, choices_of
from hybrid_search.errors import DataError
from hybrid_search.spaces.choosers import Chooser


@dataclass(frozen=True)
class Node:
    """One parameter of the tree.

    Args:
        name: name of the parameter.
        choices: all its choices.
        branches: choice -> the next node, or the index of a design.
    """

    name: str
    choices: tuple[Any, ...]
    branches: Mapping[Any, "Node | int"]


@dataclass(frozen=True)
class _ParamsChooser:
    """A chooser that reads its choices from a mapping. KeyError if one is missing."""

    params: Params

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.params[name]


class ChoiceTree:
    """The parameters of a table in the order of its columns, each after the choice that activates it.

    Args:
        table: the table.

    Raises:
        DataError: two designs differ only in that a parameter is inactive in one of them.

    Attributes:
        paths: for each design the choices that lead to it.
    """

    def __init__(self, table: ResultsTable) -> None:
        self._table = table
        self._choices = {name: choices_of(table.designs, name) for name in table.parameters}
        self.paths: list[dict[str, Any]] = [{} for _ in table.designs]
        self._root = self._grow(list(range(len(table.designs))), {})
        self._found: dict[tuple[tuple[str, Any], ...], int] = {}

    def choose(self, chooser: Chooser) -> int:
        """Choose parameters until one design remains, and return its index."""
        node = self._root
        while isinstance(node, Node):
            node = node.branches[chooser.suggest_categorical(node.name, node.choices)]
        return node

    def find(self, params: Params) -> int:
        """Return the index of the design that these choices lead to. KeyError if a choice is missing."""
        key = tuple(params.items())
        if key not in self._found:
            self._found[key] = self.choose(_ParamsChooser(params))
        return self._found[key]

    def _grow(self, left: list[int], path: dict[str, Any]) -> Node | int:
        if len(left) == 1:
            self.paths[left[0]] = path
            return left[0]
        designs = [self._table.designs[i] for i in left]
        open_names = [n for n in self._choices if all(n in d for d in designs) and len({d[n] for d in designs}) > 1]
        if not open_names:
            one, other = (self._table.rows[i] for i in left[:2])
            raise DataError(
                f"in {self._table.name}, the designs of {one} and {other} differ only in empty cells; an earlier "
                "column must decide whether a cell is empty."
            )
        name, choices = open_names[0], self._choices[open_names[0]]
        branches: dict[Any, Node | int] = {}
        for choice in choices:
            below = [i for i in left if self._table.designs[i][name] == choice]
            if below:
                branches[choice] = self._grow(below, {**path, name: choice})
        nearest = _nearest_number if all(isinstance(c, int | float) for c in choices) else _next_in_order
        return Node(name, choices, {choice: branches[nearest(choice, choices, branches)] for choice in choices})


Nearest = Callable[[Any, Sequence[Any], Mapping[Any, Any]], Any]


def _nearest_number(choice: Any, choices: Sequence[Any], branches: Mapping[Any, Any]) -> Any:
    at = choices.index(choice)
    return min(branches, key=lambda other: abs(choices.index(other) - at))


def _next_in_order(choice: Any, choices: Sequence[Any], branches: Mapping[Any, Any]) -> Any:
    at = choices.index(choice)
    return next(other for other in (*choices[at:], *choices[:at]) if other in branches)
