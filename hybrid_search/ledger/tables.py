"""The tables of the ledger as SQLAlchemy models.

search --< trial --< measurement      one row per measurement: a new objective needs no migration
             |   --< rung             the learning curve, one row per measurement and epoch
             |   --< failure          a failed attempt: its kind and error message
             `-- weights              the weights file of a trial on the front
search --< proposal                   a proposal that was not trained, and why
search --< opening                    a use of the test split: when and why
search --< baseline                   a training of a standard network beside the search; written at its end
search --< training                   a full training of a trial's design; written at its end. It may have no search

A search stores its lease (`driver`, `driver_until`). A running trial stores its lease holder and attempt.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hybrid_search._internal.search_names import SEARCH_NAME
from hybrid_search.records import NAME

HEAD = "0006"  # the newest Alembic revision; a test compares it with the scripts


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC. SQLite does not store the zone, so it is added when a time is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a time to UTC for the database."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Add the zone to a time that was stored without one."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


SEED = BigInteger().with_variant(
    Integer, "sqlite"
)  # up to 2^32, which SQLite's INTEGER holds and PostgreSQL's does not


class Base(DeclarativeBase):
    """Base class of the models."""


class SearchRow(Base):
    """One search with its space and settings as plain JSON."""

    __tablename__ = "search"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(SEARCH_NAME), unique=True)
    space: Mapped[dict[str, Any]] = mapped_column(JSON)
    objectives: Mapped[list[str]] = mapped_column(JSON)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    sampler: Mapped[str] = mapped_column(String(100))
    seed: Mapped[int] = mapped_column(SEED)
    target: Mapped[int]
    max_flops: Mapped[float | None] = mapped_column(Float)
    max_params: Mapped[float | None] = mapped_column(Float)
    input_size: Mapped[list[int]] = mapped_column(JSON)
    classes: Mapped[int]
    evaluation: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime] = mapped_column(UtcTime)
    pruner: Mapped[str] = mapped_column(String(100), server_default="none")
    tuned: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    warm_start: Mapped[bool] = mapped_column(server_default=false())
    uid: Mapped[str] = mapped_column(String(32), server_default="")  # identifies the search in every database
    driver: Mapped[str | None] = mapped_column(String(200))  # lease holder; the lease expires at `driver_until`
    driver_until: Mapped[datetime | None] = mapped_column(UtcTime)


class TrialRow(Base):
    """One trial. `facts` are device, versions, commit and data fingerprint of its measurements."""

    __tablename__ = "trial"
    __table_args__ = (
        UniqueConstraint("search_id", "number"),
        Index("trial_by_digest", "search_id", "digest"),
        Index("trial_by_state", "search_id", "state"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    search_id: Mapped[int] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(32))
    architecture: Mapped[dict[str, Any]] = mapped_column(JSON)
    choices: Mapped[dict[str, Any]] = mapped_column(JSON)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    seed: Mapped[int] = mapped_column(SEED)
    attempt: Mapped[int] = mapped_column(default=1)
    rung: Mapped[int] = mapped_column(default=0)
    started: Mapped[datetime] = mapped_column(UtcTime)
    finished: Mapped[datetime | None] = mapped_column(UtcTime)
    changed: Mapped[int] = mapped_column(
        default=0, index=True
    )  # change counter: readers select rows with a larger value
    worker: Mapped[str] = mapped_column(String(200), default="")
    failure_kind: Mapped[str | None] = mapped_column(String(20))
    failure_text: Mapped[str | None] = mapped_column(Text)
    facts: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    weights: Mapped[str | None] = mapped_column(String(500))
    driver: Mapped[str | None] = mapped_column(String(200))  # lease holder of a running trial
    expires: Mapped[datetime | None] = mapped_column(UtcTime)  # end of the lease, unless the worker sends a heartbeat
    audit_rung: Mapped[int | None] = mapped_column("spared")  # the pruner would have stopped it after this rung


class MeasurementRow(Base):
    """One final measurement of a trial under one seed."""

    __tablename__ = "measurement"
    trial_id: Mapped[int] = mapped_column(ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME), primary_key=True)
    seed: Mapped[int] = mapped_column(SEED, primary_key=True)
    value: Mapped[float] = mapped_column(Float)


class RungRow(Base):
    """One measurement of a learning curve after `rung` epochs."""

    __tablename__ = "rung"
    trial_id: Mapped[int] = mapped_column(ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True)
    rung: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME), primary_key=True)
    value: Mapped[float] = mapped_column(Float)


class FailureRow(Base):
    """One failed attempt at a trial.

    Failed retrainings of a complete trial continue the numbers of its attempts; their `seed` is set.
    """

    __tablename__ = "failure"
    trial_id: Mapped[int] = mapped_column(ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(Text)
    rung: Mapped[int]
    worker: Mapped[str] = mapped_column(String(200))
    failed: Mapped[datetime] = mapped_column(UtcTime)
    seed: Mapped[int | None] = mapped_column(SEED)


class ProposalRow(Base):
    """A proposal that was not trained.

    `reason` is `gated` (over budget), `duplicate` (trained, running or failed before) or `passed over` (deferred).
    """

    __tablename__ = "proposal"
    __table_args__ = (Index("proposal_by_search", "search_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    search_id: Mapped[int] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    reason: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(32))
    choices: Mapped[dict[str, Any]] = mapped_column(JSON)
    budget_excess: Mapped[float] = mapped_column("excess", Float, default=0.0)  # as a share of the budget
    created: Mapped[datetime] = mapped_column(UtcTime)


class OpeningRow(Base):
    """One use of the test split: fingerprint and number of its images, reason, and time."""

    __tablename__ = "opening"
    __table_args__ = (Index("opening_by_search", "search_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    search_id: Mapped[int] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    fingerprint: Mapped[str] = mapped_column(String(64))
    images: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    opened: Mapped[datetime] = mapped_column(UtcTime)


class BaselineRow(Base):
    """One training of a baseline under one seed, complete or failed. It is written at its end, and never changed."""

    __tablename__ = "baseline"
    __table_args__ = (Index("baseline_by_search", "search_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    search_id: Mapped[int] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    network: Mapped[dict[str, Any]] = mapped_column(JSON)
    seed: Mapped[int] = mapped_column(SEED)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    measurements: Mapped[dict[str, float]] = mapped_column(JSON)
    facts: Mapped[dict[str, str]] = mapped_column(JSON)
    failure_kind: Mapped[str | None] = mapped_column(String(20))
    failure_text: Mapped[str | None] = mapped_column(Text)
    started: Mapped[datetime] = mapped_column(UtcTime)
    finished: Mapped[datetime] = mapped_column(UtcTime)


class TrainingRow(Base):
    """One full training of a design, complete or failed. It is written at its end, and never changed.

    `uid` identifies what was trained: two trainings with equal inputs have the same one. `search_id` is null for a
    design that belongs to no search.
    """

    __tablename__ = "training"
    __table_args__ = (Index("training_by_search", "search_id"), Index("training_by_uid", "uid"))
    id: Mapped[int] = mapped_column(primary_key=True)
    search_id: Mapped[int | None] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"))
    uid: Mapped[str] = mapped_column(String(32))
    design: Mapped[str] = mapped_column(String(500))
    trial: Mapped[int | None]
    architecture: Mapped[dict[str, Any]] = mapped_column(JSON)
    input_size: Mapped[list[int]] = mapped_column(JSON)
    classes: Mapped[int]
    recipe: Mapped[str] = mapped_column(String(500))
    seed: Mapped[int] = mapped_column(SEED)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    curve: Mapped[list[dict[str, float]]] = mapped_column(JSON)
    measurements: Mapped[dict[str, float]] = mapped_column(JSON)
    facts: Mapped[dict[str, str]] = mapped_column(JSON)
    weights: Mapped[str | None] = mapped_column(String(500))
    failure_kind: Mapped[str | None] = mapped_column(String(20))
    failure_text: Mapped[str | None] = mapped_column(Text)
    started: Mapped[datetime] = mapped_column(UtcTime)
    finished: Mapped[datetime] = mapped_column(UtcTime)
