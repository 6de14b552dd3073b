"""WorkerPool: as many workers as the cluster has room for, while it grows and shrinks. Silent workers are killed."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.ray.session import count_slots, describe, need_of
from hybrid_search.engines.worker.actor import HEARTBEAT, TrialActor
from hybrid_search.errors import HybridSearchError

CHECK_SECONDS = 1.0  # between two checks of the cluster's nodes
WAITING = 4  # workers that may wait for room, if the user asked for more: an autoscaler adds nodes for them
FAILED_STARTS = 6  # after so many failed starts in a row, the run stops
MAX_STEP_SECONDS = 1.0  # the most that one step of the driver adds to a worker's silence: the driver may have slept


@dataclass
class Worker:
    """One actor.

    Attributes:
        actor: The handle of the actor.
        start: The first heartbeat call. It has an answer when the actor has its place on a node.
        started: Whether it has its place.
        busy: Whether it has a trial.
        heartbeat: The heartbeat call without an answer; None if there is none.
        heartbeat_time: When the last heartbeat call was made.
        silent_seconds: How long the heartbeat call has had no answer.
    """

    actor: Any
    start: Any
    started: bool = False
    busy: bool = False
    heartbeat: Any = None
    heartbeat_time: float = 0.0
    silent_seconds: float = 0.0


class WorkerPool:
    """The workers of one run. The driver calls `scale` in every step of its loop.

    A worker that waits for room on a node does not delay the others. It gets a trial only when it has its place.

    Args:
        context: The context of the run.
        clock: Seconds, from any start; tests replace it.
    """

    def __init__(self, context: RunContext, clock: Callable[[], float] = time.monotonic) -> None:
        import ray

        self._need = need_of(context.resources)
        self._requested = context.resources.workers
        self._lease = context.resources.lease_seconds
        self._notice = context.notice
        self._clock = clock
        self._last_step = clock()
        self._room = self._count_room()
        self._closed = threading.Event()
        self._announced: int | None = None
        self._failed_starts = 0
        self._workers: list[Worker] = []
        custom = {name: amount for name, amount in self._need.items() if name not in ("CPU", "GPU")}
        options: dict[str, Any] = {"num_cpus": self._need.get("CPU", 0), "num_gpus": self._need.get("GPU", 0)}
        remote: Any = ray.remote
        actor = remote(concurrency_groups={HEARTBEAT: 1}, max_restarts=0, resources=custom, **options)(TrialActor)
        self._new_actor = actor.remote
        self._evaluate = [ray.put(context.packed_evaluation())]
        # A thread, because this call waits while the head node is away. Running trials must not wait.
        self._checker = threading.Thread(target=self._check_nodes, daemon=True)
        self._checker.start()

    def scale(self) -> list[Worker]:
        """Start workers up to the room of the cluster, register those that have their place, and kill silent ones.

        Returns:
            The busy workers that were killed because they were silent for the lease.

        Raises:
            HybridSearchError: No worker can start.
        """
        now = self._clock()
        self._resize()
        self._register_started()
        silent = self._kill_silent(now)
        self._last_step = now
        return silent

    def idle(self) -> Worker | None:
        """Return a worker that has its place and no trial; None if there is none now."""
        return next((worker for worker in self._workers if worker.started and not worker.busy), None)

    def starting(self) -> list[Any]:
        """Return the calls that have an answer when another worker has its place."""
        return [worker.start for worker in self._workers if not worker.started]

    def kill(self, worker: Worker) -> None:
        """Kill a worker and remove it from the pool. No later report of it is read."""
        import ray

        self._workers = [one for one in self._workers if one is not worker]
        ray.kill(worker.actor)

    def close(self) -> None:
        """Kill every worker and stop checking the cluster."""
        self._closed.set()
        self._checker.join(CHECK_SECONDS)
        for worker in self._workers:
            self.kill(worker)

    # -- the room of the cluster --

    def _check_nodes(self) -> None:
        while not self._closed.wait(CHECK_SECONDS):
            with suppress(Exception):  # the head node is away: keep the last count
                self._room = self._count_room()

    def _count_room(self) -> int:
        """Return how many workers the nodes have room for; the requested number if a trial takes nothing."""
        return count_slots(self._need) if self._need else self._requested or 1

    def _target(self) -> int:
        return self._room if self._requested is None else min(self._requested, self._room + WAITING)

    def _resize(self) -> None:
        """Start workers up to the target. If there are too many, remove those that wait for room."""
        self._announce_room()
        surplus = len(self._workers) - self._target()
        for worker in [worker for worker in self._workers if not worker.started][: max(0, surplus)]:
            self.kill(worker)
        for _ in range(-surplus):
            actor = self._new_actor(self._evaluate)
            self._workers.append(Worker(actor, self._call_heartbeat(actor)))

    def _announce_room(self) -> None:
        """Print one line if the cluster has room for fewer workers than requested, and one when that changes."""
        requested = self._requested or 1
        room = min(self._room, requested)
        if room == self._announced or (self._announced is None and room == requested):
            return
        self._announced = room
        if room < requested:
            workers = f"{room} of {self._requested} workers" if self._requested else "no worker"
            self._notice(f"the cluster has room for {workers} ({describe(self._need)} each); more start as nodes join")
        else:
            workers = f"all {requested} workers" if self._requested else "workers again"
            self._notice(f"the cluster has room for {workers}")

    # -- starts and heartbeats --

    def _register_started(self) -> None:
        """Mark the workers that have their place, and remove those that could not start."""
        for worker, error in self._answers([worker for worker in self._workers if not worker.started], "start"):
            if error is None:
                worker.started = True
                worker.heartbeat_time = self._clock()
                self._failed_starts = 0
                continue
            self.kill(worker)
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise HybridSearchError(
                    f"{FAILED_STARTS} workers in a row could not start: {lines[0]}. Install the same version of "
                    "hybrid-search on every node."
                )

    def _kill_silent(self, now: float) -> list[Worker]:
        """Send heartbeat calls and read their answers; kill the workers that were silent for the lease."""
        for worker, error in self._answers([worker for worker in self._workers if worker.heartbeat], "heartbeat"):
            worker.heartbeat = None
            if error is None:
                worker.silent_seconds = 0.0
            elif not worker.busy:  # the call of a busy worker reports its death itself
                self.kill(worker)
        silent = []
        for worker in [worker for worker in self._workers if worker.started]:
            if worker.heartbeat is not None:
                worker.silent_seconds += min(now - self._last_step, MAX_STEP_SECONDS)
            elif now - worker.heartbeat_time >= min(5.0, self._lease / 10):
                worker.heartbeat, worker.heartbeat_time = self._call_heartbeat(worker.actor), now
            if worker.silent_seconds > self._lease:
                self.kill(worker)
                silent += [worker] if worker.busy else []
        return silent

    def _call_heartbeat(self, actor: Any) -> Any:
        return actor.heartbeat.options(concurrency_group=HEARTBEAT).remote()

    def _answers(self, workers: list[Worker], attribute: str) -> list[tuple[Worker, Exception | None]]:
        """Return the workers whose call in this attribute has an answer, with the error if the answer is one."""
        import ray
        from ray.exceptions import RayError

        calls = {getattr(worker, attribute): worker for worker in workers}
        if not calls:
            return []
        answers: list[tuple[Worker, Exception | None]] = []
        for call in ray.wait(list(calls), num_returns=len(calls), timeout=0)[0]:
            try:
                ray.get(call)
                answers.append((calls[call], None))
            except RayError as error:
                answers.append((calls[call], error))
        return answers
