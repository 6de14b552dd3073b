"""The logs of a full training: a CSV file with one line for each epoch, and the loggers that the user names."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hybrid_search._internal.paths import absolute_path
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.urls import path_beside
from hybrid_search.loggers import ChosenLoggers, OpenedLoggers
from hybrid_search.runs.logged_run import logged_training
from hybrid_search.runs.training_job import TrainingJob


@dataclass(frozen=True)
class TrainingLog:
    """The CSV file of one training. An interrupted training continues its file.

    Attributes:
        path: The file.
        loggers: The loggers.
    """

    path: Path
    loggers: OpenedLoggers

    @classmethod
    @contextmanager
    def beside(
        cls,
        ledger: Ledger,
        job: TrainingJob,
        fingerprint: str,
        log_dir: str | Path | None,
        chosen: ChosenLoggers,
        notice: Callable[[str], None],
    ) -> Iterator["TrainingLog"]:
        """Provide the logs of a training in the block. The folder of the file is created.

        Args:
            ledger: The ledger.
            job: The training.
            fingerprint: The fingerprint of its data.
            log_dir: The folder; None: `<database>.trainings`.
            chosen: The loggers.
            notice: Called with a line about a logger that fails.

        Raises:
            SettingsError: The folder cannot be created, or a logger cannot start.
        """
        folder = (
            path_beside(ledger.url, ".trainings") if log_dir is None else absolute_path("log_dir (--log-dir)", log_dir)
        )
        uid = job.uid(fingerprint)
        words = [*([job.search.name] if job.search else []), job.design, uid[:8]]
        name = re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-.")[-100:]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"log_dir (--log-dir) must be a folder; {folder} is not: {error.strerror}.") from None
        with chosen.opened(logged_training(job, uid, name, folder / name), notice) as loggers:
            yield cls(folder / f"{name}.csv", loggers)

    def write(self, curve: Sequence[Mapping[str, float]], *, repeated: bool = False) -> None:
        """Replace the file by the epochs so far. After a crash it has a whole number of epochs.

        Args:
            curve: The measurements of each epoch; columns are those of every epoch.
            repeated: Whether the last epoch is one of a checkpoint, which the loggers have already.
        """
        names = list(dict.fromkeys(name for row in curve for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve)
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        part.write_text(text.getvalue(), encoding="utf-8")
        part.replace(self.path)
        if not repeated:
            self.loggers.epoch(int(curve[-1]["epoch"]), curve[-1])
