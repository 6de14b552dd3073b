"""Names under which the ledger stores a user's own functions: evaluations, samplers and pruners."""

import hashlib
import re
import sys
from functools import partial
from typing import Any

from hybrid_search.errors import SettingsError
from hybrid_search.records import TRAINED
from hybrid_search.search.content_digest import Content, content_of

EVALUATION_LENGTH = 200  # characters of the column for evaluations
DIGEST = 12  # hexadecimal digits that end the name of a thing with a longer one
NAME = re.compile(r"[^\W\d]\w*(\.([^\W\d]\w*|<locals>))*")
LAMBDA = re.compile(r"[^\W\d]\w*(\.([^\W\d]\w*|<locals>|<lambda>))*")  # a digest tells them apart
IDENTITY = re.compile(r"#(2:)?([0-9a-f]{12})@([\d.]+)$")  # rule and digest of an evaluation, version of Python
RULE = "2:"  # marks the digests of `content_digest`; those of the rule before have no mark, and are not compared


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
    if isinstance(thing, partial) and not isinstance(getattr(thing, "name", None), str):
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
    if not (LAMBDA if what == "evaluate" else NAME).fullmatch(name):
        raise SettingsError(
            f"{what} must have a name that stays the same, because the ledger stores it; got {name}. Use a function "
            "made by def, or a callable object with an attribute `name`."
        )
    return name


def evaluation_name(evaluate: Any) -> str:
    """Return the name of an evaluation, at most 200 characters; see `stored_name`."""
    if isinstance(evaluate, str):
        raise SettingsError(f"evaluate must be a function or a callable object; got {evaluate!r}.")
    return shortened(stored_name("evaluate", evaluate), EVALUATION_LENGTH)


def evaluation_identity(evaluate: Any) -> tuple[str, Content]:
    """Return what the ledger stores of an evaluation: its name and a digest of what it does.

    Args:
        evaluate: The evaluation. The digest counts its code, and the values that it captures and that cannot change;
            see `content_digest`. An object or a function with an attribute `name` is identified by this name alone.

    Returns:
        The identity, at most 200 characters, and what the evaluation does, in parts.

    Raises:
        SettingsError: It is not callable, or has no name.

    Example:
        >>> evaluation_identity(my_module.evaluate)[0]
        'my_module.evaluate#2:0f3a5c7d9e1b@3.11'
    """
    name = evaluation_name(evaluate)
    if isinstance(getattr(evaluate, "name", None), str) and name == shortened(evaluate.name, EVALUATION_LENGTH):
        return name, Content("", {}, ())
    content = content_of(evaluate)
    mark = f"#{RULE}{content.digest[:DIGEST]}@{sys.version_info.major}.{sys.version_info.minor}"
    return shortened(stored_name("evaluate", evaluate), EVALUATION_LENGTH - len(mark)) + mark, content


def evaluation_label(stored: str) -> str:
    """Return the name of an evaluation without its digest, for people.

    Args:
        stored: The identity in the ledger.
    """
    return IDENTITY.sub("", stored)


def evaluation_difference(stored: str, now: str) -> str | None:
    """Return how the evaluation of a search differs from the one that is given now, in words; None if it is the same.

    Not compared are digests of two versions of Python, and those of an earlier version of this package: its name had no
    digest, or one of another rule.

    Args:
        stored: The identity in the ledger.
        now: The identity of the evaluation that is given now.
    """
    before, after = IDENTITY.search(stored), IDENTITY.search(now)
    if stored == now:
        return None
    names = [evaluation_label(text) for text in (stored, now)]
    starts = [name.rpartition("~")[0] or name for name in names]  # a longer name was cut at another place
    if not (names[0] == names[1] or ("~" in stored and starts[0].startswith(starts[1]))):
        return f"evaluation is {names[0]} (got {names[1]})"
    if before is None or after is None or (before[1], before[3]) != (after[1], after[3]):
        return None
    return (
        f"evaluation is {stored} (got {now}: its code, or a value that it uses, is another). If the numbers stay "
        f"comparable, set evaluate.name = {stored!r}"
    )


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
    """Return a text of one argument that is the same in every process. The digest tells other values apart."""
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    try:
        text = repr(value)
    except Exception:  # code of the user
        text = "..."
    return f"<{type(value).__qualname__}>" if " at 0x" in text or "..." in text or "\n" in text else text
