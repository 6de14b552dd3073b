"""The identity of a process as a lease holder. Another process of the same machine can see whether it has ended."""

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

HIDDEN = "hidden"  # start time of a process of another user that the machine does not show


@dataclass(frozen=True)
class ProcessIdentity:
    """This process as a lease holder, stored as `host:pid/machine/start/token`.

    Attributes:
        host: Name of the host.
        pid: Process id.
        machine: Identifies this boot of this machine, and the container; empty if the system does not tell.
        start: Start time of the process in clock ticks since the boot.
        token: Tells two runs in one process apart.
    """

    host: str = field(default_factory=platform.node)
    pid: int = field(default_factory=os.getpid)
    machine: str = field(default_factory=lambda: _machine())
    start: str = field(default_factory=lambda: start_time(os.getpid()) or "")
    token: str = field(default_factory=lambda: uuid4().hex[:12])

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}/{self.machine}/{self.start}/{self.token}"

    def has_ended(self, other: str) -> bool:
        """Return whether another holder was a process of this machine that has ended; False if that is unknown.

        Args:
            other: The other identity as a string.
        """
        try:
            address, machine, start, _ = other.split("/")
            pid = int(address.rpartition(":")[2])
        except ValueError:
            return False
        return bool(machine) and machine == self.machine and start_time(pid) not in (start, HIDDEN)

    def is_alive(self, other: str) -> bool:
        """Return whether another holder is a running process of this machine; False if that is unknown.

        Args:
            other: The other identity as a string.
        """
        return not self.has_ended(other) and other.split("/")[1:2] == [self.machine] != [""]


def start_time(pid: int) -> str | None:
    """Return when a process of this machine started.

    Args:
        pid: Process id.

    Returns:
        Clock ticks since the boot; None if the process has ended; `HIDDEN` if the machine hides the process because
        it belongs to another user.
    """
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return HIDDEN if _belongs_to_another_user(pid) else None
    return None if state in "ZX" else rest[18]


def _machine() -> str:
    """Return the boot id and the PID namespace of this machine; empty if the system does not show them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")[:12]
        return f"{boot}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _belongs_to_another_user(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False
