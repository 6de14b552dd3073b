"""The Tuner of engine `tune`: Tune's files in a temporary folder, no output, no signal handlers; and `trainable`."""

import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.stopper import Stopper

from hybrid_search.engines.driver import RunContext, TrialSource
from hybrid_search.engines.ray.session import count_slots, need_of
from hybrid_search.engines.tune.scheduler import TuneScheduler
from hybrid_search.engines.tune.searcher import TuneSearcher
from hybrid_search.engines.worker import Evaluate
from hybrid_search.engines.worker.packed_evaluation import PackedEvaluation
from hybrid_search.engines.worker.tune_trainable import TrialTrainable

CHECK_SECONDS = 1.0  # between two checks of the cluster's nodes
MAX_TRIALS = 100_000  # trials at a time if --workers is not given; the room of the cluster is the limit then

# Tune reads these while it runs: no log files, no signal handlers, no advice.
ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints its first table at any verbosity
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def trainable(evaluate: Evaluate | PackedEvaluation, searcher: TuneSearcher) -> type[tune.Trainable]:
    """Return the Trainable of a search, for a Tuner of your own.

    Args:
        evaluate: The evaluation that workers run, packed or not.
        searcher: The searcher of the same Tuner.

    Returns:
        A Trainable class. Assign its resources with `tune.with_resources`.

    Raises:
        SettingsError: The evaluation cannot be pickled.

    Example:
        >>> tune.Tuner(tune.with_resources(trainable(evaluate, searcher), {"cpu": 1}), ...)
    """
    packed = evaluate if isinstance(evaluate, PackedEvaluation) else PackedEvaluation.of(evaluate)
    made: type[tune.Trainable] = tune.with_parameters(
        TrialTrainable, evaluate=packed, mailbox=searcher.mailbox, period=searcher.heartbeat_seconds
    )
    return made


def fit(search: TrialSource, context: RunContext) -> None:
    """Run trials under Tune until the search has none left, or until `context.stop` is set."""
    need = need_of(context.resources)
    packed = context.packed_evaluation()
    searcher = TuneSearcher(search, context, _Room(need))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="hybrid-search-tune-", ignore_cleanup_errors=True) as folder,
            _quiet_tune(),
            _all_deaths_as_actor_errors(),
        ):
            tune.Tuner(
                tune.with_resources(
                    trainable(packed, searcher),
                    tune.PlacementGroupFactory([need or {"CPU": 0.001}]),
                ),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=TuneScheduler(searcher),
                    num_samples=-1,
                    max_concurrent_trials=context.resources.workers or MAX_TRIALS,
                    reuse_actors=True,
                    trial_name_creator=_name,
                    trial_dirname_creator=_name,
                ),
                run_config=tune.RunConfig(
                    storage_path=folder,
                    name="search",
                    verbose=0,
                    stop=_SearchStopper(searcher),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                ),
            ).fit()
    finally:
        searcher.close()


class _SearchStopper(Stopper):
    """Stops all of Tune's trials when the search has ended. It kills the workers, so that no rung delays the end."""

    def __init__(self, searcher: TuneSearcher) -> None:
        self._searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._searcher.ended:
            self._searcher.kill_workers()
        return self._searcher.ended


class _Room:
    """The number of trials that the cluster has room for, counted once a second."""

    def __init__(self, need: dict[str, float]) -> None:
        self._need, self._count, self._last_check = need, 0, -math.inf

    def __call__(self) -> int:
        if time.monotonic() - self._last_check >= CHECK_SECONDS:
            self._count, self._last_check = count_slots(self._need), time.monotonic()
        return self._count


@contextmanager
def _all_deaths_as_actor_errors() -> Iterator[None]:
    """Convert other Ray errors about a dead worker to RayActorError.

    Tune 2.60 handles RayActorError only. It stops the whole run if Ray reports that memory ran out or a node died.
    """
    original: Any = RayActorManager._actor_task_failed

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=str(exception))
        original(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = failed  # type: ignore[method-assign]
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = original  # type: ignore[method-assign]


def _name(trial: TuneTrial) -> str:
    return f"trial-{trial.config['trial']}-{trial.config['attempt']}-{trial.trial_id}"


@contextmanager
def _quiet_tune() -> Iterator[None]:
    """Set the environment and the log level that Tune reads, and restore them at the end."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    log = logging.getLogger("ray.tune")
    level = log.level
    log.setLevel(logging.CRITICAL)  # Tune logs a lost worker as an error; here it is a retry
    try:
        yield
    finally:
        log.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
