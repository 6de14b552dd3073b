"""TrialRecorder: write each event of a trial to the ledger first, and then to the log."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from hybrid_search._internal.event_log import LOG, event_fields, last_line, log_failure
from hybrid_search.ledger import Ledger, Proposal, reads, writes
from hybrid_search.ledger.weights import WeightsFolder
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import Report, SearchRecord, Settings
from hybrid_search.search.trial import Outcome, Trial

EXPECTED = "expected "  # prefix of the facts of a stopped trial that give its expected final values


class TrialRecorder:
    """The writer of one search: each method writes one event to the ledger, then to the log.

    Args:
        record: The search in the ledger.
        ledger: The ledger.
        weights: The folder of the weights of the front.
    """

    def __init__(self, record: SearchRecord, ledger: Ledger, weights: WeightsFolder) -> None:
        self.record = record
        self.ledger = ledger
        self.weights = weights

    def skip(self, reason: str, digest: str, choices: Mapping[str, Any], excess: float = 0.0) -> None:
        """Write a proposal that is not trained: over the budget, a duplicate, or deferred."""
        self.ledger.write(writes.add_proposal, self.record.id, Proposal(reason, digest, choices, excess))

    def start(self, number: int, architecture: Architecture, choices: Mapping[str, Any], settings: Settings) -> Trial:
        """Write a new trial as running, and return it."""
        trial_id = self.ledger.write(
            writes.start_trial,
            self.record.id,
            number,
            digest=architecture.digest,
            architecture=architecture.to_dict(),
            choices=choices,
            settings=settings,
        )
        trial = Trial(trial_id, number, architecture, dict(choices), settings)
        LOG.info("trial started", extra=self._about(trial, digest=architecture.digest, architecture=str(architecture)))
        return trial

    def retry(self, trial: Trial, kind: str, text: str) -> Trial:
        """Write that an attempt failed and another follows. Return the next attempt."""
        attempt = self.ledger.write(writes.fail_attempt, trial.id, trial.attempt, kind, text)
        log_failure(f"trial {trial.number}", "trial retried", self._about(trial, kind=kind, text=last_line(text)))
        return replace(trial, attempt=attempt)

    def interrupted(self, trial: Trial) -> None:
        """Log the next attempt at a trial that an earlier driver left running."""
        LOG.info("interrupted trial retried", extra=self._about(trial, digest=trial.architecture.digest))

    def rung(self, trial: Trial, report: Report, *, is_first: bool) -> None:
        """Write one rung of a running trial.

        Args:
            trial: The trial.
            report: Measurements and facts after the rung.
            is_first: Whether it is the first rung of this attempt.
        """
        rung, measurements, facts = report.rung, report.measurements, report.facts
        self.ledger.write(writes.add_rung, trial.id, rung, measurements, facts, attempt=trial.attempt)
        if is_first and facts.get("resumed"):
            LOG.info("trial resumed from its checkpoint", extra=self._about(trial, resumed=facts["resumed"]))
        LOG.debug("rung", extra=self._about(trial, rung=rung, measurements=dict(measurements)))

    def spare(self, trial: Trial, rung: int) -> None:
        """Write the rung at which the pruner would have stopped a trial that the audit keeps."""
        self.ledger.write(writes.set_audit_rung, trial.id, rung)

    def end(self, trial: Trial, outcome: Outcome) -> None:
        """Write how a running trial ended.

        Args:
            trial: The trial.
            outcome: How it ended; see `checked_outcome`.

        Raises:
            LostLease: The attempt is over already, or another driver holds the search.
        """
        self.ledger.write(
            writes.finish_trial,
            trial.id,
            outcome.state,
            outcome.measurements,
            seed=trial.settings.seed,
            failure_kind=outcome.failure_kind,
            failure_text=outcome.failure_text,
            facts={EXPECTED + name: repr(value) for name, value in outcome.expected.items()},
            attempt=trial.attempt,
        )
        failure = {"kind": outcome.failure_kind, "text": outcome.failure_text}
        details = self._about(trial, measurements=outcome.measurements, **failure)
        if outcome.state == "failed":
            log_failure(f"trial {trial.number}", "trial failed", details)
        else:
            LOG.info(f"trial {outcome.state}", extra=details)

    def keep_weights(self, trial: Trial, weights: bytes, front: Collection[int]) -> None:
        """Keep the weights of a trial on the front, and delete those of trials that are not on it.

        Args:
            trial: A completed trial on the front.
            weights: Its weights as safetensors bytes.
            front: The numbers of the trials on the front.
        """
        path = self.weights.write(trial.number, weights)
        self.ledger.write(writes.set_weights, trial.id, path)
        for record in self.ledger.read(reads.trials_with_weights, self.record.id):
            if record.number not in front:
                self.ledger.write(writes.set_weights, record.id, None)
                self.weights.remove(record.number)

    def _about(self, trial: Trial, **more: Any) -> dict[str, Mapping[str, Any]]:
        """Return the fields of a log event about a trial."""
        return event_fields(search=self.record.name, trial=trial.number, attempt=trial.attempt, **more)
