"""FolderStore: checkpoints in a folder of this machine, or in one that several machines mount."""

import errno
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from hybrid_search.training.checkpoints.store import PARTIAL_SUFFIX, checkpoint_errors


class FolderStore:
    """Files below a folder. The folder must exist; folders below it are created.

    Args:
        root: The folder.

    Example:
        >>> FolderStore("/shared/checkpoints").write({"search/0-0/000001.safetensors": data})
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def names(self, folder: str) -> list[str]:
        """Return the names of all files in a folder and below, partial files included."""
        path = self.root / folder
        with checkpoint_errors("read", path):
            return sorted(file.relative_to(self.root).as_posix() for file in path.rglob("*") if file.is_file())

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with checkpoint_errors("read", self.root / name):
            return (self.root / name).read_bytes()

    def write(self, files: dict[str, bytes]) -> None:
        """Write files. The content of each file is on the disk before the file gets its name."""
        partials: list[tuple[Path, Path]] = []
        with checkpoint_errors("written", self.root / next(iter(files))):
            try:
                for name, data in files.items():
                    path = self.root / name
                    self._create(path.parent)
                    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PARTIAL_SUFFIX}")
                    partials.append((partial, path))
                    with partial.open("wb") as file:
                        file.write(data)
                        file.flush()
                        os.fsync(file.fileno())
                for partial, path in partials:
                    partial.replace(path)
                _sync(path.parent)
            finally:
                for partial, _ in partials:
                    with suppress(OSError):
                        partial.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Delete a file, or a folder with its files."""
        path = self.root / name
        with checkpoint_errors("removed", path), suppress(FileNotFoundError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _create(self, folder: Path) -> None:
        """Create a folder below the root, on the disk.

        Only the driver creates the root: on a machine that cannot reach it, a new folder of that name would be another
        folder.
        """
        if folder == self.root or folder.is_dir():
            if not folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, "this machine does not see that folder", str(folder))
            return
        self._create(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Write the entries of a folder to the disk."""
    if os.name == "nt":
        return  # a folder cannot be opened there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems do not support this for folders
            raise
    finally:
        os.close(handle)
