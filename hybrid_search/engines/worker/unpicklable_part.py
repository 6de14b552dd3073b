"""Find the part of an evaluation that cannot be pickled, for the message of the error."""

import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

from hybrid_search._internal.exception_text import message_of

MAX_DEPTH = 4  # parts of parts


def unpicklable_part(evaluate: Any, error: BaseException) -> tuple[str, str]:
    """Return the name of the innermost part that cannot be pickled, and the reason.

    Args:
        evaluate: An evaluation that cannot be pickled.
        error: The error of pickling it.
    """
    name, found, reason = "evaluate", evaluate, message_of(error)
    for _ in range(MAX_DEPTH):
        for inner, part in _parts(found):
            problem = _problem(part)
            if problem is not None:
                name, found, reason = f"{inner} of {name}", part, problem
                break
        else:
            break
    return f"{name} (of type {type(found).__name__})", reason


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of what a function or an object consists of."""
    if isinstance(thing, partial):
        yield "the function", thing.func
        yield from ((f"argument {number}", value) for number, value in enumerate(thing.args))
        yield from ((f"argument {name}", value) for name, value in thing.keywords.items())
    elif inspect.ismethod(thing):
        yield "the object", thing.__self__
    elif inspect.isfunction(thing):
        captured = inspect.getclosurevars(thing)
        yield from ((f"the captured variable {name}", value) for name, value in captured.nonlocals.items())
        yield from ((f"the global variable {name}", value) for name, value in captured.globals.items())
        defaults = inspect.signature(thing).parameters.values()
        yield from ((f"the default of {one.name}", one.default) for one in defaults if one.default is not one.empty)
    elif isinstance(thing, dict):
        yield from ((f"entry {name!r}", value) for name, value in thing.items())
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from ((f"element {number}", value) for number, value in enumerate(thing))
    else:
        yield from ((f"the attribute {name}", value) for name, value in getattr(thing, "__dict__", {}).items())


def _problem(part: Any) -> str | None:
    """Return why a part cannot be pickled; None if it can."""
    from ray import cloudpickle

    try:
        cloudpickle.dumps(part)  # type: ignore[no-untyped-call]
    except Exception as error:
        return message_of(error)
    return None
