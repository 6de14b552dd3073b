"""A file that a user names as output: checked before any work, complete or absent afterwards."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_search._internal.paths import absolute_path, reason, shown_path
from hybrid_search.errors import SettingsError

LONGEST_NAME = 255  # bytes, on the usual file systems


def check_output_file(what: str, typed: str | Path) -> Path:
    """Return the absolute path of a file that can be written. Nothing is left there.

    Args:
        what: name of the option, the first word of a message.
        typed: the path. One missing folder is created later; a longer missing path is a mistake.

    Raises:
        SettingsError: the path is a folder, its folder does not exist, or it cannot be written.
    """
    path = absolute_path(what, typed)
    try:
        exists = _exists(path)
        if path.is_dir() or os.fspath(typed).endswith("/"):
            raise SettingsError(f"{what} must be a file; {shown_path(typed)} is a folder.")
        folder = path.parent if _exists(path.parent) else path.parent.parent
        if not folder.is_dir():
            raise SettingsError(f"{what} must be in a folder that exists; got {shown_path(typed)}.")
        if len(os.fsencode(path.name)) > LONGEST_NAME:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if exists and not os.access(path, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SettingsError(
            f"{what} must be a file that can be written; {shown_path(typed)} cannot: {reason(error)}."
        ) from None
    return path


@contextmanager
def written_file(path: Path) -> Iterator[Path]:
    """Give its name to a file that the `with` block has written. Symbolic links are followed.

    Args:
        path: the file. A missing folder of it is created.

    Yields:
        The path of a file beside it, to write. It is removed if the block fails.

    Raises:
        SettingsError: the file cannot be written, for example because the disk is full.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{target.name[:50]}.{os.getpid()}.part")
    try:
        target.parent.mkdir(exist_ok=True)
        try:
            yield part
            _replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"an output file must be writable; {shown_path(path)} is not: {reason(error)}.") from None


def _replace(part: Path, target: Path) -> None:
    """Rename a file; copy its content into a file that is a mount point."""
    try:
        part.replace(target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        shutil.copyfile(part, target)


def _exists(path: Path) -> bool:
    """Return whether a path exists; raise OSError for a name that is too long or below a file."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True
