"""The folder of trained weights: beside the database, one file a trial on the front."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.errors import LedgerError
from hybrid_search.ledger.urls import path_beside

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


class WeightsFolder:
    """Where the weights of one search are kept: `<database>.weights/<search id>/<trial number>.safetensors`.

    A database that is not a file keeps them under results/, in a folder named after its host and itself.
    """

    def __init__(self, url: "URL", search_id: int) -> None:
        self.path = path_beside(url, ".weights") / str(search_id)

    def file(self, number: int) -> Path:
        """The file of one trial, there or not."""
        return self.path / f"{number}.safetensors"

    def write(self, number: int, weights: bytes) -> str:
        """Write a trial's weights so that a reader sees the whole file or none; `name:sha256` is returned.

        OSError where it cannot be written; nothing is left of it then.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        half = self.path / f".{number}.{os.getpid()}.part"
        try:
            with half.open("wb") as file:
                file.write(weights)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self.file(number))
        finally:
            half.unlink(missing_ok=True)  # a full disk wants its room back
        return f"{number}.safetensors:{hashlib.sha256(weights).hexdigest()}"

    def sweep(self) -> None:
        """Remove the halves that a writer left when it was killed. Only for the one that drives the search."""
        for half in self.path.glob(".*.part"):
            with suppress(OSError):
                half.unlink()

    def read(self, number: int, kept: str | None) -> bytes | None:
        """The weights that the ledger says were kept; None where they are gone or not what was written."""
        if kept is None or not self.file(number).is_file():
            return None
        weights = self.file(number).read_bytes()
        return weights if hashlib.sha256(weights).hexdigest() == kept.rpartition(":")[2] else None

    def drop(self, number: int) -> None:
        """Remove a trial's weights, if there."""
        self.file(number).unlink(missing_ok=True)


def copy_weights(source: WeightsFolder, target: WeightsFolder, kept: Mapping[int, str]) -> int:
    """Copy the weights kept by trial number into another folder; how many were not there yet.

    What is gone from the source is left out: whoever wants it trains it again. LedgerError where it cannot be written.
    """
    written = 0
    for number, name in kept.items():
        if target.read(number, name) is None and (weights := source.read(number, name)) is not None:
            try:
                target.write(number, weights)
            except OSError as error:
                raise LedgerError(f"weights are copied with their search; {target.file(number)}: {error}.") from None
            written += 1
    return written
