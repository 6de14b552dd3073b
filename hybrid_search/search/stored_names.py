"""Names under which the ledger stores a user's own functions: evaluations, samplers and pruners."""

import hashlib
import re
from functools import partial
from typing import Any

from hybrid_search.errors import SettingsError
from hybrid_search.records import TRAINED

EVALUATION_LENGTH = 200  # characters of the column for evaluations
DIGEST = 12  # hexadecimal digits that end the name of a thing with a longer one
NAME = re.compile(r"[^\W\d]\w*(\.([^\W\d]\w*|<locals>))*")


def stored_name(what: str, thing: Any) -> str:
    """Return the name under which a function or a callable object is stored; a string is its own name.

    The name of a function is its module and its qualified name. A `functools.partial` has the name of its function,
    followed by its arguments. A callable object has the name of its class, or its own attribute `name`.

    Args:
        what: What the function is, for the message: "evaluate", "sampler" or "pruner".
        thing: A name, a function, a `functools.partial`, or an object with `__call__`.

    Returns:
        A name that is the same in every process.

    Raises:
        SettingsError: The thing is not callable, or has no such name.

    Example:
        >>> stored_name("evaluate", partial(my_module.evaluate, epochs=3))
        'my_module.evaluate(epochs=3)'
    """
    if isinstance(thing, str):
        return thing
    if isinstance(thing, partial):
        arguments = [_plain(value) for value in thing.args]
        arguments += [f"{name}={_plain(value)}" for name, value in sorted(thing.keywords.items())]
        return f"{stored_name(what, thing.func)}({', '.join(arguments)})"
    if not callable(thing):
        raise SettingsError(f"{what} must be a function or a callable object; got {thing!r}.")
    own = getattr(thing, "name", None)
    if isinstance(own, str) and own and not isinstance(thing, type):
        _check_own(what, own)
        return own
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    name = f"{named.__module__}.{named.__qualname__}"
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{what} must have a name that stays the same, because the ledger stores it; got {name}. Use a function "
            "made by def, or a callable object with an attribute `name`."
        )
    return name


def evaluation_name(evaluate: Any) -> str:
    """Return the stored name of an evaluation, at most 200 characters; see `stored_name`."""
    if isinstance(evaluate, str):
        raise SettingsError(f"evaluate must be a function or a callable object; got {evaluate!r}.")
    return shortened(stored_name("evaluate", evaluate), EVALUATION_LENGTH)


def shortened(name: str, length: int) -> str:
    """Return a name of at most `length` characters. The digest at the end of a longer one keeps names apart."""
    if len(name) <= length:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST]
    return f"{name[: length - DIGEST - 1]}~{digest}"


def _check_own(what: str, name: str) -> None:
    """Raise SettingsError if the attribute `name` of an object is a name that the package uses itself."""
    taken: tuple[str, ...] = (TRAINED,)
    if what == "sampler":
        from hybrid_search.samplers import SAMPLERS

        taken = tuple(SAMPLERS)
    elif what == "pruner":
        from hybrid_search.pruners import PRUNERS

        taken = tuple(PRUNERS)
    if name in taken:
        raise SettingsError(f"the attribute `name` of a {what} must be its own; got {name!r}, which the package uses.")


def _plain(value: object) -> str:
    """Return a text of one argument that is the same in every process, and another for another value."""
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    text = repr(value)
    if " at 0x" in text or "..." in text:
        raise SettingsError(
            f"an argument of a functools.partial must have a complete text, because the ledger stores it; got a "
            f"{type(value).__qualname__} that prints as {text[:60]!r}. Use a callable object with an attribute `name`."
        )
    return text
