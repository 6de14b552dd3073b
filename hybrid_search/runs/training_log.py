"""The CSV file of a full training: one line for each epoch, complete after every epoch."""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search._internal.paths import absolute_path
from hybrid_search.errors import SettingsError
from hybrid_search.ledger.urls import path_beside
from hybrid_search.runs.training_job import TrainingJob

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


@dataclass(frozen=True)
class TrainingLog:
    """The CSV file of one training. An interrupted training continues its file.

    Attributes:
        path: The file.
    """

    path: Path

    @classmethod
    def beside(cls, url: "URL", job: TrainingJob, fingerprint: str, log_dir: str | Path | None) -> "TrainingLog":
        """Return the file of a training, whose folder is created.

        Args:
            url: URL of the database.
            job: The training.
            fingerprint: The fingerprint of its data.
            log_dir: The folder; None: `<database>.trainings`.

        Raises:
            SettingsError: The folder cannot be created.
        """
        folder = path_beside(url, ".trainings") if log_dir is None else absolute_path("log_dir (--log-dir)", log_dir)
        words = [*([job.search.name] if job.search else []), job.design, job.uid(fingerprint)[:8]]
        name = re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-.")[-100:]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"log_dir (--log-dir) must be a folder; {folder} is not: {error.strerror}.") from None
        return cls(folder / f"{name}.csv")

    def write(self, curve: Sequence[Mapping[str, float]]) -> None:
        """Replace the file by the epochs so far. After a crash it has a whole number of epochs.

        Args:
            curve: The measurements of each epoch; columns are those of every epoch.
        """
        names = list(dict.fromkeys(name for row in curve for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve)
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        part.write_text(text.getvalue(), encoding="utf-8")
        part.replace(self.path)
