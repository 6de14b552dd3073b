"""Write functions that delete a search with all its rows, or rename it. Both need the lease of the search."""

from sqlalchemy import delete, func, select, update

from hybrid_search.errors import LedgerError
from hybrid_search.ledger.leases import require_search_lease
from hybrid_search.ledger.tables import SearchRow, TrialRow
from hybrid_search.ledger.transaction import Transaction


def delete_search(transaction: Transaction, search_id: int) -> int:
    """Delete a search; its trials, measurements, curves, failures, proposals and openings follow.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.

    Returns:
        Number of trials that were deleted.

    Raises:
        LostLease: Another process holds the lease of the search.
        LedgerError: The search was removed.
    """
    connection = transaction.connection
    if transaction.is_retry and not _exists(transaction, SearchRow.id == search_id):
        return 0  # deleted by the try whose answer was lost
    require_search_lease(transaction, search_id)
    trials = connection.execute(select(func.count()).where(TrialRow.search_id == search_id)).scalar_one()
    connection.execute(delete(SearchRow).where(SearchRow.id == search_id))
    return trials


def rename_search(transaction: Transaction, search_id: int, name: str) -> None:
    """Give a search another name.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.
        name: The new name, as `search_name` returns it.

    Raises:
        LedgerError: Another search has this name, or the search was removed.
        LostLease: Another process holds the lease of the search.
    """
    require_search_lease(transaction, search_id)
    if _exists(transaction, SearchRow.name == name, SearchRow.id != search_id):
        raise LedgerError(f"each search must have its own name; there is a search named {name!r} already.")
    transaction.connection.execute(update(SearchRow).where(SearchRow.id == search_id).values(name=name))


def _exists(transaction: Transaction, *conditions: object) -> bool:
    query = select(SearchRow.id).where(*conditions)  # type: ignore[arg-type]
    return transaction.connection.execute(query).first() is not None
