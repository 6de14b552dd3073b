"""The memory that this process may still use, and the check that arrays fit into it before they are read."""

from pathlib import Path

from hybrid_search.errors import DataError

MEMINFO = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Return the bytes that this process can still allocate: of the machine and of its cgroup; None if unknown."""
    found = [amount for amount in (_of_machine(), _of_group()) if amount is not None]
    return min(found, default=None)


def check_fits(what: str, size: int) -> None:
    """Raise DataError if arrays are larger than the free memory.

    Args:
        what: the arrays, for the message.
        size: their bytes.
    """
    free = free_memory()
    if free is not None and size > free:
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


def _of_group() -> int | None:
    for limit, used, stat, cached in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        try:
            most, now = ((GROUP / name).read_text(encoding="ascii").strip() for name in (limit, used))
            if most == "max":
                return None
            lines = (GROUP / stat).read_text(encoding="ascii").splitlines()
            pages = dict(line.split() for line in lines).get(cached, "0")  # the kernel gives these back when needed
            return max(0, int(most) - int(now) + int(pages))
        except (OSError, ValueError):
            continue
    return None
