"""One driver a search. A second one waits: it would take the first one's running trials for interrupted ones.

The driver's lease stands in the ledger and goes by the database's clock; a thread renews it. A driver that died frees
its search at once for this machine, which can see that its process is gone, and for others when the lease runs out.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from hybrid_search._internal.event_log import LOG, about
from hybrid_search.engines.driver import RunContext
from hybrid_search.errors import HybridSearchError, LedgerAway, LedgerError, LostLease
from hybrid_search.ledger import LEASE_SECONDS, Lease, Ledger
from hybrid_search.ledger.leases import host_and_pid
from hybrid_search.ledger.process_identity import ProcessIdentity
from hybrid_search.records import SearchRecord

WAIT_SECONDS = 1.0  # between two looks whether the search is free


@contextmanager
def leading(
    ledger: Ledger, search: SearchRecord, context: RunContext, seconds: float = LEASE_SECONDS
) -> Iterator[bool]:
    """Lead a search for as long as this lasts, after waiting for the driver that does.

    Yields whether this one takes over where another had not ended in order: it waited for it, or found it gone. The
    lease is renewed by a thread. Where another driver took the search all the same (this machine slept), `context` is
    stopped, every write raises LostLease, and so does the end of this.
    """
    driver = ProcessIdentity()
    waited = False
    lost: list[LostLease] = []
    patience = ledger.retry_policy
    # An outage of the database is told where the rest is told, and a search that is to stop does not wait for its end.
    ledger.retry_policy = replace(
        ledger.retry_policy, notice=lambda line: context.notice(line), cancelled=context.stop.is_set
    )
    left = ledger.lease(search.id).holder is not None  # one that ended in order is named no longer
    holding = _Holding(driver, seconds)
    while (lease := ledger.acquire_lease(search.id, str(driver), seconds, driver.has_ended, holding)) is not None:
        if not waited:
            LOG.info("waiting", extra=about(search=search.name, driver=host_and_pid(lease.holder)))
            context.notice(
                f"search {search.name!r} is being run by {host_and_pid(lease.holder)}; this command waits, and "
                "goes on where that one ends"
            )
        waited = True
        time.sleep(WAIT_SECONDS)
    LOG.info("leading", extra=about(search=search.name, driver=host_and_pid(str(driver)), waited=waited))
    ended = threading.Event()
    asked = (ledger, search.id, context, seconds, ended, lost)
    thread = threading.Thread(target=_renew, args=asked, daemon=True)
    thread.start()
    clean_shutdown = True
    try:
        yield waited or left
        if lost:
            raise lost[0]
    except BaseException as error:
        # What nobody raised on purpose may have come of a trial: the next driver is told, as it is of a killed one.
        clean_shutdown = isinstance(error, HybridSearchError | KeyboardInterrupt)
        raise
    finally:
        ended.set()
        thread.join()
        try:
            ledger.release_lease(search.id, clean_shutdown=clean_shutdown)
        except (LedgerAway, LedgerError) as error:  # the lease runs out by itself; what ended the search is to be heard
            if str(error) != str(error.__context__):  # which is said anyway
                context.notice(f"the search could not be given back: {error}")
        finally:
            ledger.retry_policy = patience


class _Holding:
    """Whether a driver whose lease ran out holds it all the same: its process lives on this machine, and has not been
    seen to let a renewal pass. Where this machine's clock was set forward, its next renewal mends that."""

    def __init__(self, driver: ProcessIdentity, seconds: float) -> None:
        self._driver, self._seconds = driver, seconds
        self._seen: tuple[Lease, float] | None = None

    def __call__(self, lease: Lease) -> bool:
        """Ask of a lease that ran out."""
        if lease.expires is None:  # given back, though not in order
            return False
        now = time.monotonic()
        if self._seen is None or self._seen[0][:2] != lease[:2]:
            self._seen = lease, now
        return self._driver.is_alive(lease.holder or "") and now - self._seen[1] <= self._seconds / 2


def _renew(
    ledger: Ledger, search_id: int, context: RunContext, seconds: float, ended: threading.Event, lost: list[LostLease]
) -> None:
    while not ended.wait(seconds / 3):
        try:
            ledger.renew_lease(search_id, seconds, context.silent)
        except LostLease as error:
            LOG.error("lead lost", extra=about(search_id=search_id))
            lost.append(error)
            context.stop.set()
            return
        except Exception as error:  # the database is away: what needs it says so; this goes on trying
            context.notice(f"the lease of the search could not be renewed: {error}")
