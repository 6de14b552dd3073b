"""Write and read full trainings: designs that were trained from a search, or without one.

A training changes nothing that a search reads, so its writes need no lease: a search may run at the same time.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select

from hybrid_search._internal.redaction import redact
from hybrid_search.errors import UnknownName
from hybrid_search.ledger.entries import SplitUse, TrainingRecord
from hybrid_search.ledger.leases import lock_search
from hybrid_search.ledger.tables import OpeningRow, TrainingRow
from hybrid_search.ledger.transaction import Transaction

__all__ = [
    "add_training",
    "add_training_opening",
    "complete_training",
    "count_trainings",
    "training",
    "trainings",
    "weights_of_trainings",
]


def add_training(transaction: Transaction, record: TrainingRecord) -> int:
    """Write a training that has ended. Writing the same training again changes nothing.

    Args:
        transaction: The write transaction.
        record: The training; its number is ignored, and secrets are removed from its failure.

    Returns:
        The number of the training.

    Raises:
        LedgerError: Its search was removed.
    """
    connection, row = transaction.connection, TrainingRow
    if record.search_id is not None:
        lock_search(connection, record.search_id)
    if transaction.is_retry:
        same = (row.uid == record.uid, row.finished == record.finished)
        found = connection.execute(select(row.id).where(*same)).scalar_one_or_none()
        if found is not None:
            return int(found)  # the earlier try was committed
    values: dict[str, Any] = record._asdict()
    del values["number"]
    if record.failure_text is not None:
        text = redact(record.failure_text.replace("\0", "\N{REPLACEMENT CHARACTER}"))
        values["failure_text"] = text.encode("utf-8", "replace").decode()
    for name in ("architecture", "settings", "options", "measurements", "facts"):
        values[name] = dict(values[name])
    values["facts"] = {name: redact(value) for name, value in values["facts"].items()}
    values["input_size"], values["curve"] = list(record.input_size), [dict(each) for each in record.curve]
    return int(connection.execute(insert(row).values(values).returning(row.id)).scalar_one())


def add_training_opening(transaction: Transaction, search_id: int, opening: SplitUse) -> None:
    """Write that a training uses the test split of a search, before the network is scored on it.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.
        opening: The use of the test split.

    Raises:
        LedgerError: The search was removed.
    """
    connection = transaction.connection
    lock_search(connection, search_id)
    this = (OpeningRow.search_id == search_id, OpeningRow.opened == transaction.requested)
    if transaction.is_retry and connection.execute(select(OpeningRow.id).where(*this)).first():
        return  # the earlier try was committed
    values = {**opening._asdict(), "opened": transaction.requested}
    connection.execute(insert(OpeningRow), {"search_id": search_id, **values})


def trainings(connection: Connection, search_id: int | None) -> list[TrainingRecord]:
    """Return the full trainings of a search, oldest first; None: those without a search."""
    query = _all().where(TrainingRow.search_id == search_id).order_by(TrainingRow.id)
    return [_record(row) for row in connection.execute(query)]


def count_trainings(connection: Connection, search_id: int) -> int:
    """Return the number of full trainings of a search, complete or failed."""
    query = select(func.count()).select_from(TrainingRow).where(TrainingRow.search_id == search_id)
    return int(connection.execute(query).scalar_one())


def training(connection: Connection, number: int) -> TrainingRecord:
    """Return a full training by its number.

    Raises:
        UnknownName: There is no such training.
    """
    row = connection.execute(_all().where(TrainingRow.id == number)).first()
    if row is None:
        numbers = list(connection.execute(select(TrainingRow.id).order_by(TrainingRow.id)).scalars())
        possible = f"one of {', '.join(map(str, numbers[-10:]))}" if numbers else "one of this database, which has none"
        raise UnknownName(f"a training must be {possible}; got {number}.")
    return _record(row)


def complete_training(connection: Connection, uid: str) -> TrainingRecord | None:
    """Return the newest complete training of this identity; None if there is none."""
    query = _all().where(TrainingRow.uid == uid, TrainingRow.failure_kind.is_(None))
    row = connection.execute(query.order_by(TrainingRow.id.desc()).limit(1)).first()
    return None if row is None else _record(row)


def weights_of_trainings(connection: Connection, search_id: int) -> Mapping[str, str]:
    """Return the stored weights of the trainings of a search: uid -> `name:sha256`."""
    which = (TrainingRow.search_id == search_id, TrainingRow.weights.is_not(None))
    return {
        row.uid: row.weights for row in connection.execute(select(TrainingRow.uid, TrainingRow.weights).where(*which))
    }


def _all() -> Select[Any]:
    return select(TrainingRow.__table__)


def _record(row: Row[Any]) -> TrainingRecord:
    fields = dict(row._mapping)
    return TrainingRecord(number=fields.pop("id"), **fields)
