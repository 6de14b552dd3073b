"""The logs of a full training: a CSV file with one line for each epoch, and files for TensorBoard on request."""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_search._internal.paths import absolute_path
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.urls import path_beside
from hybrid_search.runs.training_job import TrainingJob
from hybrid_search.training.tensorboard_log import TensorBoardLog


@dataclass(frozen=True)
class TrainingLog:
    """The CSV file of one training. An interrupted training continues its file.

    Attributes:
        path: The file.
        tensorboard: The log for TensorBoard; None: there is none.
    """

    path: Path
    tensorboard: TensorBoardLog | None = None

    @classmethod
    def beside(
        cls, ledger: Ledger, job: TrainingJob, fingerprint: str, log_dir: str | Path | None, tensorboard: bool
    ) -> "TrainingLog":
        """Return the file of a training, whose folder is created.

        Args:
            ledger: The ledger.
            job: The training.
            fingerprint: The fingerprint of its data.
            log_dir: The folder; None: `<database>.trainings`.
            tensorboard: Whether to write for TensorBoard too.

        Raises:
            SettingsError: The folder cannot be created.
        """
        folder = (
            path_beside(ledger.url, ".trainings") if log_dir is None else absolute_path("log_dir (--log-dir)", log_dir)
        )
        words = [*([job.search.name] if job.search else []), job.design, job.uid(fingerprint)[:8]]
        name = re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-.")[-100:]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"log_dir (--log-dir) must be a folder; {folder} is not: {error.strerror}.") from None
        return cls(folder / f"{name}.csv", TensorBoardLog(folder / name) if tensorboard else None)

    def write(self, curve: Sequence[Mapping[str, float]], *, repeated: bool = False) -> None:
        """Replace the file by the epochs so far. After a crash it has a whole number of epochs.

        Args:
            curve: The measurements of each epoch; columns are those of every epoch.
            repeated: Whether the last epoch is one of a checkpoint, which TensorBoard has already.
        """
        names = list(dict.fromkeys(name for row in curve for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve)
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        part.write_text(text.getvalue(), encoding="utf-8")
        part.replace(self.path)
        if self.tensorboard is not None and not repeated:
            self.tensorboard.write(int(curve[-1]["epoch"]), curve[-1])

    def close(self) -> None:
        """Close the files."""
        if self.tensorboard is not None:
            self.tensorboard.close()
