"""The questions that lead to the designs of a table, so that a sampler can be asked for one of them.

Optuna's samplers want the same choices whenever a question is asked, and a table may have holes: an unfinished search
trained some designs of its space. So a question offers all its answers; it is asked only while more than one of them
leads to a design that is left, and an answer that leads to none counts as the nearest one that does: the next number,
or the next word in order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_search.analysis.replay.table import Params, Table, choices_of
from hybrid_search.errors import DataError
from hybrid_search.spaces.choosers import Chooser


@dataclass(frozen=True)
class Question:
    """One question, and where each of its choices leads: to another question, or to the index of a design."""

    name: str
    choices: tuple[Any, ...]
    leads: Mapping[Any, "Question | int"]


@dataclass(frozen=True)
class _Given:
    """A chooser that reads answers; KeyError where there is none."""

    params: Params

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.params[name]


class Tree:
    """The questions of a table in the order of its columns, a conditional one after the answer that opens it.

    DataError where two designs differ only in that one was asked a question and the other was not.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._choices = {name: choices_of(table.designs, name) for name in table.parameters}
        self.paths: list[dict[str, Any]] = [{} for _ in table.designs]  # the answers that lead to each design
        self._root = self._grown(list(range(len(table.designs))), {})
        self._met: dict[tuple[tuple[str, Any], ...], int] = {}

    def ask(self, chooser: Chooser) -> int:
        """Ask until one design is left: its index."""
        here = self._root
        while isinstance(here, Question):
            here = here.leads[chooser.suggest_categorical(here.name, here.choices)]
        return here

    def find(self, params: Params) -> int:
        """The index of the design that these answers lead to; KeyError where an answer is missing."""
        key = tuple(params.items())
        if key not in self._met:
            self._met[key] = self.ask(_Given(params))
        return self._met[key]

    def _grown(self, left: list[int], path: dict[str, Any]) -> Question | int:
        if len(left) == 1:
            self.paths[left[0]] = path
            return left[0]
        designs = [self._table.designs[i] for i in left]
        asked = [n for n in self._choices if all(n in d for d in designs) and len({d[n] for d in designs}) > 1]
        if not asked:
            one, other = (self._table.rows[i] for i in left[:2])
            raise DataError(
                f"a question may be left out only where an earlier answer says so; in {self._table.name}, {one} and "
                f"{other} differ only in empty cells."
            )
        name, choices = asked[0], self._choices[asked[0]]
        branches: dict[Any, Question | int] = {}
        for choice in choices:
            below = [i for i in left if self._table.designs[i][name] == choice]
            if below:
                branches[choice] = self._grown(below, {**path, name: choice})
        nearest = _by_number if all(isinstance(c, int | float) for c in choices) else _by_order
        leads = {choice: branches[nearest(choice, choices, branches)] for choice in choices}
        return Question(name, choices, leads)


Nearest = Callable[[Any, Sequence[Any], Mapping[Any, Any]], Any]


def _by_number(choice: Any, choices: Sequence[Any], open_: Mapping[Any, Any]) -> Any:
    at = choices.index(choice)
    return min(open_, key=lambda other: abs(choices.index(other) - at))


def _by_order(choice: Any, choices: Sequence[Any], open_: Mapping[Any, Any]) -> Any:
    at = choices.index(choice)
    return next(other for other in (*choices[at:], *choices[:at]) if other in open_)
