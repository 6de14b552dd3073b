"""The contract of a logger as a class of tests."""

from pathlib import Path
from typing import Any

import pytest

from hybrid_search.loggers import LoggedRun, Logger

TRIAL: dict[str, Any] = {
    "number": 3, "digest": "18cfebfaab91ae8b", "state": "complete", "attempt": 1, "seconds": 1.5, "failure": None,
    "flops": 648200.0, "params": 7902.0, "accuracy": 0.9,
}  # fmt: skip
EPOCH = {"train_loss": 0.5, "accuracy": 0.9}


class LoggerContract:
    """The tests that every logger must pass. Inherit from it in a test module.

    Example:
        >>> class TestLines(LoggerContract):
        ...     def new_logger(self, tmp_path, run):
        ...         return LinesLogger(str(tmp_path), run)
    """

    def new_logger(self, tmp_path: Path, run: LoggedRun) -> Logger:
        """Return the logger of a run.

        Args:
            tmp_path: a folder of this test.
            run: the run.
        """
        raise NotImplementedError

    @pytest.fixture(params=["search", "training"])
    def logged(self, request: Any, tmp_path: Path) -> LoggedRun:
        """Provide a run of each kind."""
        values = {"space": "digits", "epochs": 2, "learning_rate": 0.02, "data_dir": None}
        return LoggedRun(request.param, "digits", "0123456789abcdef" * 2, tmp_path / "runs" / "digits", values)

    def show(self, logger: Logger, run: LoggedRun, first: int = 1) -> None:
        """Show what a run of this kind has.

        Args:
            logger: the logger.
            run: the run.
            first: the number of the first trial or epoch.
        """
        for number in (first, first + 1):
            if run.kind == "search":
                logger.trial({**TRIAL, "number": number})
            else:
                logger.epoch(number, EPOCH)

    def test_a_run_is_shown_and_closed(self, tmp_path: Path, logged: LoggedRun) -> None:
        """Check: a run is shown and closed."""
        logger = self.new_logger(tmp_path, logged)
        self.show(logger, logged)
        logger.close()

    def test_a_run_that_continues_is_shown_by_a_new_logger(self, tmp_path: Path, logged: LoggedRun) -> None:
        """Check: a run that continues is shown by a new logger."""
        for first in (1, 2):
            logger = self.new_logger(tmp_path, logged)
            self.show(logger, logged, first)
            logger.close()

    def test_a_trial_without_measurements_is_shown(self, tmp_path: Path, logged: LoggedRun) -> None:
        """Check: a trial that failed, or was stopped early, is shown."""
        if logged.kind == "training":
            return
        logger = self.new_logger(tmp_path, logged)
        without = {name: value for name, value in TRIAL.items() if name != "accuracy"}
        logger.trial({**without, "state": "failed", "failure": "nan", "seconds": None})
        logger.trial({**without, "number": 4, "state": "stopped"})
        logger.close()

    def test_a_run_without_results_is_closed(self, tmp_path: Path, logged: LoggedRun) -> None:
        """Check: a run without results is closed."""
        self.new_logger(tmp_path, logged).close()
