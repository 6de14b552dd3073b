"""Images that occur in several splits, or in several classes: files with the same bytes.

Only files of one size are compared: first the hash of their beginnings, then the hash of the whole files.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_search._internal.shown_path import shown
from hybrid_search.data.dataset import Indices, Part
from hybrid_search.errors import DataError

BEGINNING = 4096  # bytes
CHUNK = 1 << 20  # bytes that are read at a time
Splits = Mapping[str, tuple[Part, Indices]]


def same_content(files: Sequence[Path]) -> NDArray[np.int64]:
    """Return a number for each file; files with the same bytes have the same number.

    Args:
        files: The files; a file may occur several times.

    Returns:
        int64 (len(files),): the position of the first file with the same bytes.

    Raises:
        DataError: A file cannot be read.

    Example:
        >>> same_content([Path("a.png"), Path("b.png"), Path("copy-of-a.png")])
        array([0, 1, 0])
    """
    number = np.arange(len(files), dtype=np.int64)
    groups: Iterable[list[int]] = [list(range(len(files)))]
    for key in (_size, _beginning, _digest):
        groups = [group for whole in groups for group in _divide(whole, files, key) if len(group) > 1]
    for group in groups:
        number[group] = group[0]
    return number


class Duplicates(NamedTuple):
    """Images that occur several times.

    `in_train` has the positions in the training split of images that are in another split too. `in_train_fact`
    is a line about them, or empty. `facts` are lines about everything else that was found.
    """

    in_train: Indices
    in_train_fact: str
    facts: tuple[str, ...]


def find_duplicates(splits: Splits) -> Duplicates:
    """Compare the files of all splits; nothing is found in a source that does not have one file for each image.

    Args:
        splits: "train", "validation" and "test": a part, and the indices of the images of the split.

    Raises:
        DataError: A file cannot be read.
    """
    names = [name for name in ("train", "validation", "test") if splits[name][0].files]
    if "train" not in names:
        return Duplicates(np.array([], np.int64), "", ())
    files = [splits[name][0].files[int(index)] for name in names for index in splits[name][1]]
    split = np.repeat(names, [len(splits[name][1]) for name in names])
    labels = np.concatenate([splits[name][0].labels[splits[name][1]] for name in names])
    number = same_content(files)
    in_train = split == "train"
    shared = in_train & np.isin(number, number[~in_train])
    fact = ""
    if count := int(shared.sum()):
        one = int(np.flatnonzero(shared)[0])
        other = int(np.flatnonzero((number == number[one]) & ~in_train)[0])
        fact = (
            f"training images that are also in validation or test, with the same content: {count:,} of "
            f"{int(in_train.sum()):,} ({shown(files[one])} and {shown(files[other])})"
        )
    facts = []
    both = (split == "validation") & np.isin(number, number[split == "test"])
    if count := int(both.sum()):
        facts.append(f"validation images that are also in test, with the same content: {count:,}")
    facts += _contradictions(files, number, labels)
    return Duplicates(np.flatnonzero(shared[in_train]), fact, tuple(facts))


def _contradictions(files: Sequence[Path], number: NDArray[np.int64], labels: NDArray[np.int64]) -> list[str]:
    """Return a line if files with the same bytes are in two classes."""
    pairs = np.unique(np.stack([number, labels]), axis=1)
    contents, classes = np.unique(pairs[0], return_counts=True)
    several = contents[classes > 1]
    if not len(several):
        return []
    same = np.flatnonzero(number == several[0])
    first = int(same[0])
    other = int(same[labels[same] != labels[first]][0])
    return [
        f"images that are in several classes, with the same content: {len(several):,} ({shown(files[first])} and "
        f"{shown(files[other])})"
    ]


def _divide(group: list[int], files: Sequence[Path], key: Callable[[Path], Hashable]) -> list[list[int]]:
    """Return the positions of a group, divided by a property of their files."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for position in group:
        try:
            found[key(files[position])].append(position)
        except OSError as error:
            raise DataError(f"image {shown(files[position])} cannot be read: {error.strerror}.") from error
    return list(found.values())


def _size(path: Path) -> int:
    return path.stat().st_size


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.blake2b(file.read(BEGINNING)).digest()


def _digest(path: Path) -> bytes:
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.digest()
