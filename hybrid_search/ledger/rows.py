"""What the ledger gives and takes besides records: proposals, points, openings, repeats, failed attempts, leases."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Proposal(NamedTuple):
    """A proposal that was not trained, and why."""

    reason: str
    digest: str
    choices: Mapping[str, Any]
    excess: float


class Kept(NamedTuple):
    """A trial whose weights are kept."""

    id: int
    number: int


class Point(NamedTuple):
    """The little of a trial that a chart needs: its final values by name, without architecture or curve."""

    id: int
    number: int
    state: str
    seconds: float | None
    finished: datetime | None
    values: Mapping[str, float]


class Opening(NamedTuple):
    """One opening of the test split: the fingerprint of its images, how many there are, and why."""

    fingerprint: str
    images: int
    reason: str
    opened: datetime | None = None


class Repeats(NamedTuple):
    """The final numbers of one completed trial: under the seed it was searched with, and by fresh seed."""

    own: Mapping[str, float]
    fresh: Mapping[int, Mapping[str, float]]


class FailedAttempt(NamedTuple):
    """One attempt at a trial that failed: its kind, what was said, after which rung, on which worker, and when.

    `seed` is that of a retraining; None for an attempt of the search itself.
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
    """Who drives a search, until when unless it is renewed, and what the database's clock says now."""

    driver: str | None
    until: datetime | None
    now: datetime

    @property
    def live(self) -> bool:
        """Whether somebody drives the search."""
        return self.driver is not None and self.until is not None and self.until > self.now
