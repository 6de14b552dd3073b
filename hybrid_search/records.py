"""Frozen values that travel between workers, ledger and front: resources, reports, failures, trials, searches."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, Protocol

from hybrid_search._internal.number_text import whole_number
from hybrid_search._internal.setting_rules import known_names
from hybrid_search.errors import SettingsError, is_number
from hybrid_search.objectives import OBJECTIVES, Objective
from hybrid_search.settings import Settings

__all__ = [
    "RETRIES", "STATES", "TRAINED", "EngineObject", "Failure", "FailureKind", "Report", "Resources", "SearchRecord",
    "Settings", "State", "TrialRecord",
]  # fmt: skip

State = Literal["running", "complete", "stopped", "failed"]
STATES: tuple[State, ...] = ("running", "complete", "stopped", "failed")
FailureKind = Literal["bug", "nan", "oom", "timeout", "lost", "pre-empted"]

# Retry limit of each kind of failure. A failure of the machine is retried (pre-empted: the driver or node went away;
# lost: the worker died or sent no heartbeat). A failure of the network would repeat itself. See `search.retries`.
RETRIES: Mapping[str, float] = {
    "pre-empted": math.inf, "lost": 2, "oom": 1, "timeout": 1, "nan": 0, "bug": 0,
}  # fmt: skip

NAME = 100  # characters of the name of a measurement, at most
TRAINED = "trained"  # the name of the package's own evaluation

ENGINE = "ray"  # the default engine


class EngineObject(Protocol):
    """The two functions of an engine; `hybrid_search.engines.Engine` documents them with their types."""

    def ready(self, context: Any) -> AbstractContextManager[None]:
        """Return a context manager that holds what `drive` needs.

        Args:
            context: The `RunContext` of this run.
        """

    def drive(self, search: Any, context: Any) -> None:
        """Run trials until the search has none left.

        Args:
            search: A search, a confirmation or baselines.
            context: The `RunContext` of this run.
        """


@known_names("resources")
@dataclass(frozen=True)
class Resources:
    """The engine, the workers, and the resources of each trial. `run`, `confirm` and `baseline` share it.

    Args:
        engine: Name of an engine (ray, tune, local), or an object with `ready(context)` and `drive(search, context)`.
        workers: Trials at a time; None: as many as the cluster holds, which may change during the run.
        cpus_per_trial: CPUs that one trial takes.
        gpus_per_trial: GPUs that one trial takes; None: 1 if the cluster has GPUs.
        address: Address of an existing Ray cluster, "auto" or "HOST:PORT"; None: RAY_ADDRESS, if set.
        custom: Other resources that one trial takes, by the names that the nodes of the cluster declare.
        lease_seconds: Seconds without a heartbeat after which a worker is lost and its trial is retried.
        timeout_seconds: Seconds that one rung may take; None: no limit.

    Raises:
        SettingsError: A value is out of range.

    Example:
        >>> Resources(engine="ray", workers=8, gpus_per_trial=0.5)
    """

    engine: str | EngineObject = field(default=ENGINE, hash=False)  # an engine object may have no hash
    workers: int | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float | None = None
    address: str | None = None
    custom: Mapping[str, float] = field(default_factory=dict, hash=False)
    lease_seconds: float = 60.0
    timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.workers is not None:
            object.__setattr__(self, "workers", whole_number("workers", self.workers, 1))
        if self.address is not None and not isinstance(self.address, str):
            raise SettingsError(f'address must be text such as "auto" or "HOST:PORT"; got {self.address!r}.')
        if self.address is not None and "@" in self.address:
            raise SettingsError('address must be "auto" or "HOST:PORT"; got one with a user or password (not shown).')
        self._check_custom()
        for name, option in (("lease_seconds", "--lease"), ("timeout_seconds", "--timeout")):
            seconds = getattr(self, name)
            optional = seconds is None and name == "timeout_seconds"
            if not optional and not (is_number(seconds) and math.isfinite(seconds) and seconds >= 1):
                raise SettingsError(f"{name} ({option}) must be at least 1 second; got {seconds!r}.")
        for name in ("cpus_per_trial", "gpus_per_trial"):
            share = getattr(self, name)
            optional = share is None and name == "gpus_per_trial"
            if not optional and not (is_number(share) and math.isfinite(share) and share >= 0):
                raise SettingsError(f"{name} must be a number from 0 up; got {share!r}.")

    def _check_custom(self) -> None:
        """Raise SettingsError unless `custom` maps names besides CPU and GPU to numbers above 0."""
        if not isinstance(self.custom, Mapping):
            raise SettingsError(f"custom (--resources) must be a mapping of names to numbers; got {self.custom!r}.")
        for name, amount in self.custom.items():
            if not isinstance(name, str):
                raise SettingsError(f"custom (--resources) must have names that are text; got {name!r}.")
            if name in ("CPU", "GPU"):
                raise SettingsError(
                    f"custom (--resources) must name resources besides CPU and GPU; got {name}. Use "
                    f"{name.lower()}s_per_trial (--{name.lower()}s-per-trial)."
                )
            if not (is_number(amount) and math.isfinite(amount) and amount > 0):
                raise SettingsError(f"custom (--resources) {name} must be a number above 0; got {amount!r}.")

    @classmethod
    def of(cls, given: object) -> "Resources":
        """Return the given resources, or the default ones for None.

        Args:
            given: The argument `resources` of `run` or `confirm`.

        Raises:
            SettingsError: It is something else.
        """
        if given is None:
            return Resources()
        if not isinstance(given, Resources):
            hint = f"engine={given!r}" if isinstance(given, str) else "engine='local'"
            raise SettingsError(f"resources must be a Resources value; got {given!r}. Use Resources({hint}).")
        return given


@dataclass(frozen=True)
class Failure:
    """The reason why an attempt at a trial failed.

    Attributes:
        kind: One of `RETRIES`; it decides about retries.
        text: What happened, for people.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Report:
    """The result of one rung of one trial, from the evaluation in a worker to the ledger.

    Attributes:
        rung: the number of rungs that are complete; the package's own training has one rung per epoch.
        measurements: the numbers after this rung, by name.
        facts: what makes the numbers a result: device, versions, commit, data fingerprint, kernel.
        last: whether the evaluation is complete.
        weights: the trained weights as safetensors bytes, in the last report only. On its way to the driver, an engine
            may carry a reference instead.
        failure: why the attempt failed; None if it did not.

    Example:
        >>> yield Report(rung=8, measurements={"accuracy": 0.97}, last=True)
    """

    rung: int
    measurements: Mapping[str, float]
    facts: Mapping[str, str] = field(default_factory=dict)
    last: bool = False
    weights: Any = None
    failure: Failure | None = None


