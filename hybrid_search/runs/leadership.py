"""One driver per search: it holds the write lease of the search. A second driver waits.

Two drivers at once would take each other's running trials for interrupted ones. The lease is in the ledger, its times
are those of the database's clock, and a thread renews it. If a driver dies, its search is free at once for processes of
the same machine, which see that its process is gone, and for others when the lease expires.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from hybrid_search._internal.event_log import LOG, event_fields
from hybrid_search.engines.driver import RunContext
from hybrid_search.errors import HybridSearchError, LedgerAway, LedgerError, LostLease
from hybrid_search.ledger import LEASE_SECONDS, Lease, Ledger
from hybrid_search.ledger.leases import CONFIRM, host_and_pid
from hybrid_search.ledger.process_identity import ProcessIdentity
from hybrid_search.records import SearchRecord

WAIT_SECONDS = 1.0  # between two attempts to acquire the lease


@contextmanager
def leading(
    ledger: Ledger,
    search: SearchRecord,
    context: RunContext,
    seconds: float = LEASE_SECONDS,
    *,
    confirms: bool = False,
) -> Iterator[bool]:
    """Hold the write lease of a search inside the `with` block. Wait first if another driver holds it.

    A thread renews the lease. If another driver acquires it nevertheless (this machine was asleep), `context.stop` is
    set, every write raises LostLease, and so does the end of the block.

    Args:
        ledger: The ledger with the search.
        search: The search.
        context: The context of the run.
        seconds: How long the lease is valid after each renewal.
        confirms: Whether this process confirms the front, so that page and `status` say so.

    Yields:
        Whether the previous driver crashed or was waited for. False: it made a clean shutdown, or there was none.

    Raises:
        LostLease: Another driver acquired the lease.
    """
    driver = ProcessIdentity()
    if confirms:
        driver = replace(driver, token=f"{CONFIRM}{driver.token}")
    lost: list[LostLease] = []
    retry_policy = ledger.retry_policy
    # An outage of the database is reported by `context.notice`, and a run that must stop does not wait for its end.
    ledger.retry_policy = replace(retry_policy, notice=lambda line: context.notice(line), cancelled=context.stop.is_set)
    crashed = ledger.lease(search.id).holder is not None  # a clean shutdown removes the holder
    waited = _acquire(ledger, search, context, driver, seconds)
    LOG.info("leading", extra=event_fields(search=search.name, driver=host_and_pid(str(driver)), waited=waited))
    ended = threading.Event()
    arguments = (ledger, search.id, context, seconds, ended, lost)
    thread = threading.Thread(target=_renew, args=arguments, daemon=True)
    thread.start()
    clean_shutdown = True
    try:
        yield waited or crashed
        if lost:
            raise lost[0]
    except BaseException as error:
        # A trial may have caused an unexpected error, so the next driver must see it as a crash.
        clean_shutdown = isinstance(error, HybridSearchError | KeyboardInterrupt)
        raise
    finally:
        ended.set()
        thread.join()
        try:
            ledger.release_lease(search.id, clean_shutdown=clean_shutdown)
        except (LedgerAway, LedgerError) as error:  # the lease expires by itself, and the first error must be visible
            if str(error) != str(error.__context__):
                context.notice(f"the lease of the search could not be released: {error}")
        finally:
            ledger.retry_policy = retry_policy


def _acquire(
    ledger: Ledger, search: SearchRecord, context: RunContext, driver: ProcessIdentity, seconds: float
) -> bool:
    """Acquire the lease; return whether another driver was waited for."""
    waited, still_holds = False, _StillHolds(driver, seconds)
    while (lease := ledger.acquire_lease(search.id, str(driver), seconds, driver.has_ended, still_holds)) is not None:
        if not waited:
            LOG.info("waiting", extra=event_fields(search=search.name, driver=host_and_pid(lease.holder)))
            context.notice(
                f"search {search.name!r} is being run by {host_and_pid(lease.holder)}; this command waits and then "
                "continues it"
            )
        waited = True
        time.sleep(WAIT_SECONDS)
    return waited


class _StillHolds:
    """Whether the holder of an expired lease still holds it.

    It does if its process is alive on this machine and has had no time to renew the lease since this process first saw
    it expired: the clock may have been set forward.
    """

    def __init__(self, driver: ProcessIdentity, seconds: float) -> None:
        self._driver, self._seconds = driver, seconds
        self._first_seen: tuple[Lease, float] | None = None

    def __call__(self, lease: Lease) -> bool:
        """Return whether the holder of this expired lease still holds it."""
        if lease.expires is None:  # released after a crash
            return False
        now = time.monotonic()
        if self._first_seen is None or self._first_seen[0][:2] != lease[:2]:
            self._first_seen = lease, now
        return self._driver.is_alive(lease.holder or "") and now - self._first_seen[1] <= self._seconds / 2


def _renew(
    ledger: Ledger, search_id: int, context: RunContext, seconds: float, ended: threading.Event, lost: list[LostLease]
) -> None:
    """Renew the lease until `ended` is set. If it is lost, set `context.stop`."""
    while not ended.wait(seconds / 3):
        try:
            ledger.renew_lease(search_id, seconds, context.silent)
        except LostLease as error:
            LOG.error("lease lost", extra=event_fields(search_id=search_id))
            lost.append(error)
            context.stop.set()
            return
        except Exception as error:  # the database does not answer: try again, and let other calls report it
            context.notice(f"the lease of the search could not be renewed: {error}")
