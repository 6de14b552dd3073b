"""Checkpoint store `shelf`: the folder that the URL names, shelf:///folder, with a prefix before every file name."""

import os
import shutil
from pathlib import Path

from hybrid_search.errors import CheckpointError

PREFIX = "shelf-"


class Shelf:
    """Files by name below one folder. Every method raises CheckpointError and nothing else."""

    def __init__(self, url: str) -> None:
        self.root = Path(url.removeprefix("shelf://"))

    def names(self, under: str) -> list[str]:
        """Return the names of all files in a folder and below."""
        found = (path.relative_to(self.root) for path in (self.root / under).rglob(f"{PREFIX}*") if path.is_file())
        return sorted((path.parent / path.name.removeprefix(PREFIX)).as_posix() for path in found)

    def read(self, name: str) -> bytes:
        """Return the contents of a file."""
        try:
            return self._path(name).read_bytes()
        except OSError as error:
            raise CheckpointError(f"{self._path(name)} cannot be read: {error.strerror}") from error

    def write(self, files: dict[str, bytes]) -> None:
        """Write files, each whole or not at all."""
        try:
            for name, data in files.items():
                path = self._path(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_name(f".{path.name}.{os.getpid()}")
                temporary.write_bytes(data)
                temporary.replace(path)
        except OSError as error:
            raise CheckpointError(f"{self.root} cannot be written: {error.strerror}") from error

    def delete(self, name: str) -> None:
        """Remove a file, or a folder with everything in it."""
        folder = self.root / name
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        path = self.root / name
        return path.with_name(PREFIX + path.name)
