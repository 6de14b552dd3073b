"""Write and read the trainings of baselines: standard networks, trained beside a search as references.

A baseline is no trial: samplers, pruners, counts and the front of the search do not see it.
"""

from sqlalchemy import Connection, insert, select

from hybrid_search._internal.redaction import redact
from hybrid_search.ledger.entries import BaselineTraining
from hybrid_search.ledger.leases import require_search_lease
from hybrid_search.ledger.tables import BaselineRow
from hybrid_search.ledger.transaction import Transaction

__all__ = ["add_baseline", "baseline_trainings"]


def add_baseline(transaction: Transaction, search_id: int, training: BaselineTraining) -> None:
    """Write a training of a baseline that has ended. Writing the same training again changes nothing.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.
        training: The training; secrets are removed from its failure.

    Raises:
        LostLease: Another process holds the lease of the search.
    """
    connection = transaction.connection
    require_search_lease(transaction, search_id)
    row = BaselineRow
    this = (row.search_id == search_id, row.name == training.name, row.seed == training.seed)
    if (
        transaction.is_retry
        and connection.execute(select(row.id).where(*this, row.finished == training.finished)).first()
    ):
        return  # the earlier try was committed
    values = {**training._asdict(), "search_id": search_id}
    if training.failure_text is not None:
        values["failure_text"] = redact(training.failure_text.replace("\0", "\N{REPLACEMENT CHARACTER}"))
        values["failure_text"] = values["failure_text"].encode("utf-8", "replace").decode()
    for name in ("network", "settings", "measurements", "facts"):
        values[name] = dict(values[name])
    connection.execute(insert(row), values)


def baseline_trainings(connection: Connection, search_id: int) -> list[BaselineTraining]:
    """Return every training of a baseline of a search, oldest first; failed ones have no measurements."""
    columns = [getattr(BaselineRow, name) for name in BaselineTraining._fields]
    query = select(*columns).where(BaselineRow.search_id == search_id).order_by(BaselineRow.id)
    return [BaselineTraining(*row) for row in connection.execute(query)]
