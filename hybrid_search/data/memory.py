"""The memory that this process may still use, and the check that arrays fit into it before they are read."""

import os
from pathlib import Path

from hybrid_search._internal.process_limits import memory_limit
from hybrid_search.errors import DataError

MEMINFO = Path("/proc/meminfo")
STATM = Path("/proc/self/statm")


def free_memory() -> int:
    """Return the bytes that this process can still allocate, of those of the machine and of its limits."""
    allowed = max(0, memory_limit() - _used())
    of_machine = _of_machine()
    return allowed if of_machine is None else min(allowed, of_machine)


def check_fits(what: str, size: int) -> None:
    """Raise DataError if arrays are larger than the free memory.

    Args:
        what: the arrays, for the message.
        size: their bytes.
    """
    free = free_memory()
    if size > free:
        raise DataError(f"{what} must fit into memory; they have {megabytes(size)}, {megabytes(free)} are free.")


def megabytes(size: int) -> str:
    """Return a number of bytes for people: `812 bytes`, `1.2 MB`, `3,400.0 MB`."""
    return f"{size:,} bytes" if abs(size) < 100_000 else f"{size / 1e6:,.1f} MB"


def _of_machine() -> int | None:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    values = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    amount = values.get("MemAvailable")
    return 1024 * int(amount[0]) if amount else None


def _used() -> int:
    """Return the bytes of memory of this process; 0 if unknown."""
    try:
        return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
