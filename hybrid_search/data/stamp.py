"""A stamp of files on disk: it changes when a file is written, added, renamed or removed."""

import os
from collections.abc import Iterator

MAX_FILES = 10_000  # whose sizes and times are compared; of further ones, only those of their folders


def stamp(path: str | None) -> int | None:
    """Return a number that changes when the files of a data set change.

    Args:
        path: a file, or a folder with everything below it; None: a data set without files of the user.

    Returns:
        A hash of the names, sizes and times, valid in this process; None if nothing is there.
    """
    if path is None:
        return 0
    try:
        return hash(tuple(_facts(path)))
    except (OSError, ValueError):
        return None


def _facts(path: str) -> Iterator[tuple[str, int, int]]:
    found = os.stat(path)
    yield path, found.st_size, found.st_mtime_ns
    folders, files = ([path] if os.path.isdir(path) else []), 0
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                files += not is_folder
                if is_folder:
                    folders.append(entry.path)
                if is_folder or files <= MAX_FILES:
                    facts = entry.stat(follow_symlinks=False)
                    yield entry.path, facts.st_size, facts.st_mtime_ns
