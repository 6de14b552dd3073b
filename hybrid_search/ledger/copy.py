"""Copy a search with all its rows into another database, in one transaction.

A second copy writes only new and changed rows. A copy that was continued in the other database is not overwritten.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from sqlalchemy import Connection, Table, delete, func, insert, select, text, update

from hybrid_search._internal.search_names import search_name
from hybrid_search.errors import LedgerError
from hybrid_search.ledger import leases
from hybrid_search.ledger.retry import is_outage
from hybrid_search.ledger.tables import Base, FailureRow, MeasurementRow, SearchRow, TrialRow

if TYPE_CHECKING:
    from hybrid_search.ledger import Ledger

Rows = list[dict[str, Any]]
BATCH = 500  # trials that are compared at a time
TABLES: Mapping[str, Table] = Base.metadata.tables
SEARCH, TRIAL, MEASUREMENT, FAILURE = (
    TABLES[row.__tablename__] for row in (SearchRow, TrialRow, MeasurementRow, FailureRow)
)
LEASES = ("driver", "driver_until", "expires")  # not copied: no process holds a copy
TRIAL_TABLES = [table for table in TABLES.values() if "trial_id" in table.c]
SEARCH_TABLES = [table for table in TABLES.values() if "search_id" in table.c and table is not TRIAL]


class CopyResult(NamedTuple):
    """Row id of the copy, numbers of written and unchanged trials, and number of written weights files."""

    search_id: int
    written: int
    unchanged: int
    weights: int


def copy_search(
    source: "Ledger",
    target: "Ledger",
    name: str | None,
    as_name: str | None,
    write_weights: Callable[[int, int, Mapping[int, str]], int],
) -> CopyResult:
    """Copy a search.

    Args:
        source: The ledger to read.
        target: The ledger to write.
        name: Name of the search; None for the newest.
        as_name: Name of the copy; None for the same name.
        write_weights: Called before the commit with the row ids in source and target, and the stored weights by trial
            number. It returns the number of files that it wrote.

    Returns:
        What was written.

    Raises:
        LedgerError: The target has another search of this name, a copy that was continued, or a copy that runs.
        SettingsError: No new search can have the name `as_name`.
    """
    found = source.search(name)
    wanted = found.name if as_name is None else as_name
    if target.find_search(wanted) is None and wanted != found.name:
        search_name(wanted)
    uid = found.uid if wanted == found.name else uuid5(NAMESPACE_OID, f"{found.uid}/{wanted}").hex

    def work(here: Connection, there: Connection) -> CopyResult:
        if there.dialect.name == "postgresql":  # the transaction idles while the source is read and weights are written
            there.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        copy = _Copy(here, there, found.id, wanted, uid, target.display_url)
        search_id = copy.search()
        copy.of_the_search()
        written, unchanged = copy.trials()
        kept = select(TRIAL.c.number, TRIAL.c.weights).where(
            TRIAL.c.search_id == found.id, TRIAL.c.weights.is_not(None)
        )
        weights = write_weights(found.id, search_id, {row.number: row.weights for row in here.execute(kept)})
        return CopyResult(search_id, written, unchanged, weights)

    def once() -> CopyResult:
        with source.transaction() as here, target.transaction() as there:
            return work(here, there)

    def hide(text: str) -> str:
        return source.retry_policy.redact(target.retry_policy.redact(text))

    # The error does not say which database failed, so the whole copy is retried.
    policy = replace(target.retry_policy, redact=hide)
    return policy.call(once, is_outage, f"{source.display_url} or {target.display_url}")


class _Copy:
    """One copy in progress: rows are read from the connection `here` and written to `there`."""

    def __init__(self, here: Connection, there: Connection, source_id: int, name: str, uid: str, shown: str) -> None:
        self._here, self._there = here, there
        self._source_id, self._name, self._uid, self._shown = source_id, name, uid, shown
        self._id = 0

    def search(self) -> int:
        """Write or update the row of the search; return its row id in the target."""
        (row,) = _plain(self._here, SEARCH, SEARCH.c.id == self._source_id)
        row |= {"name": self._name, "uid": self._uid}
        found = _plain(self._there, SEARCH, SEARCH.c.name == self._name)
        if not found:
            self._there.execute(insert(SEARCH), row)
        elif found[0]["uid"] != self._uid:
            raise LedgerError(
                f"{self._shown} already has another search named {self._name!r}. Copy under another name: --as NAME."
            )
        self._id = self._there.execute(select(SEARCH.c.id).where(SEARCH.c.name == self._name)).scalar_one()
        lease = leases.lock_search(self._there, self._id)
        if lease.active:
            raise LedgerError(
                f"the target search is being run by {leases.host_and_pid(lease.holder)}: {self._name!r} in "
                f"{self._shown}. Stop that process and copy again."
            )
        if found and found[0] != row:
            self._there.execute(update(SEARCH).where(SEARCH.c.id == self._id), row)
        return self._id

    def of_the_search(self) -> None:
        """Add the missing rows that belong to the search and to no trial."""
        for table in SEARCH_TABLES:
            rows = _plain(self._here, table, table.c.search_id == self._source_id)
            there = Counter(map(_key, _plain(self._there, table, table.c.search_id == self._id)))
            new = []
            for row in rows:
                if there[_key(row)] > 0:
                    there[_key(row)] -= 1
                else:
                    new.append(row | {"search_id": self._id})
            if there.total():
                raise self._ahead(f"a row of {table.name}")
            if new:
                self._there.execute(insert(table), new)

    def trials(self) -> tuple[int, int]:
        """Write new and changed trials with their rows; return the numbers of written and unchanged trials."""
        highest = [
            db.execute(
                select(func.coalesce(func.max(TRIAL.c.number), -1)).where(TRIAL.c.search_id == search)
            ).scalar_one()
            for db, search in ((self._here, self._source_id), (self._there, self._id))
        ]
        if highest[1] > highest[0]:
            raise self._ahead(f"trial {highest[1]}")
        changed = self._there.execute(select(func.coalesce(func.max(TRIAL.c.changed), 0))).scalar_one()
        written = unchanged = 0
        numbers = select(TRIAL.c.number).where(TRIAL.c.search_id == self._source_id).order_by(TRIAL.c.number)
        every = self._here.execute(numbers).scalars().all()
        for some in (every[i : i + BATCH] for i in range(0, len(every), BATCH)):
            here = self._whole(self._here, self._source_id, some)
            there = self._whole(self._there, self._id, some) if some[0] <= highest[1] else {}
            new = [number for number in some if here[number] != there.get(number)]
            for number in new:
                self._check(number, here[number], there.get(number))
            changes = iter(range(changed + 1, changed + len(new) + 1))
            self._write(new, here, there, changes)
            changed += len(new)
            written += len(new)
            unchanged += len(some) - len(new)
        return written, unchanged

    def _whole(self, db: Connection, search_id: int, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return trials by number, each with its row under "trial" and its rows of every other table."""
        which = (TRIAL.c.search_id == search_id, TRIAL.c.number.in_(numbers))
        ids = {row.id: row.number for row in db.execute(select(TRIAL.c.id, TRIAL.c.number).where(*which))}
        trials: dict[int, dict[str, Any]] = {row["number"]: {"trial": row} for row in _plain(db, TRIAL, *which)}
        for table in TRIAL_TABLES:
            rows: dict[int, Rows] = defaultdict(list)
            for row in _plain(db, table, table.c.trial_id.in_(ids)):
                rows[ids[row.pop("trial_id")]].append(row)
            for number, trial in trials.items():
                trial[table.name] = sorted(rows[number], key=_key)
        return trials

    def _check(self, number: int, here: Mapping[str, Any], there: Mapping[str, Any] | None) -> None:
        """Raise LedgerError if the copy of a trial has rows that the original does not have."""
        if there is None:
            return
        a, b = here["trial"], there["trial"]
        same = all(a[name] == b[name] for name in ("digest", "seed")) and b["attempt"] <= a["attempt"]
        if b["state"] != "running":
            same = same and (a["state"], a["finished"]) == (b["state"], b["finished"])
        for table in (MEASUREMENT, FAILURE):  # a retraining of the copy, or a failed one
            known = set(map(_key, here[table.name]))
            same = same and all(_key(row) in known for row in there[table.name])
        if not same:
            raise self._ahead(f"trial {number}")

    def _write(
        self, numbers: Sequence[int], here: Mapping[int, Any], there: Mapping[int, Any], changes: Iterator[int]
    ) -> None:
        new = [n for n in numbers if n not in there]
        rows = {n: here[n]["trial"] | {"search_id": self._id, "changed": next(changes)} for n in numbers}
        if new:
            self._there.execute(insert(TRIAL), [rows[n] for n in new])
        which = (TRIAL.c.search_id == self._id, TRIAL.c.number.in_(numbers))
        ids = {row.number: row.id for row in self._there.execute(select(TRIAL.c.number, TRIAL.c.id).where(*which))}
        for number in set(numbers) - set(new):
            self._there.execute(update(TRIAL).where(TRIAL.c.id == ids[number]), rows[number])
        for table in TRIAL_TABLES:
            other = [n for n in numbers if here[n][table.name] != (there[n][table.name] if n in there else [])]
            self._there.execute(delete(table).where(table.c.trial_id.in_([ids[n] for n in other])))
            of_them = [row | {"trial_id": ids[n]} for n in other for row in here[n][table.name]]
            if of_them:
                self._there.execute(insert(table), of_them)

    def _ahead(self, what: str) -> LedgerError:
        return LedgerError(
            f"a copy must not be ahead of its original; {what} of {self._name!r} in {self._shown} differs, because the "
            "copy was continued there. Copy under another name: --as NAME."
        )


def _plain(db: Connection, table: Table, *which: Any) -> Rows:
    """Return rows without the columns that differ between databases: ids, leases, change counters."""
    own = {"id", "search_id", "changed", *LEASES}
    columns = [column for column in table.c if column.name not in own]
    query = select(*columns).where(*which)
    if "id" in table.c and table is not TRIAL:
        query = query.order_by(table.c.id)  # for trials this order would make the server scan the table
    return [dict(row._mapping) for row in db.execute(query)]


def _key(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, default=str)
