"""This process as the driver of a search, written so that others on its machine can tell whether it is gone."""

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

UNSEEN = "unseen"


@dataclass(frozen=True)
class Driver:
    """This process as a driver; written `host:pid/machine/began/token`, so that others can tell whether it is gone."""

    host: str = field(default_factory=platform.node)
    pid: int = field(default_factory=os.getpid)
    machine: str = field(default_factory=lambda: _machine())
    began: str = field(default_factory=lambda: _began(os.getpid()) or "")
    token: str = field(default_factory=lambda: uuid4().hex[:12])

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}/{self.machine}/{self.began}/{self.token}"

    def is_gone(self, other: str) -> bool:
        """Whether another driver was a process of this machine that is there no longer. False where none can say."""
        try:
            where, machine, began, _ = other.split("/")
            pid = int(where.rpartition(":")[2])
        except ValueError:
            return False
        return bool(machine) and machine == self.machine and _began(pid) not in (began, UNSEEN)

    def is_alive(self, other: str) -> bool:
        """Whether another driver is a process of this machine that lives. False where none can say."""
        return not self.is_gone(other) and other.split("/")[1:2] == [self.machine] != [""]


def _machine() -> str:
    """What tells this boot of this machine, and this container on it, from all others; empty where nothing does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")[:12]
        return f"{boot}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _began(pid: int) -> str | None:
    """When a process of this machine began, in ticks since the boot; None where there is none, or a dead one; UNSEEN
    where it is another user's, and the machine hides those."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return UNSEEN if _is_another_users(pid) else None
    return None if state in "ZX" else rest[18]


def _is_another_users(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False
