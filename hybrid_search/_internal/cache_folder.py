"""The cache folder of the user: decoded images, compiled kernels and downloads. All of it can be made again.

It is the first of these that can be written:

    $HYBRID_SEARCH_CACHE               if it is set
    $XDG_CACHE_HOME/hybrid-search      or ~/.cache/hybrid-search
    <temporary folder>/hybrid-search-<number of the user>/cache

The last one is used with a notice. Only the user may write it, because processes load compiled code from it.
"""

import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from hybrid_search._internal.event_log import print_notice
from hybrid_search.errors import SettingsError

VARIABLE = "HYBRID_SEARCH_CACHE"
PROBE = bytes(4096)  # a full disk accepts an empty file
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_noticed: set[str] = set()


def cache_folder(name: str, notice: Callable[[str], None] = print_notice) -> Path:
    """Return the folder of the cached files of one kind. It may not exist yet, but it can be created and written.

    Args:
        name: The kind, such as "kernels".
        notice: Called with a line, once per process, if the user's cache folder cannot be written.

    Returns:
        An absolute path.

    Raises:
        SettingsError: No folder can be written, or the temporary one belongs to another user.

    Example:
        >>> cache_folder("kernels")
        PosixPath('/home/me/.cache/hybrid-search/kernels')
    """
    usual = user_cache()
    reason = _why_not(usual)
    if reason is None:
        return usual / name
    folder = private_folder("cache")
    _notice_once(
        notice,
        f"the cache folder {usual} cannot be written ({reason}): {folder} is used, which the system may empty. "
        f"{VARIABLE} names another folder",
    )
    return folder / name


def cached_file(name: str, file: str, notice: Callable[[str], None] = print_notice) -> Path:
    """Return the path of a cached file. It exists, or it can be written there.

    A file that exists in the user's cache folder is found even if that folder cannot be written.

    Args:
        name: The kind, such as "kernels".
        file: Name of the file.
        notice: As for `cache_folder`.

    Raises:
        SettingsError: As for `cache_folder`.
    """
    usual = user_cache() / name / file
    return usual if os.path.exists(usual) else cache_folder(name, notice) / file


def user_cache() -> Path:
    """Return the cache folder that the environment names. It may not exist, and may not be writable."""
    from platformdirs import user_cache_path

    given = os.environ.get(VARIABLE)
    return Path(os.path.abspath(os.path.expanduser(given))) if given else user_cache_path("hybrid-search")


def private_folder(name: str = "", base: Path | None = None) -> Path:
    """Return a folder of this user below the temporary folder. It is created, and only the user can open it.

    Args:
        name: Name of a folder inside it; "": the folder itself.
        base: The temporary folder; None: that of Python.

    Raises:
        SettingsError: It belongs to another user, others may write it, or there is no temporary folder.
    """
    try:
        own = (base or Path(tempfile.gettempdir())) / f"hybrid-search-{os.getuid()}"
        for folder in (own, own / name):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & OTHERS_MAY_WRITE:
                raise SettingsError(
                    f"a temporary folder must be one that only this user can write; got {folder} of user "
                    f"{found.st_uid} with mode {stat.S_IMODE(found.st_mode):o}. {VARIABLE} names another folder."
                )
    except OSError as error:
        raise SettingsError(
            f"temporary files need a folder that can be written; got {error}. TMPDIR names another folder."
        ) from None
    return own / name


def is_trusted(path: Path) -> bool:
    """Return whether only this user and root can have written an existing file or folder.

    A library is loaded only from such a place, because its code runs with the rights of this user. The group may write
    a folder: with the usual umask 002 it is the user's own group.

    Args:
        path: The file or the folder.
    """
    found = path.stat()
    others = stat.S_IWOTH if stat.S_ISDIR(found.st_mode) else OTHERS_MAY_WRITE
    return found.st_uid in (0, os.getuid()) and not found.st_mode & others


def why_not_writable(folder: Path) -> str | None:
    """Create a folder and write a file into it. Return the reason if that fails, otherwise None."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(PROBE)
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None


@cache
def _why_not(usual: Path) -> str | None:
    """Return why the user's cache folder cannot be used; asked once per process."""
    if not usual.is_absolute():
        return "the user has no home folder"
    return why_not_writable(usual)


def _notice_once(notice: Callable[[str], None], line: str) -> None:
    if line not in _noticed:
        _noticed.add(line)
        notice(line)
