"""The removal of a search that has no result, because a mistake of the user ended it."""

from sqlalchemy import delete, select

from hybrid_search.ledger.leases import require_search_lease
from hybrid_search.ledger.tables import SearchRow, TrialRow
from hybrid_search.ledger.transaction import Transaction


def withdraw_search(transaction: Transaction, search_id: int) -> bool:
    """Remove a search in which no trial has ended, with its running trials.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.

    Returns:
        Whether the search is removed; False if a trial of it has ended.

    Raises:
        LostLease: Another process holds the lease of the search.
    """
    connection = transaction.connection
    if connection.execute(select(SearchRow.id).where(SearchRow.id == search_id)).first() is None:
        return True  # the earlier try was committed
    require_search_lease(transaction, search_id)
    ended = select(TrialRow.id).where(TrialRow.search_id == search_id, TrialRow.state != "running").limit(1)
    if connection.execute(ended).first() is not None:
        return False
    connection.execute(delete(SearchRow).where(SearchRow.id == search_id))  # its other rows follow
    return True
