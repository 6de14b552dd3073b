"""Classify the failure of a trial, and measure the peak memory for its message."""

import resource
import sys

from hybrid_search._internal.exception_text import message_of
from hybrid_search.errors import NotFinite, TrialError
from hybrid_search.records import FailureKind, Settings

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def classify_failure(exception: BaseException) -> FailureKind:
    """Return the kind of a failure, as the ledger stores it.

    Args:
        exception: the exception that ended a trial. Its causes (`raise ... from ...`) are examined too.

    Returns:
        "nan", "oom", "timeout", "pre-empted", or "bug" for everything else.

    Example:
        >>> classify_failure(MemoryError())
        'oom'
    """
    torch = sys.modules.get("torch")  # an evaluation without torch must not wait for its import
    memory_errors = (MemoryError,) if torch is None else (MemoryError, torch.OutOfMemoryError)
    current: BaseException | None = exception
    seen: set[int] = set()  # the causes of an exception may form a circle
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, NotFinite):
            return "nan"
        text = message_of(current).lower()
        memory = isinstance(current, RuntimeError | TrialError) and any(words in text for words in OUT_OF_MEMORY)
        if memory or isinstance(current, memory_errors):
            return "oom"
        if isinstance(current, TimeoutError):
            return "timeout"
        if isinstance(current, KeyboardInterrupt | SystemExit):
            return "pre-empted"
        current = current.__cause__
    return "bug"


def peak_memory_gib(settings: Settings) -> float:
    """Return the peak memory of this process in GiB: GPU memory if the settings train on a GPU, otherwise RAM.

    Args:
        settings: `device` is used.
    """
    import torch

    from hybrid_search.training.from_settings import device_of

    device = device_of(settings)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
