"""Failed attempts at trials: which of them are retried, in which order, and when a trial has failed for good."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hybrid_search.ledger import FailedAttempt
from hybrid_search.records import RETRIES, TrialRecord

PREEMPTED = "pre-empted"
# Pre-emptions in a row without a further rung after which a trial comes last, and after which it has failed.
SUSPECT_PREEMPTIONS, MAX_PREEMPTIONS = 3, 10
CRASHED = "the driver of its search ended, or lost the search to another"
SHUT_DOWN = "its search was stopped"  # on request, so its running trials are not possible causes


class Retries:
    """The failed attempts of every trial, and the trials that an earlier driver left running.

    Args:
        clean_shutdown: Whether the previous driver exited on request, so its unfinished trials are not counted as
            possible causes of a crash.
    """

    def __init__(self, *, clean_shutdown: bool = False) -> None:
        self.reason = SHUT_DOWN if clean_shutdown else CRASHED  # why trials stand that an earlier driver left running
        self._failures: dict[int, Counter[str]] = defaultdict(Counter)  # trial -> failed attempts by kind
        self._preemptions: dict[int, list[int]] = defaultdict(list)  # trial -> rungs at which it was pre-empted
        self._rungs: dict[int, int] = {}  # running trial -> the last rung it reported
        self._interrupted: list[TrialRecord] = []
        self._suspects: list[TrialRecord] = []  # interrupted trials that may have ended their drivers

    def load(self, failures: Iterable[FailedAttempt], states: Mapping[int, str]) -> None:
        """Add the failed attempts of the ledger, in the order of their attempts.

        Args:
            failures: Failed attempts of the search; those of retrainings are ignored.
            states: Trial number -> state.
        """
        attempts = [failure for failure in failures if failure.seed is None]
        last = {failure.number: failure.attempt for failure in attempts if states[failure.number] == "failed"}
        for failure in attempts:
            if failure.attempt != last.get(failure.number):  # another attempt followed
                self._failures[failure.number][failure.kind] += 1
                if failure.kind == PREEMPTED and failure.text != SHUT_DOWN:
                    self._preemptions[failure.number].append(failure.rung)

    def add_interrupted(self, record: TrialRecord) -> None:
        """Add a trial that an earlier driver left running."""
        suspect = preemptions_without_progress(self._preemptions[record.number]) >= SUSPECT_PREEMPTIONS
        (self._suspects if suspect else self._interrupted).append(record)

    def next_interrupted(self) -> TrialRecord | None:
        """Remove and return the next interrupted trial that is not a possible cause of a crash; None without one."""
        return self._interrupted.pop(0) if self._interrupted else None

    def next_suspect(self) -> TrialRecord | None:
        """Remove and return the next interrupted trial that may have ended its drivers; None without one."""
        return self._suspects.pop(0) if self._suspects else None

    @property
    def pending(self) -> bool:
        """Whether any interrupted trial is left."""
        return bool(self._interrupted or self._suspects)

    def last_rung(self, number: int) -> int | None:
        """Return the last rung that the present attempt at a trial reported; None before the first."""
        return self._rungs.get(number)

    def reached(self, number: int, rung: int) -> None:
        """Record the last rung of a running trial."""
        self._rungs[number] = rung

    def failed(self, number: int, kind: str, text: str) -> tuple[str, str, bool]:
        """Record a failed attempt and decide what follows.

        Returns:
            Kind and text of the failure as they are stored, and whether the trial is retried.
        """
        failures, rungs = self._failures[number], self._preemptions[number]
        if kind == PREEMPTED and text != SHUT_DOWN:
            rungs.append(self._rungs.get(number, 0))
            if preemptions_without_progress(rungs) >= MAX_PREEMPTIONS:
                kind = "lost"
                text = f"pre-empted {MAX_PREEMPTIONS} times without a further rung; the last time: {text}"
        retry = failures[kind] < RETRIES[kind] and preemptions_without_progress(rungs) < MAX_PREEMPTIONS
        return kind, text, retry

    def retried(self, number: int, kind: str) -> None:
        """Record that another attempt follows a failure of this kind."""
        self._rungs.pop(number, None)
        self._failures[number][kind] += 1

    @property
    def count(self) -> int:
        """Number of failed attempts that were followed by another."""
        return sum(sum(kinds.values()) for kinds in self._failures.values())


def preemptions_without_progress(rungs: Sequence[int]) -> int:
    """Return how many of the last pre-emptions in a row found a trial no further than it had been before.

    Args:
        rungs: The rung that the trial had reached at each pre-emption.
    """
    count = 0
    while count < len(rungs) and rungs[-1 - count] <= max(rungs[: len(rungs) - 1 - count], default=0):
        count += 1
    return count
