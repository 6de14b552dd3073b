"""The curve of a full training for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_search.errors import SettingsError


def check_tensorboard() -> None:
    """Raise SettingsError unless TensorBoard is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            f"--tensorboard needs TensorBoard, which cannot be imported: {error}. Install it: pip install "
            "'hybrid-search[tensorboard]'."
        ) from None


class TensorBoardLog:
    """Writes the measurements of each epoch as scalars. A continued training replaces what followed its checkpoint.

    Args:
        folder: the folder of the events of this training.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def write(self, epoch: int, measurements: Mapping[str, float]) -> None:
        """Write one epoch.

        Args:
            epoch: its number, from 1.
            measurements: its numbers by name.
        """
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is None:
            self._writer = SummaryWriter(str(self._folder), purge_step=epoch)
        for name, value in measurements.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the file of events."""
        if self._writer is not None:
            self._writer.close()
