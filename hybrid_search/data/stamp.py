"""A stamp of files on disk: it changes when a file is written, added, renamed or removed. Links are followed."""

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
    seen = {(found.st_dev, found.st_ino)}  # a link may lead to a folder above it
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                is_folder = entry.is_dir()
                files += not is_folder
                if is_folder or files <= MAX_FILES:
                    facts = _stat(entry)
                    yield entry.path, facts.st_size, facts.st_mtime_ns
                    if is_folder and (facts.st_dev, facts.st_ino) not in seen:
                        seen.add((facts.st_dev, facts.st_ino))
                        folders.append(entry.path)


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    """Return the facts of what an entry names; of the link itself if it leads nowhere."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)
