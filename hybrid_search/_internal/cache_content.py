"""List and delete the contents of the cache folders.

Only files with the names that this package gives are listed and deleted, because HYBRID_SEARCH_CACHE may name a folder
with other files. Links are never followed.
"""

import json
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hybrid_search._internal.cache_folder import user_cache

DECODED, KERNELS, DOWNLOADS = "decoded", "kernels", "downloads"
KINDS = (DECODED, KERNELS, DOWNLOADS)
BESIDE = {
    ".survey": "a survey of image values", ".same": "a comparison of image files", ".stats": "mean and fingerprint",
}  # fmt: skip
CIFAR = r"cifar-(10|100)(-binary\.(tar\.gz|tar\.lock|lock)|-(batches-bin|binary)/[^/]+)"
# Folder in the cache -> kind, and the paths of its files.
FOLDERS = {
    "imagefolder": (DECODED, re.compile(r"[0-9a-f]{32}\.(npy|json|survey|same|stats|lock|part)")),
    "hf": (DOWNLOADS, re.compile(r"[^/]+@[^/]+\.(json|lock)")),
    "kernels": (KERNELS, re.compile(r"local-attention-[\w.-]+\.(so|lock|tmp)")),
    "fashion-mnist": (DOWNLOADS, re.compile(r"(train|t10k)-[\w-]+-ubyte(\.gz|\.lock)")),
    "cifar10": (DOWNLOADS, re.compile(CIFAR)),
    "cifar100": (DOWNLOADS, re.compile(CIFAR)),
}


@dataclass(frozen=True)
class CacheEntry:
    """One entry of the cache, with all its files: the decoded images of a split, a kernel, or a downloaded data set.

    Attributes:
        kind: "decoded", "kernels" or "downloads".
        belongs_to: The source folder with number and size of its images; otherwise a name.
        bytes: Size of all files.
        files: Number of files.
        changed: When the newest file was written (UTC).
        path: The largest file.
    """

    kind: str
    belongs_to: str
    bytes: int
    files: int
    changed: datetime
    path: Path


def cache_roots() -> list[Path]:
    """Return the cache folders of this user that exist: the usual one, and the temporary one."""
    temporary = Path(tempfile.gettempdir()) / f"hybrid-search-{os.getuid()}"
    own = temporary.is_dir() and not temporary.is_symlink() and temporary.stat().st_uid == os.getuid()
    roots = [user_cache(), *([temporary / "cache"] if own else [])]
    return [root for root in dict.fromkeys(roots) if root.is_dir()]


def cache_entries() -> list[CacheEntry]:
    """Return what the cache folders hold, by kind and by what it belongs to.

    Example:
        >>> sum(entry.bytes for entry in cache_entries())
        1048576
    """
    found = [
        entry
        for folder, kind, files in _folders()
        for group, paths in _groups(folder, kind, files).items()
        if (entry := _entry(kind, group, paths)) is not None
    ]
    return sorted(found, key=lambda entry: (KINDS.index(entry.kind), entry.belongs_to, str(entry.path)))


def clear_cache(kinds: Collection[str], notice: Callable[[str], None]) -> tuple[int, int]:
    """Delete what the cache folders hold of some kinds. It is made again when it is needed.

    What another process is writing stays.

    Args:
        kinds: "decoded", "kernels", "downloads".
        notice: Called with a line for everything that stays.

    Returns:
        Number of deleted files and their bytes.
    """
    number = size = 0
    for folder, kind, files in _folders():
        for group, paths in _groups(folder, kind, files).items() if kind in kinds else ():
            with ExitStack() as held:
                if not all(_hold(path, held) for path in paths if path.suffix == ".lock"):
                    notice(f"{group} is in use; it was not deleted")
                    continue
                for path in paths:
                    try:
                        found = path.lstat()
                        path.unlink()
                    except OSError as error:
                        notice(f"{path} was not deleted: {error.strerror}")
                    else:
                        number, size = number + 1, size + found.st_size
            for empty in {path.parent for path in paths} | {folder}:
                with suppress(OSError):  # it has other files
                    empty.rmdir()
    return number, size


def _folders() -> Iterator[tuple[Path, str, list[Path]]]:
    """Yield the folders of the cache, with the kind and the files of each."""
    for root in cache_roots():
        for name, (kind, pattern) in FOLDERS.items():
            folder = root / name
            if not folder.is_symlink():
                yield (
                    folder,
                    kind,
                    [path for path in _files(folder) if pattern.fullmatch(f"{path.relative_to(folder)}")],
                )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, sorted, without links and what they name."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        paths = (Path(place, name) for name in sorted(names))
        yield from (path for path in paths if not path.is_symlink())


def _groups(folder: Path, kind: str, files: list[Path]) -> dict[Path, list[Path]]:
    """Return what belongs together: all files of a data set, otherwise those that differ in their suffix only."""
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        groups[folder if kind == DOWNLOADS else folder / path.name.partition(".")[0]].append(path)
    return groups


def _entry(kind: str, group: Path, paths: list[Path]) -> CacheEntry | None:
    """Return the entry of files that belong together; None if only a lock file is left or another process cleared."""
    found = []
    for path in paths:
        with suppress(OSError):
            found += [(path, path.lstat())] if path.suffix != ".lock" else []
    if not found:
        return None
    sizes = {path: state.st_size for path, state in found}
    return CacheEntry(
        kind,
        _source(group) if kind == DECODED else group.name,
        sum(sizes.values()),
        len(sizes),
        datetime.fromtimestamp(max(state.st_mtime for _, state in found), UTC),
        max(sizes, key=sizes.__getitem__),
    )


def _source(group: Path) -> str:
    """Return what decoded images belong to, from the file beside them."""
    try:
        index = json.loads(group.with_suffix(".json").read_text(encoding="utf-8"))
        return f"{index['source']}, {index['images']:,} images of {index['size']} x {index['size']}"
    except (OSError, ValueError, KeyError, TypeError):
        return next((what for suffix, what in BESIDE.items() if group.with_suffix(suffix).exists()), "unknown")


def _hold(path: Path, held: ExitStack) -> bool:
    """Hold a lock file until `held` ends; return False if another process holds it."""
    from filelock import FileLock, Timeout

    try:
        held.enter_context(FileLock(path, timeout=0))
    except (Timeout, OSError):
        return False
    return True
