"""Progress of a running command on stderr: a bar in a terminal, plain lines elsewhere, and events of the log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_search.cli.signals import restorer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from hybrid_search.engines.driver import RunContext

EVENTS = {"complete": "complete", "stopped": "pruned", "failed": "failed", "retry": "is retried"}  # in words


@dataclass(frozen=True)
class Standing:
    """What the bar shows: the number of trials that ended, the total (None: unknown), and a short text."""

    done: int
    total: int | None
    text: str


@dataclass(frozen=True)
class Terminal:
    """Where a running command prints: the bar, lines of progress, and notices that are never left out."""

    bar: "Progress"
    quiet: bool

    def notice(self, text: str) -> None:
        """Print a line that the user must read, above the bar."""
        self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line of progress or advice, unless the command is quiet."""
        if not self.quiet:
            self.notice(text)

    def follow(
        self, context: "RunContext", name: str, standing: Callable[[], Standing], reason: Callable[[str, int], str]
    ) -> None:
        """Update the bar after each event of a run. Without a terminal, print one line for each event.

        Args:
            context: The run.
            name: The title of the bar.
            standing: Returns what the bar shows now.
            reason: Returns why a trial failed, given the event and the number of the trial; "" for other events.
        """
        now = standing()
        task = self.bar.add_task(name, total=now.total, completed=now.done, state="")
        restore_handlers = restorer()

        def on_event(kind: str, number: int) -> None:
            restore_handlers()
            if kind not in EVENTS:
                return
            now = standing()
            self.bar.update(task, completed=now.done, state=now.text)
            why = reason(kind, number)
            if why or not self.bar.console.is_terminal:
                total = "" if now.total is None else f"/{now.total}"
                self.say(f"trial {number} {EVENTS[kind]}: {now.done}{total}, {now.text}{f' ({why})' if why else ''}")

        context.on_event = on_event


@contextmanager
def terminal(quiet: bool, log_level: str | None, *, time_left: bool = True) -> Iterator[Terminal]:
    """Show a bar on stderr while the block runs.

    Args:
        quiet: No bar and no lines of progress.
        log_level: Lowest level of log events to show; None: none.
        time_left: Whether the bar shows the time left.
    """
    with progress_bar(time_left=time_left, quiet=quiet) as bar, log_on(bar.console, log_level):
        yield Terminal(bar, quiet)


def progress_bar(*, state: bool = True, time_left: bool = True, quiet: bool = False) -> "Progress":
    """Return a bar on stderr: a title, a count, a text (`state`), elapsed time and time left. Terminals only."""
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
        *([TextColumn("{task.fields[state]}")] if state else []),
        TimeElapsedColumn(),
        *([TextColumn("left"), TimeRemainingColumn()] if time_left else []),
        console=console,
        disable=quiet or not console.is_terminal,
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
