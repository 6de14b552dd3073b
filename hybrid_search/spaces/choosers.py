"""Choosers: objects that pick one choice for each parameter of a search space.

`SearchSpace.choose` calls `suggest_categorical(name, choices)` once for each parameter on its way. An Optuna trial has
this method, and so have the three classes below. Each of them records the result: `params` maps a parameter to its
choice, `offered` maps it to all choices it had.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hybrid_search.errors import SpaceError, nearest, shown

__all__ = [
    "Chooser",
    "ExhaustiveChooser",
    "FixedChoices",
    "RandomChooser",
]


class Chooser(Protocol):
    """The contract: anything that can pick one of several choices for a named parameter."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices for the parameter `name`.

        Args:
            name: name of the parameter.
            choices: the possible choices, at least two.
        """


@dataclass
class FixedChoices:
    """Choose what a dictionary contains, and the first choice where the dictionary has no entry.

    Args:
        given: parameter name -> choice.

    Example:
        >>> chooser = FixedChoices({"stage1.operator": "local_attention"})
        >>> architecture = space.choose(chooser)
        >>> chooser.params  # every parameter on the way, also those that were not given
    """

    given: Mapping[str, Any]
    params: dict[str, Any] = field(default_factory=dict, init=False)
    offered: dict[str, tuple[Any, ...]] = field(default_factory=dict, init=False)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the given choice, or the first one if none is given.

        Args:
            name: name of the parameter.
            choices: the possible choices.

        Raises:
            SpaceError: the given choice is not one of `choices`.
        """
        choice = _offered(name, self.given[name], choices) if name in self.given else choices[0]
        self.params[name] = choice
        self.offered[name] = tuple(choices)
        return choice


def _offered(name: str, given: Any, choices: Sequence[Any]) -> Any:
    """Return the choice that equals the given one, in the type of the space: 8 for 8.0. True and 1 are not equal."""
    for choice in choices:
        if isinstance(choice, bool) == isinstance(given, bool) and choice == given:
            return choice
    same = [choice for choice in choices if not isinstance(choice, str) and given == str(choice)]
    hint = nearest(given, choices) if isinstance(given, str) else ""
    if same:
        hint = f" Write {shown(same[0])} without quotes."
    raise SpaceError(f"{name} must be one of {', '.join(map(str, choices))}; got {shown(given)}.{hint}")


@dataclass
class RandomChooser:
    """Choose at random; every choice of a parameter is equally likely.

    Args:
        rng: the random generator. One number is drawn for each parameter that is not given.
        given: parameter name -> choice, used where it is one of the choices.

    Example:
        >>> architecture = space.choose(RandomChooser(random.Random(0)))
    """

    rng: random.Random
    given: Mapping[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict, init=False)
    offered: dict[str, tuple[Any, ...]] = field(default_factory=dict, init=False)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the given choice if it is one of `choices`, otherwise a random one.

        Args:
            name: name of the parameter.
            choices: the possible choices.
        """
        fixed = name in self.given and self.given[name] in choices
        self.params[name] = self.given[name] if fixed else self.rng.choice(list(choices))
        self.offered[name] = tuple(choices)
        return self.params[name]


class ExhaustiveChooser:
    """Choose every combination in turn; the last parameter changes first, as on an odometer.

    Example:
        >>> chooser = ExhaustiveChooser()
        >>> architectures = [space.choose(chooser)]
        >>> while chooser.advance():
        ...     architectures.append(space.choose(chooser))
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.offered: dict[str, tuple[Any, ...]] = {}
        self._path: list[tuple[int, int]] = []  # (index of the choice, number of choices) of each parameter
        self._position = 0

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the choice of the current combination.

        Args:
            name: name of the parameter.
            choices: the possible choices.
        """
        if self._position == len(self._path):
            self._path.append((0, len(choices)))
        self.params[name] = choices[self._path[self._position][0]]
        self.offered[name] = tuple(choices)
        self._position += 1
        return self.params[name]

    def advance(self) -> bool:
        """Move to the next combination. Return False if there are no more.

        Returns:
            Whether there is a next combination.
        """
        self.params, self.offered, self._position = {}, {}, 0
        while self._path:
            index, count = self._path.pop()
            if index + 1 < count:
                self._path.append((index + 1, count))
                return True
        return False
