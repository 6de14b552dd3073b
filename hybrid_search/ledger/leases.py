"""Who may write: one driver a search, by the database's clock, and one attempt a trial.

Every write to a search first locks its row and compares the driver named there with the writer's own. A driver whose
lease ran out and was taken by another is refused from then on, however late it wakes up: nothing is written twice.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update

from hybrid_search.errors import LedgerError, LostLease
from hybrid_search.ledger.rows import Lease
from hybrid_search.ledger.tables import SearchRow, TrialRow


def clock(db: Connection) -> datetime:
    """The time that leases go by: the server's, which all drivers see alike; of a file, this machine's."""
    if db.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = db.execute(select(func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)


def held(db: Connection, search_id: int) -> Lease:
    """Who drives a search, its row locked for the rest of the transaction."""
    query = select(SearchRow.driver, SearchRow.driver_until).where(SearchRow.id == search_id).with_for_update()
    row = db.execute(query).first()
    if row is None:
        raise LedgerError(f"a search must be in its ledger; row {search_id} is there no longer.")
    return Lease(row.driver, row.driver_until, clock(db))


def set_driver(db: Connection, search_id: int, driver: str | None, until: datetime | None) -> None:
    """Write who drives a search from now on."""
    db.execute(update(SearchRow).where(SearchRow.id == search_id).values(driver=driver, driver_until=until))


def own_search(db: Connection, search_id: int, driver: str | None) -> None:
    """LostLease unless this driver drives the search; None may write where nobody does."""
    lease = held(db, search_id)
    if lease.driver != driver:
        raise LostLease(
            f"a search is written by the driver that leads it, {shown(lease.driver)}; this one ({shown(driver)}) does "
            "not, or no longer. Nothing was written; the same command waits for its turn and goes on."
        )


def own_trial(db: Connection, trial_id: int, leads: Mapping[int, str], attempt: int | None) -> Any:
    """The trial's row as far as leases go, its search locked; LostLease where another driver or attempt holds it.

    leads: the writer's own driver by search id.
    """
    columns = (TrialRow.search_id, TrialRow.state, TrialRow.attempt, TrialRow.rung, TrialRow.worker)
    search_id = db.execute(select(TrialRow.search_id).where(TrialRow.id == trial_id)).scalar_one_or_none()
    if search_id is None:
        raise LedgerError(f"a trial must be in its ledger; row {trial_id} is there no longer.")
    own_search(db, search_id, leads.get(search_id))
    row = db.execute(select(*columns).where(TrialRow.id == trial_id)).one()
    if attempt is not None and row.attempt != attempt:
        raise LostLease(
            f"a result must come from the attempt that holds the trial; trial row {trial_id} is at attempt "
            f"{row.attempt}; got one of attempt {attempt}. Nothing was written."
        )
    return row


def renew(db: Connection, search_id: int, driver: str, seconds: float, silent: set[int]) -> None:
    """Put off the end of a driver's lease, and of its trials' but the silent ones; LostLease where it has none."""
    own_search(db, search_id, driver)
    until = clock(db) + timedelta(seconds=seconds)
    set_driver(db, search_id, driver, until)
    running = update(TrialRow).where(TrialRow.search_id == search_id, TrialRow.state == "running")
    db.execute(running.where(TrialRow.driver == driver, TrialRow.id.not_in(silent)).values(expires=until))


def shown(driver: str | None) -> str:
    """A driver as a message names it: host:pid."""
    return driver.partition("/")[0] if driver else "nobody"
