"""A search as Ray Tune's Searcher and scheduler: Tune asks the one for trials and the other whether they go on.

Both speak to the search through the engines' own `finish`. Nothing of them is pickled into Tune's files: a search holds
its ledger, whose address may hold a password.
"""

import time
from collections import deque
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hybrid_search.engines.driver import Driven, Plan, finish
from hybrid_search.engines.ray.failure_reasons import why_gone
from hybrid_search.engines.worker.actor import fetched
from hybrid_search.engines.worker.tune_mailbox import Box
from hybrid_search.errors import HybridSearchError
from hybrid_search.records import Failure, Report
from hybrid_search.search.trial import Trial


def _never(architecture: Any, settings: Any) -> Any:
    raise NotImplementedError("the evaluation of a Tuner is in its trainable")


class TuneSearcher(Searcher):
    """A search, or a confirmation, as Tune's Searcher: one Tune trial for every attempt at a trial.

    plan: its `stop`, `event`, `notice`, `lease` and `timeout` count; resources are the Tuner's. limit: how many trials
    the cluster holds now; Tune's `max_concurrent_trials` holds besides. `close` raises what ended the search early.
    """

    def __init__(self, search: Driven, plan: Plan | None = None, limit: Callable[[], int] | None = None) -> None:
        super().__init__(metric=None, mode=None)
        self._search, self._plan = search, plan or Plan(_never)
        self._limit = limit
        self._most: int | None = None
        self._live: dict[str, Trial] = {}  # by the id of its Tune trial
        self._shown: dict[str, TuneTrial] = {}
        self._again: deque[Trial] = deque()
        self._why: dict[str, tuple[str, str]] = {}  # kind and text of the failures that were brought about here
        self._error: Exception | None = None
        self._ask_after = time.monotonic()
        self._asked: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {}

    @cached_property
    def box(self) -> Any:
        """The actor through which workers speak to this process, on its node."""
        if not ray.is_initialized():
            ray.init()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        return ray.remote(Box).options(num_cpus=0, scheduling_strategy=here).remote()

    @property
    def beat(self) -> float:
        """Seconds between two signs of life of a worker."""
        return min(5.0, self._plan.lease / 10)

    def close(self) -> None:
        """Let the box go; raises the error that ended the search, if one did."""
        if "box" in self.__dict__:
            ray.kill(self.__dict__.pop("box"))
        if self._error is not None:
            raise self._error

    # -- what Tune calls --

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Take Tune's `max_concurrent_trials`: the searcher itself keeps to it."""
        self._most = max_concurrent
        return True

    def suggest(self, trial_id: str) -> Any:
        """The config of the next Tune trial; None for none now, FINISHED for none at all."""
        try:
            return self._suggest(trial_id)
        except Exception as error:  # a lost database, a lost lease: raised by `close`, after Tune has ended in order
            return self._end(error)

    def _suggest(self, trial_id: str) -> Any:
        self._look_after()
        if self.ended:
            return Searcher.FINISHED
        limits = [most for most in (self._most, self._limit and self._limit()) if most is not None]
        if limits and len(self._live) >= min(limits):
            return None
        trial = self._again.popleft() if self._again else self._search.ask()
        if trial is None:
            return None if self._live else Searcher.FINISHED
        if trial.attempt == 1:
            self._plan.event("started", trial.number)
        self._live[trial_id] = trial
        keeping = self._plan.keeping(trial)
        if keeping is not None:
            ray.get(self.box.keep.remote(trial_id, keeping))
        design, settings = trial.architecture.to_dict(), trial.settings.to_dict()
        plain = {"key": trial_id, "trial": trial.number, "attempt": trial.attempt}
        return {**plain, "architecture": design, "settings": settings}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """A Tune trial is over. One that is over without the search's doing (a stop rule of the user's Tuner) stays
        running in the ledger: whoever opens the search again takes it up."""
        self._live.pop(trial_id, None)
        if "box" in self.__dict__:
            self.box.forget.remote(trial_id)
        self._shown.pop(trial_id, None)
        self._why.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the ledger has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Refuse: a search goes on by being opened again."""
        raise NotImplementedError("a search goes on from its ledger: open it again, and give it to a new Tuner.")

    # -- for the scheduler and the engine --

    @property
    def ended(self) -> bool:
        """Whether no trial is to go on: the plan says stop, or an error ended the search."""
        return self._error is not None or self._plan.stop.is_set()

    def show(self, trial: TuneTrial) -> None:
        """Remember Tune's own record of a trial, to find its worker."""
        self._shown[trial.trial_id] = trial

    def goes_on(self, trial_id: str) -> bool:
        """Hand what the worker reported to the search; whether the Tune trial goes on."""
        trial = self._live.get(trial_id)
        if trial is None or self.ended:
            return False
        try:
            report: Report = ray.get(self.box.take.remote(trial_id))
            return self._finish(trial_id, trial, report)
        except Exception as error:
            self._end(error)
            return False

    def fail(self, trial_id: str, why: str) -> None:
        """A worker is gone: its trial begins again, or has failed too often."""
        trial = self._live.get(trial_id)
        if trial is None or self.ended:
            return
        kind, text = self._why.pop(trial_id) if trial_id in self._why else why_gone(why)
        try:
            self._finish(trial_id, trial, Report(0, {}, last=True, failure=Failure(kind, text)))
        except Exception as error:
            self._end(error)

    def kill_workers(self) -> None:
        """Kill the workers of all trials, whatever they are at."""
        for trial_id in list(self._live):
            self._kill(trial_id)

    def _finish(self, trial_id: str, trial: Trial, report: Report) -> bool:
        now = finish(self._search, trial, report, self._plan, fetched)
        if now is not None and now.attempt == trial.attempt:
            return True
        del self._live[trial_id]
        if now is not None:
            self._again.append(now)
        return False

    def _end(self, error: Exception) -> str:
        if isinstance(error, RayError):  # the box is gone, or the cluster
            error = HybridSearchError(
                f"a search under Tune needs its cluster, and its Box there, to the end: {why_gone(str(error))[1]}. The "
                "same command goes on."
            )
        self._error = self._error or error
        return Searcher.FINISHED

    def _look_after(self) -> None:
        """Kill the workers that were silent for the lease, or whose rung takes too long. Tune asks for a trial at
        every turn of its own, which makes this the place."""
        if self._asked is None:
            if self._live and time.monotonic() >= self._ask_after:
                self._asked, self._ask_after = self.box.lives.remote(), time.monotonic() + self.beat
            return
        if not ray.wait([self._asked], timeout=0)[0]:
            return
        lives: dict[str, tuple[float, float]] = ray.get(self._asked)
        self._asked = None
        lease, most = self._plan.lease, self._plan.timeout
        running = {key: life for key, life in lives.items() if key in self._live}
        self._plan.silent = {self._live[key].id for key, (silence, _) in running.items() if silence > lease / 2}
        for key, (silence, rung) in running.items():
            if silence > lease:
                self._why[key] = "lost", f"its worker was silent for {lease:g} s"
            elif most is not None and rung > most:
                self._why[key] = "timeout", f"a rung must end within {most:g} s; this one had not"
            else:
                continue
            self._kill(key)

    def _kill(self, trial_id: str) -> None:
        shown = self._shown.get(trial_id)
        actor = shown and shown.temporary_state.ray_actor
        if actor:
            ray.kill(actor)


class TuneScheduler(FIFOScheduler):
    """Tune's scheduler for a TuneSearcher: trials in order, each for as long as its search says."""

    def __init__(self, searcher: TuneSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """A Tune trial is about to run."""
        self._searcher.show(trial)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        """A rung is over: whether the Tune trial goes on."""
        return TrialScheduler.CONTINUE if self._searcher.goes_on(trial.trial_id) else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """A worker is gone, or could not begin."""
        self._searcher.fail(trial.trial_id, _last_error(trial))


def _last_error(trial: TuneTrial) -> str:
    """What Tune noted last of this trial's failures, each of which begins with `Failure #` and has its lines below."""
    try:
        text = Path(trial.error_file or "").read_text(encoding="utf-8")
    except OSError:
        return "Tune noted nothing of it"
    _, _, said = text.rpartition("Failure #")[2].strip().partition("\n")
    return said or "Tune noted nothing of it"
