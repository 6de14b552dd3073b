"""Small values that the ledger stores and returns, besides the records of searches and trials.

They are named tuples, not dataclasses: a search of 100,000 trials makes one `Point` per trial.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class TrialKey(NamedTuple):
    """Row id and number of a trial."""

    id: int
    number: int


class Point(NamedTuple):
    """A trial without its architecture and learning curve: what a chart needs.

    `seconds` is the wall-clock time of a trial that has ended; `values` are its measurements by name.
    """

    id: int
    number: int
    state: str
    seconds: float | None
    finished: datetime | None
    values: Mapping[str, float]


class Proposal(NamedTuple):
    """A proposal that was not trained.

    `reason` is `gated` (over budget), `duplicate` or `passed over` (deferred by the pruner). `budget_excess` is the
    excess over the budget as a share of the budget.
    """

    reason: str
    digest: str
    choices: Mapping[str, Any]
    budget_excess: float


class Opening(NamedTuple):
    """One use of the test split: fingerprint and number of its images, reason, and time."""

    fingerprint: str
    images: int
    reason: str
    opened: datetime | None = None


class Repeats(NamedTuple):
    """The measurements of one completed trial: under the seed of the search, and by confirmation seed."""

    own: Mapping[str, float]
    fresh: Mapping[int, Mapping[str, float]]


class FailedAttempt(NamedTuple):
    """One failed attempt at a trial: failure kind and text, rung, worker and time of the failure.

    `seed` is the seed of a failed retraining. It is None if the attempt was part of the search.
    """

    number: int
    attempt: int
    kind: str
    text: str
    rung: int
    worker: str
    failed: datetime
    seed: int | None


class Lease(NamedTuple):
    """The write lease of a search: its holder, when it expires, and the present time of the database."""

    holder: str | None
    expires: datetime | None
    now: datetime

    @property
    def active(self) -> bool:
        """Whether a process holds the lease and it has not expired."""
        return self.holder is not None and self.expires is not None and self.expires > self.now
