"""Leases: one process may write a search, and one attempt may write a trial.

Every write locks the row of its search and compares the stored lease holder with the writer's name. If a lease expires
and another process acquires it, the writes of the earlier holder are refused. Therefore no result is stored twice.
"""

from collections.abc import Callable, Set
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update

from hybrid_search.errors import LedgerError, LostLease
from hybrid_search.ledger.entries import Lease
from hybrid_search.ledger.tables import SearchRow, TrialRow
from hybrid_search.ledger.transaction import Transaction

CONFIRM = "confirm-"  # the token of the identity of a process that confirms starts with it


def database_time(connection: Connection) -> datetime:
    """Return the present time (UTC) of the database server; of this machine for SQLite.

    All processes compare leases with this clock, because their own clocks may differ.
    """
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)


def read_lease(connection: Connection, search_id: int) -> Lease:
    """Return the lease of a search without a lock."""
    query = select(SearchRow.driver, SearchRow.driver_until).where(SearchRow.id == search_id)
    return Lease(*connection.execute(query).one(), database_time(connection))


def lock_search(connection: Connection, search_id: int) -> Lease:
    """Lock the row of a search until the transaction ends.

    Args:
        connection: The open connection.
        search_id: Row id of the search.

    Returns:
        The lease of the search.

    Raises:
        LedgerError: The search was removed.
    """
    query = select(SearchRow.driver, SearchRow.driver_until).where(SearchRow.id == search_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise LedgerError(f"a search must be in its ledger; row {search_id} was removed. Check the database URL.")
    return Lease(row.driver, row.driver_until, database_time(connection))


def require_search_lease(transaction: Transaction, search_id: int) -> None:
    """Lock a search for a write, and check that this ledger may write it.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.

    Raises:
        LostLease: Another process holds the lease, or this ledger held it before.
    """
    _require_holder(transaction.connection, search_id, transaction.held_leases.get(search_id))


def require_trial_lease(transaction: Transaction, trial_id: int, attempt: int | None = None) -> Any:
    """Lock the search of a trial for a write, and check that this attempt may write the trial.

    Args:
        transaction: The write transaction.
        trial_id: Row id of the trial.
        attempt: Number of the attempt that writes; None skips this check.

    Returns:
        A row with `search_id`, `state`, `attempt`, `rung` and `worker` of the trial.

    Raises:
        LostLease: Another process holds the lease of the search, or a later attempt runs the trial.
        LedgerError: The trial was removed.
    """
    connection = transaction.connection
    columns = (TrialRow.search_id, TrialRow.state, TrialRow.attempt, TrialRow.rung, TrialRow.worker)
    search_id = connection.execute(select(TrialRow.search_id).where(TrialRow.id == trial_id)).scalar_one_or_none()
    if search_id is None:
        raise LedgerError(f"a trial must be in its ledger; row {trial_id} was removed. Check the database URL.")
    require_search_lease(transaction, search_id)
    row = connection.execute(select(*columns).where(TrialRow.id == trial_id)).one()
    if attempt is not None and row.attempt != attempt:
        raise LostLease(
            f"a result must come from the current attempt; trial row {trial_id} is at attempt {row.attempt}, got a "
            f"result of attempt {attempt}. Nothing was written."
        )
    return row


def acquire(
    transaction: Transaction,
    search_id: int,
    holder: str,
    seconds: float,
    has_ended: Callable[[str], bool],
    is_alive: Callable[[Lease], bool],
) -> Lease | None:
    """Try to acquire the lease of a search; see `Ledger.acquire_lease`."""
    lease = lock_search(transaction.connection, search_id)
    another = lease.holder not in (None, holder) and not has_ended(lease.holder or "")
    if another and (lease.active or is_alive(lease)):
        return lease
    _set_holder(transaction.connection, search_id, holder, lease.now + timedelta(seconds=seconds))
    return None


def renew(transaction: Transaction, search_id: int, holder: str, seconds: float, silent: Set[int]) -> None:
    """Extend the lease of a search and of its running trials, except the silent ones; see `Ledger.renew_lease`."""
    connection = transaction.connection
    _require_holder(connection, search_id, holder)
    expires = database_time(connection) + timedelta(seconds=seconds)
    _set_holder(connection, search_id, holder, expires)
    running = update(TrialRow).where(TrialRow.search_id == search_id, TrialRow.state == "running")
    connection.execute(running.where(TrialRow.driver == holder, TrialRow.id.not_in(silent)).values(expires=expires))


def release(transaction: Transaction, search_id: int, holder: str, clean_shutdown: bool) -> None:
    """Release the lease of a search if `holder` still holds it; see `Ledger.release_lease`."""
    if lock_search(transaction.connection, search_id).holder == holder:
        _set_holder(transaction.connection, search_id, None if clean_shutdown else holder, None)


def host_and_pid(holder: str | None) -> str:
    """Return `host:pid` of a lease holder for a message; `no process` for None."""
    return holder.partition("/")[0] if holder else "no process"


def purpose_of(holder: str | None) -> str:
    """Return what a lease holder does: `confirm` for a confirmation, otherwise `run`."""
    return "confirm" if holder and holder.rpartition("/")[2].startswith(CONFIRM) else "run"


def _require_holder(connection: Connection, search_id: int, holder: str | None) -> None:
    lease = lock_search(connection, search_id)
    if lease.holder != holder:
        raise LostLease(
            f"only the lease holder may write a search; {host_and_pid(lease.holder)} holds the lease, and this process "
            f"is {host_and_pid(holder)}. Nothing was written. Run the same command to wait for the lease and continue."
        )


def _set_holder(connection: Connection, search_id: int, holder: str | None, expires: datetime | None) -> None:
    values = {"driver": holder, "driver_until": expires}
    connection.execute(update(SearchRow).where(SearchRow.id == search_id).values(values))
