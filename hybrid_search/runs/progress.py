"""Progress of a search, a confirmation or baselines on stderr: a bar in a terminal or notebook, otherwise lines."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hybrid_search.engines.driver import RunContext
from hybrid_search.runs.baseline_lines import FollowedBaselines
from hybrid_search.runs.time_left import TimeLeft
from hybrid_search.runs.trial_lines import Followed, FollowedConfirmation, FollowedSearch, duration_text
from hybrid_search.search.baseline_run import BaselineRun
from hybrid_search.search.confirmation import Confirmation
from hybrid_search.search.search import Search

if TYPE_CHECKING:
    from rich.console import Console

ENDS = ("complete", "stopped", "failed")  # events after which a trial no longer runs
SILENCE = 30.0  # seconds after which a line is printed where there is no bar
MAX_RUNNING = 6  # running trials that the bar lists


@dataclass(frozen=True)
class Terminal:
    """The output of a running command: the bar, lines of progress, and notices that are never left out.

    Args:
        console: The console of stderr.
        quiet: Whether bar and lines of progress are left out.
    """

    console: "Console"
    quiet: bool = False

    def notice(self, text: str) -> None:
        """Print a line that the user must read, above the bar."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line of progress or advice, unless the command is quiet."""
        if not self.quiet:
            self.notice(text)

    @contextmanager
    def follow(self, running: Search | Confirmation | BaselineRun, context: RunContext) -> Iterator[None]:
        """Show the progress of a search, a confirmation or baselines while the block runs.

        Args:
            running: What runs.
            context: Its context; `on_event` is replaced while the block runs.
        """
        followed = _followed(running)
        before, state = context.on_event, _State(followed, TimeLeft())
        for line in followed.opening(context):
            self.say(line)
        bar = _bar(state, self.console) if has_bar(self.console) and not self.quiet else None

        alive = _Heartbeat(lambda: self.say(f"{state.running()} [{state.summary()}]"))

        def on_event(kind: str, number: int) -> None:
            before(kind, number)
            state.update(kind, number)
            if not self.quiet and (kind == "retry" or kind in ENDS):
                line = followed.line(kind, number)
                self.say(line if bar is not None else f"{line} [{state.summary()}]")
                alive.printed()

        context.on_event = on_event
        try:
            with alive if bar is None else bar:
                yield
        finally:
            context.on_event = before


def _followed(running: Search | Confirmation | BaselineRun) -> Followed:
    if isinstance(running, Search):
        return FollowedSearch(running)
    return FollowedBaselines(running) if isinstance(running, BaselineRun) else FollowedConfirmation(running)


class _Heartbeat:
    """A thread that prints a line after a while without one, so that a long epoch does not look like a hang."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._ended, self._printed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "_Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._printed.set()
        self._thread.join()

    def printed(self) -> None:
        """Note that a line was printed."""
        self._printed.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            if not self._printed.wait(SILENCE):
                self._say()
            self._printed.clear()


class _State:
    """The totals after the last event, and the time left from then on."""

    def __init__(self, followed: Followed, times: TimeLeft) -> None:
        self.followed, self.times = followed, times
        self.totals = followed.totals()

    def update(self, kind: str, number: int) -> None:
        """Take note of an event."""
        if kind == "started":
            self.times.start(number, *self.followed.started(number))
        elif kind == "report":
            self.times.rung(number)
        elif kind in ENDS:
            self.times.end(number, failed=kind == "failed")
        elif kind == "retry":
            self.times.end(number, failed=True)
            self.times.start(number, *self.followed.started(number))
        self.totals = self.followed.totals()

    def time_left(self) -> str:
        """Return the time left in words; "" while it is unknown."""
        fewest, most = (self.times.seconds(count, self.followed.future_cost()) for count in self.totals.remaining)
        if fewest is None or most is None:
            return ""
        if self.totals.remaining[0] == self.totals.remaining[1]:
            return f"about {duration_text(most)} left"
        return f"{duration_text(fewest)} to {duration_text(most)} left"

    def summary(self) -> str:
        """Return the totals and the time left: `12/32, about 0:02:10 left`."""
        total = "" if self.totals.total is None else f"/{self.totals.total}"
        left = self.time_left() if any(self.totals.remaining) or self.times.running() else ""
        return ", ".join(part for part in (f"{self.totals.done}{total}", left) if part)

    def running(self) -> str:
        """Return the running trials with their epochs: `running: trial 12 (epoch 5 of 8, 0:00:04)`."""
        rows = self.times.running()
        shown = [
            f"{self.followed.label(number)} (epoch {min(rung + 1, rungs)} of {rungs}, {duration_text(seconds)})"
            for number, rung, rungs, seconds in rows[:MAX_RUNNING]
        ]
        more = f" and {len(rows) - MAX_RUNNING} more" if len(rows) > MAX_RUNNING else ""
        return f"running: {', '.join(shown)}{more}" if shown else "no trial runs"


def terminal(*, quiet: bool = False) -> Terminal:
    """Return the terminal of stderr; in a notebook, the output of the cell.

    Args:
        quiet: Whether bar and lines of progress are left out.
    """
    from rich.console import Console

    return Terminal(Console(stderr=True), quiet)


def shown_progress(
    progress: bool | Terminal, context: RunContext, notice: Callable[[str], None] | None
) -> Terminal | None:
    """Return the terminal that shows a run, and set where its notices go; None if no progress is shown.

    Args:
        progress: A terminal, or whether to use that of stderr.
        context: The context of the run.
        notice: Called with each notice; default: above the bar, or on stderr.
    """
    shown = progress if isinstance(progress, Terminal) else terminal() if progress else None
    if notice is not None:
        context.notice = notice
    elif shown is not None:
        context.notice = shown.notice
    return shown


def has_bar(console: "Console") -> bool:
    """Return whether a bar can be drawn: in a terminal, and in a notebook with ipywidgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


def _bar(state: _State, console: "Console") -> Any:
    """Return the bar: a line with the count and the time left, then lines that wrap instead of being cut."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Bar(Progress):
        def get_renderables(self) -> Iterable[Any]:
            for task in self.task_ids:
                self.update(task, completed=state.totals.done, total=state.totals.total)
            yield self.make_tasks_table(self.tasks)
            yield Text(", ".join(part for part in (state.time_left(), state.totals.text) if part))
            yield Text(state.running())

    title = TextColumn("[bold]{task.description}")
    bar = Bar(
        title, BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), console=console, refresh_per_second=4
    )
    bar.add_task(state.followed.title, total=state.totals.total)
    return bar
