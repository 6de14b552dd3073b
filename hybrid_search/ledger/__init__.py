"""The results database of every search: SQLite by default, PostgreSQL by URL."""

from hybrid_search.ledger import reads, writes
from hybrid_search.ledger.entries import FailedAttempt, Lease, Opening, Proposal, Repeats, TrialKey, TrialPoint
from hybrid_search.ledger.ledger import LEASE_SECONDS, Ledger

__all__ = [
    "LEASE_SECONDS",
    "FailedAttempt",
    "Lease",
    "Ledger",
    "Opening",
    "Proposal",
    "Repeats",
    "TrialKey",
    "TrialPoint",
    "reads",
    "writes",
]
