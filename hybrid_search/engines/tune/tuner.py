"""The Tuner of engine `tune`: Tune's own files in a temporary folder, its output off, signals left to the command."""

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

from hybrid_search.engines.driver import Driven, Plan
from hybrid_search.engines.ray.session import fits, need_of
from hybrid_search.engines.tune.searcher import TuneScheduler, TuneSearcher
from hybrid_search.engines.tune.worker import trainable

LOOK_SECONDS = 1.0  # between two looks at the cluster's nodes
MOST = 100_000  # trials at a time where the plan names no number: what the cluster holds counts then

# Read by Tune while it runs: no log files of its own, signals left to whoever has them, no advice on either.
ALONE = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # whose first table is printed at any verbosity
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


class _Stop(Stopper):
    """Stops all of Tune's trials when the search has ended, killing workers that would first finish their rung."""

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


def fit(search: Driven, plan: Plan) -> None:
    """Run the search to its end under Tune, or until the plan says stop."""
    need = need_of(plan)
    searcher = TuneSearcher(search, plan, _Fits(need))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="hybrid-search-tune-", ignore_cleanup_errors=True) as folder,
            _alone(),
            _every_death_known(),
        ):
            tune.Tuner(
                tune.with_resources(
                    trainable(plan.evaluate, searcher), tune.PlacementGroupFactory([need or {"CPU": 0.001}])
                ),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=TuneScheduler(searcher),
                    num_samples=-1,
                    max_concurrent_trials=plan.workers or MOST,
                    reuse_actors=True,
                    trial_name_creator=_name,
                    trial_dirname_creator=_name,
                ),
                run_config=tune.RunConfig(
                    storage_path=folder,
                    name="search",
                    verbose=0,
                    stop=_Stop(searcher),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                ),
            ).fit()
    finally:
        searcher.close()


class _Fits:
    """How many trials the cluster holds, looked up once a second."""

    def __init__(self, need: dict[str, float]) -> None:
        self._need, self._count, self._looked = need, 0, -math.inf

    def __call__(self) -> int:
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._count, self._looked = fits(self._need), time.monotonic()
        return self._count


@contextmanager
def _every_death_known() -> Iterator[None]:
    """Tune 2.60 gives up the whole run where Ray says of a dead worker that memory ran out or its node died, for it
    knows RayActorError alone: as long as this lasts, such words reach it as one."""
    told: Any = RayActorManager._actor_task_failed

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=str(exception))
        told(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = failed  # type: ignore[method-assign]
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = told  # type: ignore[method-assign]


def _name(trial: TuneTrial) -> str:
    return f"trial-{trial.config['trial']}-{trial.config['attempt']}-{trial.trial_id}"


@contextmanager
def _alone() -> Iterator[None]:
    """Tune as this engine wants it, for as long as this lasts."""
    before = {name: os.environ.get(name) for name in ALONE}
    os.environ.update(ALONE)
    log = logging.getLogger("ray.tune")
    level = log.level
    log.setLevel(logging.CRITICAL)  # a lost worker is an error to Tune; the search says what becomes of its trial
    try:
        yield
    finally:
        log.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
