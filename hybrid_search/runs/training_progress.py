"""The progress of a full training on stderr: a bar with steps in a terminal, and one line for each epoch."""

import time
from types import TracebackType
from typing import Any

from hybrid_search._internal.counted import counted
from hybrid_search.records import Report
from hybrid_search.runs.progress import Terminal, has_bar
from hybrid_search.runs.training_job import TrainingJob
from hybrid_search.runs.trial_lines import duration_text

REFRESH = 0.25  # seconds between two updates of the bar


class TrainingProgress:
    """The progress of one training. As a context manager it shows the bar.

    Args:
        job: The training.
        terminal: Where to print; None: nowhere.
    """

    def __init__(self, job: TrainingJob, terminal: Terminal | None) -> None:
        self._job, self._terminal = job, terminal
        self._epochs = job.settings.epochs
        self._done = 0
        self._started: float | None = None  # when the first epoch of this process began
        self._first = 0  # epochs that were complete before
        self._bar: Any = None
        self._shown = 0.0

    def __enter__(self) -> "TrainingProgress":
        terminal, job = self._terminal, self._job
        assert terminal is not None
        search = "" if job.search is None else f" of search {job.search.name!r}"
        terminal.say(
            f"training {job.design}{search}: {job.architecture}; {counted(self._epochs, 'epoch')} on "
            f"{job.settings.data}, recipe {job.recipe}, seed {job.settings.seed}"
        )
        if has_bar(terminal.console) and not terminal.quiet:
            self._bar = _bar(terminal.console)
            self._task = self._bar.add_task("epoch 1", total=1.0, left="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, step: int, steps: int) -> None:
        """Show that a step of the present epoch is done.

        Args:
            step: Its number, from 1.
            steps: The number of steps of an epoch.
        """
        now = time.monotonic()
        if self._started is None:
            self._started, self._first = now, self._done
        if self._bar is None or now - self._shown < REFRESH:
            return
        self._shown = now
        self._bar.update(
            self._task,
            completed=step / steps,
            description=f"epoch {self._done + 1} of {self._epochs}",
            left=self._left(self._done + step / steps),
        )

    def epoch(self, report: Report) -> None:
        """Show the numbers of an epoch. Those of a checkpoint are shown in one line, before the first step.

        Args:
            report: The report of the epoch.
        """
        resumed = report.facts.get("resumed", "").removeprefix("rung ")
        self._done = report.rung
        if self._terminal is None:
            return
        if resumed.isdecimal() and report.rung <= int(resumed):
            if report.rung == int(resumed):
                self._terminal.say(f"continuing after epoch {resumed} of {self._epochs}")
                self._first = report.rung
            return
        self._terminal.say(self._line(report))

    def _line(self, report: Report) -> str:
        """Return `epoch 3 of 30: loss 0.4120, validation accuracy 96.52 %, 5,321 images/s, 0:00:21 left`."""
        measured = report.measurements
        parts = [f"loss {measured['train_loss']:.4f}"]
        if "accuracy" in measured:
            parts.append(f"validation accuracy {100 * measured['accuracy']:.2f} %")
        if "images_per_second" in measured:
            parts.append(f"{measured['images_per_second']:,.0f} images/s")
        if report.rung < self._epochs and (left := self._left(report.rung)):
            parts.append(left)
        return f"epoch {report.rung} of {self._epochs}: {', '.join(parts)}"

    def _left(self, epochs: float) -> str:
        """Return the time left after so many epochs, scoring included; "" while it is unknown."""
        done = epochs - self._first
        if self._started is None or done <= 0:
            return ""
        seconds = (time.monotonic() - self._started) / done * (self._epochs - epochs)
        return f"{duration_text(seconds)} left"


def _bar(console: Any) -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    return Progress(*columns, console=console, refresh_per_second=4)
