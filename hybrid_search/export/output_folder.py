"""The folder of an export while it is written.

Files are written into a folder inside OUT, and then renamed into OUT one by one. OUT itself is never renamed or
removed, so it may be the current folder, a symbolic link to a folder, or a mount point.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hybrid_search._internal.paths import absolute_path, reason, shown_path
from hybrid_search.errors import SettingsError

UNFINISHED = ".hybrid-search-export"  # the folder inside OUT; only one export can create it
IGNORED = ("lost+found",)  # every new ext4 disk has it
SPARE_BYTES = 64 * 1024  # for architecture.json, README.md, manifest.json and the entries of the folder


@dataclass(frozen=True)
class OutputFolder:
    """A folder that is being written.

    Attributes:
        path: OUT, absolute.
        unfinished: the folder inside OUT that files are written into.
    """

    path: Path
    unfinished: Path
    _moved: list[Path] = field(default_factory=list)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an OSError inside the `with` block, such as a full disk, into a SettingsError that names the folder."""
        with _writing(self.path):
            yield

    def check_space(self, needed: int) -> None:
        """Raise SettingsError if the disk has not enough free space.

        Args:
            needed: bytes of the weights in all formats.
        """
        with _writing(self.path):
            free = shutil.disk_usage(self.unfinished).free
        if free < needed + SPARE_BYTES:
            raise SettingsError(
                f"OUT must be on a disk with {_amount(needed + SPARE_BYTES)} of free space; {shown_path(self.path)} "
                f"has {_amount(free)}."
            )

    def finish(self, last: str) -> None:
        """Rename every file into OUT.

        Args:
            last: name of the file that comes last; a folder with it is complete.

        Raises:
            SettingsError: a file cannot be written, or another program has written one of that name since.
        """
        with _writing(self.path):
            names = sorted((path.name for path in self.unfinished.iterdir()), key=lambda name: (name == last, name))
            mode = (self.unfinished / last).stat().st_mode & 0o777  # of a new file, as the umask has it
            for name in names:
                _store(self.unfinished / name, mode)
            for name in names:
                target = self.path / name
                if os.path.lexists(target):
                    raise SettingsError(
                        f"OUT must be a new or empty folder; {shown_path(target)} was written by another program."
                    )
                self._moved.append(target)
                (self.unfinished / name).rename(target)
            self.unfinished.rmdir()
            self._moved.clear()

    def remove(self) -> None:
        """Remove every file that this export has written, unless it is finished."""
        for path in (*self._moved, self.unfinished):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@contextmanager
def output_folder(out: Path | str) -> Iterator[OutputFolder]:
    """Reserve a folder for an export inside the `with` block. Unless it is finished there, nothing of it is left.

    Args:
        out: the folder; it must be new or empty. Missing parents are created.

    Yields:
        The folder, in which files can be written.

    Raises:
        SettingsError: the folder is not empty or cannot be written.

    Example:
        >>> with output_folder("my-network") as folder:
        ...     (folder.unfinished / "weights.bin").write_bytes(data)
        ...     folder.finish("weights.bin")
    """
    path = absolute_path("OUT", out)
    with _writing(path):
        _check_empty(path)
        created = _create(path)
    folder = OutputFolder(path, path / UNFINISHED)
    try:
        with _writing(path):
            folder.unfinished.mkdir()
        yield folder
    finally:
        folder.remove()
        for each in reversed(created):  # those that are empty
            with suppress(OSError):
                each.rmdir()


def _check_empty(path: Path) -> None:
    """Raise SettingsError if the path exists and is not an empty folder."""
    law = "OUT must be a new or empty folder"
    if not os.path.lexists(path):
        return
    if path.is_symlink() and not path.exists():
        raise SettingsError(
            f"{law}; {shown_path(path)} is a symbolic link to {os.readlink(path)}, which does not exist."
        )
    if not path.is_dir():
        raise SettingsError(f"{law}; {shown_path(path)} is a file.")
    names = sorted(set(os.listdir(path)) - set(IGNORED))
    if UNFINISHED in names:
        raise SettingsError(
            f"{law}; {shown_path(path)} contains {UNFINISHED} of an export that is running or was killed. "
            "If none is running, remove that folder."
        )
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise SettingsError(f"{law}; {shown_path(path)} is not empty: it contains {shown_path(names[0])}{more}.")


def _create(path: Path) -> list[Path]:
    """Create a folder and its missing parents; return those that were created, parents first."""
    missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    created: list[Path] = []
    try:
        for each in reversed(missing):
            each.mkdir()
            created.append(each)
    except OSError:
        for each in reversed(created):
            with suppress(OSError):
                each.rmdir()
        raise
    return created


def _store(path: Path, mode: int) -> None:
    """Write a file, or a folder of files, to the disk, with these permissions."""
    for each in (path, *path.rglob("*")):
        if each.is_dir() or each.is_symlink():
            continue
        if each.stat().st_mode & 0o777 != mode:
            with suppress(PermissionError):  # some file systems have no permissions
                each.chmod(mode)
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
                raise
        finally:
            os.close(descriptor)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an OSError inside the `with` block into a SettingsError that names the folder."""
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"OUT must be a folder that can be written; {shown_path(path)} cannot: {reason(error)}."
        ) from None


def _amount(size: int) -> str:
    """Return a number of bytes as `1.4 MB`."""
    unit, name = next((each for each in ((1e9, "GB"), (1e6, "MB")) if size >= each[0]), (1e3, "kB"))
    return f"{size / unit:.1f} {name}"
