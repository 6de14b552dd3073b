"""The results database of every search: SQLite by default, PostgreSQL by URL."""

from hybrid_search.ledger import reads, writes
from hybrid_search.ledger.entries import FailedAttempt, Lease, Proposal, Repeats, SplitUse, TrialKey, TrialPoint
from hybrid_search.ledger.ledger import LEASE_SECONDS, Ledger

__all__ = [
    "LEASE_SECONDS",
    "FailedAttempt",
    "Lease",
    "Ledger",
    "Proposal",
    "Repeats",
    "SplitUse",
    "TrialKey",
    "TrialPoint",
    "reads",
    "writes",
]
