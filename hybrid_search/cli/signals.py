"""Signals of a running command: the first Ctrl-C or SIGTERM stops it cleanly, the second ends it at once."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import typer

from hybrid_search.cli.output import say
from hybrid_search.errors import LedgerAway

if TYPE_CHECKING:
    from hybrid_search.engines.driver import RunContext

STOPPING = "\nstopping. Completed trials are stored; the same command resumes the running ones (again: exit at once)"
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class StopRequest:
    """The handler of the signals, and the signal that came.

    Args:
        said: What the first signal prints.

    Attributes:
        context: The run to stop; None before it has started, when a signal ends the process at once.
        signal: The first signal; None if none came.
    """

    def __init__(self, said: str) -> None:
        self._said = said
        self.context: RunContext | None = None
        self.signal: signal.Signals | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.signal is not None or self.context is None:
            os._exit(EXIT_CODES[signal.Signals(number)])
        self.signal = signal.Signals(number)
        self.context.stop.set()
        say(self._said)

    @property
    def came(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    def exit_if_stopped(self) -> None:
        """Raise typer.Exit with 130 or 143 if a signal came."""
        if self.signal is not None:
            raise typer.Exit(EXIT_CODES[self.signal])


@contextmanager
def stop_on_signals(said: str = STOPPING) -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM while the block runs, and restore the previous handlers afterwards.

    An outage of the database after a signal is reported, and the command exits as stopped.

    Args:
        said: What the first signal prints.
    """
    request = StopRequest(said)
    before = {number: signal.signal(number, request) for number in EXIT_CODES}
    try:
        yield request
    except LedgerAway as error:
        if not request.came:
            raise
        say(f"hybrid-search: {error}")
        request.exit_if_stopped()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Raise SystemExit(143) at a SIGTERM while the block runs, so that unfinished files are removed, as by Ctrl-C."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(EXIT_CODES[signal.Signals(number)])

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def restorer() -> Callable[[], None]:
    """Return a function that restores the present handlers. Ray replaces the one of SIGTERM when it starts."""
    handlers = {number: signal.getsignal(number) for number in EXIT_CODES}

    def restore() -> None:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return restore
