"""What a worker does with one trial: the evaluation one rung at a time, every failure caught and named.

Where a trial keeps checkpoints, and its evaluation takes the keywords `resume` and `keep` (the package's own do, and a
user's may), it goes on from the newest good one: the rungs up to there are reported again, from the checkpoint itself,
so that ledger and pruner know them whatever became of them; then come those that are left.
"""

import inspect
import os
import platform
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hybrid_search._internal.redaction import redacted
from hybrid_search.errors import CheckpointError, OtherData
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import NAME, RETRIES, Failure, Report, Settings
from hybrid_search.training.checkpoints import Checkpoint, Keeping

# The package's own `evaluate`, or the user's: (architecture, settings) -> reports, one a rung. A report is an
# Report, or a plain mapping of numbers; the last one counts. With keywords `resume` and `keep`, both None by
# default, it is given the state to go on from, a flat mapping of tensors, or None; and a function `keep(rung, state)`
# to call before each report, where `state` is a function that gives the state, such as a module's `state_dict`: it is
# called where a checkpoint is due. An error of the code before the first report, CheckpointError above all, refuses
# what was given as `resume`; the evaluation is then called again without.
Evaluate = Callable[..., Iterator[Report | Mapping[str, float]]]


class Advancing:
    """One trial in progress: each `advance` runs it to its next rung.

    Facts of its reports: `resumed`, the rung it went on from, and `checkpoint`, what went wrong with one.
    """

    def __init__(
        self, evaluate: Evaluate, architecture: Architecture, settings: Settings, keeping: Keeping | None = None
    ) -> None:
        self._asked = (evaluate, architecture, settings)
        self._keeping = keeping if keeping is not None and takes_checkpoints(evaluate) else None
        self._reports: Iterator[Report | Mapping[str, float]] | None = None
        self._ready: deque[Report] = deque()
        self._last = Report(0, {})  # the newest that was made; those in `_ready` are not yet given out
        self._curve: dict[int, Mapping[str, float]] = {}
        self._facts = {"worker": f"{platform.node()}:{os.getpid()}"}
        self._rung: int | None = None  # that `keep` was called for, since the last report
        self._state: Mapping[str, Any] | None = None  # that is due to be kept with the next report
        self._wrote = time.monotonic()
        self._good = 0  # the rung of the newest checkpoint that is known to be good
        self._spares = False  # what was kept of other data, which may come back: the search refuses these

    def advance(self) -> Report:
        """The next rung's report. After the last rung, or a failure, the report is the last."""
        try:
            if self._reports is None:
                self._begin()
            if not self._ready:
                self._go_on()
        except Exception as error:  # whatever a user's network or data can raise ends this trial, not the search
            from hybrid_search.training.failures import classify_failure

            kind = classify_failure(error)
            return Report(self._last.rung, {}, last=True, failure=Failure(kind, failure_text(error)))
        return self._ready.popleft()

    def _begin(self) -> None:
        """Start the evaluation, from the newest checkpoint that it takes."""
        evaluate, architecture, settings = self._asked
        if self._keeping is None:
            self._reports = iter(evaluate(architecture, settings))
            return
        found = self._keeping.latest()
        self._say(found.said)
        if found.checkpoint is not None:
            try:
                self._resume(found.checkpoint)
                return
            except Exception as error:  # what it does without the checkpoint says whether that is at fault
                if not isinstance(error, CheckpointError) and not _is_bug(error):
                    raise
                self._spares = isinstance(error, OtherData)
                words = str(error).strip().splitlines() or [type(error).__name__]
                self._say(words[0])
                del self._facts["resumed"]
                self._last, self._good = Report(0, {}), 0
                self._curve.clear()
                self._ready.clear()
        self._reports = iter(evaluate(architecture, settings, resume=None, keep=self._keep))

    def _resume(self, checkpoint: Checkpoint) -> None:
        """Take up the reports so far; the next one is made before any is given out, lest the state be refused."""
        evaluate, architecture, settings = self._asked
        self._facts["resumed"] = f"rung {checkpoint.rung}"
        self._curve.update(checkpoint.curve)
        facts = {**self._facts, **checkpoint.facts}
        self._ready.extend(Report(rung, row, facts) for rung, row in sorted(checkpoint.curve.items()))
        self._last = self._ready[-1]
        self._good = checkpoint.rung
        self._reports = iter(evaluate(architecture, settings, resume=checkpoint.state, keep=self._keep))
        self._go_on()

    def _go_on(self) -> None:
        """Make the next report, and keep a checkpoint where one is due."""
        assert self._reports is not None
        came = next(self._reports, None)
        if came is None:
            self._ready.append(replace(self._last, last=True, weights=None))
            return
        report = self._report(came)
        if self._rung not in (None, report.rung):
            raise ValueError(
                f"keep(rung, state) must come before the report of its rung; got {self._rung} before {report.rung}."
            )
        self._curve[report.rung] = report.measurements
        if self._state is not None and not report.last:
            self._write(report, self._state)
        self._rung = self._state = None
        self._last = replace(report, facts={**self._facts, **report.facts})
        self._ready.append(self._last)

    def _report(self, came: Report | Mapping[str, float]) -> Report:
        if isinstance(came, Report):
            _check_names(came.measurements)
            if came.failure is not None and came.failure.kind not in RETRIES:
                raise ValueError(f"a failure must be one of {', '.join(RETRIES)}; got {came.failure.kind!r:.200}.")
            last = came.last or came.failure is not None
            return replace(came, measurements=dict(came.measurements), facts=dict(came.facts), last=last)
        if not isinstance(came, Mapping):
            raise TypeError(f"an evaluation must yield a mapping of numbers a rung; got {came!r}.")
        _check_names(came)
        return Report(self._last.rung + 1, {name: float(value) for name, value in came.items()})

    def _keep(self, rung: int, state: Callable[[], Mapping[str, Any]]) -> None:
        """What the evaluation is given as `keep`. The state is written together with the report that follows."""
        assert self._keeping is not None
        if not callable(state):
            raise TypeError(f"keep(rung, state) wants a function that gives the state; got a {type(state).__name__}.")
        self._rung = rung
        if time.monotonic() - self._wrote >= self._keeping.every and not self._spares:
            self._state = state()

    def _write(self, report: Report, state: Mapping[str, Any]) -> None:
        """Keep a checkpoint. A trial is not lost for want of one: it goes on, and its facts say why there is none."""
        assert self._keeping is not None
        try:
            self._keeping.write(Checkpoint(report.rung, state, self._curve, report.facts), self._good)
            self._good = report.rung
        except CheckpointError as error:
            self._say(str(error))
        self._wrote = time.monotonic()

    def _say(self, what: str) -> None:
        if what:
            self._facts["checkpoint"] = redacted(what)


def _check_names(measurements: Mapping[str, float]) -> None:
    for name in measurements:
        if not isinstance(name, str) or not 0 < len(name) <= NAME:
            raise ValueError(f"a measurement needs a name of 1 to {NAME} characters; got {name!r:.200}.")


def _is_bug(error: Exception) -> bool:
    """Whether an error may come of a state that does not fit, as of a network that was changed meanwhile."""
    from hybrid_search.training.failures import classify_failure

    return classify_failure(error) == "bug"


def takes_checkpoints(evaluate: Evaluate) -> bool:
    """Whether an evaluation names both keywords, `resume` and `keep`."""
    try:
        return {"resume", "keep"} <= inspect.signature(evaluate).parameters.keys()
    except (TypeError, ValueError):  # what has no signature to look at
        return False


def failure_text(error: BaseException) -> str:
    """The exception and where it came from, as it is kept in the ledger: the last frames only, without the secrets
    that this worker's machine knows and the driver's may not."""
    return redacted("".join(traceback.format_exception(error, limit=-4)).strip())
