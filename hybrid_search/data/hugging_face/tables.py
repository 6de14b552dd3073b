"""The Parquet and Arrow files of a data set, by split.

The split of a file is a word of its path below the folder of the data set: `train/0000.parquet`, `test/data.arrow`,
`data/validation-00000-of-00001.parquet`. Files of a data set without such words are all train.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hybrid_search._internal.shown_path import shown
from hybrid_search.data.image_folder.layout import NAMES
from hybrid_search.errors import DataError

SUFFIXES = (".parquet", ".arrow")
OWN_CACHE = ("cache-", "tmp")  # Arrow files that the package datasets keeps beside the data


def find_tables(base: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the files of each split.

    Args:
        base: A folder, or one file.

    Returns:
        "train", and "val" and "test" if there are any: their files, sorted; and lines about files that are left out.

    Raises:
        DataError: There are no such files, or none of train.
    """
    if base.is_file() and base.suffix in SUFFIXES:
        return {"train": [base]}, []
    if not base.is_dir():
        raise DataError(f"hf needs a folder of Parquet or Arrow files, or one such file; {shown(base)} is missing.")
    found = [path for path in _files(base) if path.suffix in SUFFIXES]
    ours = [path for path in found if path.suffix != ".arrow" or not path.name.startswith(OWN_CACHE)]
    if not ours:
        kinds = Counter(path.suffix or "no suffix" for path in _files(base)).most_common(3)
        others = f" It has files {', '.join(kind for kind, _ in kinds)}." if kinds else ""
        raise DataError(f"hf needs Parquet or Arrow files (.parquet, .arrow); {shown(base)} has none.{others}")
    _check_configurations(base, ours)
    splits: dict[str, list[Path]] = {}
    rest = []
    for path in ours:
        split = split_of(path.relative_to(base))
        splits.setdefault(split, []).append(path) if split else rest.append(path)
    if rest and not splits:
        return {"train": rest}, []
    if "train" not in splits:
        raise DataError(
            f"hf needs files of train; {shown(base)} has {', '.join(sorted(splits))} only, by the names of its files."
        )
    notes = [f"left out of {shown(base)}: {len(rest)} files of no split ({shown(rest[0].name)})"] if rest else []
    return {name: splits[name] for name in NAMES if name in splits}, notes


def _check_configurations(base: Path, paths: Sequence[Path]) -> None:
    """Raise DataError if the files of one split are in several folders: they would be images of several data sets."""
    folders: dict[str | None, set[str]] = {}
    for path in (path.relative_to(base) for path in paths):
        first = path.parts[0]
        if len(path.parts) > 1 and split_of(Path(first)) is None:
            folders.setdefault(split_of(path), set()).add(first)
    for several in folders.values():
        if len(several) > 1:
            raise DataError(
                f"hf reads one data set; {shown(base)} has the folders {', '.join(map(shown, sorted(several)))}. Give "
                f"one of them: --data-dir FOLDER/{shown(min(several))}."
            )


def split_of(path: Path) -> str | None:
    """Return the split of a file: the word nearest to the end of its path that names one.

    Args:
        path: The path below the folder of the data set.

    Example:
        >>> split_of(Path("data/valid-00000-of-00002.parquet"))
        'val'
    """
    for part in reversed(path.with_suffix("").parts):
        for word in re.split(r"[^a-z]+", part.lower()):
            split = next((split for split, names in NAMES.items() if word in names), None)
            if split is not None:
                return split
    return None


def _files(base: Path) -> list[Path]:
    """Return the files below a folder, sorted, without hidden ones."""
    found = []
    for folder, folders, names in os.walk(base, followlinks=True):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(found)
