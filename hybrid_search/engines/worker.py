"""What a worker does with one trial: the evaluation one rung at a time, every failure caught and named."""

import os
import platform
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_search.architecture import Architecture
from hybrid_search.record import Evaluation, Settings

# The package's own `evaluate`, or the user's: (architecture, settings) -> reports, one a rung. A report is an
# Evaluation, or a plain mapping of numbers; the last one counts.
Evaluate = Callable[[Architecture, Settings], Iterator[Evaluation | Mapping[str, float]]]


@dataclass(frozen=True)
class Report:
    """What came of one call to a worker: a rung's numbers, or the end."""

    rung: int
    measurements: Mapping[str, float]
    facts: Mapping[str, str]
    ended: bool = False
    fresh: bool = True  # False: the rung was reported before, and only the end is news
    weights: Any = None  # safetensors bytes; engine `ray` puts a reference here instead
    failure_kind: str | None = None
    failure_text: str | None = None


class Advancing:
    """One trial in progress: each `advance` runs it to its next rung."""

    def __init__(self, evaluate: Evaluate, architecture: Architecture, settings: Settings) -> None:
        self._asked = (evaluate, architecture, settings)
        self._reports: Iterator[Evaluation | Mapping[str, float]] | None = None
        self._last = Report(0, {}, {})
        self._where = {"worker": f"{platform.node()}:{os.getpid()}"}

    def advance(self) -> Report:
        """The next rung's report. After the last rung, or a failure, the report says `ended`."""
        try:
            if self._reports is None:
                evaluate, architecture, settings = self._asked
                self._reports = iter(evaluate(architecture, settings))
            came = next(self._reports, None)
            if came is not None:
                self._last = self._report(came)
                return self._last
        except Exception as error:  # whatever a user's network or data can raise ends this trial, not the search
            from hybrid_search.evaluate import classify_failure

            kind = classify_failure(error)
            return Report(self._last.rung, {}, {}, True, failure_kind=kind, failure_text=failure_text(error))
        return Report(self._last.rung, self._last.measurements, self._last.facts, True, fresh=False)

    def _report(self, came: Evaluation | Mapping[str, float]) -> Report:
        if isinstance(came, Evaluation):
            facts = {**self._where, **came.facts}
            return Report(came.rung, dict(came.measurements), facts, came.last, weights=came.weights)
        if not isinstance(came, Mapping):
            raise TypeError(f"an evaluation must yield a mapping of numbers a rung; got {came!r}.")
        return Report(self._last.rung + 1, {name: float(value) for name, value in came.items()}, self._where)


def failure_text(error: BaseException) -> str:
    """The exception and where it came from, as it is kept in the ledger: the last frames only."""
    return "".join(traceback.format_exception(error, limit=-4)).strip()
