"""LOGGERS, the table of loggers. A logger is imported when its name is used.

Another package adds a logger through the entry-point group `hybrid_search.loggers`:

    [project.entry-points."hybrid_search.loggers"]
    slack = "my_package.slack:SlackLogger"

`--log slack:CHANNEL` then calls `SlackLogger.check("CHANNEL")` and `SlackLogger("CHANNEL", run)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from hybrid_search.errors import PluginError
from hybrid_search.plugins import Table

METHODS = ("check", "trial", "epoch", "close")


@dataclass(frozen=True)
class LoggedRun:
    """The run that a logger follows: one search, or one full training.

    Attributes:
        kind: "search" or "training".
        name: Name of the search, or of the training with the first digits of its identity.
        uid: The same whenever this search or training continues, on every machine.
        folder: A folder for the files of this run, which a logger may create.
        values: What it was started with, as plain values by name: settings, sampler, recipe and so on.
    """

    kind: Literal["search", "training"]
    name: str
    uid: str
    folder: Path
    values: Mapping[str, Any] = field(default_factory=dict)


class Logger(Protocol):
    """Shows the results of one run. Its class is the entry of the table: `check(place)`, then `Class(place, run)`.

    The methods may raise any error. The logger is then switched off with a notice; the run continues.

    Example:
        >>> class Printed:
        ...     def trial(self, fields): print(fields["number"], fields["accuracy"])
        ...     def epoch(self, epoch, measurements): print(epoch, measurements["train_loss"])
        ...     def close(self): pass
        >>> run("digits", trials=8, loggers=[Printed()])
    """

    def trial(self, fields: Mapping[str, Any]) -> None:
        """Show a trial of a search that has ended.

        Args:
            fields: number, digest, state (complete, stopped, failed), attempt, seconds, failure (its kind; None without
                one), FLOPs, parameters, and the measurements of a completed trial by name.
        """
        ...

    def epoch(self, epoch: int, measurements: Mapping[str, float]) -> None:
        """Show an epoch of a full training. A training that continues shows each epoch once more at most.

        Args:
            epoch: Its number, from 1.
            measurements: Its numbers by name; those of the last epoch include the test split.
        """
        ...

    def close(self) -> None:
        """Write what is left. Nothing is called afterwards."""
        ...


class LoggerClass(Protocol):
    """An entry of the table."""

    def __call__(self, place: str, run: LoggedRun) -> Logger:
        """Return the logger of a run.

        Args:
            place: What follows the name and a colon; "" without a colon.
            run: The run.

        Raises:
            SettingsError: It cannot start there.
        """
        ...

    def check(self, place: str) -> None:
        """Check what can be checked before anything is written.

        Args:
            place: As above.

        Raises:
            SettingsError: Its package is not installed, or the place is wrong.
        """
        ...


def _checked(name: str, thing: object) -> LoggerClass:
    """Return a plugin as a class of loggers; raise PluginError if a method is missing."""
    missing = [method for method in METHODS if not callable(getattr(thing, method, None))]
    if not callable(thing) or missing:
        raise PluginError(f"a logger must be a class with {', '.join(METHODS)}; {name} lacks {', '.join(missing)}.")
    return cast("LoggerClass", thing)


LOGGERS: Table[LoggerClass] = Table(
    "logger",
    "hybrid_search.loggers",
    {
        "tensorboard": "hybrid_search.loggers.tensorboard:TensorBoardLogger",
        "wandb": "hybrid_search.loggers.wandb:WandbLogger",
        "mlflow": "hybrid_search.loggers.mlflow:MlflowLogger",
    },
    check=_checked,
)
