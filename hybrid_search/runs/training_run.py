"""TrainingRun: drives one full training, from its checkpoint to its row in the ledger."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hybrid_search._internal.event_log import LOG, event_fields, last_line, log_failure
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.worker import TrialRunner
from hybrid_search.engines.worker.failure_report import user_error
from hybrid_search.errors import NotFinite, SettingsError, TrialError
from hybrid_search.ledger import Ledger, SplitUse
from hybrid_search.ledger.entries import TrainingRecord
from hybrid_search.ledger.trainings import add_training, add_training_opening, training
from hybrid_search.ledger.weights import TRAININGS, WeightsFolder
from hybrid_search.records import Failure, Report
from hybrid_search.runs.training_job import TrainingJob
from hybrid_search.runs.training_log import TrainingLog
from hybrid_search.runs.training_progress import TrainingProgress
from hybrid_search.runs.training_start import TrainingStart
from hybrid_search.training.checkpoints import CheckpointStore, SearchCheckpoints, TrialCheckpoints

if TYPE_CHECKING:
    from hybrid_search.engines.train.group_training import GroupTraining
    from hybrid_search.training.full_training import FullTraining

CHECKPOINT_SECONDS = 1.0  # between two checkpoints, at least


@dataclass(frozen=True)
class TrainingResult:
    """The result of `train`.

    Attributes:
        record: The training in the ledger; None if it was stopped before its end.
        ledger: The ledger.
        was_complete: Whether it was complete before this call, which then trained nothing.
    """

    record: TrainingRecord | None
    ledger: Ledger
    was_complete: bool = False


def training_checkpoints(
    root: str | CheckpointStore | None, job: TrainingJob, fingerprint: str
) -> TrialCheckpoints | None:
    """Return the checkpoints of a training; None if there are to be none.

    Args:
        root: The place, as `checkpoint_root` returns it.
        job: The training.
        fingerprint: The fingerprint of its data.
    """
    if root is None:
        return None
    return TrialCheckpoints(root, job.owner(fingerprint), job.settings.seed, CHECKPOINT_SECONDS)


def check_unfinished(checkpoints: TrialCheckpoints | None, job: TrainingJob, restart: bool) -> None:
    """Check that an unfinished training of this design is this one.

    Args:
        checkpoints: Its checkpoints.
        job: The training.
        restart: Whether checkpoints will be deleted.

    Raises:
        SettingsError: A checkpoint has another recipe, other data, or other options.
    """
    if checkpoints is None or restart:
        return
    latest = checkpoints.latest()
    if latest.of_another:
        raise SettingsError(
            f"a training must be continued with its own recipe, epochs, data and options; the unfinished training of "
            f"{job.design} with seed {job.settings.seed} has others ({checkpoints.root}/{checkpoints.folder}). Use its "
            "options, another --seed, or --restart to delete it."
        )


@dataclass
class TrainingRun:
    """One full training while it runs.

    Attributes:
        job: The training.
        fingerprint: The fingerprint of its data.
        ledger: The ledger, which can be written.
        context: Where notices go, and whether to stop.
        checkpoints: Its checkpoints; None: none.
        log: The file with one line for each epoch.
        shown: What the user sees.
        start: Initial weights and teacher.
        grouped: Whether workers of Ray Train do the work, with the resources of the context.
        curve: The measurements of the epochs so far.
        tested: Facts of the test split, once it was used.
    """

    job: TrainingJob
    fingerprint: str
    ledger: Ledger
    context: RunContext
    checkpoints: TrialCheckpoints | None
    log: TrainingLog
    shown: TrainingProgress
    start: TrainingStart
    grouped: bool = False
    curve: list[dict[str, float]] = field(default_factory=list)
    tested: dict[str, str] = field(default_factory=dict)

    def run(self, *, restart: bool = False) -> TrainingRecord | None:
        """Train to the end. Return the record in the ledger; None if the run was stopped.

        Args:
            restart: Whether existing checkpoints are deleted first.

        Raises:
            UserError: A mistake in the settings, the data or the environment. The ledger has no row.
            NotFinite: A loss is NaN or infinite; the ledger has a row with the failure.
            TrialError: The training failed for another reason; the ledger has a row with the failure.
        """
        from hybrid_search.training.full_training import FullTraining

        job, started = self.job, datetime.now(UTC)
        if self.checkpoints is not None:
            SearchCheckpoints(self.checkpoints.root, job.checkpoint_key).create_root()
            if restart:
                self.checkpoints.drop()
        evaluation = FullTraining(
            data_all=bool(job.options.get("data_all")),
            prepare=self.start.prepare,
            teacher=self.start.teacher,
        )
        LOG.info("training started", extra=event_fields(**self._fields()))
        with self._runner(evaluation) as runner:
            return self._follow(runner, started)

    @contextmanager
    def _runner(self, evaluation: "FullTraining") -> "Iterator[TrialRunner | GroupTraining]":
        """Yield what trains: this process, or the workers of Ray Train."""
        trial = self.job.architecture, self.job.settings, self.checkpoints
        if self.grouped:
            from hybrid_search.engines.train.group_training import GroupHooks, GroupTraining

            hooks = GroupHooks(self.shown.step, self._open_test)
            with GroupTraining(evaluation, *trial, self.context, hooks) as group:
                yield group
            return
        hooked = replace(
            evaluation, on_step=self.shown.step, stopped=self.context.stop.is_set, before_test=self._open_test
        )
        yield TrialRunner(hooked, *trial)

    def _follow(self, runner: "TrialRunner | GroupTraining", started: datetime) -> TrainingRecord | None:
        """Record each report, up to the last one or to the wish to stop."""
        noted = ""
        while True:
            report = runner.advance()
            if report.failure is not None:
                if self.context.stop.is_set():
                    break
                raise self._failed(report.failure, started)
            problem = report.facts.get("checkpoint", "")
            if problem and problem != noted:
                noted = problem
                self.context.notice(problem)
            self.curve.append({"epoch": report.rung, **report.measurements})
            resumed = report.facts.get("resumed", "").removeprefix("rung ")
            self.log.write(self.curve, repeated=resumed.isdecimal() and report.rung <= int(resumed))
            self.shown.epoch(report)
            if report.last:
                return self._complete(report, started)
            if self.context.stop.is_set():
                break
        LOG.info("training stopped", extra=event_fields(**self._fields(), epochs=len(self.curve)))
        return None

    def _open_test(self) -> None:
        """Write the use of the test split to the ledger, before the network is scored on it."""
        from hybrid_search.data import fingerprint_of
        from hybrid_search.training.full_training import REASON
        from hybrid_search.training.retraining import load_test_split

        split = load_test_split(self.job.settings, REASON)
        opening = SplitUse(fingerprint_of(split, self.job.settings), len(split), f"{REASON}: {self.job.design}")
        self.tested = {"test_fingerprint": opening.fingerprint, "test_images": str(opening.images)}
        if self.job.search is not None:
            self.ledger.write(add_training_opening, self.job.search.id, opening)

    def _complete(self, report: Report, started: datetime) -> TrainingRecord:
        """Keep the weights, write the row, and delete the checkpoints."""
        uid, weights = self.job.uid(self.fingerprint), None
        try:
            weights = WeightsFolder(self.ledger.url, TRAININGS).write(uid, report.weights)
        except OSError as error:
            self.context.notice(f"the weights of the training are not kept: {error}")
        facts = {**report.facts, **self.tested}
        record = self._record(started, dict(report.measurements), facts, weights)
        number = self.ledger.write(add_training, record)
        LOG.info("training complete", extra=event_fields(**self._fields(), number=number, **report.measurements))
        if self.checkpoints is not None:
            folder = SearchCheckpoints(self.checkpoints.root, self.job.checkpoint_key)
            folder.drop(self.checkpoints.owner.trial, self.checkpoints.seed)
            folder.remove_empty_folder()
        return self.ledger.read(training, number)

    def _failed(self, failure: Failure, started: datetime) -> Exception:
        """Write the failure, and return the exception that says it."""
        mistake = user_error(failure)
        if mistake is not None:
            return mistake
        facts = {"host": platform.node()}
        self.ledger.write(add_training, self._record(started, {}, facts, None, failure))
        fields = event_fields(**self._fields(), kind=failure.kind, text=failure.text)
        log_failure(f"the training of {self.job.design}", "training failed", fields)
        kept = ""
        if self.checkpoints is not None and (latest := self.checkpoints.latest().checkpoint) is not None:
            kept = (
                f" The checkpoint of epoch {latest.rung} is kept in {self.checkpoints.root}/{self.checkpoints.folder}."
            )
        line = last_line(failure.text)
        if failure.kind == "nan":
            return NotFinite(f"{line.partition(': ')[2] or line}{kept} Begin again with a lower value: --restart.")
        return TrialError(f"the training of {self.job.design} failed ({failure.kind}): {line}{kept}")

    def _record(
        self,
        started: datetime,
        measurements: dict[str, float],
        facts: dict[str, str],
        weights: str | None,
        failure: Failure | None = None,
    ) -> TrainingRecord:
        job = self.job
        return TrainingRecord(
            number=0,
            search_id=None if job.search is None else job.search.id,
            uid=job.uid(self.fingerprint),
            design=job.design,
            trial=job.trial,
            architecture=job.architecture.to_dict(),
            input_size=job.input_size,
            classes=job.classes,
            recipe=job.recipe,
            seed=job.settings.seed,
            settings=job.settings.to_dict(),
            options=dict(job.options),
            curve=self.curve,
            measurements=measurements,
            facts=facts,
            weights=weights,
            failure_kind=None if failure is None else failure.kind,
            failure_text=None if failure is None else failure.text,
            started=started,
            finished=datetime.now(UTC),
        )

    def _fields(self) -> dict[str, Any]:
        job = self.job
        search = None if job.search is None else job.search.name
        return {"search": search, "design": job.design, "recipe": job.recipe, "seed": job.settings.seed}
