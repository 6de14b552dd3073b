"""The workers of engine `ray`: as many as the cluster holds, while it grows and shrinks; the silent ones are killed."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.driver import Plan
from hybrid_search.engines.ray.session import fits, in_words, need_of
from hybrid_search.engines.worker.actor import PULSE, Actor
from hybrid_search.errors import HybridSearchError

LOOK_SECONDS = 1.0  # between two looks at the cluster's nodes
AHEAD = 4  # workers asked for beyond what fits, where the user wishes for more: a cluster may grow for them
STILLBORN = 6  # workers in a row that never began: more of them would not either
TURN_SECONDS = 1.0  # a turn of the driver counts as this much silence at most: it may have been stopped itself


@dataclass
class Worker:
    """One actor: `birth` is pending until it has a place; `pulse` is pending until it answers."""

    actor: Any
    birth: Any
    placed: bool = False
    busy: bool = False
    pulse: Any = None
    asked: float = 0.0  # when the last pulse was asked for
    silence: float = 0.0  # seconds since then without an answer


class Crew:
    """The workers of one run of a plan. `tend` is called at every turn of the driver.

    A worker waits for its place without holding up the others, and is given a trial only when it has one.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        import ray

        self._need = need_of(plan)
        self._wish = plan.workers
        self._lease = plan.lease
        self._notice = plan.notice
        self._clock = clock
        self._turn = clock()
        self._fits = self._count()
        self._over = threading.Event()
        self._said: int | None = None
        self._stillborn = 0
        self._workers: list[Worker] = []
        more = {name: amount for name, amount in self._need.items() if name not in ("CPU", "GPU")}
        options: dict[str, Any] = {"num_cpus": self._need.get("CPU", 0), "num_gpus": self._need.get("GPU", 0)}
        remote: Any = ray.remote
        made = remote(concurrency_groups={PULSE: 1}, max_restarts=0, resources=more, **options)(Actor)
        self._make = made.remote
        self._evaluate = [ray.put(plan.evaluate)]
        # In a thread: while the cluster's head is away this waits for it, and running trials should not.
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    # -- at every turn --

    def tend(self) -> list[Worker]:
        """Make workers for what the cluster holds and take in those that have a place; the busy ones that were silent
        for the lease, which are killed. HybridSearchError where no worker can begin."""
        now = self._clock()
        self._man()
        self._take_in()
        silent = self._listen(now)
        self._turn = now
        return silent

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with suppress(Exception):  # the head is away: the last count stands
                self._fits = self._count()

    def _count(self) -> int:
        """How many workers the nodes hold; of those that need nothing, as many as are wished for."""
        return fits(self._need) if self._need else self._wish or 1

    def _wanted(self) -> int:
        return self._fits if self._wish is None else min(self._wish, self._fits + AHEAD)

    def _man(self) -> None:
        """As many workers as are wanted: what has no place yet goes where there are too many."""
        self._tell()
        surplus = len(self._workers) - self._wanted()
        for worker in [worker for worker in self._workers if not worker.placed][: max(0, surplus)]:
            self.dismiss(worker)
        for _ in range(-surplus):
            actor = self._make(self._evaluate)
            self._workers.append(Worker(actor, self._ask(actor)))

    def _tell(self) -> None:
        """One line where fewer workers fit than were wished for, and one when that has changed."""
        wish = self._wish or 1
        held = min(self._fits, wish)
        if held == self._said or (self._said is None and held == wish):
            return
        self._said = held
        what = (
            f"of --workers {self._wish} the cluster holds {held} now" if self._wish else "the cluster holds no worker"
        )
        if held < wish:
            self._notice(f"{what} ({in_words(self._need)} each); others begin as nodes join")
        else:
            self._notice(
                f"the cluster holds all {wish} workers now" if self._wish else "the cluster holds workers again"
            )

    def _take_in(self) -> None:
        """Workers whose first pulse is answered have a place; those that could not begin are gone."""
        for worker, error in self._answers([worker for worker in self._workers if not worker.placed], "birth"):
            if error is None:
                worker.placed = True
                worker.asked = self._clock()
                self._stillborn = 0
                continue
            self.dismiss(worker)
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                words = str(error).strip().splitlines() or [type(error).__name__]
                raise HybridSearchError(
                    f"workers must begin on the cluster's nodes; {STILLBORN} in a row did not: {words[0]} "
                    "(hybrid-search is to be installed on every node, the same version)"
                )

    def _listen(self, now: float) -> list[Worker]:
        """Ask for pulses and hear them; the busy workers that said nothing for too long."""
        for worker, error in self._answers([worker for worker in self._workers if worker.pulse], "pulse"):
            worker.pulse = None
            if error is None:
                worker.silence = 0.0
            elif not worker.busy:  # a busy one's own call says how it ended
                self.dismiss(worker)
        silent = []
        for worker in [worker for worker in self._workers if worker.placed]:
            if worker.pulse is not None:
                worker.silence += min(now - self._turn, TURN_SECONDS)
            elif now - worker.asked >= min(5.0, self._lease / 10):
                worker.pulse, worker.asked = self._ask(worker.actor), now
            if worker.silence > self._lease:
                self.dismiss(worker)
                silent += [worker] if worker.busy else []
        return silent

    def _ask(self, actor: Any) -> Any:
        return actor.pulse.options(concurrency_group=PULSE).remote()

    def _answers(self, workers: list[Worker], which: str) -> list[tuple[Worker, Exception | None]]:
        """The workers that have answered `which`, with the error where the answer is one."""
        import ray
        from ray.exceptions import RayError

        asked = {getattr(worker, which): worker for worker in workers}
        if not asked:
            return []
        answers: list[tuple[Worker, Exception | None]] = []
        for ref in ray.wait(list(asked), num_returns=len(asked), timeout=0)[0]:
            try:
                ray.get(ref)
                answers.append((asked[ref], None))
            except RayError as error:
                answers.append((asked[ref], error))
        return answers

    # -- for the driver --

    def idle(self) -> Worker | None:
        """A worker that has a place and no trial; None where there is none now."""
        return next((worker for worker in self._workers if worker.placed and not worker.busy), None)

    def births(self) -> list[Any]:
        """What is pending until another worker has its place."""
        return [worker.birth for worker in self._workers if not worker.placed]

    def dismiss(self, worker: Worker) -> None:
        """Kill a worker; whatever it still says is heard by nobody."""
        import ray

        self._workers = [one for one in self._workers if one is not worker]
        ray.kill(worker.actor)

    def dismiss_all(self) -> None:
        """Kill every worker, and look at the cluster no more."""
        self._over.set()
        self._looking.join(LOOK_SECONDS)
        for worker in self._workers:
            self.dismiss(worker)
