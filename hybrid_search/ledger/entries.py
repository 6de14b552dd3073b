"""Named tuples of the ledger: points of charts, proposals, failed attempts, trainings, leases, test openings.

They are named tuples, not dataclasses: a search of 100,000 trials makes one `TrialPoint` per trial.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple


class TrialKey(NamedTuple):
    """The identity of a trial.

    Attributes:
        id: Row of the trial.
        number: Number of the trial within its search.
    """

    id: int
    number: int


class TrialPoint(NamedTuple):
    """A trial without its architecture and learning curve: what a chart needs.

    Attributes:
        id: Row of the trial.
        number: Number of the trial within its search.
        state: running, complete, stopped or failed.
        seconds: Wall-clock time of a trial that has ended; None while it runs.
        finished: When it ended, UTC; None while it runs.
        values: Its measurements by name.
    """

    id: int
    number: int
    state: str
    seconds: float | None
    finished: datetime | None
    values: Mapping[str, float]


class Proposal(NamedTuple):
    """A proposal that was not trained.

    Attributes:
        reason: `gated` (over budget), `duplicate` or `passed over` (deferred by the pruner).
        digest: Digest of the architecture.
        choices: Parameter name -> choice.
        budget_excess: The excess over the budget as a share of the budget.
    """

    reason: str
    digest: str
    choices: Mapping[str, Any]
    budget_excess: float


class SplitUse(NamedTuple):
    """One use of the test split.

    Attributes:
        fingerprint: Fingerprint of its images.
        images: Number of its images.
        reason: What it was used for.
        opened: When, UTC; None: now.
    """

    fingerprint: str
    images: int
    reason: str
    opened: datetime | None = None


class Repeats(NamedTuple):
    """The measurements of one completed trial.

    Attributes:
        own: The measurements under the seed of the search.
        fresh: Confirmation seed -> measurements.
    """

    own: Mapping[str, float]
    fresh: Mapping[int, Mapping[str, float]]


class FailedAttempt(NamedTuple):
    """One failed attempt at a trial.

    Attributes:
        number: Number of the trial.
        attempt: Number of the attempt, from 1.
        kind: Kind of the failure.
        text: What happened, for people.
        rung: Number of complete rungs.
        worker: Host and process of the worker.
        failed: When it failed, UTC.
        seed: Seed of a failed retraining; None if the attempt was part of the search.
    """

    number: int
    attempt: int
    kind: str
    text: str
    rung: int
    worker: str
    failed: datetime
    seed: int | None


class BaselineTraining(NamedTuple):
    """One training of a baseline under one seed, complete or failed.

    Attributes:
        name: Name of the baseline.
        network: Its network as plain JSON: an architecture, or a model of timm.
        seed: Seed of the training.
        settings: The settings of the training as plain JSON.
        measurements: Final numbers by name; empty if the training failed.
        facts: Device, versions, commit, data fingerprint and so on.
        failure_kind, failure_text: Why the training failed; None if it is complete.
        started, finished: Begin and end, UTC.
    """

    name: str
    network: Mapping[str, Any]
    seed: int
    settings: Mapping[str, Any]
    measurements: Mapping[str, float]
    facts: Mapping[str, str]
    failure_kind: str | None
    failure_text: str | None
    started: datetime
    finished: datetime


class TrainingRecord(NamedTuple):
    """One full training of a design, complete or failed.

    Attributes:
        number: Number of the training in its database; 0 before it is stored.
        search_id: Row id of the search; None for a design that belongs to no search.
        uid: Identifies what was trained: design, data, settings, options and seed.
        design: The design in words: `trial 3`, `resnet-basic-16`, or a file.
        trial: Number of the trial whose design it is; None without a search.
        architecture: The architecture as plain JSON.
        input_size: Channels, rows and columns of an image.
        classes: Number of classes.
        recipe: Name of the recipe, or the path of its file.
        seed: Seed of the training.
        settings: The settings of the training as plain JSON.
        options: What else was asked for, as plain JSON: all data, initial weights.
        curve: The measurements of every epoch, oldest first; each has the number of its `epoch`.
        measurements: Final numbers by name; empty if the training failed.
        facts: Device, versions, commit, data fingerprint and so on.
        weights: `name:sha256` of the file of weights; None if they are not kept.
        failure_kind, failure_text: Why the training failed; None if it is complete.
        started, finished: Begin and end, UTC.
    """

    number: int
    search_id: int | None
    uid: str
    design: str
    trial: int | None
    architecture: Mapping[str, Any]
    input_size: Sequence[int]
    classes: int
    recipe: str
    seed: int
    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    curve: Sequence[Mapping[str, float]]
    measurements: Mapping[str, float]
    facts: Mapping[str, str]
    weights: str | None
    failure_kind: str | None
    failure_text: str | None
    started: datetime
    finished: datetime


class Lease(NamedTuple):
    """The write lease of a search.

    Attributes:
        holder: Identity of the process that holds it; None: no process.
        expires: When it expires, UTC.
        now: The present time of the database, UTC.
    """

    holder: str | None
    expires: datetime | None
    now: datetime

    @property
    def active(self) -> bool:
        """Whether a process holds the lease and it has not expired."""
        return self.holder is not None and self.expires is not None and self.expires > self.now
