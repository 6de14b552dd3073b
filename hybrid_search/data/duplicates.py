"""Images that occur in several splits, or in several classes: files with the same bytes, arrays with the same pixels.

Only files of one size are compared: first the hash of their beginnings, then the hash of the whole files. Images in
memory are compared by the hash of their pixels, before they are resized.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_search._internal.cache_folder import cached_file
from hybrid_search._internal.output_file import written_file
from hybrid_search._internal.shown_path import shown
from hybrid_search.data.dataset import Indices, Part, Pixels
from hybrid_search.data.downloads import locked
from hybrid_search.data.embedded_image import ImageFile
from hybrid_search.data.image_folder.decoded_cache import NAME, hash_of
from hybrid_search.data.progress_lines import ProgressLines, no_notice
from hybrid_search.errors import DataError, SettingsError

BEGINNING = 4096  # bytes
CHUNK = 1 << 20  # bytes that are read at a time
SPLITS = ("train", "validation", "test")
Splits = Mapping[str, tuple[Part, Indices]]


def same_content(files: Sequence[ImageFile], notice: Callable[[str], None] = no_notice) -> NDArray[np.int64]:
    """Return a number for each file; files with the same bytes have the same number.

    Args:
        files: The files; a file may occur several times.
        notice: Called with lines about the progress if it takes long.

    Returns:
        int64 (len(files),): the position of the first file with the same bytes.

    Raises:
        DataError: A file cannot be read.

    Example:
        >>> same_content([Path("a.png"), Path("b.png"), Path("copy-of-a.png")])
        array([0, 1, 0])
    """
    number = np.arange(len(files), dtype=np.int64)
    groups: list[list[int]] = [list(range(len(files)))]
    for key in (_size, _beginning, _digest):
        progress = ProgressLines(notice, "compared", sum(len(group) for group in groups))
        groups = [group for whole in groups for group in _divide(whole, files, key, progress) if len(group) > 1]
    for group in groups:
        number[group] = group[0]
    return number


def cached_same_content(files: Sequence[ImageFile], notice: Callable[[str], None] = no_notice) -> NDArray[np.int64]:
    """Return the result of `same_content` from the user's cache folder. The files are compared once for all processes.

    A file that was written since, by its size and times, is compared again.

    Args:
        files: The files; a file may occur several times.
        notice: Called with lines about the progress if it takes long.

    Returns:
        int64 (len(files),).

    Raises:
        DataError: A file cannot be read.
    """
    key = hash_of(files, "same content")
    cached = cached_file(NAME, f"{key}.same")
    if (number := _stored(cached, len(files))) is not None:
        return number
    number = same_content(files, notice)
    if hash_of(files, "same content") == key:
        # Without the file, the next process compares the images again.
        with suppress(OSError, SettingsError), locked(cached), written_file(cached) as part:
            part.write_bytes(number.tobytes())
    return number


def _stored(cached: Path, count: int) -> NDArray[np.int64] | None:
    """Return the numbers in a cache file; None if it does not exist or is damaged."""
    try:
        number = np.frombuffer(cached.read_bytes(), np.int64)
    except (OSError, ValueError):
        return None
    return number if number.shape == (count,) and ((number >= 0) & (number < count)).all() else None


def same_pixels(images: Sequence[Pixels]) -> NDArray[np.int64]:
    """Return a number for each image; images with the same pixels have the same number.

    Args:
        images: Arrays of images of one size, each uint8 (n, channels, rows, columns).

    Returns:
        int64 (sum of n,): the position of the first image with the same pixels.

    Example:
        >>> same_pixels([np.zeros((2, 1, 8, 8), np.uint8), np.ones((1, 1, 8, 8), np.uint8)])
        array([0, 0, 2])
    """
    first: dict[bytes, int] = {}
    rows = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for part in images for image in part)
    return np.fromiter((first.setdefault(digest, i) for i, digest in enumerate(rows)), np.int64)


class Duplicates(NamedTuple):
    """Images that occur several times.

    `in_train` has the positions in the training split of images that are in another split too. `in_train_fact`
    is a line about them, or empty. `facts` are lines about everything else that was found. `validation_in_test` has the
    positions in the validation split of images that are in test too.
    """

    in_train: Indices
    in_train_fact: str
    facts: tuple[str, ...]
    validation_in_test: Indices


def find_duplicates(splits: Splits, notice: Callable[[str], None] = no_notice) -> Duplicates:
    """Compare the images of all splits; nothing is found in a source with neither a file nor an array of each image.

    Args:
        splits: "train", "validation" and "test": a part, and the indices of the images of the split.
        notice: Called with lines about the progress if it takes long.

    Raises:
        DataError: A file cannot be read.
    """
    in_files = bool(splits["train"][0].files)
    names = [name for name in SPLITS if _comparable(splits[name][0], in_files)]
    if "train" not in names:
        return Duplicates(np.array([], np.int64), "", (), np.array([], np.int64))
    where = _Places(splits, names)
    split = np.repeat(names, [len(splits[name][1]) for name in names])
    labels = np.concatenate([splits[name][0].labels[splits[name][1]] for name in names])
    if in_files:
        number = cached_same_content(
            [splits[name][0].files[int(index)] for name in names for index in splits[name][1]], notice
        )
    else:
        number = same_pixels([_pixels(splits[name]) for name in names])
    in_train = split == "train"
    shared = in_train & np.isin(number, number[~in_train])
    fact = ""
    if count := int(shared.sum()):
        one = int(np.flatnonzero(shared)[0])
        other = int(np.flatnonzero((number == number[one]) & ~in_train)[0])
        fact = (
            f"training images that are also in validation or test, with the same content: {count:,} of "
            f"{int(in_train.sum()):,} ({where.of(one)} and {where.of(other)})"
        )
    facts = []
    both = (split == "validation") & np.isin(number, number[split == "test"])
    if count := int(both.sum()):
        facts.append(f"validation images that are also in test, with the same content: {count:,}")
    facts += _contradictions(where, number, labels)
    in_test = np.flatnonzero(both[split == "validation"])
    return Duplicates(np.flatnonzero(shared[in_train]), fact, tuple(facts), in_test)


class _Places:
    """The place of each compared image, as text for the user: its file, or its position in the array of a part.

    Args:
        splits: as for `find_duplicates`.
        names: the splits that are compared, in order.
    """

    def __init__(self, splits: Splits, names: Sequence[str]) -> None:
        self._splits = splits
        self._names = names

    def of(self, position: int) -> str:
        """Return the place of one of the compared images.

        Args:
            position: its position among the images of all splits.
        """
        for name in self._names:
            part, indices = self._splits[name]
            if position < len(indices):
                index = int(indices[position])
                if part.files:
                    return shown(part.files[index])
                source = next(each for each in SPLITS if self._splits[each][0] is part)  # a split may be cut from train
                return f"image {index} of {source}"
            position -= len(indices)
        raise IndexError(position)


def _comparable(part: Part, in_files: bool) -> bool:
    return bool(part.files) if in_files else part.images is not None


def _pixels(split: tuple[Part, Indices]) -> Pixels:
    part, indices = split
    assert part.images is not None
    return part.images[indices]


def _contradictions(where: "_Places", number: NDArray[np.int64], labels: NDArray[np.int64]) -> list[str]:
    """Return a line if images with the same content are in two classes."""
    pairs = np.unique(np.stack([number, labels]), axis=1)
    contents, classes = np.unique(pairs[0], return_counts=True)
    several = contents[classes > 1]
    if not len(several):
        return []
    same = np.flatnonzero(number == several[0])
    first = int(same[0])
    other = int(same[labels[same] != labels[first]][0])
    return [
        f"images that are in several classes, with the same content: {len(several):,} ({where.of(first)} and "
        f"{where.of(other)})"
    ]


def _divide(
    group: list[int], files: Sequence[ImageFile], key: Callable[[ImageFile], Hashable], progress: ProgressLines
) -> list[list[int]]:
    """Return the positions of a group, divided by a property of their files."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for position in group:
        try:
            found[key(files[position])].append(position)
        except OSError as error:
            raise DataError(f"image {shown(files[position])} cannot be read: {error.strerror}.") from error
        progress.advance()
    return list(found.values())


def _size(path: ImageFile) -> int:
    return path.stat().st_size if isinstance(path, Path) else 0  # the size of a row is known after reading it only


def _beginning(path: ImageFile) -> bytes:
    with path.open("rb") as file:
        return hashlib.blake2b(file.read(BEGINNING)).digest()


def _digest(path: ImageFile) -> bytes:
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.digest()
