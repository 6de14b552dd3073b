"""The failure that the worker reports for an exception, and the exception that the driver raises for a mistake.

A mistake in the data, the settings or the environment would repeat itself in every trial. It is no fault of a network:
the worker reports it under the name of its class, and the driver ends the search.
"""

import errno
from types import TracebackType

from hybrid_search import errors
from hybrid_search._internal.exception_text import message_of, traceback_of
from hybrid_search.engines.worker.interrupts import is_interrupt
from hybrid_search.errors import ArchitectureError, UserError
from hybrid_search.records import Failure

# A full or read-only disk: every trial would meet it.
DISK = {errno.ENOSPC: "is full", errno.EDQUOT: "is full for this user", errno.EROFS: "is read-only"}


def failure_from(error: BaseException) -> Failure:
    """Return the failure of a trial that ended with this exception.

    Args:
        error: What the evaluation raised, of any class.

    Returns:
        For a mistake of the user: the name of its class, and its message on one line. Otherwise a kind of failure, and
        the traceback. `SystemExit`, `GeneratorExit` and the like are bugs of the evaluation.
    """
    mistake = _mistake(error)
    if mistake is not None:
        return Failure(_class_name(mistake), message_of(mistake))
    if not isinstance(error, Exception):
        return Failure("bug", traceback_of(error))
    from hybrid_search.training.failures import classify_failure

    return Failure(classify_failure(error), traceback_of(error))


def user_error(failure: Failure) -> UserError | None:
    """Return the exception of a mistake that a worker reported; None for the failure of a trial."""
    found = getattr(errors, failure.kind, None) if failure.kind.isidentifier() else None
    return found(failure.text) if isinstance(found, type) and issubclass(found, UserError) else None


def comes_from_outside(error: BaseException) -> bool:
    """Return whether an exception was not raised by the evaluation: Ctrl-C, or the end of a worker by its node.

    The block that ran the evaluation marks the `KeyboardInterrupt` of Ctrl-C; see `interrupts_marked`. Ray's handler of
    SIGTERM raises `SystemExit`.
    """
    if isinstance(error, SystemExit):
        last = _innermost(error.__traceback__)
        return last is not None and str(last.tb_frame.f_globals.get("__name__", "")).split(".")[0] == "ray"
    return is_interrupt(error)


def _mistake(error: BaseException) -> UserError | None:
    """Return the mistake that an exception stands for; None if it may be a fault of this network."""
    if isinstance(error, UserError):
        return None if isinstance(error, ArchitectureError) else error
    if isinstance(error, ImportError):
        name = f"the module {error.name!r}" if error.name else "a module"
        return UserError(
            f"the evaluation must be able to import what it uses; {name} cannot be imported in a worker: "
            f"{message_of(error)}. Install it where the workers run, or put it beside your script."
        )
    if isinstance(error, OSError) and error.errno in DISK:
        return UserError(
            f"an evaluation must be able to write its files; the disk {DISK[error.errno]}: {message_of(error)}. Free "
            "some space, or use another folder, and run the same command again."
        )
    return None


def _class_name(mistake: UserError) -> str:
    """Return the name of the class of this package that an exception is of, itself or its nearest base."""
    names = (base.__name__ for base in type(mistake).__mro__ if getattr(errors, base.__name__, None) is base)
    return str(next(names))


def _innermost(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace
