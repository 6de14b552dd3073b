"""What the driver of a search said about its images before the first trial, stored with the settings of the search."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from hybrid_search.ledger import registered_objects
from hybrid_search.ledger.leases import require_search_lease
from hybrid_search.ledger.tables import SearchRow
from hybrid_search.ledger.transaction import Transaction

KEY = "data_notes"  # beside the settings in the JSON of a search, so that older databases need no migration


def data_notes(connection: Connection, search_id: int) -> tuple[str, ...]:
    """Return the notes of a search; none if everything in its data set is used as it is.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
    """
    stored = connection.execute(select(SearchRow.settings).where(SearchRow.id == search_id)).scalar_one()
    return tuple(stored.get(KEY, ()))


def set_data_notes(transaction: Transaction, search_id: int, notes: Sequence[str]) -> None:
    """Write the notes of a search in place of those before.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.
        notes: One line each.
    """
    require_search_lease(transaction, search_id)
    connection = transaction.connection
    stored = connection.execute(select(SearchRow.settings).where(SearchRow.id == search_id)).scalar_one()
    others = {name: value for name, value in stored.items() if name != KEY}
    settings = {**others, **({KEY: list(notes)} if notes else {})}
    connection.execute(update(SearchRow).where(SearchRow.id == search_id).values(settings=settings))


def settings_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in the JSON of a search, without its notes and its registered objects."""
    return {name: value for name, value in stored.items() if name not in (KEY, registered_objects.KEY)}
