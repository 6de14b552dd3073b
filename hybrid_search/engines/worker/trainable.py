"""What runs on a worker of Ray Tune: one trial, a rung a step; and the box through which it speaks to the driver.

Tune carries the numbers, for its callbacks. The report itself, with texts and weights, goes through the box, so that
neither lies in Tune's files; and signs of life do, which Tune does not ask for.
"""

import threading
import time
from typing import Any

import ray
from ray import tune

from hybrid_search.engines.worker import Advancing, Evaluate
from hybrid_search.engines.worker.actor import free_gpu, lightened
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import Settings


class TrialTrainable(tune.Trainable):
    """One worker process under Tune; reused from trial to trial."""

    def setup(self, config: dict[str, Any], evaluate: Evaluate, box: Any, beat: float) -> None:  # type: ignore[override]
        """Begin the first trial, and the signs of life: one in `beat` seconds."""
        self._evaluate, self._box = evaluate, box
        self._began: float | None = None  # the present rung
        self._over = threading.Event()
        self.reset_config(config)
        threading.Thread(target=self._live, args=(beat,), daemon=True).start()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial; the memory of the one before is let go."""
        self._advancing: Advancing | None = None
        free_gpu()
        self.config, self._key = new_config, new_config["key"]
        made = Architecture.from_dict(new_config["architecture"]), Settings.from_dict(new_config["settings"])
        self._advancing = Advancing(self._evaluate, *made, ray.get(self._box.keeping.remote(self._key)))
        return True

    def step(self) -> dict[str, Any]:
        """Run the next rung; its numbers."""
        assert self._advancing is not None
        self._began = time.monotonic()
        report = lightened(self._advancing.advance())
        self._began = None
        ray.get(self._box.put.remote(self._key, report))
        return {"rung": report.rung, **report.measurements}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing: Tune saves a trial when it ends, and this one's weights went through the box."""
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, because nothing was saved."""

    def cleanup(self) -> None:
        """End the signs of life."""
        self._over.set()

    def _live(self, beat: float) -> None:
        while not self._over.wait(beat):
            began = self._began
            self._box.live.remote(self._key, 0.0 if began is None else time.monotonic() - began)
