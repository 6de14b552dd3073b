"""What every engine shares: the plan it is given, and what it does with a report."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hybrid_search._internal.event_log import tell
from hybrid_search.engines.worker import Evaluate
from hybrid_search.errors import HybridSearchError
from hybrid_search.records import Report
from hybrid_search.search.trial import Outcome, Trial
from hybrid_search.training.checkpoints import Checkpoints, Keeping

LEASE = 60.0  # seconds of silence after which a worker counts as lost
FIRST_FAILURES = 4  # that many failures with no success say that the search itself is broken


class Driven(Protocol):
    """What an engine drives, a search or a confirmation: it is asked for trials until it has none, and told how they
    go."""

    def ask(self) -> Trial | None:
        """The next trial to train; None when there is none for now, and none at all once nothing runs."""
        ...

    def fail(self, trial: Trial, kind: str, text: str) -> Trial | None:
        """An attempt failed: the trial as it begins again, or None where it has ended as failed."""
        ...

    def report(self, trial: Trial, report: Report) -> Literal["keep", "stop"]:
        """Write the numbers of one rung; return whether to continue the trial."""
        ...

    def state(self, trial: Trial) -> str:
        """How a trial that was to stop, or was told to be complete, has ended: complete, stopped or failed."""
        ...

    def tell(self, trial: Trial, outcome: Outcome) -> bool:
        """Take how the trial ended; True when its weights are worth keeping."""
        ...

    def keep_weights(self, trial: Trial, weights: bytes) -> None:
        """Keep these weights."""
        ...


@dataclass
class Plan:
    """How to run a search: the evaluation, the resources, and what stops it."""

    evaluate: Evaluate
    workers: int | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float | None = None
    address: str | None = None
    resources: Mapping[str, float] = field(default_factory=dict)  # of a trial, by the names that a cluster's nodes have
    lease: float = LEASE
    timeout: float | None = None  # seconds after which a rung is ended
    event: Callable[[str, int], None] = lambda kind, number: None
    stop: threading.Event = field(default_factory=threading.Event)
    completed: int = 0  # trials that ended well, and those that failed, since this driver began
    failed: int = 0
    notice: Callable[[str], None] = tell  # what the user should read
    # Trials (ids) whose worker has not shown a sign of life in time; an engine with workers apart keeps it.
    silent: set[int] = field(default_factory=set)
    checkpoints: Checkpoints | None = None  # None: trials keep none
    told: set[tuple[int, str]] = field(default_factory=set)  # what was said of checkpoints, by trial

    def keeping(self, trial: Trial) -> Keeping | None:
        """Where this trial keeps its checkpoints, for the worker that runs it."""
        if self.checkpoints is None:
            return None
        return self.checkpoints.of(trial.number, trial.architecture, trial.settings)


def finish(
    search: Driven, trial: Trial, report: Report, plan: Plan, fetch: Callable[[Any], bytes | None] = bytes
) -> Trial | None:
    """Hand one report to the search; the trial as it goes on: itself, its next attempt, or None where it has ended.

    `fetch` turns what the engine carries as weights into bytes; it is called only for trials on the front.
    Raises HybridSearchError when the first trials all fail: more of them would fail as well. LostLease where another
    driver leads the search by now.
    """
    plan.silent.discard(trial.id)
    goes_on = _handed(search, trial, report, plan, fetch)
    if goes_on is None and plan.checkpoints is not None:  # what it ended with is in the ledger by now
        plan.checkpoints.drop(trial.number, trial.settings.seed)
    return goes_on


def _handed(
    search: Driven, trial: Trial, report: Report, plan: Plan, fetch: Callable[[Any], bytes | None]
) -> Trial | None:
    if report.failure is not None:
        kind, text = report.failure.kind, report.failure.text
        again = search.fail(trial, kind, text)
        if again is not None:
            plan.event("again", trial.number)
            return again
        plan.event("failed", trial.number)
        _failed(plan, kind, text)
        return None
    said = (trial.number, report.facts.get("checkpoint", ""))
    if said[1] and said not in plan.told:
        plan.told.add(said)
        plan.notice(f"trial {trial.number}: {said[1]}")
    if search.report(trial, report) == "stop":
        state = search.state(trial)
        plan.event(state, trial.number)
        if state == "failed":
            _failed(plan, "nan", f"a number is not finite after rung {report.rung}")
        return None
    if not report.last:
        plan.event("report", trial.number)
        return trial
    keep = search.tell(trial, Outcome("complete", report.measurements))
    if search.state(trial) == "failed":
        plan.event("failed", trial.number)
        _failed(
            plan, "bug", f"it measured {', '.join(report.measurements) or 'nothing'}, which is not what is searched"
        )
        return None
    plan.completed += 1
    weights = fetch(report.weights) if keep and report.weights is not None else None
    if weights is not None:
        try:
            search.keep_weights(trial, weights)
        except OSError as error:  # its numbers are safe: who wants its weights trains it again
            plan.notice(f"the weights of trial {trial.number} are not kept: {error}")
    plan.event("complete", trial.number)
    return None


def _failed(plan: Plan, kind: str, text: str) -> None:
    """Count a failure; HybridSearchError when the first trials all failed: more of them would fail as well."""
    plan.failed += 1
    if plan.failed >= FIRST_FAILURES and not plan.completed:
        raise HybridSearchError(
            f"the first {plan.failed} trials all failed ({kind}), so the search stops. The last one said:\n{text}"
        )
