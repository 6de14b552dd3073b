"""The folder of trained weights next to the database: one file per trial on the front, and per full training."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search.errors import LedgerError
from hybrid_search.ledger.urls import path_beside

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


TRAININGS = "trainings"  # the folder of the weights of full trainings; each file is named after the uid of its training


class WeightsFolder:
    """The weights of one search: `<database>.weights/<search id>/<trial number>.safetensors`.

    Those of full trainings are in `<database>.weights/trainings`. For a database server the folder is in `results/`,
    named after host and database.
    """

    def __init__(self, url: "URL", search_id: int | str) -> None:
        self.path = path_beside(url, ".weights") / str(search_id)

    def file(self, number: int | str) -> Path:
        """Return the path of a file of weights, which may not exist."""
        return self.path / f"{number}.safetensors"

    def write(self, number: int | str, weights: bytes) -> str:
        """Write the weights of a trial. The file appears complete or not at all.

        Args:
            number: Number of the trial, or uid of the training.
            weights: The bytes of a safetensors file.

        Returns:
            `name:sha256`, which the ledger stores.

        Raises:
            OSError: The file cannot be written. No part of it is left.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        part = self.path / f".{number}.{os.getpid()}.part"
        try:
            with part.open("wb") as file:
                file.write(weights)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.file(number))
        finally:
            part.unlink(missing_ok=True)  # frees the space on a full disk
        return f"{number}.safetensors:{hashlib.sha256(weights).hexdigest()}"

    def remove_partial_files(self) -> None:
        """Remove incomplete files of a killed writer. Only the lease holder of the search may call this."""
        for part in self.path.glob(".*.part"):
            with suppress(OSError):
                part.unlink()

    def read(self, number: int | str, stored: str | None) -> bytes | None:
        """Read the weights of a trial.

        Args:
            number: Number of the trial, or uid of the training.
            stored: `name:sha256` from the ledger; None if it stores none.

        Returns:
            The bytes; None if the file is missing or differs from its checksum.
        """
        if stored is None or not self.file(number).is_file():
            return None
        weights = self.file(number).read_bytes()
        return weights if hashlib.sha256(weights).hexdigest() == stored.rpartition(":")[2] else None

    def remove(self, number: int | str) -> None:
        """Remove the weights of a trial, if they exist."""
        self.file(number).unlink(missing_ok=True)


def copy_weights(source: WeightsFolder, target: WeightsFolder, stored: Mapping[int, str] | Mapping[str, str]) -> int:
    """Copy weights into another folder. Missing source files are skipped: export trains such a trial again.

    Args:
        source: The folder to read.
        target: The folder to write.
        stored: Trial number -> `name:sha256` from the ledger.

    Returns:
        Number of written files.

    Raises:
        LedgerError: A file cannot be written.
    """
    written = 0
    names: Mapping[Any, str] = stored
    for number, name in names.items():
        if target.read(number, name) is None and (weights := source.read(number, name)) is not None:
            try:
                target.write(number, weights)
            except OSError as error:
                raise LedgerError(
                    f"the folder of the weights must be writable; {target.file(number)} is not: {error}."
                ) from None
            written += 1
    return written
