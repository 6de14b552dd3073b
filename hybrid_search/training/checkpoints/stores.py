"""Where checkpoints lie: a folder, or a store that fsspec knows (s3://, gs://, ...)."""

import errno
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from hybrid_search.errors import CheckpointError, SettingsError

PASSWORD = re.compile("://[^/@]*:[^/@]*@")
HALF = ".part"  # ends the name of a file that is being written


class Store(Protocol):
    """Files by name, `/` between folders, beneath one root. Every method raises CheckpointError and nothing else."""

    def names(self, under: str) -> list[str]:
        """The names of all files in a folder and below, by their path from the root; none where it is not there."""
        ...

    def read(self, name: str) -> bytes:
        """A whole file."""
        ...

    def write(self, files: dict[str, bytes]) -> None:
        """Files of one folder, so that each is there whole or not at all, also after a crash; the last one last."""
        ...

    def drop(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it; nothing where it is not there."""
        ...


class Folder:
    """A folder of this machine, or one that several machines mount. Its root must be there; the rest is made."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def names(self, under: str) -> list[str]:
        """See Store; halves of files too."""
        with _told("read", self.root / under):
            return sorted(
                path.relative_to(self.root).as_posix() for path in (self.root / under).rglob("*") if path.is_file()
            )

    def read(self, name: str) -> bytes:
        """See Store."""
        with _told("read", self.root / name):
            return (self.root / name).read_bytes()

    def write(self, files: dict[str, bytes]) -> None:
        """See Store. What each file holds is on the disk before it has its name; no half is left behind."""
        halves: list[tuple[Path, Path]] = []
        with _told("written", self.root / next(iter(files))):
            try:
                for name, data in files.items():
                    path = self.root / name
                    self._make(path.parent)
                    halves.append((path.with_name(f".{path.name}.{secrets.token_hex(8)}{HALF}"), path))
                    with halves[-1][0].open("wb") as file:
                        file.write(data)
                        file.flush()
                        os.fsync(file.fileno())
                for half, path in halves:
                    half.replace(path)
                _sync(path.parent)
            finally:
                for half, _ in halves:
                    with suppress(OSError):
                        half.unlink(missing_ok=True)

    def drop(self, name: str) -> None:
        """See Store."""
        path = self.root / name
        with _told("removed", path), suppress(FileNotFoundError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _make(self, folder: Path) -> None:
        """Make a folder below the root, and let the disk know of it.

        The root itself is the driver's to make: on a machine that does not see it, a folder of that name would be
        another one.
        """
        if folder == self.root or folder.is_dir():
            if not folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, "this machine does not see that folder", str(folder))
            return
        self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


class Remote:
    """A store behind an fsspec URL. Objects are written whole; one that is not there yet has no name."""

    def __init__(self, url: str) -> None:
        import fsspec  # type: ignore[import-untyped]

        self.url = url
        with _told("reached", url, Exception):
            self.files: Any
            self.files, self.root = fsspec.core.url_to_fs(url)

    def names(self, under: str) -> list[str]:
        """See Store."""
        with _told("read", f"{self.url}/{under}", Exception):
            self.files.invalidate_cache()  # a listing of before is no use: other workers write here
            found = self.files.find(self._path(under))
            return sorted(str(path).removeprefix(self.root).lstrip("/") for path in found)

    def read(self, name: str) -> bytes:
        """See Store."""
        with _told("read", f"{self.url}/{name}", Exception):
            return bytes(self.files.cat_file(self._path(name)))

    def write(self, files: dict[str, bytes]) -> None:
        """See Store."""
        for name, data in files.items():
            with _told("written", f"{self.url}/{name}", Exception):
                try:
                    self.files.pipe_file(self._path(name), data)
                except FileNotFoundError:  # a store of folders, where an object store has none
                    self._make(name.rpartition("/")[0])
                    self.files.pipe_file(self._path(name), data)

    def drop(self, name: str) -> None:
        """See Store."""
        with _told("removed", f"{self.url}/{name}", Exception), suppress(FileNotFoundError):
            self.files.rm(self._path(name), recursive=True)

    def _make(self, folder: str) -> None:
        """Make a folder one step at a time: all at once would also make a bucket whose name was mistyped."""
        parts = folder.split("/")
        for deep in range(len(parts) + 1):
            with suppress(FileExistsError):
                self.files.mkdir(self._path("/".join(parts[:deep])).rstrip("/"), create_parents=False)

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"


def store_at(root: str) -> Store:
    """The store at a root as `check_writable` gives it: a folder unless it is a URL."""
    return Remote(root) if "://" in root else Folder(root)


def check_writable(root: str) -> str:
    """The root as any worker may be given it: an absolute folder, or a URL.

    SettingsError where nothing can be written there, or where the URL holds a password. Nothing is left behind, and a
    folder that is not there yet is not made.
    """
    if not root.strip():
        raise SettingsError("checkpoints must be a folder or a URL; got an empty one.")
    if root.startswith("file://"):
        root = root.removeprefix("file://")
    if "://" not in root:
        folder = Path(root).expanduser().resolve()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            tempfile.TemporaryFile(dir=there).close()
        except OSError as error:
            raise SettingsError(_law(str(folder), error)) from None
        return str(folder)
    if PASSWORD.search(root):
        raise SettingsError(
            "a URL for checkpoints must hold no password, for it is handed to every worker; got one that does (not "
            "shown). Give it where the store looks for it: its environment variables, or its own file."
        )
    mark = f".writable-{secrets.token_hex(8)}"
    try:
        store = Remote(root.rstrip("/"))
        store.write({mark: b"1"})
        store.drop(mark)
    except CheckpointError as error:
        raise SettingsError(_law(root, error.__cause__ or error)) from None
    return root.rstrip("/")


def _law(root: str, error: BaseException) -> str:
    why = _reason(error)
    return f"checkpoints need a place that can be written; {root} cannot: {why}. --checkpoints none goes on without."


def _reason(error: BaseException) -> str:
    """One line of what went wrong, without the path: it is named beside it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _sync(folder: Path) -> None:
    """Let the disk know which names a folder holds."""
    if os.name == "nt":
        return  # a folder cannot be opened there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that know no such thing say so
            raise
    finally:
        os.close(handle)


@contextmanager
def _told(done: str, path: object, errors: type[Exception] = OSError) -> Iterator[None]:
    """Whatever goes wrong as a CheckpointError that names the path."""
    try:
        yield
    except errors as error:
        raise CheckpointError(f"a checkpoint must have a place; {path} cannot be {done}: {_reason(error)}.") from error
