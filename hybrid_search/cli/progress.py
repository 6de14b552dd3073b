"""Progress of a running command on stderr, with the events of the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hybrid_search.cli.signals import restorer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from hybrid_search.engines.driver import RunContext
    from hybrid_search.runs.progress import Terminal


@contextmanager
def progress_on_stderr(quiet: bool, log_level: str | None) -> Iterator["Terminal"]:
    """Return the terminal that a run prints on, and show log events on it while the block runs.

    Args:
        quiet: No bar and no lines of progress.
        log_level: Lowest level of log events to show; None: none.
    """
    from hybrid_search.runs.progress import terminal

    shown = terminal(quiet=quiet)
    with log_on(shown.console, log_level):
        yield shown


def keep_signal_handlers(context: "RunContext") -> None:
    """Restore the present signal handlers at each event of a run, because Ray replaces the one of SIGTERM."""
    restore = restorer()
    context.on_event = lambda kind, number: restore()


def progress_bar() -> "Progress":
    """Return a bar on stderr: a title, a count, elapsed time and time left. It is shown on terminals only."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def log_on(console: "Console", level: str | None) -> Iterator[None]:
    """Show log events of this level and above on a console while the block runs; None: show none."""
    if level is None:
        yield
        return
    from rich.highlighter import NullHighlighter
    from rich.logging import RichHandler

    from hybrid_search._internal.event_log import LOG, AsText, level_of

    handler = RichHandler(level_of(level), console, show_path=False, markup=False, highlighter=NullHighlighter())
    handler.setFormatter(AsText())
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
