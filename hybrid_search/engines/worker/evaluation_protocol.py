"""The protocol of an evaluation: the training of this package, or a function of the user."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from hybrid_search.errors import SettingsError
from hybrid_search.records import Report

# An evaluation is called with (architecture, settings). It yields one report per rung: a `Report`, or a plain mapping
# of name to number. The last report counts.
#
# An evaluation with the keyword arguments `resume` and `keep`, both None by default, can use checkpoints. `resume` is
# the state to continue from, a flat mapping of name to tensor, or None. `keep(rung, state)` must be called before each
# report; `state` is a function that returns the state, such as `module.state_dict`. It is called if a checkpoint is
# due. If the evaluation raises CheckpointError before its first report, it is called again without the checkpoint.
Evaluate = Callable[..., Iterator[Report | Mapping[str, float]]]


def check_evaluation(evaluate: object) -> None:
    """Check, before anything is written, that an evaluation can be called and is no async function.

    Args:
        evaluate: The evaluation.

    Raises:
        SettingsError: It cannot be used.
    """
    if not callable(evaluate):
        raise SettingsError(f"evaluate must be a function or a callable object; got {evaluate!r:.200}.")
    function: Any = evaluate
    while isinstance(function, partial):
        function = function.func
    call = function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
        raise SettingsError(f"evaluate must be a plain generator function; got the async function {name}. Use def.")
    try:
        signature = inspect.signature(evaluate)
    except (TypeError, ValueError):  # a callable without a readable signature
        return
    both = {"resume": None, "keep": None} if takes_checkpoints(evaluate) else {}
    try:
        signature.bind("architecture", "settings", **both)
    except TypeError as error:
        raise SettingsError(
            f"evaluate must be called with (architecture, settings), and with resume and keep by name if it takes "
            f"both; got {name}{signature}: {error}."
        ) from None


def takes_checkpoints(evaluate: Evaluate) -> bool:
    """Return whether an evaluation has both keyword arguments, `resume` and `keep`.

    Args:
        evaluate: the evaluation.
    """
    try:
        return {"resume", "keep"} <= inspect.signature(evaluate).parameters.keys()
    except (TypeError, ValueError):  # a callable without a readable signature
        return False
