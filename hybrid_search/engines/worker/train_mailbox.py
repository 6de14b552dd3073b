"""TrainMailbox: the actor between the workers of one training on several devices and its driver.

It also decides whether workers that Ray Train starts again should train: not after the end, and not if they died too
often before an epoch was complete.
"""

from typing import Any

from hybrid_search.records import Failure, Report

LIMIT = 3  # starts of the workers without a new epoch, after which the training has failed


class TrainMailbox:
    """Holds what the workers say until the driver takes it, and what the driver answers.

    An event is a pair: "start" and the number of devices, "report" and a report, "test" (the test split will be used)
    or "stopped", both with None.
    """

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []
        self._step = (0, 0)
        self._starts = 0  # since the last new epoch
        self._newest = 0  # the newest epoch
        self._stop = self._ended = self._may_test = False
        self._lost = "Ray gives no reason"  # why the last workers ended

    # -- for the workers --

    def begin(self, devices: int) -> bool:
        """Return whether workers that have started should train.

        Args:
            devices: Their number.
        """
        if not self._ended and self._starts >= LIMIT:
            self.fail(
                Failure("lost", f"its workers ended {LIMIT} times before an epoch was complete. The last time: "
                                f"{self._lost}")
            )  # fmt: skip
        if self._ended:
            return False
        self._starts += 1
        self._events.append(("start", devices))
        return True

    def step(self, step: int, steps: int) -> bool:
        """Take note of a step; return whether to stop.

        Args:
            step: Its number in the epoch, from 1.
            steps: The steps of an epoch.
        """
        self._step = step, steps
        return self._stop

    def put(self, report: Report) -> None:
        """Store a report of rank 0."""
        if report.rung > self._newest:
            self._newest, self._starts = report.rung, 0
        self._ended = self._ended or report.last
        self._events.append(("report", report))

    def fail(self, failure: Failure) -> None:
        """End the training with a failure. Only the first one counts."""
        if not self._ended:
            self.put(Report(self._newest, {}, last=True, failure=failure))

    def lost(self, reason: str) -> None:
        """Take note of why the workers end, if they can start again."""
        self._lost = reason

    def stopped(self) -> None:
        """Take note that the workers have stopped, as the driver wished."""
        self._ended = True
        self._events.append(("stopped", None))

    def use_test_split(self) -> None:
        """Tell the driver that the test split will be used."""
        self._events.append(("test", None))

    def may_test(self) -> bool:
        """Return whether the driver has written the use of the test split."""
        return self._may_test

    # -- for the driver --

    def take(self) -> tuple[list[tuple[str, Any]], tuple[int, int]]:
        """Return the new events, and the latest step with the steps of an epoch."""
        events, self._events = self._events, []
        return events, self._step

    def stop(self) -> None:
        """Let the workers stop after a step."""
        self._stop = True

    def end(self) -> None:
        """Let no workers start again."""
        self._ended = True

    def allow_test(self) -> None:
        """Take note that the use of the test split is written."""
        self._may_test = True
