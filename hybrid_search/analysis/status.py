"""The status of a search, read from its ledger: on any machine that reaches the database, while the search runs."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from hybrid_search.analysis.confidence import confirmed_front
from hybrid_search.ledger import FailedAttempt, Lease, Ledger, TrialPoint, reads
from hybrid_search.ledger.entries import TrainingRecord
from hybrid_search.ledger.leases import host_and_pid, purpose_of
from hybrid_search.ledger.trainings import trainings
from hybrid_search.networks.stored_architecture import readable_line
from hybrid_search.pareto import hypervolume, reference_point
from hybrid_search.records import STATES, TRAINED, SearchRecord, Settings, TrialRecord
from hybrid_search.spaces.budget import known_reference

RECENT = 20  # the last trials that ended, from which the rate is computed

StateName = Literal["running", "confirming", "interrupted", "finished", "idle"]


@dataclass(frozen=True)
class RunningTrial:
    """A trial that runs, or that an ended driver process left unfinished.

    Attributes:
        number: Number of the trial.
        attempt: Number of the attempt.
        architecture: The architecture in one line.
        worker: Name of the worker.
        rung: Completed epochs.
        rungs: Planned epochs; None for a user's own evaluation, which reports them at its end.
        seconds: Time since the start of the attempt.
        silent: Whether the lease of the trial has expired.
    """

    number: int
    attempt: int
    architecture: str
    worker: str
    rung: int
    rungs: int | None
    seconds: float
    silent: bool


@dataclass(frozen=True)
class SearchStatus:
    """The status of a search.

    Attributes:
        search: The search.
        state: `running` if a process holds the lease, `confirming` if it confirms the front; `interrupted` if no
            process does and trials are unfinished;
            `finished` if the target is reached; otherwise `idle`.
        driver: `host:pid` of the process that runs the search; None if it does not run.
        counts: Number of trials by trial state.
        failures: Number of failed attempts by kind, retrainings included.
        last_failure: The newest failure in one line.
        running: The trials that run or are unfinished.
        front: Number of trials on the Pareto front.
        best: Best value of the first objective.
        hypervolume: Hypervolume of the front, 0 before the first complete trial; None if its reference point is
            unknown.
        reference: Reference point of the hypervolume, one value for each objective; None if it is unknown, and before
            the first complete trial.
        unknown_reference: Why the reference point is unknown; empty if it is known.
        trials_per_hour: Rate of the last 20 trials; None if the search does not run.
        time_left: Time to the target at that rate.
        last_finished: When a trial ended last.
        data_notes: What was left out of the data set, reinterpreted or contained twice, one line each.
        trainings: The full trainings of the search, oldest first.
    """

    search: SearchRecord
    state: StateName
    driver: str | None
    counts: Mapping[str, int]
    failures: Mapping[str, int]
    last_failure: str | None
    running: tuple[RunningTrial, ...]
    front: int
    best: float | None
    hypervolume: float | None
    reference: tuple[float, ...] | None
    unknown_reference: str
    trials_per_hour: float | None
    time_left: timedelta | None
    last_finished: datetime | None
    data_notes: tuple[str, ...] = ()
    trainings: tuple[TrainingRecord, ...] = ()

    @property
    def ended(self) -> int:
        """Number of trials that ended: complete, stopped or failed."""
        return sum(count for state, count in self.counts.items() if state != "running")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON; times in seconds, accuracy 0..1."""
        return {
            "search": self.search.name,
            "course": self.state,
            "driver": self.driver,
            "ended": self.ended,
            "target": self.search.target,
            "counts": dict(self.counts),
            "failures": dict(self.failures),
            "last_failure": self.last_failure,
            "front": self.front,
            f"best_{self.search.objectives[0]}": self.best,
            "hypervolume": self.hypervolume,
            "reference_point": None
            if self.reference is None
            else dict(zip(self.search.objectives, self.reference, strict=True)),
            "unknown_reference": self.unknown_reference or None,
            "trials_an_hour": self.trials_per_hour,
            "seconds_left": None if self.time_left is None else self.time_left.total_seconds(),
            "newest": None if self.last_finished is None else self.last_finished.isoformat(),
            "data_notes": list(self.data_notes),
            "running": [vars(trial) for trial in self.running],
            "trainings": [
                {
                    "training": each.number,
                    "trial": each.trial,
                    "recipe": each.recipe,
                    "seed": each.seed,
                    "epochs": each.settings["epochs"],
                    "measurements": dict(each.measurements),
                    "failure": each.failure_kind,
                    "finished": each.finished.isoformat(),
                }
                for each in self.trainings
            ],
        }


