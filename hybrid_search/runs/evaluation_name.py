"""The name of an evaluation, under which the ledger keeps its numbers apart from those of other evaluations."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from hybrid_search.errors import SettingsError

LENGTH = 200  # characters of the column in the ledger
NAME = re.compile(r"[^\W\d]\w*(\.([^\W\d]\w*|<locals>))*")


def evaluation_name(evaluate: Callable[..., Any]) -> str:
    """Return the stored name of an evaluation: its module and its qualified name.

    A `functools.partial` has the name of its function followed by its arguments. A callable object has the name of its
    class, or its own attribute `name` if that is a string.

    Args:
        evaluate: A generator function, a `functools.partial` of one, or an object with `__call__`.

    Returns:
        At most 200 characters, the same in every process that imports the evaluation.

    Raises:
        SettingsError: The evaluation is not callable, or has no name that is the same in every process.

    Example:
        >>> evaluation_name(partial(my_module.evaluate, epochs=3))
        'my_module.evaluate(epochs=3)'
    """
    return _name(evaluate)[:LENGTH]


def _name(evaluate: Any) -> str:
    if isinstance(evaluate, partial):
        arguments = [_plain(value) for value in evaluate.args]
        arguments += [f"{name}={_plain(value)}" for name, value in sorted(evaluate.keywords.items())]
        return f"{_name(evaluate.func)}({', '.join(arguments)})"
    if not callable(evaluate):
        raise SettingsError(f"evaluate must be a generator function or a callable object; got {evaluate!r}.")
    own = getattr(evaluate, "name", None)
    if isinstance(own, str) and own and not isinstance(evaluate, type):
        return own
    named = evaluate if hasattr(evaluate, "__qualname__") else type(evaluate)
    name = f"{named.__module__}.{named.__qualname__}"
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"evaluate must have a name that stays the same, to keep its numbers apart; got {name}. Use a function "
            "made by def, or a callable object with an attribute `name`."
        )
    return name


def _plain(value: object) -> str:
    """Return a short text of one argument that contains no memory address."""
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text
