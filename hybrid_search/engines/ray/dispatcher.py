"""The driver's loop of engine `ray`: hand trials to workers and reports to the search."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.driver import RunContext, TrialSource, handle_report
from hybrid_search.engines.ray.failure_reasons import failure_of
from hybrid_search.engines.ray.session import ray_session
from hybrid_search.engines.ray.worker_pool import Worker, WorkerPool
from hybrid_search.engines.worker.actor import fetch_weights
from hybrid_search.errors import HybridSearchError
from hybrid_search.records import Failure, Report
from hybrid_search.search.trial import Trial

WAIT_SECONDS = 0.2  # the longest wait for a report before the driver checks its workers


def drive(search: TrialSource, context: RunContext) -> None:
    """Run trials on Ray workers until the search has none left, or until `context.stop` is set.

    Raises:
        HybridSearchError: The Ray cluster is gone, no worker could start, or the first trials all failed.
    """
    with ray_session(context):
        from ray.exceptions import LocalRayletDiedError, RaySystemError, RpcError

        try:
            _Dispatcher(search, context).run()
        except (LocalRayletDiedError, RaySystemError, RpcError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise HybridSearchError(
                f"the Ray cluster of this search is gone: {reason}. All committed results are safe. Run the same "
                "command to continue."
            ) from error


@dataclass
class _Job:
    """A trial on a worker."""

    worker: Worker
    trial: Trial
    rung_start: float = 0.0


class _Dispatcher:
    """One run of a search on a pool of workers."""

    def __init__(self, search: TrialSource, context: RunContext) -> None:
        self._search, self._context = search, context
        self._pool = WorkerPool(context)
        self._jobs: dict[Any, _Job] = {}  # by the call that will return the next report
        self._retries: deque[Trial] = deque()  # trials that lost their worker

    def run(self) -> None:
        """Run until no trial is left and none runs, or until `context.stop` is set."""
        import ray

        try:
            while not self._context.stop.is_set():
                self._replace_silent(self._pool.scale())
                if not self._start_trials() and not self._jobs:
                    return
                calls = [*self._jobs, *self._pool.starting()]
                if not calls:
                    time.sleep(WAIT_SECONDS)  # no node has room for a worker
                    continue
                ray.wait(calls, num_returns=1, timeout=WAIT_SECONDS)
                for call in _answered(calls):
                    if call in self._jobs:
                        self._handle(call, self._jobs.pop(call))
                self._end_late_rungs()
        finally:
            # Running trials stay "running" in the ledger. The next run resumes them.
            self._pool.close()

    def _replace_silent(self, silent: list[Worker]) -> None:
        """Retry the trials of killed workers; note the trials whose workers have been silent for half of the lease."""
        lease = self._context.resources.lease_seconds
        for call, job in [(call, job) for call, job in self._jobs.items() if job.worker in silent]:
            del self._jobs[call]
            self._retry(job, Failure("lost", f"its worker was silent for {lease:g} s"))
        suspects = {job.trial.id for job in self._jobs.values() if job.worker.silent_seconds > lease / 2}
        self._context.silent = suspects  # a new set, because another thread reads it

    def _start_trials(self) -> bool:
        """Give a trial to every idle worker; return False if there was a worker and no trial for it."""
        while (worker := self._pool.idle()) is not None and not self._context.stop.is_set():
            if self._retries:
                trial = self._retries.popleft()
            elif (proposed := self._search.ask()) is not None:
                trial = proposed
                self._context.on_event("started", trial.number)
            else:
                return False
            self._start(_Job(worker, trial))
        return True

    def _start(self, job: _Job) -> None:
        job.worker.busy, job.rung_start = True, time.monotonic()
        trial = job.trial
        arguments = trial.architecture.to_dict(), trial.settings.to_dict(), self._context.checkpoints_of(trial)
        self._jobs[job.worker.actor.start.remote(*arguments)] = job

    def _handle(self, call: Any, job: _Job) -> None:
        """Hand a report to the search. Then continue the trial, retry it, or free the worker."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            report: Report = ray.get(call)
        except RayTaskError as error:  # the actor is alive, its call failed
            report = Report(0, {}, last=True, failure=Failure("bug", str(error)))
        except RayError as error:  # the actor is dead or cannot be reached: no report will come
            self._pool.kill(job.worker)
            self._retry(job, failure_of(str(error) or type(error).__name__))
            return
        following = handle_report(self._search, job.trial, report, self._context, fetch_weights)
        if following is None:
            job.worker.busy = False
            if not report.last:  # the trial was stopped early, so its memory is still in use
                job.worker.actor.release.remote()
        elif following.attempt != job.trial.attempt:
            self._start(_Job(job.worker, following))
        else:
            job.rung_start = time.monotonic()
            self._jobs[job.worker.actor.advance.remote()] = job

    def _end_late_rungs(self) -> None:
        """Kill the workers whose rung takes longer than the timeout."""
        timeout = self._context.resources.timeout_seconds
        if timeout is None:
            return
        late = {call: job for call, job in self._jobs.items() if time.monotonic() - job.rung_start > timeout}
        for call in _answered(list(late)):  # the worker was in time; the driver was busy, for example with its database
            del late[call]
        for call, job in late.items():
            del self._jobs[call]
            self._pool.kill(job.worker)
            self._retry(job, Failure("timeout", f"a rung must end within {timeout:g} s; this one had not"))

    def _retry(self, job: _Job, failure: Failure) -> None:
        """Record the failure of a job whose worker is gone, and queue its next attempt, if there is one."""
        report = Report(0, {}, last=True, failure=failure)
        following = handle_report(self._search, job.trial, report, self._context)
        if following is not None:
            self._retries.append(following)


def _answered(calls: list[Any]) -> list[Any]:
    """Return the calls that have an answer."""
    import ray

    answered: list[Any] = ray.wait(calls, num_returns=len(calls), timeout=0)[0] if calls else []
    return answered
