"""The worker process of engine `ray`: one trial at a time, one rung per call."""

import gc
import sys
from dataclasses import replace
from typing import Any

from hybrid_search.engines.worker import Evaluate, TrialRunner
from hybrid_search.records import Report
from hybrid_search.training.checkpoints import TrialCheckpoints

FETCH_SECONDS = 60.0
HEARTBEAT = "heartbeat"  # the concurrency group that answers while a rung is trained


class TrialActor:
    """One worker process. Its data set and its Python imports stay loaded from trial to trial.

    Args:
        evaluate: A reference to the `PackedEvaluation`, in a list: Ray would otherwise fetch it when the actor starts.
    """

    def __init__(self, evaluate: list[Any]) -> None:
        self._reference = evaluate
        self._evaluate: Evaluate | None = None
        self._runner: TrialRunner | None = None

    def start(
        self, architecture: dict[str, Any], settings: dict[str, Any], checkpoints: TrialCheckpoints | None = None
    ) -> Report:
        """Start a trial, from its newest checkpoint if it has one, and run its first rung."""
        from hybrid_search.engines.worker.trial_start import start_trial

        self.release()
        started = start_trial(self._unpacked, architecture, settings, checkpoints)
        if isinstance(started, Report):
            return started
        self._runner = started
        return self.advance()

    def _unpacked(self) -> Evaluate:
        import ray

        if self._evaluate is None:
            self._evaluate = ray.get(self._reference[0]).unpack()
        return self._evaluate

    def advance(self) -> Report:
        """Run the next rung."""
        assert self._runner is not None
        report = without_weights(self._runner.advance())
        if report.last:
            self.release()
        return report

    def release(self) -> None:
        """Release the trial and its memory. Another worker may use the same GPU."""
        self._runner = None
        free_gpu_memory()

    def heartbeat(self) -> None:
        """Do nothing, in a thread of its own. An answer shows that this process is alive."""


def free_gpu_memory() -> None:
    """Return unused cached memory to the GPU. Does nothing in a process that has not used a GPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()  # networks contain reference cycles, and each cycle holds its tensors
        torch.cuda.empty_cache()


def without_weights(report: Report) -> Report:
    """Move the weights of a report to the object store of this node, until the driver fetches them."""
    import ray

    return replace(report, weights=[ray.put(report.weights)]) if isinstance(report.weights, bytes) else report


def fetch_weights(references: Any) -> bytes | None:
    """Return the weights that `without_weights` stored; None if the worker with them is gone."""
    import ray
    from ray.exceptions import RayError

    try:
        return bytes(ray.get(references[0], timeout=FETCH_SECONDS))
    except RayError:
        return None
