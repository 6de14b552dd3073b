"""The part that all engines share: the context of a run, and the handling of each report."""

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hybrid_search._internal.event_log import print_notice
from hybrid_search.engines.worker import Evaluate
from hybrid_search.engines.worker.failure_report import user_error
from hybrid_search.engines.worker.packed_evaluation import PackedEvaluation
from hybrid_search.errors import HybridSearchError
from hybrid_search.objectives import COSTS
from hybrid_search.records import Report, Resources, SearchRecord
from hybrid_search.search.trial import Outcome, Trial
from hybrid_search.training.checkpoints import SearchCheckpoints, TrialCheckpoints

__all__ = ["RunContext", "TrialSource", "handle_report"]

FIRST_FAILURES = 4  # if this many trials fail before one completes, the search stops


class TrialSource(Protocol):
    """The search, confirmation or baselines that an engine runs. It proposes trials and records their results."""

    @property
    def record(self) -> SearchRecord:
        """The search in the ledger."""
        ...

    def ask(self) -> Trial | None:
        """Return the next trial; None if there is none now. If no trial runs either, the search is complete."""
        ...

    def fail(self, trial: Trial, kind: str, text: str) -> Trial | None:
        """Record a failed attempt. Return the trial with its next attempt, or None if the trial has failed.

        Args:
            trial: The trial of the attempt.
            kind: Kind of the failure, one of `RETRIES`.
            text: What happened.

        Returns:
            The trial with its next attempt, or None.
        """
        ...

    def report(self, trial: Trial, report: Report) -> Literal["keep", "stop"]:
        """Record the numbers of one rung. Return whether to continue the trial.

        Args:
            trial: The running trial.
            report: Numbers and facts after the rung.

        Returns:
            "keep", or "stop" if the trial has ended.
        """
        ...

    def state(self, trial: Trial) -> str:
        """Return how a trial ended: complete, stopped or failed.

        Args:
            trial: A trial of this source.
        """
        ...

    def tell(self, trial: Trial, outcome: Outcome) -> bool:
        """Record how a trial ended. Return True if its weights should be kept.

        Args:
            trial: The running trial.
            outcome: How it ended.

        Returns:
            Whether to keep the weights.
        """
        ...

    def keep_weights(self, trial: Trial, weights: bytes) -> None:
        """Write the weights of a trial, as safetensors bytes.

        Args:
            trial: A trial for which `tell` returned True.
            weights: The bytes of a safetensors file.
        """
        ...


@dataclass
class RunContext:
    """Everything that an engine needs to run a search, and its counters.

    Attributes:
        evaluate: The evaluation that workers run.
        resources: Where trials run, and what each of them takes.
        on_event: Called with the kind of an event (started, report, retry, complete, stopped, failed) and the number
            of its trial.
        stop: Set it to stop the run. Running trials stay "running" in the ledger; the next run resumes them.
        notice: Called with each line that the user should read. Default: print it on stderr.
        checkpoints: Where trials write checkpoints; None: nowhere.
        completed: Trials that completed in this run.
        failed: Trials that failed in this run.
        first_failure: Kind and text of the first of them.
        silent: Trials, by id, whose worker has sent no heartbeat for half of the lease. Their leases are not renewed.
        problems: Checkpoint problems that were reported already, by trial number.

    Example:
        >>> context = RunContext(evaluate, Resources(workers=4))
        >>> context.on_event = lambda kind, number: print(kind, number)
    """

    evaluate: Evaluate
    resources: Resources = field(default_factory=Resources)
    on_event: Callable[[str, int], None] = lambda kind, number: None
    stop: threading.Event = field(default_factory=threading.Event)
    notice: Callable[[str], None] = print_notice
    checkpoints: SearchCheckpoints | None = None
    completed: int = 0
    failed: int = 0
    first_failure: tuple[str, str] = ("", "")
    silent: set[int] = field(default_factory=set)
    problems: set[tuple[int, str]] = field(default_factory=set)
    _packed: PackedEvaluation | None = field(default=None, init=False, repr=False)

    def packed_evaluation(self) -> PackedEvaluation:
        """Return the evaluation as it is sent to worker processes. It is pickled once.

        Raises:
            SettingsError: A part of it cannot be pickled.
        """
        if self._packed is None:
            self._packed = PackedEvaluation.of(self.evaluate)
        return self._packed

    def checkpoints_of(self, trial: Trial) -> TrialCheckpoints | None:
        """Return where the worker of this trial reads and writes checkpoints; None if it writes none.

        Args:
            trial: The trial.
        """
        if self.checkpoints is None:
            return None
        return self.checkpoints.of(trial.number, trial.architecture, trial.settings)


