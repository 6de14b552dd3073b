"""Add the signature and documentation of forwarded keyword arguments to a function, for `help` and for notebooks."""

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, TypeVar, cast

from hybrid_search.errors import SettingsError, nearest

F = TypeVar("F", bound=Callable[..., Any])
MARK = "    **options:"  # begins the entry of the docstring that is replaced


def passes_options(target: Callable[..., Any], names: Collection[str]) -> Callable[[F], F]:
    """Return a decorator for a function that passes its `**options` on to another function.

    Type checkers read the options from `Unpack`. At run time the decorated function has them in its signature, with
    the defaults of the target, and in its docstring, as the target explains them. An unknown argument raises a
    SettingsError that names the function and the nearest argument.

    Args:
        target: The function that receives the options.
        names: Names of the options.

    Example:
        >>> @passes_options(SearchSpec.create, SearchOptions.__annotations__)
        ... def run(space, **options: Unpack[SearchOptions]): ...
    """
    passed = [one for name, one in inspect.signature(target).parameters.items() if name in names]
    explained = _entries(inspect.getdoc(target) or "", names)

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        function.__signature__ = signature.replace(parameters=[*own, *passed])  # type: ignore[attr-defined]
        lines = (inspect.getdoc(function) or "").splitlines()
        joined = [explained if line.startswith(MARK) else line for line in lines]
        known = [one.name for one in (*own, *passed)]

        @wraps(function)
        def checked(*values: Any, **named: Any) -> Any:
            for name in named:
                if name not in known:
                    hint = nearest(name, known) or f" It has {', '.join(known)}."
                    raise SettingsError(f"{function.__name__}() has no argument {name!r}.{hint}")
            return function(*values, **named)

        checked.__doc__ = "\n".join(joined) if lines else None
        return cast(F, checked)

    return decorate


def _entries(text: str, names: Collection[str]) -> str:
    """Return the lines of a docstring that explain these arguments."""
    kept, chosen = [], False
    for line in text.partition("Args:\n")[2].partition("\n\n")[0].splitlines():
        if not line.startswith(" " * 8):
            chosen = line.strip().partition(":")[0] in names
        if chosen:
            kept.append(line)
    return "\n".join(kept)
