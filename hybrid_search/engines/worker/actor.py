"""The worker process of engine `ray`: one trial at a time, one rung a call."""

import gc
import sys
from dataclasses import replace
from typing import Any

from hybrid_search.engines.worker import Advancing, Evaluate
from hybrid_search.records import Report
from hybrid_search.training.checkpoints import Keeping

FETCH_SECONDS = 60.0
PULSE = "pulse"  # the concurrency group that answers while a rung is trained


class Actor:
    """One worker process. It keeps its data set and its Python imports from trial to trial.

    `evaluate`: a reference to the evaluation, in a list so that it is fetched with the first trial only.
    """

    def __init__(self, evaluate: list[Any]) -> None:
        self._where = evaluate
        self._evaluate: Evaluate | None = None
        self._advancing: Advancing | None = None

    def start(self, architecture: dict[str, Any], settings: dict[str, Any], keeping: Keeping | None = None) -> Report:
        """Begin a trial, from its newest checkpoint where it keeps any, and run its first rung."""
        import ray

        from hybrid_search.networks.architecture import Architecture
        from hybrid_search.records import Settings

        self.rest()
        if self._evaluate is None:
            self._evaluate = ray.get(self._where[0])
        made = Architecture.from_dict(architecture), Settings.from_dict(settings)
        self._advancing = Advancing(self._evaluate, *made, keeping)
        return self.advance()

    def advance(self) -> Report:
        """Run the next rung."""
        assert self._advancing is not None
        report = lightened(self._advancing.advance())
        if report.last:
            self.rest()
        return report

    def rest(self) -> None:
        """Let go of the trial and of its memory, that of the GPU too: another worker may share it."""
        self._advancing = None
        free_gpu()

    def pulse(self) -> None:
        """Nothing, from a thread of its own: a process that is stopped or gone does not say it."""


def free_gpu() -> None:
    """Give memory that no tensor holds back to the GPU, in a process that used one. Loads nothing."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()  # networks are full of cycles, and each holds its tensors
        torch.cuda.empty_cache()


def lightened(report: Report) -> Report:
    """The report with its weights left in this node's object store, until the driver asks for them."""
    import ray

    return replace(report, weights=[ray.put(report.weights)]) if isinstance(report.weights, bytes) else report


def fetched(refs: Any) -> bytes | None:
    """The weights that were left behind; None when the worker that held them is gone (export trains them again)."""
    import ray
    from ray.exceptions import RayError

    try:
        return bytes(ray.get(refs[0], timeout=FETCH_SECONDS))
    except RayError:
        return None
