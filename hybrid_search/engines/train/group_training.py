"""GroupTraining: the workers of Ray Train that train one network, and their reports as those of one training."""

import logging
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.ray.session import has_session, need_of, ray_session
from hybrid_search.engines.worker.packed_evaluation import PackedEvaluation
from hybrid_search.engines.worker.train_mailbox import TrainMailbox
from hybrid_search.engines.worker.train_worker import train_on_device
from hybrid_search.networks.network import Network
from hybrid_search.records import Failure, Report, Settings
from hybrid_search.training.checkpoints import TrialCheckpoints

POLL_SECONDS = 0.1  # between two looks into the mailbox
STOP_SECONDS = 30.0  # that the workers have to stop; they need longer only if none of them runs
END_SECONDS = 60.0  # that Ray Train has to end, in a session that was there before
COLLECTIVE_SECONDS = 7200  # that a rank waits for another one, such as for one that decodes images

# Ray Train reads these while it runs.
ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # the workers keep their folder
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
}


@dataclass(frozen=True)
class GroupHooks:
    """Functions that a training calls in the process of the driver.

    Attributes:
        on_step: With the number of a step in its epoch, from 1, and the steps of an epoch.
        before_test: Before the network is scored on the test split.
    """

    on_step: Callable[[int, int], None]
    before_test: Callable[[], None]


class GroupTraining:
    """One training on several devices. As a context manager it holds the Ray session and the workers.

    `advance` returns the next report, as that of a `TrialRunner` does. It has the facts `devices` and `backend` too.

    Args:
        evaluation: A `FullTraining`.
        architecture: The network.
        settings: How to train it.
        checkpoints: Where rank 0 reads and writes checkpoints; None: nowhere, and workers that die start from the
            beginning.
        context: The context of the training, with its resources.
        hooks: What is called here.

    Raises:
        SettingsError: A part of the evaluation cannot be pickled.
    """

    def __init__(
        self,
        evaluation: Any,
        architecture: Network,
        settings: Settings,
        checkpoints: TrialCheckpoints | None,
        context: RunContext,
        hooks: GroupHooks,
    ) -> None:
        self._packed = PackedEvaluation.of(evaluation)
        self._config: dict[str, Any] = {
            "architecture": architecture.to_dict(), "settings": settings.to_dict(), "checkpoints": checkpoints,
        }  # fmt: skip
        self._context, self._hooks = context, hooks
        self._stack = ExitStack()
        self._reports: deque[Report] = deque()
        self._newest = 0  # the newest epoch that `advance` has returned
        self._step = (0, 0)
        self._starts = 0
        self._tested = self._stopped = False
        self._stop_time: float | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> "GroupTraining":
        self._own_session = not has_session()
        with ExitStack() as stack:
            stack.enter_context(ray_session(self._context))
            import ray
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            remote: Any = ray.remote
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            # On the node of this process, which needs no other node to stay.
            self._mailbox = remote(num_cpus=0, scheduling_strategy=here)(TrainMailbox).remote()
            self._config |= {"mailbox": self._mailbox, "evaluation": [ray.put(self._packed)]}
            self._thread = threading.Thread(target=self._fit, daemon=True)
            self._thread.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        self._mailbox.end.remote()
        if not self._own_session:
            self._thread.join(END_SECONDS)
            ray.kill(self._mailbox)  # the workers, if there are any, end too
        self._stack.close()
        if self._own_session:
            self._thread.join(END_SECONDS)

    def advance(self) -> Report:
        """Return the next report. After the last epoch, and after an error, `report.last` is True."""
        from ray.exceptions import RayError

        while True:
            alive = self._thread.is_alive()  # before the mailbox is read: the last report comes before the end
            try:
                self._read_mailbox()
            except RayError as error:  # the mailbox is gone
                self._error, alive = self._error or error, False
            while self._reports:
                report = self._reports.popleft()
                if report.failure is not None or report.rung > self._newest:
                    self._newest = report.rung
                    return report
            if self._stopped or not alive or self._must_leave():
                return Report(self._newest, {}, last=True, failure=self._why())
            time.sleep(POLL_SECONDS)

    def _read_mailbox(self) -> None:
        import ray

        events, step = ray.get(self._mailbox.take.remote())
        for name, value in events:
            if name == "report":
                self._reports.append(value)
            elif name == "start":
                self._note_start(value)
            elif name == "stopped":
                self._stopped = True
            elif name == "test":
                if not self._tested:  # workers that started again use it again, for the same purpose
                    self._hooks.before_test()
                self._tested = True
                self._mailbox.allow_test.remote()
        if step != self._step and step[0]:
            self._step = step
            self._hooks.on_step(*step)

    def _note_start(self, devices: int) -> None:
        """Say if workers have started again, and if there are fewer than asked for."""
        self._starts += 1
        wanted = self._context.resources.workers
        if self._starts > 1:
            self._context.notice(
                f"a worker ended, so the training started again from its last checkpoint, on {devices} of {wanted} "
                "devices"
            )
        elif devices != wanted:
            self._context.notice(f"the training starts on {devices} of {wanted} devices; the others are in use")

    def _must_leave(self) -> bool:
        """Pass a wish to stop on to the workers. Return whether they took too long."""
        if not self._context.stop.is_set():
            return False
        if self._stop_time is None:
            self._stop_time = time.monotonic()
            self._mailbox.stop.remote()
        return time.monotonic() - self._stop_time > STOP_SECONDS

    def _why(self) -> Failure:
        if self._context.stop.is_set():
            return Failure("pre-empted", "the training was stopped")
        lines = str(self._error or "").strip().splitlines() or ["Ray Train ended without a result"]
        return Failure("lost", f"Ray Train could not run the training: {lines[-1]}")

    def _fit(self) -> None:
        """Run the workers to the end, in a thread of its own: the driver reads the mailbox meanwhile."""
        try:
            with (
                tempfile.TemporaryDirectory(prefix="hybrid-search-train-", ignore_cleanup_errors=True) as folder,
                _quiet_ray_train(),
            ):
                self._trainer(folder).fit()
        except BaseException as error:  # of any class: the driver says it
            self._error = error

    def _trainer(self, folder: str) -> Any:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        need, most = need_of(self._context.resources), self._context.resources.workers or 1
        workers: Any = (1, most)  # Ray Train starts fewer if a node is gone, and more when there is room again
        gpu = need.get("GPU", 0) > 0
        return TorchTrainer(
            train_on_device,
            train_loop_config=self._config,
            torch_config=TorchConfig("nccl" if gpu else "gloo", timeout_s=COLLECTIVE_SECONDS),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=need),
            # The mailbox decides when to give up.
            run_config=RunConfig(storage_path=folder, name="training", failure_config=FailureConfig(max_failures=-1)),
        )


@contextmanager
def _quiet_ray_train() -> Iterator[None]:
    """Set the environment and the log level that Ray Train reads, and restore them at the end."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    log = logging.getLogger("ray.train")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
