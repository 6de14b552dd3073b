"""TrialRunner: runs the evaluation of one trial, one rung at a time. It turns every error into a report.

If the trial has a checkpoint, and its evaluation takes the keyword arguments `resume` and `keep`, the trial continues
from the newest valid checkpoint. The rungs up to that checkpoint are reported again, from the checkpoint itself: the
ledger and the pruner then have them even if the first report was lost.
"""

import os
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hybrid_search._internal.exception_text import message_of
from hybrid_search._internal.process_state import ProcessState, clean_process_state
from hybrid_search._internal.redaction import redact
from hybrid_search.engines.worker.evaluation_protocol import Evaluate, takes_checkpoints
from hybrid_search.engines.worker.failure_report import comes_from_outside, failure_from
from hybrid_search.engines.worker.interrupts import interrupts_marked
from hybrid_search.engines.worker.report_check import iterator_of, report_of
from hybrid_search.errors import CheckpointError, OtherData
from hybrid_search.networks.network import Network
from hybrid_search.records import Report, Settings
from hybrid_search.training.checkpoints import AnyCheckpoints, Checkpoint

END = object()  # an evaluation has no further report


class TrialRunner:
    """One attempt at one trial. Each call of `advance` runs one rung.

    Reports have up to two more facts: `resumed`, the rung of the checkpoint that the trial continues from, and
    `checkpoint`, the problem with a checkpoint.

    Args:
        evaluate: The evaluation; see `hybrid_search.engines.worker.evaluation_protocol`.
        architecture: The network to evaluate.
        settings: How to train it.
        checkpoints: Where this trial reads and writes checkpoints; None: nowhere.

    Example:
        >>> runner = TrialRunner(evaluate, architecture, settings)
        >>> report = runner.advance()
    """

    def __init__(
        self,
        evaluate: Evaluate,
        architecture: Network,
        settings: Settings,
        checkpoints: AnyCheckpoints | None = None,
    ) -> None:
        self._trial = (evaluate, architecture, settings)
        self._checkpoints = checkpoints if checkpoints is not None and takes_checkpoints(evaluate) else None
        self._reports: Iterator[Any] | None = None
        self._process = ProcessState.seeded(settings.seed, settings.threads)  # that the next rung starts with
        self._queue: deque[Report] = deque()  # reports that `advance` has not returned yet
        self._newest = Report(0, {})
        self._curve: dict[int, Mapping[str, float]] = {}
        self._facts = {"worker": f"{platform.node()}:{os.getpid()}"}
        self._rung: int | None = None  # the rung that `keep` was called with since the last report
        self._state: Mapping[str, Any] | None = None  # the state to write with the next report
        self._write_time = time.monotonic()
        self._valid_rung = 0  # the rung of the newest valid checkpoint
        self._read_only = False  # the existing checkpoints are of other data: do not replace them

    def advance(self) -> Report:
        """Run the next rung.

        Returns:
            The report of the rung. After the last rung, and after an error, `report.last` is True.
        """
        try:
            with interrupts_marked(), clean_process_state(self._process):
                try:
                    if self._reports is None:
                        self._start()
                    if not self._queue:
                        self._run_rung()
                finally:
                    self._process = ProcessState.of_process()
        except BaseException as error:  # of any class: an error of the evaluation ends this process in no case
            if comes_from_outside(error):
                raise
            return Report(self._newest.rung, {}, last=True, failure=failure_from(error))
        return self._queue.popleft()

    def _start(self) -> None:
        """Start the evaluation, from the newest checkpoint that it accepts."""
        evaluate, architecture, settings = self._trial
        if self._checkpoints is None:
            self._reports = iterator_of(evaluate(architecture, settings))
            return
        latest = self._checkpoints.latest()
        self._note_problem(latest.problems)
        if latest.checkpoint is not None:
            try:
                self._resume(latest.checkpoint)
                return
            except Exception as error:  # the evaluation without the checkpoint shows which of them is at fault
                if not isinstance(error, CheckpointError) and failure_from(error).kind != "bug":
                    raise  # a state that does not fit, for example after a code change, raises an error of any class
                self._read_only = isinstance(error, OtherData)
                self._note_problem(message_of(error))
                del self._facts["resumed"]
                self._newest, self._valid_rung = Report(0, {}), 0
                self._curve.clear()
                self._queue.clear()
        self._reports = iterator_of(evaluate(architecture, settings, resume=None, keep=self._keep))

    def _resume(self, checkpoint: Checkpoint) -> None:
        """Queue the reports up to this checkpoint and one more, which shows that the evaluation accepts the state."""
        evaluate, architecture, settings = self._trial
        self._facts["resumed"] = f"rung {checkpoint.rung}"
        self._curve.update(checkpoint.curve)
        facts = {**self._facts, **checkpoint.facts}
        self._queue.extend(Report(rung, row, facts) for rung, row in sorted(checkpoint.curve.items()))
        self._newest = self._queue[-1]
        self._valid_rung = checkpoint.rung
        self._reports = iterator_of(evaluate(architecture, settings, resume=checkpoint.state, keep=self._keep))
        self._run_rung()

    def _run_rung(self) -> None:
        """Run one rung, queue its report, and write a checkpoint if one is due."""
        assert self._reports is not None
        yielded = next(self._reports, END)
        if yielded is END:
            self._queue.append(replace(self._newest, last=True, weights=None))
            return
        report = report_of(yielded, self._newest)
        if self._rung not in (None, report.rung):
            raise ValueError(
                f"keep(rung, state) must come before the report of its rung; got {self._rung} before {report.rung}."
            )
        self._curve[report.rung] = report.measurements
        if self._state is not None and not report.last:
            self._write(report, self._state)
        self._rung = self._state = None
        self._newest = replace(report, facts={**self._facts, **report.facts})
        self._queue.append(self._newest)

    def _keep(self, rung: int, state: Callable[[], Mapping[str, Any]]) -> None:
        """Take the state after a rung, if a checkpoint is due. It is written with the report that follows."""
        assert self._checkpoints is not None
        if not callable(state):
            raise TypeError(f"keep(rung, state) needs a function that returns the state; got a {type(state).__name__}.")
        self._rung = rung
        if time.monotonic() - self._write_time >= self._checkpoints.interval and not self._read_only:
            self._state = state()

    def _write(self, report: Report, state: Mapping[str, Any]) -> None:
        """Write a checkpoint. If that fails, the trial continues, and its facts contain the reason."""
        assert self._checkpoints is not None
        try:
            self._checkpoints.write(Checkpoint(report.rung, state, self._curve, report.facts), self._valid_rung)
            self._valid_rung = report.rung
        except CheckpointError as error:
            self._note_problem(str(error))
        self._write_time = time.monotonic()

    def _note_problem(self, problem: str) -> None:
        if problem:
            self._facts["checkpoint"] = redact(problem)
