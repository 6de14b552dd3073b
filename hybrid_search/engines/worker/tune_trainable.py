"""The worker process of engine `tune`: one trial, one rung per step.

Tune's results carry the numbers, for its callbacks. The complete report, with texts and weights, goes through the
mailbox: texts and weights must not be written to Tune's files. Heartbeats go through the mailbox too.
"""

import threading
import time
from functools import cache
from typing import Any

import ray
from ray import tune

from hybrid_search.engines.worker import TrialRunner
from hybrid_search.engines.worker.actor import free_gpu_memory, without_weights
from hybrid_search.engines.worker.packed_evaluation import PackedEvaluation
from hybrid_search.engines.worker.trial_start import start_trial
from hybrid_search.records import Report


class TrialTrainable(tune.Trainable):
    """One worker process under Tune. Tune reuses it from trial to trial."""

    def setup(self, config: dict[str, Any], evaluate: PackedEvaluation, mailbox: Any, period: float) -> None:  # type: ignore[override]
        """Start the first trial, and send a heartbeat every `period` seconds."""
        self._unpack, self._mailbox = cache(evaluate.unpack), mailbox
        self._rung_start: float | None = None
        self._closed = threading.Event()
        self.reset_config(config)
        threading.Thread(target=self._send_heartbeats, args=(period,), daemon=True).start()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Release the memory of the last trial and start another one."""
        self._started: TrialRunner | Report | None = None
        free_gpu_memory()
        self.config, self._key = new_config, new_config["key"]
        checkpoints = ray.get(self._mailbox.take_checkpoints.remote(self._key))
        self._started = start_trial(self._unpack, new_config["architecture"], new_config["settings"], checkpoints)
        return True

    def step(self) -> dict[str, Any]:
        """Run the next rung and return its numbers."""
        assert self._started is not None
        self._rung_start = time.monotonic()
        report = self._started if isinstance(self._started, Report) else without_weights(self._started.advance())
        self._rung_start = None
        ray.get(self._mailbox.put_report.remote(self._key, report))
        return {"rung": report.rung, **report.measurements}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Save nothing: the mailbox carries the weights, and checkpoints are written elsewhere."""
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing, because nothing was saved."""

    def cleanup(self) -> None:
        """Stop the heartbeats."""
        self._closed.set()

    def _send_heartbeats(self, period: float) -> None:
        while not self._closed.wait(period):
            start = self._rung_start
            self._mailbox.heartbeat.remote(self._key, 0.0 if start is None else time.monotonic() - start)