def status_of(ledger: Ledger, search: SearchRecord) -> SearchStatus:
    """Return the present status of a search.

    Args:
        ledger: The open ledger; read-only is enough.
        search: The search.

    Returns:
        The status.
    """
    lease = ledger.lease(search.id)
    points, _ = ledger.read(reads.points, search.id, search.objectives)
    counts: dict[str, int] = {state: sum(point.state == state for point in points) for state in STATES}
    kinds = search.objective_list
    names = [kind.name for kind in kinds]
    complete = [
        p for p in points if p.state == "complete" and all(math.isfinite(p.values.get(n, math.nan)) for n in names)
    ]
    complete.sort(key=lambda point: (point.finished is None, point.finished, point.number))
    values = {point.number: point.values for point in complete}
    rows = [[point.values[o.name] for o in kinds] for point in complete]
    directions = [o.direction for o in kinds]
    best = max if directions[0] == "maximize" else min
    worst, unknown_reference = known_reference(search)
    reference = None if worst is None or not rows else reference_point(rows, kinds, worst)
    volume = hypervolume(rows, reference, directions) if reference is not None else None if unknown_reference else 0.0
    state = _search_state(search, counts, lease)
    rate = _trials_per_hour(points, lease) if state == "running" else None
    missing = max(0, search.target - sum(count for state, count in counts.items() if state != "running"))
    time_left = timedelta(hours=missing / rate) if rate else None
    failures = ledger.read(reads.failures, search.id)
    numbers = [point.number for point in points if point.state == "running"]
    running = ledger.read(reads.trials, search.id, numbers) if numbers else []
    return SearchStatus(
        search,
        state,
        host_and_pid(lease.holder) if lease.active else None,
        counts,
        dict(Counter(failed.kind for failed in failures).most_common()),
        _last_failure(failures),
        tuple(_running_trial(trial, search, lease) for trial in running),
        len(confirmed_front(values, ledger.read(reads.repeats, search.id, confirmed=True), kinds).members),
        best((row[0] for row in rows), default=None),
        volume,
        None if reference is None else tuple(reference),
        unknown_reference,
        rate,
        time_left,
        max((point.finished for point in points if point.finished), default=None),
        ledger.read(reads.data_notes, search.id),
        tuple(ledger.read(trainings, search.id)),
    )


def _last_failure(failures: list[FailedAttempt]) -> str | None:
    if not failures:
        return None
    newest = max(failures, key=lambda failed: failed.failed)
    lines = newest.text.strip().splitlines() or ["no message"]
    return f"trial {newest.number}, {newest.kind}: {lines[-1]}"


def _search_state(search: SearchRecord, counts: Mapping[str, int], lease: Lease) -> StateName:
    if lease.active:
        return "confirming" if purpose_of(lease.holder) == "confirm" else "running"
    if counts["running"]:
        return "interrupted"
    return "finished" if sum(counts.values()) >= search.target else "idle"


def _trials_per_hour(points: list[TrialPoint], lease: Lease) -> float | None:
    """Return the rate of the last trials that ended, up to now if the search runs; None if fewer than two ended."""
    ends = sorted(point.finished for point in points if point.finished is not None)[-RECENT:]
    if len(ends) < 2:
        return None
    end = max(ends[-1], lease.now) if lease.active else ends[-1]
    hours = (end - ends[0]).total_seconds() / 3600
    return (len(ends) - 1) / hours if hours > 0 else None


def _running_trial(trial: TrialRecord, search: SearchRecord, lease: Lease) -> RunningTrial:
    architecture = readable_line(trial.architecture)
    started = trial.started or lease.now
    silent = not lease.active or trial.expires is None or trial.expires < lease.now
    epochs = Settings.from_dict(trial.settings).epochs if search.evaluation == TRAINED else None
    seconds = max(0.0, (lease.now - started).total_seconds())
    return RunningTrial(trial.number, trial.attempt, architecture, trial.worker, trial.rung, epochs, seconds, silent)
