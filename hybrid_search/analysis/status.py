"""Where a search stands, read from its ledger alone: on any machine that sees the database, while others drive it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from hybrid_search.errors import UserError
from hybrid_search.ledger import FailedAttempt, Lease, Ledger, Point, reads
from hybrid_search.ledger.leases import host_and_pid
from hybrid_search.networks.architecture import Architecture
from hybrid_search.objectives import objectives
from hybrid_search.pareto import hypervolume, pareto_front, reference_point
from hybrid_search.records import STATES, TRAINED, SearchRecord, Settings, TrialRecord
from hybrid_search.spaces.budget import reference_costs

RECENT = 20  # trials that the pace is taken from

Course = Literal["running", "interrupted", "finished", "idle"]


@dataclass(frozen=True)
class RunningTrial:
    """One trial that runs, or that a driver left: where, since when, how far; `silent` where its lease has run out."""

    number: int
    attempt: int
    architecture: str
    worker: str
    rung: int
    rungs: int | None  # None: an evaluation of the user's own says it with its last one
    seconds: float
    silent: bool


@dataclass(frozen=True)
class SearchStatus:
    """Where a search stands. `course` running: a driver leads it; interrupted: trials were left running and nobody
    does; finished: it reached its target; idle: neither. `left` is the time that the present pace leaves."""

    search: SearchRecord
    course: Course
    driver: str | None
    counts: Mapping[str, int]
    failures: Mapping[str, int]  # failed attempts by kind: followed by another or not, retrainings too
    last_failure: str | None  # what the newest of them said, in a line
    running: tuple[RunningTrial, ...]
    front: int
    best: float | None
    hypervolume: float
    an_hour: float | None  # trials that ended an hour, of late; None while nobody drives it
    left: timedelta | None
    newest: datetime | None  # when a trial ended last

    @property
    def ended(self) -> int:
        """Trials that ended, however."""
        return sum(count for state, count in self.counts.items() if state != "running")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; times in seconds, accuracy 0..1."""
        return {
            "search": self.search.name,
            "course": self.course,
            "driver": self.driver,
            "ended": self.ended,
            "target": self.search.target,
            "counts": dict(self.counts),
            "failures": dict(self.failures),
            "last_failure": self.last_failure,
            "front": self.front,
            f"best_{self.search.objectives[0]}": self.best,
            "hypervolume": self.hypervolume,
            "trials_an_hour": self.an_hour,
            "seconds_left": None if self.left is None else self.left.total_seconds(),
            "newest": None if self.newest is None else self.newest.isoformat(),
            "running": [vars(trial) for trial in self.running],
        }


def status_of(ledger: Ledger, search: SearchRecord) -> SearchStatus:
    """Where this search stands now."""
    lease = ledger.lease(search.id)
    points, _ = ledger.read(reads.points, search.id, search.objectives)
    counts: dict[str, int] = {state: sum(point.state == state for point in points) for state in STATES}
    kinds = objectives(search.objectives)
    complete = [p for p in points if p.state == "complete" and all(o.name in p.values for o in kinds)]
    complete.sort(key=lambda point: (point.finished is None, point.finished, point.number))
    rows = [[point.values[o.name] for o in kinds] for point in complete]
    directions = [o.direction for o in kinds]
    pick = max if directions[0] == "maximize" else min
    volume = hypervolume(rows, reference_point(rows, kinds, reference_costs(search)), directions) if rows else 0.0
    pace = _pace(points, lease) if lease.active else None
    to_go = max(0, search.target - sum(count for state, count in counts.items() if state != "running"))
    left = timedelta(hours=to_go / pace) if pace and lease.active else None
    failures = ledger.read(reads.failures, search.id)
    numbers = [point.number for point in points if point.state == "running"]
    running = ledger.read(reads.trials, search.id, numbers) if numbers else []
    return SearchStatus(
        search,
        _course(search, counts, lease),
        host_and_pid(lease.holder) if lease.active else None,
        counts,
        dict(Counter(failed.kind for failed in failures).most_common()),
        _last(failures),
        tuple(_running(trial, search, lease) for trial in running),
        len(pareto_front(rows, directions)) if rows else 0,
        pick((row[0] for row in rows), default=None),
        volume,
        pace,
        left,
        max((point.finished for point in points if point.finished), default=None),
    )


def _last(failures: list[FailedAttempt]) -> str | None:
    if not failures:
        return None
    newest = max(failures, key=lambda failed: failed.failed)
    lines = newest.text.strip().splitlines() or ["nothing said"]
    return f"trial {newest.number}, {newest.kind}: {lines[-1]}"


def _course(search: SearchRecord, counts: Mapping[str, int], lease: Lease) -> Course:
    if lease.active:
        return "running"
    if counts["running"]:
        return "interrupted"
    return "finished" if sum(counts.values()) >= search.target else "idle"


def _pace(points: list[Point], lease: Lease) -> float | None:
    """Trials an hour over the last that ended, up to now while the search is driven; None where too few ended."""
    ends = sorted(point.finished for point in points if point.finished is not None)[-RECENT:]
    if len(ends) < 2:
        return None
    until = max(ends[-1], lease.now) if lease.active else ends[-1]
    hours = (until - ends[0]).total_seconds() / 3600
    return (len(ends) - 1) / hours if hours > 0 else None


def _running(trial: TrialRecord, search: SearchRecord, lease: Lease) -> RunningTrial:
    try:
        design = str(Architecture.from_dict(trial.architecture))
    except UserError as error:  # of a plugin that is not installed here
        design = f"not readable here: {error}"
    began = trial.started or lease.now
    silent = not lease.active or trial.expires is None or trial.expires < lease.now
    epochs = Settings.from_dict(trial.settings).epochs if search.evaluation == TRAINED else None
    seconds = max(0.0, (lease.now - began).total_seconds())
    return RunningTrial(trial.number, trial.attempt, design, trial.worker, trial.rung, epochs, seconds, silent)
