"""Notes of the driver of a search, stored beside its settings in one JSON, so that older databases need no migration.

They are what was said about its images before the first trial, and the values that its evaluation captured.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from hybrid_search.ledger import registered_objects
from hybrid_search.ledger.leases import require_search_lease
from hybrid_search.ledger.tables import SearchRow
from hybrid_search.ledger.transaction import Transaction

DATA = "data_notes"
CAPTURED = "captured_values"


def data_notes(connection: Connection, search_id: int) -> tuple[str, ...]:
    """Return the lines about the images of a search; none if everything in its data set is used as it is.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
    """
    return tuple(_stored(connection, search_id).get(DATA, ()))


def captured_values(connection: Connection, search_id: int) -> dict[str, str] | None:
    """Return name -> digest of the values that the evaluation of a search captured at first; None if it is not known.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
    """
    found: dict[str, str] | None = _stored(connection, search_id).get(CAPTURED)
    return found


def set_data_notes(transaction: Transaction, search_id: int, notes: Sequence[str]) -> None:
    """Write the lines about the images of a search in place of those before.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.
        notes: One line each.
    """
    _set(transaction, search_id, DATA, list(notes))


def set_evaluation(transaction: Transaction, search_id: int, identity: str, captured: Mapping[str, str]) -> None:
    """Write the identity of the evaluation of a search, and the digests of what it captures.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.
        identity: Name and digest of the evaluation.
        captured: Name -> digest of each captured value that can change.
    """
    _set(transaction, search_id, CAPTURED, dict(captured))
    transaction.connection.execute(update(SearchRow).where(SearchRow.id == search_id).values(evaluation=identity))


def settings_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in the JSON of a search, without its notes and its registered objects."""
    return {name: value for name, value in stored.items() if name not in (DATA, CAPTURED, registered_objects.KEY)}


def _stored(connection: Connection, search_id: int) -> dict[str, Any]:
    row: dict[str, Any] = connection.execute(select(SearchRow.settings).where(SearchRow.id == search_id)).scalar_one()
    return row


def _set(transaction: Transaction, search_id: int, key: str, notes: Any) -> None:
    """Write notes of one kind; nothing is stored for empty ones, except that there were no captured values."""
    require_search_lease(transaction, search_id)
    others = {name: one for name, one in _stored(transaction.connection, search_id).items() if name != key}
    settings = {**others, key: notes} if notes or key == CAPTURED else others
    transaction.connection.execute(update(SearchRow).where(SearchRow.id == search_id).values(settings=settings))
