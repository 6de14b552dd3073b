"""The results database of every search: SQLite by default, PostgreSQL by URL."""

from hybrid_search.ledger import reads, writes
from hybrid_search.ledger.entries import FailedAttempt, Lease, Opening, Point, Proposal, Repeats, TrialKey
from hybrid_search.ledger.ledger import LEASE_SECONDS, Ledger

__all__ = [
    "LEASE_SECONDS",
    "FailedAttempt",
    "Lease",
    "Ledger",
    "Opening",
    "Point",
    "Proposal",
    "Repeats",
    "TrialKey",
    "reads",
    "writes",
]
