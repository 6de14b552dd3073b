"""TuneScheduler: Tune runs each trial until the search stops it."""

from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from hybrid_search.engines.tune.searcher import TuneSearcher

NO_REASON = "Tune gives no reason"


class TuneScheduler(FIFOScheduler):
    """Tune's scheduler for a TuneSearcher: first in, first out, and each trial runs until its search stops it.

    Args:
        searcher: The searcher of the same Tuner.

    Example:
        >>> tune.TuneConfig(search_alg=searcher, scheduler=TuneScheduler(searcher), num_samples=-1)
    """

    def __init__(self, searcher: TuneSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Register a Tune trial that is about to run."""
        self._searcher.register(trial)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        """Record a rung; return whether the Tune trial continues."""
        continues = self._searcher.handle_result(trial.trial_id)
        return TrialScheduler.CONTINUE if continues else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Record that a worker is gone, or could not start."""
        self._searcher.handle_error(trial.trial_id, _last_error(trial))


def _last_error(trial: TuneTrial) -> str:
    """Return the last error of a trial. In Tune's file each error starts with `Failure #` and has its own lines."""
    try:
        text = Path(trial.error_file or "").read_text(encoding="utf-8")
    except OSError:
        return NO_REASON
    _, _, message = text.rpartition("Failure #")[2].strip().partition("\n")
    return message or NO_REASON
