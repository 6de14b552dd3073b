"""The worker process of a full training on several devices: the training loop, as one rank of several."""

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hybrid_search._internal.event_log import last_line
from hybrid_search.engines.worker.trial_start import start_trial
from hybrid_search.records import Failure, Report
from hybrid_search.training.checkpoints.rank_checkpoints import RankCheckpoints
from hybrid_search.training.ranks import Ranks

STEP_SECONDS = 0.25  # between two messages about steps
ANSWER_SECONDS = 0.05  # between two questions whether the test split may be used
CHECK_STEPS = 20  # on GPUs, steps after which the ranks agree whether to stop
# What torch says when another rank of the group is gone. The workers then start again.
LOST = re.compile(r"(?i)\bgloo\b|\bnccl|connection (closed|reset|refused)|broken pipe|Dist(Backend|Network|Store)Error")


class WorkersEnded(Exception):
    """One worker cannot continue, so that Ray Train ends all of them."""


def train_on_device(config: Mapping[str, Any]) -> None:
    """Train as one rank of the process group that Ray Train has made.

    Args:
        config: `mailbox` (the actor), `evaluation` (a reference to a packed `FullTraining`, in a list), `architecture`
            and `settings` as plain JSON, and `checkpoints`.

    Raises:
        WorkersEnded: This worker failed. The mailbox knows why.
    """
    import ray

    ranks = Ranks.of_process()
    rank = _Rank(config["mailbox"], ranks)
    if not ranks.any(ranks.rank == 0 and ray.get(rank.mailbox.begin.remote(ranks.count))):
        return
    checkpoints = config["checkpoints"]
    started = start_trial(
        lambda: rank.connected(ray.get(config["evaluation"][0]).unpack()),
        config["architecture"],
        config["settings"],
        checkpoints and RankCheckpoints(checkpoints, ranks),
    )
    while True:
        report = started if isinstance(started, Report) else started.advance()
        if report.failure is not None:
            rank.end(report.failure)
            return
        rank.put(report)
        if report.last:
            return


class _Rank:
    """The connection of one rank with the driver."""

    def __init__(self, mailbox: Any, ranks: Ranks) -> None:
        self.mailbox, self.ranks = mailbox, ranks
        self._answer: Any = None  # of the last message about a step
        self._sent = 0.0
        self._steps = 0
        self._wish = self._stopping = False

    def connected(self, evaluation: Any) -> Any:
        """Return the evaluation, connected with the driver and with the other ranks."""
        return replace(
            evaluation, on_step=self._on_step, stopped=self._stopped, before_test=self._before_test, ranks=self.ranks
        )

    def put(self, report: Report) -> None:
        """Send a report to the driver, from rank 0."""
        import ray

        if self.ranks.rank == 0:
            facts = {**report.facts, "devices": str(self.ranks.count), "backend": self.ranks.backend}
            sent = self.mailbox.put.remote(replace(report, facts=facts))  # calls of one process arrive in order
            if report.last:
                ray.get(sent)

    def end(self, failure: Failure) -> None:
        """Report a failure, or that the training has stopped.

        Raises:
            WorkersEnded: The other ranks have not met this failure, and would wait for this one.
        """
        import ray

        if self._stopping:  # the ranks have agreed
            if self.ranks.rank == 0:
                ray.get(self.mailbox.stopped.remote())
            return
        if failure.kind == "bug" and _is_lost_rank(failure.text):
            ray.get(self.mailbox.lost.remote(last_line(failure.text)))
            raise WorkersEnded(last_line(failure.text))
        ray.get(self.mailbox.fail.remote(failure))
        if failure.kind != "nan" and self.ranks.count > 1:  # a loss is not finite in all ranks
            raise WorkersEnded(last_line(failure.text))

    def _on_step(self, step: int, steps: int) -> None:
        import ray

        now = time.monotonic()
        if self.ranks.rank == 0 and now - self._sent >= STEP_SECONDS:
            if self._answer is not None:
                self._wish = ray.get(self._answer)
            self._answer, self._sent = self.mailbox.step.remote(step, steps), now

    def _stopped(self) -> bool:
        """Return whether to stop: all ranks after the same step."""
        self._steps += 1
        if self.ranks.backend == "nccl" and self._steps % CHECK_STEPS:
            return False  # the ranks exchange it through the GPU, which would be waited for
        self._stopping = self.ranks.any(self._wish)
        return self._stopping

    def _before_test(self) -> None:
        import ray

        if self.ranks.rank == 0:
            ray.get(self.mailbox.use_test_split.remote())
            while not ray.get(self.mailbox.may_test.remote()):
                time.sleep(ANSWER_SECONDS)
        self.ranks.wait()


def _is_lost_rank(text: str) -> bool:
    """Return whether the message of a traceback, whose lines are not indented, says that another rank is gone."""
    return any(LOST.search(line) for line in text.splitlines() if not line.startswith(" "))
