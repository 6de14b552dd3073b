"""The number of CPUs and the memory that this process may use, which may be less than the machine has.

A container or a batch system limits a process by its CPU affinity (also Linux cpusets), by the quotas of its control
group, version 1 or 2, and by resource limits. A group is limited by all groups around it, so the smallest limit counts.
"""

import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
ESCAPED = re.compile(r"\\([0-7]{3})")  # a space in a path of /proc/self/mountinfo is \040


def allowed_cpus(root: Path = ROOT) -> int:
    """Return how many CPUs this process may use: whole ones, at least 1.

    Args:
        root: Folder that holds `proc` and the mounted control groups; tests replace it.

    Example:
        >>> allowed_cpus()  # in a container started with `docker run --cpus 2.5`
        2
    """
    quotas = [quota for folder, version in _groups(root, "cpu") if (quota := _cpu_quota(folder, version)) is not None]
    return max(1, int(min([float(_affinity()), *quotas])))


def memory_limit(root: Path = ROOT) -> int:
    """Return how many bytes of memory this process may use; the processes that it starts share them.

    Args:
        root: As for `allowed_cpus`.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder, version in _groups(root, "memory"):
        names = ("memory.max", "memory.high") if version == 2 else ("memory.limit_in_bytes",)
        limits += [int(number) for name in names for number in _numbers(folder / name)[:1] if number > 0]
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min([*limits, *([address_space] if address_space != resource.RLIM_INFINITY else [])])


def _affinity() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_quota(folder: Path, version: int) -> float | None:
    """Return the CPUs that a control group may use on average; None if it has no quota."""
    if version == 2:
        numbers = _numbers(folder / "cpu.max")  # "max 100000" or "200000 100000"
    else:
        numbers = [*_numbers(folder / "cpu.cfs_quota_us"), *_numbers(folder / "cpu.cfs_period_us")]  # -1: no quota
    return numbers[0] / numbers[1] if len(numbers) == 2 and min(numbers) > 0 else None


def _numbers(path: Path) -> list[float]:
    """Return the numbers of a file; an empty list if it is missing or contains other words."""
    try:
        return [float(word) for word in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the control groups of this process and those around them, as folders with their version.

    Args:
        root: Folder that holds `proc` and the mounted control groups.
        controller: "cpu" or "memory".
    """
    paths = _paths_in_hierarchies(root)
    for mount_root, mount_point, kind, options in _mounts(root):
        version = {"cgroup2": 2, "cgroup": 1}.get(kind)
        if version is None or (version == 1 and controller not in options):
            continue
        path = paths.get("" if version == 2 else controller)
        if path is None:
            continue
        top = root / mount_point.lstrip("/")
        # In a container, the mounted folder may be the group itself, or its path may be that of the host.
        inside = Path(path).relative_to(mount_root) if Path(path).is_relative_to(mount_root) else Path()
        if ".." in inside.parts:
            inside = Path()
        for folder in (inside, *inside.parents):
            yield top / folder, version


def _paths_in_hierarchies(root: Path) -> dict[str, str]:
    """Return controller -> path of the control group of this process; "" is the controller of version 2."""
    paths: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _mounts(root: Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield what is mounted: the root within its file system, the folder, the file system, its options."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, separator, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if separator and len(fields) > 4 and len(kinds) > 2:
            mount_root, folder = (ESCAPED.sub(lambda code: chr(int(code[1], 8)), text) for text in fields[3:5])
            yield mount_root, folder, kinds[0], kinds[2].split(",")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