def handle_report(
    search: TrialSource, trial: Trial, report: Report, context: RunContext, fetch: Callable[[Any], bytes | None] = bytes
) -> Trial | None:
    """Record one report. Every engine calls this for every report, in the driver.

    Args:
        search: The search, confirmation or baselines that the trial belongs to.
        trial: The trial, with the attempt that the report is of.
        report: The report of its worker.
        context: The context of this run.
        fetch: Turns the weights of a report into bytes; None if they are lost. It is called for trials on the front.

    Returns:
        The trial itself if it continues, the trial with its next attempt if it is retried, None if it has ended.

    Raises:
        UserError: A worker met a mistake in the data, the settings or the environment. The trial is as it was, and
            the next run of the search retries it.
        HybridSearchError: The first trials all failed, so that further trials would fail too.
        LostLease: Another driver holds the lease of the search.
    """
    context.silent.discard(trial.id)
    following = _record(search, trial, report, context, fetch)
    if following is None and context.checkpoints is not None:  # the ledger has the result, so no checkpoint is needed
        context.checkpoints.drop(trial.number, trial.settings.seed)
    return following


def _record(
    search: TrialSource, trial: Trial, report: Report, context: RunContext, fetch: Callable[[Any], bytes | None]
) -> Trial | None:
    """Record one report, and return what `handle_report` returns."""
    if report.failure is not None:
        if (mistake := user_error(report.failure)) is not None:
            raise mistake
        return _record_failure(search, trial, report.failure.kind, report.failure.text, context)
    _notice_problem(trial, report.facts.get("checkpoint", ""), context)
    if search.report(trial, report) == "stop":
        state = search.state(trial)
        context.on_event(state, trial.number)
        if state == "failed":
            _count_failure(context, "nan", f"a number is not finite after rung {report.rung}")
        return None
    if not report.last:
        context.on_event("report", trial.number)
        return trial
    on_front = search.tell(trial, Outcome("complete", report.measurements))
    if search.state(trial) == "failed":
        context.on_event("failed", trial.number)
        _count_failure(context, *_fault_of_numbers(search.record, report.measurements))
        return None
    context.completed += 1
    weights = fetch(report.weights) if on_front and report.weights is not None else None
    if weights is not None:
        try:
            search.keep_weights(trial, weights)
        except OSError as error:  # the numbers are safe, and the weights can be trained again
            context.notice(f"the weights of trial {trial.number} are not kept: {error}")
    context.on_event("complete", trial.number)
    return None


def _fault_of_numbers(record: SearchRecord, measurements: Mapping[str, float]) -> tuple[str, str]:
    """Return the kind of failure and the text for final numbers that a search refused."""
    missing = [name for name in record.objectives if name not in (*COSTS, *measurements)]
    if not missing:
        wrong = [name for name, value in measurements.items() if not math.isfinite(value)]
        return "nan", f"{', '.join(wrong)} is not finite at the end"
    names = ", ".join(measurements) or "nothing"
    return "bug", f"the evaluation must measure {' and '.join(missing)}, which the search optimizes; it gave {names}"


def _record_failure(search: TrialSource, trial: Trial, kind: str, text: str, context: RunContext) -> Trial | None:
    """Record a failed attempt; return the next attempt, or None if the trial has failed."""
    following = search.fail(trial, kind, text)
    if following is not None:
        context.on_event("retry", trial.number)
        return following
    context.on_event("failed", trial.number)
    _count_failure(context, kind, text)
    return None


def _notice_problem(trial: Trial, problem: str, context: RunContext) -> None:
    """Report a problem with a checkpoint, once for each trial."""
    if problem and (trial.number, problem) not in context.problems:
        context.problems.add((trial.number, problem))
        context.notice(f"trial {trial.number}: {problem}")


def _count_failure(context: RunContext, kind: str, text: str) -> None:
    """Count a failed trial; raise HybridSearchError if all the first trials failed."""
    context.failed += 1
    if context.failed == 1:
        context.first_failure = kind, text
    if context.failed >= FIRST_FAILURES and not context.completed:
        raise _all_failed(f"the first {context.failed} trials all", context, "so the search stops")


def check_results(counts: Mapping[str, int], context: RunContext) -> None:
    """Check, at the end of a run, that not every trial of the search failed.

    Args:
        counts: State -> number of trials of the search.
        context: The context of the run.

    Raises:
        HybridSearchError: Every trial failed. The message ends with the error of the first one.
    """
    others = sum(count for state, count in counts.items() if state != "failed")
    if context.failed and not others and not context.stop.is_set():
        raise _all_failed(f"all {counts['failed']} trials" if counts["failed"] > 1 else "the only trial", context)


def _all_failed(
    trials: str, context: RunContext, consequence: str = "so the search has no result"
) -> HybridSearchError:
    kind, text = context.first_failure
    return HybridSearchError(f"{trials} failed ({kind}), {consequence}. The first error:\n{text}")
