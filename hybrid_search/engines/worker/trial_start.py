"""Start a trial in a worker process: unpack what the driver sent into a TrialRunner, or report a failure."""

from collections.abc import Callable
from typing import Any

from hybrid_search.engines.worker.evaluation_protocol import Evaluate
from hybrid_search.engines.worker.failure_report import comes_from_outside, failure_from
from hybrid_search.engines.worker.interrupts import interrupts_marked
from hybrid_search.engines.worker.trial_runner import TrialRunner
from hybrid_search.networks.network import stored_network
from hybrid_search.records import Report, Settings
from hybrid_search.training.checkpoints import AnyCheckpoints


def start_trial(
    unpack: Callable[[], Evaluate],
    architecture: dict[str, Any],
    settings: dict[str, Any],
    checkpoints: AnyCheckpoints | None,
) -> TrialRunner | Report:
    """Return the runner of a trial; a report with a failure if this process lacks a module, a plugin or a file.

    Args:
        unpack: Returns the evaluation.
        architecture: The architecture as plain JSON.
        settings: The settings as plain JSON.
        checkpoints: Where the trial reads and writes checkpoints; None: nowhere.
    """
    try:
        with interrupts_marked():
            evaluate = unpack()  # first, because plugins may lie in the folders of the driver
        parsed = stored_network(architecture), Settings.from_dict(settings)
        return TrialRunner(evaluate, *parsed, checkpoints)
    except BaseException as error:
        if comes_from_outside(error):
            raise
        return Report(0, {}, last=True, failure=failure_from(error))
