"""TensorBoard: a folder of events for each run, written by torch's writer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_search.errors import SettingsError
from hybrid_search.loggers.table import LoggedRun

TRIAL = "trial/"  # before the names of the numbers of a trial; the step is its number


class TensorBoardLogger:
    """Writes numbers as scalars: those of a trial at its number, those of an epoch of a training at the epoch.

    A training that continues replaces what followed its checkpoint.

    Args:
        place: The folder; "": beside the database.
        run: The run, which gets a folder of its own name.
    """

    def __init__(self, place: str, run: LoggedRun) -> None:
        self._folder = Path(place).absolute() / run.folder.name if place else run.folder
        self._writer: Any = None

    @staticmethod
    def check(place: str) -> None:
        """Raise SettingsError unless TensorBoard is installed, and the place may be a folder.

        Args:
            place: The folder; "" for the default.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: F401
        except ImportError as error:
            raise SettingsError(
                f"logger tensorboard (--log) needs TensorBoard, which cannot be imported: {error}. Install it: pip "
                "install 'hybrid-search[tensorboard]'."
            ) from None
        if place and Path(place).exists() and not Path(place).is_dir():
            raise SettingsError(f"logger tensorboard (--log) must write to a folder; {place} is a file.")

    def trial(self, fields: Mapping[str, Any]) -> None:
        """Write the numbers of a trial as scalars; digest and state as text.

        Args:
            fields: The fields of the trial.
        """
        writer, number = self._opened(), int(fields["number"])
        for name, value in fields.items():
            if isinstance(value, int | float) and name != "number":
                writer.add_scalar(TRIAL + name, value, number)
        writer.add_text(f"{TRIAL}state", f"{fields['state']}: {fields['digest']}", number)
        writer.flush()

    def epoch(self, epoch: int, measurements: Mapping[str, float]) -> None:
        """Write the numbers of an epoch as scalars.

        Args:
            epoch: Its number, from 1.
            measurements: Its numbers by name.
        """
        writer = self._opened(epoch)
        for name, value in measurements.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    def close(self) -> None:
        """Close the file of events."""
        if self._writer is not None:
            self._writer.close()

    def _opened(self, first: int | None = None) -> Any:
        """Return the writer; it is opened with the first number, so that a run without one leaves no folder."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=first)
        return self._writer
