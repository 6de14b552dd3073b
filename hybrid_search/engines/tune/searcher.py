"""TuneSearcher: a search as Ray Tune's Searcher. Tune asks it for trials.

The search, its ledger and its credentials are not pickled into Tune's files.
"""

import time
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import Any

import ray
from ray.exceptions import RayError
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hybrid_search.engines.driver import RunContext, TrialSource, handle_report
from hybrid_search.engines.ray.failure_reasons import failure_of
from hybrid_search.engines.worker.actor import fetch_weights
from hybrid_search.engines.worker.tune_mailbox import TuneMailbox
from hybrid_search.errors import HybridSearchError
from hybrid_search.records import Failure, Report
from hybrid_search.search.trial import Trial


def _no_evaluation(architecture: Any, settings: Any) -> Any:
    raise NotImplementedError("the evaluation of a Tuner is in its trainable")


class TuneSearcher(Searcher):
    """A search, a confirmation or baselines as Tune's Searcher. Every attempt at a trial is one Tune trial.

    Args:
        search: The search, confirmation or baselines.
        context: Its `stop`, `on_event`, `notice`, `lease_seconds` and `timeout_seconds` are used. The Tuner itself
            assigns resources.
        room: Returns how many trials the cluster has room for now; None: no limit besides `max_concurrent_trials`.

    Example:
        >>> searcher = TuneSearcher(search, context)
        >>> tune.TuneConfig(search_alg=searcher, scheduler=TuneScheduler(searcher), num_samples=-1)
    """

    def __init__(
        self, search: TrialSource, context: RunContext | None = None, room: Callable[[], int] | None = None
    ) -> None:
        super().__init__(metric=None, mode=None)
        self._search, self._context = search, context or RunContext(_no_evaluation)
        self._room = room
        self._max_concurrent: int | None = None
        self._running: dict[str, Trial] = {}  # by the id of its Tune trial, as the next two
        self._tune_trials: dict[str, TuneTrial] = {}
        self._failures: dict[str, Failure] = {}  # of workers that were killed here
        self._retries: deque[Trial] = deque()
        self._error: Exception | None = None
        self._next_check = time.monotonic()
        self._check: Any = None  # the call that will return the heartbeats

    def __getstate__(self) -> dict[str, Any]:
        return {}

    @cached_property
    def mailbox(self) -> Any:
        """The actor between workers and this process, on the node of this process."""
        if not ray.is_initialized():
            ray.init()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        return ray.remote(TuneMailbox).options(num_cpus=0, scheduling_strategy=here).remote()

    @property
    def heartbeat_seconds(self) -> float:
        """Seconds between two heartbeats of a worker."""
        return min(5.0, self._context.resources.lease_seconds / 10)

    def close(self) -> None:
        """Stop the mailbox.

        Raises:
            Exception: The error that ended the search, if there is one.
        """
        if "mailbox" in self.__dict__:
            ray.kill(self.__dict__.pop("mailbox"))
        if self._error is not None:
            raise self._error

    # -- called by Tune --

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Set Tune's `max_concurrent_trials`, which this searcher applies itself."""
        self._max_concurrent = max_concurrent
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the config of the next Tune trial; None if there is none now; FINISHED if there is none left."""
        try:
            return self._suggest(trial_id)
        except Exception as error:  # a lost database or lease: `close` raises it when Tune has stopped
            return self._end(error)

    def _suggest(self, trial_id: str) -> Any:
        self._check_workers()
        if self.ended:
            return Searcher.FINISHED
        limits = [limit for limit in (self._max_concurrent, self._room and self._room()) if limit is not None]
        if limits and len(self._running) >= min(limits):
            return None
        trial = self._retries.popleft() if self._retries else self._search.ask()
        if trial is None:
            return None if self._running else Searcher.FINISHED
        if trial.attempt == 1:
            self._context.on_event("started", trial.number)
        self._running[trial_id] = trial
        checkpoints = self._context.checkpoints_of(trial)
        if checkpoints is not None:
            ray.get(self.mailbox.put_checkpoints.remote(trial_id, checkpoints))
        architecture, settings = trial.architecture.to_dict(), trial.settings.to_dict()
        names = {"key": trial_id, "trial": trial.number, "attempt": trial.attempt}
        return {**names, "architecture": architecture, "settings": settings}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Forget a Tune trial that is over.

        If a stop rule of the user's Tuner ended it, its trial stays "running" in the ledger; the next run resumes it.
        """
        self._running.pop(trial_id, None)
        if "mailbox" in self.__dict__:
            self.mailbox.forget.remote(trial_id)
        self._tune_trials.pop(trial_id, None)
        self._failures.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing, because all results are in the ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Raise NotImplementedError, because a search is resumed from its ledger."""
        raise NotImplementedError("a search is resumed from its ledger: open it again and give it to a new Tuner.")

    # -- called by the scheduler and by the engine --

    @property
    def ended(self) -> bool:
        """Whether all trials must stop: `context.stop` is set, or an error ended the search."""
        return self._error is not None or self._context.stop.is_set()

    def register(self, trial: TuneTrial) -> None:
        """Store Tune's own record of a trial, which has the handle of its worker."""
        self._tune_trials[trial.trial_id] = trial

    def handle_result(self, trial_id: str) -> bool:
        """Record the report of a worker; return whether the Tune trial continues."""
        trial = self._running.get(trial_id)
        if trial is None or self.ended:
            return False
        try:
            report: Report = ray.get(self.mailbox.take_report.remote(trial_id))
            return self._handle(trial_id, trial, report)
        except Exception as error:
            self._end(error)
            return False

    def handle_error(self, trial_id: str, message: str) -> None:
        """Record that the worker of a trial is gone: the trial is retried, or it has failed."""
        trial = self._running.get(trial_id)
        if trial is None or self.ended:
            return
        failure = self._failures.pop(trial_id) if trial_id in self._failures else failure_of(message)
        try:
            self._handle(trial_id, trial, Report(0, {}, last=True, failure=failure))
        except Exception as error:
            self._end(error)

    def kill_workers(self) -> None:
        """Kill the workers of all trials."""
        for trial_id in list(self._running):
            self._kill(trial_id)

    def _handle(self, trial_id: str, trial: Trial, report: Report) -> bool:
        """Record a report; return whether the Tune trial continues."""
        following = handle_report(self._search, trial, report, self._context, fetch_weights)
        if following is not None and following.attempt == trial.attempt:
            return True
        del self._running[trial_id]
        if following is not None:
            self._retries.append(following)
        return False

    def _end(self, error: Exception) -> str:
        """Store the error that ends the search."""
        if isinstance(error, RayError):
            reason = failure_of(str(error)).text
            error = HybridSearchError(
                f"the Ray cluster of this search, or the TuneMailbox on it, is gone: {reason}. All committed results "
                "are safe. Run the same command to continue."
            )
        self._error = self._error or error
        return Searcher.FINISHED

    def _check_workers(self) -> None:
        """Kill the workers that were silent for the lease, or whose rung exceeds the timeout.

        Tune asks for a trial in every step of its loop, so this is called often enough.
        """
        if self._check is None:
            if self._running and time.monotonic() >= self._next_check:
                self._check = self.mailbox.heartbeats.remote()
                self._next_check = time.monotonic() + self.heartbeat_seconds
            return
        if not ray.wait([self._check], timeout=0)[0]:
            return
        heartbeats: dict[str, tuple[float, float]] = ray.get(self._check)
        self._check = None
        lease, timeout = self._context.resources.lease_seconds, self._context.resources.timeout_seconds
        running = {key: seconds for key, seconds in heartbeats.items() if key in self._running}
        self._context.silent = {self._running[key].id for key, (silent, _) in running.items() if silent > lease / 2}
        for key, (silent, rung) in running.items():
            if silent > lease:
                self._failures[key] = Failure("lost", f"its worker was silent for {lease:g} s")
            elif timeout is not None and rung > timeout:
                self._failures[key] = Failure("timeout", f"a rung must end within {timeout:g} s; this one had not")
            else:
                continue
            self._kill(key)

    def _kill(self, trial_id: str) -> None:
        tune_trial = self._tune_trials.get(trial_id)
        actor = tune_trial and tune_trial.temporary_state.ray_actor
        if actor:
            ray.kill(actor)
