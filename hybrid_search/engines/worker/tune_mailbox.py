"""TuneMailbox: the actor between Tune's workers and the driver. It holds reports and heartbeats."""

import time

from hybrid_search.records import Report
from hybrid_search.training.checkpoints import TrialCheckpoints


class TuneMailbox:
    """Holds the report of each Tune trial until the driver takes it, and the time of each worker's last heartbeat.

    The key of everything is the id of the Tune trial.
    """

    def __init__(self) -> None:
        self._reports: dict[str, Report] = {}
        self._heartbeats: dict[str, tuple[float, float]] = {}  # time, and seconds of the running rung at that time
        self._checkpoints: dict[str, TrialCheckpoints] = {}

    def put_checkpoints(self, key: str, checkpoints: TrialCheckpoints) -> None:
        """Store where a trial writes checkpoints. Tune's callbacks write down its config, so it is not there."""
        self._checkpoints[key] = checkpoints

    def take_checkpoints(self, key: str) -> TrialCheckpoints | None:
        """Return where a trial writes checkpoints and remove it. The call counts as the first heartbeat."""
        self.heartbeat(key, 0.0)
        return self._checkpoints.pop(key, None)

    def put_report(self, key: str, report: Report) -> None:
        """Store a report for the driver. The call counts as a heartbeat."""
        self._reports[key] = report
        self.heartbeat(key, 0.0)

    def take_report(self, key: str) -> Report:
        """Return the report of a trial and remove it."""
        return self._reports.pop(key)

    def heartbeat(self, key: str, rung_seconds: float) -> None:
        """Record that a worker is alive, and how long its running rung has taken (0: no rung is running)."""
        self._heartbeats[key] = time.monotonic(), rung_seconds

    def forget(self, key: str) -> None:
        """Remove everything about a trial."""
        for entries in (self._heartbeats, self._reports, self._checkpoints):
            entries.pop(key, None)

    def heartbeats(self) -> dict[str, tuple[float, float]]:
        """Return, by trial, the seconds since its last heartbeat, and the seconds that its rung has taken."""
        now = time.monotonic()
        return {
            key: (now - when, rung + (now - when if rung else 0.0)) for key, (when, rung) in self._heartbeats.items()
        }
