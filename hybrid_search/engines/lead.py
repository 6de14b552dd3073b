"""One driver a search. A second one waits: it would take the first one's running trials for interrupted ones.

The driver's lease stands in the ledger and goes by the database's clock; a thread renews it. A driver that died frees
its search at once for this machine, which can see that its process is gone, and for others when the lease runs out.
"""

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from hybrid_search.engines.drive import Plan
from hybrid_search.errors import LostLease
from hybrid_search.journal import LOG, about
from hybrid_search.ledger import LEASE_SECONDS, Ledger
from hybrid_search.ledger.leases import shown
from hybrid_search.record import SearchRecord

WAIT_SECONDS = 1.0  # between two looks whether the search is free


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
        return bool(machine) and machine == self.machine and _began(pid) != began


def _machine() -> str:
    """What tells this boot of this machine, and this container on it, from all others; empty where nothing does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")[:12]
        return f"{boot}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _began(pid: int) -> str | None:
    """When a process of this machine began, in ticks since the boot; None where there is none, or a dead one."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else rest[18]


@contextmanager
def leading(ledger: Ledger, search: SearchRecord, plan: Plan, seconds: float = LEASE_SECONDS) -> Iterator[bool]:
    """Lead a search for as long as this lasts, after waiting for the driver that does; yields whether it waited.

    The lease is renewed by a thread. Where another driver took the search all the same (this machine slept), `plan`
    is stopped, and every write raises LostLease.
    """
    driver = Driver()
    waited = False
    # An outage of the database is told where the rest is told, and a search that is to stop does not wait for its end.
    ledger.patience = replace(ledger.patience, notice=lambda line: plan.notice(line), given_up=plan.stop.is_set)
    while (lease := ledger.take_lead(search.id, str(driver), seconds, driver.is_gone)) is not None:
        if not waited:
            LOG.info("waiting", extra=about(search=search.name, driver=shown(lease.driver)))
            plan.notice(
                f"search {search.name!r} is being run by {shown(lease.driver)}; this command waits, and goes on where "
                "that one ends"
            )
        waited = True
        time.sleep(WAIT_SECONDS)
    LOG.info("leading", extra=about(search=search.name, driver=shown(str(driver)), waited=waited))
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(ledger, search.id, plan, seconds, ended), daemon=True)
    thread.start()
    try:
        with _without_credentials():
            yield waited
    finally:
        ended.set()
        thread.join()
        ledger.give_lead(search.id)


@contextmanager
def _without_credentials() -> Iterator[None]:
    """Workers inherit the driver's environment, and need no database: what opens it is taken out meanwhile."""
    held = {name: os.environ.pop(name) for name in ("HYBRID_SEARCH_DB", "PGPASSWORD") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(held)


def _renew(ledger: Ledger, search_id: int, plan: Plan, seconds: float, ended: threading.Event) -> None:
    while not ended.wait(seconds / 3):
        try:
            ledger.renew_lead(search_id, seconds, plan.silent)
        except LostLease:
            LOG.error("lead lost", extra=about(search_id=search_id))
            plan.stop.set()  # the driver's next write says why
            return
        except Exception as error:  # the database is away: what needs it says so; this goes on trying
            plan.notice(f"the lease of the search could not be renewed: {error}")
