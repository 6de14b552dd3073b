"""Distinguish Ctrl-C during an evaluation from a `KeyboardInterrupt` that the evaluation raises itself."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

MARK = "hybrid_search_signal"  # attribute of an exception that the handler of SIGINT raised


@contextmanager
def interrupts_marked() -> Iterator[None]:
    """Mark the `KeyboardInterrupt` that the present handler of SIGINT raises while the block runs.

    Only the main thread of a process receives signals; in another thread nothing is marked.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    handle = before

    def marking(number: int, frame: FrameType | None) -> None:
        try:
            handle(number, frame)
        except KeyboardInterrupt as error:
            setattr(error, MARK, True)
            raise

    signal.signal(signal.SIGINT, marking)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is marking:  # the evaluation may have set one of its own
            signal.signal(signal.SIGINT, before)


def is_interrupt(error: BaseException) -> bool:
    """Return whether a `KeyboardInterrupt` comes from Ctrl-C, or was raised while one was handled.

    Args:
        error: The exception, of any class.
    """
    seen: set[int] = set()
    found: BaseException | None = error if isinstance(error, KeyboardInterrupt) else None
    while found is not None and id(found) not in seen:
        if hasattr(found, MARK):
            return True
        seen.add(id(found))
        found = found.__context__
    return False
