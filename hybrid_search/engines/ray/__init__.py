"""Engine `ray`: long-lived Ray actors, one trial each at a time; on this machine, or on a cluster by its address.

The driver asks when a worker has a place, an actor runs one rung a call, the driver reports and calls again. The
workers follow the cluster: nodes that join get some, nodes that leave take theirs with them (`crew.py`). An actor that
dies, or is silent for the lease, takes its call with it and nothing else: it is killed, what it might still say is
never heard, and its trial begins again on another.
"""

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.driver import Driven, Plan, finish
from hybrid_search.engines.ray.failure_reasons import why_gone
from hybrid_search.engines.ray.session import connected, ready
from hybrid_search.engines.ray.worker_pool import Crew, Worker
from hybrid_search.engines.worker.actor import fetched
from hybrid_search.errors import HybridSearchError
from hybrid_search.records import Failure, Report
from hybrid_search.search.trial import Trial

__all__ = ["drive", "ready"]

TURN_SECONDS = 0.2  # the longest that the driver waits for a report before it looks after its workers


@dataclass
class _Job:
    worker: Worker
    trial: Trial
    began: float = 0.0  # the present rung


def drive(search: Driven, plan: Plan) -> None:
    """Run the search to its end on Ray workers, or until the plan says stop."""
    with connected(plan):
        from ray.exceptions import LocalRayletDiedError, RaySystemError, RpcError

        try:
            _Drive(search, plan).run()
        except (LocalRayletDiedError, RaySystemError, RpcError) as error:
            words = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise HybridSearchError(
                f"a search needs its Ray cluster to the end; this one is gone: {words}. The same command goes on."
            ) from error


class _Drive:
    """One run of a search on a crew of workers."""

    def __init__(self, search: Driven, plan: Plan) -> None:
        self._search, self._plan = search, plan
        self._crew = Crew(plan)
        self._jobs: dict[Any, _Job] = {}
        self._again: deque[Trial] = deque()  # trials that lost their worker

    def run(self) -> None:
        """Until nothing is left to ask and nothing runs, or the plan says stop."""
        import ray

        try:
            while not self._plan.stop.is_set():
                silent = self._crew.tend()
                for call, job in [(call, job) for call, job in self._jobs.items() if job.worker in silent]:
                    del self._jobs[call]
                    self._lost(job, "lost", f"its worker was silent for {self._plan.lease:g} s")
                doubtful = {job.trial.id for job in self._jobs.values() if job.worker.silence > self._plan.lease / 2}
                self._plan.silent = doubtful  # a new set: another thread reads it
                if not self._fill() and not self._jobs:
                    return
                calls = [*self._jobs, *self._crew.births()]
                if not calls:
                    time.sleep(TURN_SECONDS)  # no node has room for a worker
                    continue
                ray.wait(calls, num_returns=1, timeout=TURN_SECONDS)
                for call in _ready(calls):
                    if call in self._jobs:
                        self._take(call, self._jobs.pop(call))
                self._end_late()
        finally:
            # What still runs is left running in the ledger: the same command takes it up again.
            self._crew.dismiss_all()

    def _fill(self) -> bool:
        """Give every idle worker a trial; False when there was a worker and no trial for it."""
        while (worker := self._crew.idle()) is not None and not self._plan.stop.is_set():
            if self._again:
                trial = self._again.popleft()
            elif (asked := self._search.ask()) is not None:
                trial = asked
                self._plan.event("started", trial.number)
            else:
                return False
            self._start(_Job(worker, trial))
        return True

    def _start(self, job: _Job) -> None:
        job.worker.busy, job.began = True, time.monotonic()
        trial = job.trial
        asked = trial.architecture.to_dict(), trial.settings.to_dict(), self._plan.keeping(trial)
        self._jobs[job.worker.actor.start.remote(*asked)] = job

    def _take(self, call: Any, job: _Job) -> None:
        """Hand what a worker reports to the search; it goes on, begins again, or rests."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            report: Report = ray.get(call)
        except RayTaskError as error:  # the actor lives, its call did not
            report = Report(0, {}, last=True, failure=Failure("bug", str(error)))
        except RayError as error:  # dead, or cut off: either way its answer will not come
            self._crew.dismiss(job.worker)
            self._lost(job, *why_gone(str(error) or type(error).__name__))
            return
        now = finish(self._search, job.trial, report, self._plan, fetched)
        if now is None:
            job.worker.busy = False
            if not report.last:  # stopped early: nobody will call it again for this trial
                job.worker.actor.rest.remote()
        elif now.attempt != job.trial.attempt:
            self._start(_Job(job.worker, now))
        else:
            job.began = time.monotonic()
            self._jobs[job.worker.actor.advance.remote()] = job

    def _end_late(self) -> None:
        """End the trials whose present rung takes longer than the plan allows."""
        most = self._plan.timeout
        if most is None:
            return
        late = {call: job for call, job in self._jobs.items() if time.monotonic() - job.began > most}
        for call in _ready(list(late)):  # its worker was in time; this driver was held up, as by its database
            del late[call]
        for call, job in late.items():
            del self._jobs[call]
            self._crew.dismiss(job.worker)
            self._lost(job, "timeout", f"a rung must end within {most:g} s; this one had not")

    def _lost(self, job: _Job, kind: str, why: str) -> None:
        """A worker is gone: its trial begins again when another has time, or has failed too often."""
        report = Report(0, {}, last=True, failure=Failure(kind, why))
        again = finish(self._search, job.trial, report, self._plan)
        if again is not None:
            self._again.append(again)


def _ready(calls: list[Any]) -> list[Any]:
    """The calls that are answered."""
    import ray

    ready: list[Any] = ray.wait(calls, num_returns=len(calls), timeout=0)[0] if calls else []
    return ready
