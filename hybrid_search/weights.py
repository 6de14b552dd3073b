"""The folder of trained weights: beside the database, one file a trial on the front."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.ledger.connect import beside

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


class WeightsFolder:
    """Where the weights of one search are kept: `<database>.weights/<search id>/<trial number>.safetensors`.

    A database that is not a file keeps them under results/.
    """

    def __init__(self, url: "URL", search_id: int) -> None:
        self.path = beside(url, ".weights") / str(search_id)

    def file(self, number: int) -> Path:
        """The file of one trial, there or not."""
        return self.path / f"{number}.safetensors"

    def write(self, number: int, weights: bytes) -> str:
        """Write a trial's weights so that a reader sees the whole file or none; `name:sha256` is returned."""
        self.path.mkdir(parents=True, exist_ok=True)
        half = self.path / f".{number}.{os.getpid()}.part"
        with half.open("wb") as file:
            file.write(weights)
            file.flush()
            os.fsync(file.fileno())
        half.replace(self.file(number))
        return f"{number}.safetensors:{hashlib.sha256(weights).hexdigest()}"

    def read(self, number: int, kept: str | None) -> bytes | None:
        """The weights that the ledger says were kept; None where they are gone or not what was written."""
        if kept is None or not self.file(number).is_file():
            return None
        weights = self.file(number).read_bytes()
        return weights if hashlib.sha256(weights).hexdigest() == kept.rpartition(":")[2] else None

    def drop(self, number: int) -> None:
        """Remove a trial's weights, if there."""
        self.file(number).unlink(missing_ok=True)
