"""The search. An engine calls it for trials and reports their results to it.

    trial = search.ask()                      # None if there is nothing to train now
    search.report(trial, report)              # after each rung: "keep" or "stop"
    search.fail(trial, kind, text)            # an attempt failed: the next attempt, or None if the trial failed
    search.tell(trial, outcome)               # written to the ledger first, then given to the sampler

Over-budget proposals and proposals of a known architecture are answered at once and consume no trial.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from hybrid_search._internal.redaction import redact
from hybrid_search._internal.rich_html import rich_html
from hybrid_search.errors import LostLease
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.weights import WeightsFolder
from hybrid_search.pruners import Audit
from hybrid_search.records import Report, SearchRecord, TrialRecord
from hybrid_search.search.recorder import TrialRecorder
from hybrid_search.search.report_rules import check_reported, checked_outcome, not_finite
from hybrid_search.search.results import MAX_COUNTED, Front, equivalent_designs, search_text, trials_frame
from hybrid_search.search.retries import PREEMPTED
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.starter import TrialStarter
from hybrid_search.search.state import load_state
from hybrid_search.search.stop_rules import StopRule
from hybrid_search.search.trial import Outcome, Progress, Trial

if TYPE_CHECKING:
    import pandas


class Search:
    """One search of a ledger, opened with `open_search` or `run`. Not thread-safe: one driver uses it.

    Args:
        spec: The configuration of the search.
        record: The search in the ledger.
        ledger: The ledger.
        stop_rule: When the search stops before its number of trials; None: never.
        clean_shutdown: Whether the previous driver exited on request, so its unfinished trials are not counted as
            possible causes of a crash.
    """

    def __init__(
        self,
        spec: SearchSpec,
        record: SearchRecord,
        ledger: Ledger,
        stop_rule: StopRule | None = None,
        *,
        clean_shutdown: bool = False,
    ) -> None:
        self.spec = spec
        self.record = record
        self.ledger = ledger
        self.stop_rule = stop_rule or StopRule()
        self.weights = WeightsFolder(ledger.url, record.id)
        self._state = load_state(spec, record, ledger, clean_shutdown=clean_shutdown)
        self.index, self.retries = self._state.index, self._state.retries
        self.pruner, self.proposer = self._state.pruner, self._state.proposer
        self._recorder = TrialRecorder(record, ledger, self.weights)
        self._starter = TrialStarter(self._state, self._recorder)

    # -- ask --

    def enqueue(self, designs: Sequence[Mapping[str, Any]]) -> int:
        """Put designs before every other proposal.

        Args:
            designs: The choices of each design, as `hybrid_search.search.enqueued.enqueued_designs` returns them.

        Returns:
            How many of them are new. One that was proposed before, or that is given twice, is left out.
        """
        return self._starter.enqueue(designs)

    def ask(self) -> Trial | None:
        """Return the next trial, written to the ledger as running; None if there is nothing to train now.

        Trials that an earlier driver left running come first, under their old numbers. Then come the known designs
        and the proposals of the sampler. A trial that was running at several crashes in a row comes last, because it
        may be their cause.
        """
        if self.stop_rule.out_of_time():
            return None
        new, retry = self._new_trial, self._retry
        return retry(self.retries.next_interrupted) or new() or retry(self.retries.next_suspect)

    def _new_trial(self) -> Trial | None:
        """Return a trial that has not started before; None if there is none."""
        if self.index.next_number >= self.record.target:
            return None
        if self.stop_rule.settled(self.index.counts["complete"], self.gains):
            return None
        return self._starter.new_trial()

    def _retry(self, next_record: Callable[[], TrialRecord | None]) -> Trial | None:
        """Return another attempt at a trial that an earlier driver left running; None if no trial may be retried."""
        while (record := next_record()) is not None:
            again = self.fail(self._starter.restored(record), PREEMPTED, self.retries.reason)
            if again is not None:
                self._recorder.interrupted(again)
                return again
        return None

    def is_finished(self) -> bool:
        """Return whether all trials have started and none is left to retry."""
        return self.index.next_number >= self.record.target and not self.retries.pending

    # -- report and tell --

    def fail(self, trial: Trial, kind: str, text: str) -> Trial | None:
        """Write that an attempt failed, and begin the next one if the retry limit allows it.

        Args:
            trial: The trial of the attempt.
            kind: Kind of the failure, one of `RETRIES`.
            text: What happened, such as the end of a traceback.

        Returns:
            The next attempt, or None if the trial has failed for good.

        Raises:
            LostLease: The attempt is over already.
        """
        kind, text, retry = self.retries.failed(trial.number, kind, text)
        if not retry:
            self.tell(trial, Outcome("failed", {}, kind, text))
            return None
        again = self._recorder.retry(trial, kind, text)
        self.retries.retried(trial.number, kind)
        return again

    def report(self, trial: Trial, report: Report) -> Literal["keep", "stop"]:
        """Write one rung of a running trial, and ask the pruner unless it is the last rung.

        A last report of a rung that was reported before is not written again: only the end of the trial is new.

        Args:
            trial: The running trial.
            report: Measurements and facts after the rung.

        Returns:
            "stop" if the trial has ended: as stopped, or as failed if a number is not finite; see `state`.

        Raises:
            LedgerError: The trial was trained on other data than the trials before it. Nothing is written.
            EvaluationError: A number may not be reported; see `check_reported`. Nothing is written.
        """
        rung, before = report.rung, self.retries.last_rung(trial.number)
        if report.last and rung == (before or 0):
            return "keep"
        costs = self.spec.cost(trial.architecture)
        check_reported(report.measurements, costs, self.spec.objectives, self.spec.evaluation)
        self._state.data.check(report.facts, trial)
        if wrong := not_finite(report.measurements):
            self.tell(trial, Outcome("failed", {}, "nan", f"{wrong} is not finite after rung {rung}"))
            return "stop"
        self._recorder.rung(trial, report, is_first=before is None)
        verdict = self._state.judge(trial, report)
        if verdict == "spare":
            self._recorder.spare(trial, rung)
        if verdict != "stop":
            return "keep"
        self.tell(trial, Outcome("stopped", expected=self.pruner.expected_values(trial.number, rung)))
        return "stop"

    def state(self, trial: Trial) -> str:
        """Return the state of a `trial` of this search: running, complete, stopped or failed."""
        return self.index.states.get(trial.number, "running")

    def tell(self, trial: Trial, outcome: Outcome) -> bool:
        """Write how a trial ended, then give the result to the sampler.

        A trial whose measurements lack an objective, or are not finite, is failed.

        Args:
            trial: The running trial.
            outcome: How it ended, with its measurements.

        Returns:
            Whether its weights should be kept, because it is on the front.

        Raises:
            LostLease: The trial has ended already, or another driver holds the search.
            EvaluationError: A number may not be reported; see `check_reported`. Nothing is written.
        """
        if (state := self.state(trial)) != "running":
            raise LostLease(f"a trial ends once; trial {trial.number} of {self.record.name!r} is {state} already.")
        outcome = checked_outcome(outcome, trial.architecture, self.spec)
        self._recorder.end(trial, outcome)
        return self._state.finish(trial, outcome)

    def keep_weights(self, trial: Trial, weights: bytes) -> None:
        """Keep the weights of a completed trial on the front, and delete those of trials that left it.

        Args:
            trial: The trial.
            weights: Its weights as safetensors bytes.
        """
        self._recorder.keep_weights(trial, weights, self.front())

    # -- results --

    def __repr__(self) -> str:
        return search_text(self.record.name, self.progress(), self.front(), redact(str(self.ledger.url)))

    def _repr_html_(self) -> str:
        return rich_html("search_html", self)

    def front(self) -> Front:
        """Return the numbers of the completed trials on the Pareto front. Their text has the values too."""
        rows = dict(zip(self.index.front.numbers, self.index.front_rows(), strict=True))
        return Front(self.record.name, rows, self.spec.objectives)

    def trials(self) -> list[TrialRecord]:
        """Return all trials, as they are in the ledger, by number."""
        return self.ledger.read(reads.trials, self.record.id)

    def frame(self) -> "pandas.DataFrame":
        """Return a pandas table of all trials: state, front, seconds, measurements, choices.

        Raises:
            SettingsError: pandas is not installed.

        Example:
            >>> search.frame().query("front").sort_values("accuracy")
        """
        return trials_frame(self.trials(), self.front())

    def progress(self) -> Progress:
        """Return counts, front size and hypervolume, measured from a reference point that does not move."""
        return self._state.progress(self.record.target)

    def audit(self) -> Audit:
        """Return what pruning saved, and an estimate of what it missed."""
        return self.pruner.audit()

    def gains(self) -> tuple[float, float]:
        """Return what the last trials added to the hypervolume, and what the next ones are expected to add."""
        return self._state.gains()

    def avoided_by_equivalence(self) -> int:
        """Return how many other designs are networks that were trained already; only the first networks are counted.

        A search that compares choices instead of networks might have trained them again.
        """
        numbers = self.index.completed_numbers()[:MAX_COUNTED]
        return equivalent_designs(self.spec, self.ledger.read(reads.trials, self.record.id, numbers))