@dataclass(frozen=True)
class TrialRecord:
    """One trial as stored in the ledger. Times are UTC.

    Attributes:
        id, number: Row of the trial, and its number within its search, from 0.
        state: running, complete, stopped or failed.
        digest, architecture: Digest of the architecture, and the architecture as plain JSON.
        choices: parameter name -> choice, with which the space gives this architecture.
        seed: Seed of the training.
        measurements: Final numbers by name; after a confirmation, means over fresh seeds.
        settings: The settings of this trial as plain JSON.
        attempt, rung: Number of the present attempt, from 1, and of complete rungs.
        started, finished: Begin and end; None if unknown or not reached.
        worker: Host and process of the worker.
        failure_kind, failure_text: Why the trial failed.
        facts: Device, versions, commit, data fingerprint and so on.
        weights: File of the weights, if they were kept.
        expires: End of the lease of a running trial.
        audit_rung: The rung at which the pruner would have stopped the trial; the audit let it continue.
    """

    id: int
    number: int
    state: State
    digest: str
    architecture: Mapping[str, Any]
    choices: Mapping[str, Any]
    seed: int
    measurements: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 1
    rung: int = 0
    started: datetime | None = None
    finished: datetime | None = None
    worker: str = ""
    failure_kind: str | None = None
    failure_text: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    weights: str | None = None
    expires: datetime | None = None
    audit_rung: int | None = None

    def __repr__(self) -> str:
        facts = [self.failure_kind] if self.failure_kind else []
        facts += [f"{name} {value:.4g}" for name, value in self.measurements.items()]
        return f"<trial {self.number}: {', '.join([self.state, *facts])}; architecture {self.digest}>"

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds from start to end; None while the trial runs."""
        if self.started is None or self.finished is None:
            return None
        return (self.finished - self.started).total_seconds()


@dataclass(frozen=True)
class SearchRecord:
    """One search as stored in the ledger; `SearchSpec.from_record` parses it.

    Attributes:
        id: Row of the search.
        name: Name of the search.
        space: The search space as plain JSON.
        objectives: Names of the objectives, in order.
        settings: How every network is trained.
        sampler, pruner: Their names.
        seed: Seed of the proposals.
        target: Total number of trials.
        max_flops, max_params: The budget; None: no bound.
        created: When the search was created, UTC.
        input_size: Channels, rows and columns of an image.
        classes: Number of classes.
        evaluation: Name of the evaluation; "trained" for the package's own training.
        tuned: Settings that are sampled with the architecture.
        known_designs: Whether the known designs of the space come first.
        uid: The same for this search in every copy of its database.
        own_objectives: Definitions of the objectives that the package does not have.
    """

    id: int
    name: str
    space: Mapping[str, Any]
    objectives: tuple[str, ...]
    settings: Settings
    sampler: str
    seed: int
    target: int
    max_flops: float | None = None
    max_params: float | None = None
    created: datetime | None = None
    input_size: tuple[int, int, int] = (1, 16, 16)
    classes: int = 10
    evaluation: str = TRAINED
    pruner: str = "none"
    tuned: tuple[str, ...] = ()
    known_designs: bool = False
    uid: str = ""
    own_objectives: tuple[Objective, ...] = ()

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The image sizes that its space offers, or none. Its settings have the largest one."""
        return tuple(self.space.get("image_size", ()))

    @cached_property
    def objective_list(self) -> tuple[Objective, ...]:
        """The objectives of this search, in order.

        Raises:
            UnknownName: An objective is not in the table, and its definition is not stored.
        """
        return tuple(self.objective(name) for name in self.objectives)

    def objective(self, name: str) -> Objective:
        """Return the objective of a name: as stored with this search, otherwise from the table.

        Args:
            name: Name of a measurement.

        Raises:
            UnknownName: The name is in neither.
        """
        return next((own for own in self.own_objectives if own.name == name), None) or OBJECTIVES[name]

    def all_objectives(self) -> dict[str, Objective]:
        """Return every objective that can be shown for this search: the table and those stored with it."""
        return {**OBJECTIVES.usable(), **{own.name: own for own in self.own_objectives}}
