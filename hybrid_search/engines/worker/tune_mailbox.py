"""The actor through which Tune's workers speak to the driver: reports, each taken once, and signs of life."""

import time

from hybrid_search.records import Report
from hybrid_search.training.checkpoints import Keeping


class Box:
    """Holds reports until they are taken, by the key of their Tune trial; and when each worker was last heard."""

    def __init__(self) -> None:
        self._reports: dict[str, Report] = {}
        self._heard: dict[str, tuple[float, float]] = {}
        self._keeping: dict[str, Keeping] = {}

    def keep(self, key: str, keeping: Keeping) -> None:
        """Say where a trial keeps its checkpoints: not in Tune's config, which its callbacks write down."""
        self._keeping[key] = keeping

    def keeping(self, key: str) -> Keeping | None:
        """Where this trial keeps its checkpoints, for the worker that begins it: its first sign of life."""
        self.live(key, 0.0)
        return self._keeping.pop(key, None)

    def put(self, key: str, report: Report) -> None:
        """Leave a report for the driver; it counts as a sign of life."""
        self._reports[key] = report
        self.live(key, 0.0)

    def take(self, key: str) -> Report:
        """The report of this trial, which the box then has no longer."""
        return self._reports.pop(key)

    def live(self, key: str, rung: float) -> None:
        """A sign of life of a worker whose rung has taken that many seconds."""
        self._heard[key] = time.monotonic(), rung

    def forget(self, key: str) -> None:
        """Let go of a trial that is over."""
        for held in (self._heard, self._reports, self._keeping):
            held.pop(key, None)

    def lives(self) -> dict[str, tuple[float, float]]:
        """By trial: seconds since its worker was heard, and seconds that its rung has taken."""
        now = time.monotonic()
        return {key: (now - when, rung + (now - when if rung else 0.0)) for key, (when, rung) in self._heard.items()}
