"""The search. An engine calls it for trials and reports their results to it.

    trial = search.ask()                      # None if there is nothing to train now
    search.report(trial, report)              # after each rung: "keep" or "stop"
    search.fail(trial, kind, text)            # an attempt failed: the next attempt, or None if the trial failed
    search.tell(trial, outcome)               # written to the ledger first, then given to the sampler

Over-budget proposals and proposals of a known architecture are answered at once and consume no trial.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from hybrid_search._internal.event_log import LOG, event_fields, last_line, log_failure
from hybrid_search._internal.redaction import redact
from hybrid_search.errors import LostLease
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.ledger.weights import WeightsFolder
from hybrid_search.pruners import Audit
from hybrid_search.records import Report, SearchRecord, TrialRecord
from hybrid_search.search.data_check import check_same_data
from hybrid_search.search.report_rules import check_reported, checked_outcome
from hybrid_search.search.restored_state import EXPECTED, load_state
from hybrid_search.search.results import Front, search_text, trials_frame
from hybrid_search.search.retries import PREEMPTED
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.starter import TrialStarter
from hybrid_search.search.stop_rules import LOOK_AHEAD, StopRule
from hybrid_search.search.trial import Outcome, Progress, Trial
from hybrid_search.spaces.equivalence import count_equivalent
from hybrid_search.spaces.recipe_tuning import without_recipe

if TYPE_CHECKING:
    import pandas

MAX_COUNTED = 500  # networks whose equivalent designs are counted, at some milliseconds each


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
        state = load_state(spec, record, ledger, clean_shutdown=clean_shutdown)
        self.index, self.retries = state.index, state.retries
        self.pruner, self.proposer = state.pruner, state.proposer
        self._starter = TrialStarter(spec, record, ledger, state)
        self._fingerprint = state.fingerprint
        self._reference_costs = spec.reference_costs()

    # -- ask --

    def ask(self) -> Trial | None:
        """Return the next trial, written to the ledger as running; None if there is nothing to train now.

        Trials that an earlier driver left running come first, under their old numbers. Then come the known designs
        and the proposals of the sampler. A trial that was running at several crashes in a row comes last, because it
        may be their cause.
        """
        if self.stop_rule.out_of_time():
            return None
        while (interrupted := self.retries.next_interrupted()) is not None:
            if (trial := self._retry(interrupted)) is not None:
                return trial
        if (trial := self._new_trial()) is not None:
            return trial
        while (suspect := self.retries.next_suspect()) is not None:
            if (trial := self._retry(suspect)) is not None:
                return trial
        return None

    def _new_trial(self) -> Trial | None:
        """Return a trial that has not started before; None if there is none."""
        if self.index.next_number >= self.record.target:
            return None
        if self.stop_rule.settled(self.index.counts["complete"], self.gains):
            return None
        return self._starter.new_trial()

    def _retry(self, record: TrialRecord) -> Trial | None:
        """Return the next attempt at a trial that an earlier driver left running; None if it was retried too often."""
        again = self.fail(self._starter.restored(record), PREEMPTED, self.retries.reason)
        if again is not None:
            LOG.info("interrupted trial retried", extra=self._about(again, digest=record.digest))
        return again

    def is_finished(self) -> bool:
        """Return whether all trials have started and none is left to retry."""
        return self.index.next_number >= self.record.target and not self.retries.pending

    # -- report and tell --

    def fail(self, trial: Trial, kind: str, text: str) -> Trial | None:
        """Write that an attempt failed, and begin the next one if the retry limit allows it.

        The trial has failed for good if `RETRIES` allows no more attempts of this kind, or if it was pre-empted too
        often in a row without a further rung.

        Args:
            trial: The trial of the attempt.
            kind: Kind of the failure: bug, nan, oom, timeout, lost or pre-empted.
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
        attempt = self.ledger.write(writes.fail_attempt, trial.id, trial.attempt, kind, text)
        self.retries.retried(trial.number, kind)
        log_failure(f"trial {trial.number}", "trial retried", self._about(trial, kind=kind, text=last_line(text)))
        return replace(trial, attempt=attempt)

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
        rung, measurements, facts = report.rung, report.measurements, report.facts
        if report.last and rung == (self.retries.last_rung(trial.number) or 0):
            return "keep"
        self._check_reported(trial, measurements)
        self._fingerprint = check_same_data(self._fingerprint, facts, trial)
        wrong = [name for name, value in measurements.items() if not math.isfinite(value)]
        if wrong:
            self.tell(trial, Outcome("failed", {}, "nan", f"{wrong[0]} is not finite after rung {rung}"))
            return "stop"
        self.ledger.write(writes.add_rung, trial.id, rung, measurements, facts, attempt=trial.attempt)
        resumed = facts.get("resumed")
        if resumed and self.retries.last_rung(trial.number) is None:
            LOG.info("trial resumed from its checkpoint", extra=self._about(trial, resumed=resumed))
        self.retries.reached(trial.number, rung)
        LOG.debug("rung", extra=self._about(trial, rung=rung, measurements=dict(measurements)))
        if self.spec.pruner == "none":
            return "keep"
        costs = self.spec.cost(trial.architecture)
        self.pruner.start(trial.number, trial.architecture.digest, costs, trial.choices)
        self.pruner.add_rung(trial.number, rung, measurements)
        verdict = "keep" if report.last else self.pruner.judge(trial.number, rung)
        if verdict == "spare":
            self.ledger.write(writes.set_audit_rung, trial.id, rung)
        if verdict != "stop":
            return "keep"
        self.tell(trial, Outcome("stopped", expected=self.pruner.expected_values(trial.number, rung)))
        return "stop"

    def state(self, trial: Trial) -> str:
        """Return the state of a trial: running, complete, stopped or failed.

        Args:
            trial: A trial of this search.
        """
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
        cost = self.spec.cost(trial.architecture)  # exact, whatever an evaluation reports under these names
        if outcome.state == "complete":
            self._check_reported(trial, outcome.measurements)
            outcome = checked_outcome(outcome, cost, self.spec.objectives)
        complete = outcome.state == "complete"
        values = {**cost, **outcome.measurements, **cost} if complete else {}
        self.ledger.write(
            writes.finish_trial,
            trial.id,
            outcome.state,
            values,
            seed=trial.settings.seed,
            failure_kind=outcome.failure_kind,
            failure_text=outcome.failure_text,
            facts={EXPECTED + name: repr(value) for name, value in outcome.expected.items()},
            attempt=trial.attempt,
        )
        details = self._about(trial, measurements=values, kind=outcome.failure_kind, text=outcome.failure_text)
        if outcome.state == "failed":
            log_failure(f"trial {trial.number}", "trial failed", details)
        else:
            LOG.info(f"trial {outcome.state}", extra=details)
        digest = trial.architecture.digest
        self.index.finish(trial.number, digest, outcome.state)
        self.pruner.finish(trial.number, outcome.state, values)
        if outcome.state == "stopped":
            expected = [float(outcome.expected.get(name, math.nan)) for name in self.pruner.unknown]
            self.proposer.stop(trial.number, expected)
            return False
        if outcome.state == "failed":
            self.proposer.fail(trial.number)
            return False
        on_front = self.index.complete(trial.number, digest, values, trial.choices)
        self.proposer.complete(trial.number, self.index.row(values))
        return on_front

    def _check_reported(self, trial: Trial, measurements: Mapping[str, float]) -> None:
        costs = self.spec.cost(trial.architecture)
        check_reported(measurements, costs, self.spec.objectives, self.record.evaluation)

    def keep_weights(self, trial: Trial, weights: bytes) -> None:
        """Keep the weights of a trial on the front, and delete those of trials that left it.

        Args:
            trial: A completed trial on the front.
            weights: Its weights as safetensors bytes.
        """
        front = self.front()
        path = self.weights.write(trial.number, weights)
        self.ledger.write(writes.set_weights, trial.id, path)
        for record in self.ledger.read(reads.trials_with_weights, self.record.id):
            if record.number not in front:
                self.ledger.write(writes.set_weights, record.id, None)
                self.weights.remove(record.number)

    # -- where it stands --

    def __repr__(self) -> str:
        return search_text(self.record.name, self.progress(), self.front(), redact(str(self.ledger.url)))

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
        volume, reference = self.index.hypervolume(self._reference_costs)
        pick = max if self.spec.directions[0] == "maximize" else min
        return Progress(
            counts=dict(self.index.counts),
            target=self.record.target,
            over_budget=self.index.over_budget,
            duplicates=self.index.duplicates,
            front=len(self.front()),
            hypervolume=volume,
            reference=reference,
            best=pick((row[0] for row in self.index.front_rows()), default=None),
            deferred=len(self.pruner.deferred.designs),
            saved_epochs=self.pruner.saved_epochs(),
            retried=self.retries.count,
        )

    def audit(self) -> Audit:
        """Return what pruning saved, and an estimate of what it missed."""
        return self.pruner.audit()

    def gains(self) -> tuple[float, float]:
        """Return what the last trials added to the hypervolume between the ends of the front, and what the next ones
        are expected to add, as shares of it. The known-cost sampler gives the expectation for every sampler."""
        return self.index.recent_gain(LOOK_AHEAD), self.proposer.remaining_improvement(LOOK_AHEAD)

    def avoided_by_equivalence(self) -> int:
        """Return how many other designs of the space are networks that were trained already.

        A search that compares choices instead of networks might have trained them again. Only the first networks are
        counted.
        """
        numbers = self.index.completed_numbers()[:MAX_COUNTED]
        trained = self.ledger.read(reads.trials, self.record.id, numbers)
        space, size = self.spec.space, self.spec.input_size
        return sum(count_equivalent(space, without_recipe(trial.choices), size) - 1 for trial in trained)

    def _about(self, trial: Trial, **more: Any) -> dict[str, Mapping[str, Any]]:
        """Return the fields of a log event about a trial."""
        return event_fields(search=self.record.name, trial=trial.number, attempt=trial.attempt, **more)
