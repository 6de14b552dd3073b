"""`Transaction`: what a write function receives from `Ledger.write`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection


@dataclass(frozen=True)
class Transaction:
    """One write transaction.

    A commit may succeed although its acknowledgement is lost. The write is then retried with `is_retry`, and it must
    not be stored twice.

    Attributes:
        connection: The open connection.
        held_leases: Search id -> name under which this ledger holds the lease of the search.
        lease_seconds: Length of the lease of a trial that starts or reports.
        requested: Time (UTC) of the call of `Ledger.write`; the same in every retry, so it identifies the write.
        is_retry: Whether an earlier try failed, possibly after its commit.
    """

    connection: Connection
    held_leases: Mapping[int, str]
    lease_seconds: float
    requested: datetime
    is_retry: bool
