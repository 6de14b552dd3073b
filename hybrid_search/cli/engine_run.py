"""Handle signals, progress and stdout for the commands that run trials: `run`, `confirm` and `baseline`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from hybrid_search.cli.progress import keep_signal_handlers, progress_on_stderr
from hybrid_search.cli.signals import StopRequest, stop_on_signals

if TYPE_CHECKING:
    from hybrid_search.engines.driver import RunContext


@contextmanager
def engine_run(quiet: bool, log_level: str | None) -> Iterator[tuple[StopRequest, dict[str, Any]]]:
    """Handle signals and show progress while the block calls a function that runs trials.

    What libraries print on stdout goes to stderr.

    Args:
        quiet: No bar and no lines of progress.
        log_level: Lowest level of log events to show; None: none, and `info` in the log file.

    Yields:
        The request to stop, and the arguments `watch`, `progress` and `log_level` of the function.
    """
    with redirect_stdout(sys.stderr), stop_on_signals() as stop, progress_on_stderr(quiet, log_level) as shown:

        def watch(_search: object, context: "RunContext") -> None:
            keep_signal_handlers(context)
            stop.context = context

        yield stop, {"watch": watch, "progress": shown, "log_level": log_level or "info"}
