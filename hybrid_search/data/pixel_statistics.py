"""Numbers over all pixels of a split: fingerprint, mean and standard deviation. They are equal on every machine.

Images are read once, some megabytes at a time, so they may be larger than memory. For images in files the numbers are
kept in the cache folder, so that only the first process reads all of them.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from hybrid_search._internal.cache_folder import cached_file
from hybrid_search._internal.output_file import written_file
from hybrid_search.data.dataset import Labels, Pixels, Split
from hybrid_search.data.downloads import locked
from hybrid_search.data.on_demand import OnDemand
from hybrid_search.errors import DataError, SettingsError

CHUNK = 1 << 22  # bytes processed at a time; bounds the memory
NAME = "imagefolder"  # the folder below the cache folder
FORMAT = "1"  # of the file of numbers
Numbers = tuple[str, tuple[float, ...], tuple[float, ...]]  # fingerprint, means, standard deviations


def fingerprint(splits: Sequence[Split], classes: tuple[str, ...]) -> str:
    """Return sixteen hexadecimal digits of a SHA-256 over shapes, pixels, labels and class names.

    Args:
        splits: the splits; their order changes the fingerprint.
        classes: the class names.
    """
    return _fingerprint(splits, classes, np.zeros((0, 256), np.int64))


def mean_and_std(images: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, for pixels scaled to 0..1.

    They are computed from exact counts of the 256 values. A channel of one constant value gets standard deviation 1.

    Args:
        images: uint8 (n, channels, rows, columns).
    """
    counts = np.zeros((images.shape[1], 256), np.int64)
    for chunk in _chunks(images):
        _count(counts, chunk)
    return _moments(counts)


def statistics(train: Split, validation: Split, classes: tuple[str, ...]) -> Numbers:
    """Return the fingerprint of two splits, and mean and standard deviation of the training images.

    Args:
        train: the training split.
        validation: the validation split.
        classes: the class names.
    """
    key = _key((train, validation), classes)
    if key is None:
        return _computed(train, validation, classes)
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, SettingsError):
        found = json.loads(cached_file(NAME, f"{key}.stats").read_text(encoding="utf-8"))
        return str(found["fingerprint"]), tuple(map(float, found["mean"])), tuple(map(float, found["std"]))
    numbers = _computed(train, validation, classes)
    # Without the file, the next process reads the images again.
    with suppress(OSError, SettingsError, DataError):
        cached = cached_file(NAME, f"{key}.stats")
        with locked(cached), written_file(cached) as part:
            part.write_text(json.dumps(dict(zip(("fingerprint", "mean", "std"), numbers, strict=True))) + "\n")
    return numbers


def _computed(train: Split, validation: Split, classes: tuple[str, ...]) -> Numbers:
    counts = np.zeros((train.images.shape[1], 256), np.int64)
    return _fingerprint((train, validation), classes, counts), *_moments(counts)


def _fingerprint(splits: Sequence[Split], classes: tuple[str, ...], counts: NDArray[np.int64]) -> str:
    """Return the fingerprint; add the values of the first split to `counts`, (channels, 256), if it has channels."""
    digest = hashlib.sha256(repr(classes).encode())
    for number, split in enumerate(splits):
        digest.update(repr(split.images.shape).encode())
        for chunk in _chunks(split.images):
            digest.update(chunk.data)
            if number == 0:
                _count(counts, chunk)
        digest.update(_bytes(split.labels))
    return digest.hexdigest()[:16]


def _bytes(labels: Labels) -> bytes:
    return np.ascontiguousarray(labels, dtype="<i8").tobytes()


def _chunks(images: Pixels) -> Iterator[Pixels]:
    """Yield some images after the other, in C order."""
    step = max(1, CHUNK // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), step):
        yield np.ascontiguousarray(images[start : start + step])


def _count(counts: NDArray[np.int64], images: Pixels) -> None:
    for channel in range(len(counts)):
        counts[channel] += np.bincount(images[:, channel].ravel(), minlength=256)


def _moments(counts: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel from the counts of its values, (channels, 256)."""
    values = np.arange(256) / 255
    means, stds = [], []
    for each in counts:
        mean = float((each * values).sum() / each.sum())
        means.append(mean)
        stds.append(float(np.sqrt((each * (values - mean) ** 2).sum() / each.sum())) or 1.0)
    return tuple(means), tuple(stds)


def _key(splits: Sequence[Split], classes: tuple[str, ...]) -> str | None:
    """Return a hash of what determines the numbers; None for images that are not in files of the cache."""
    names = [_identity(split.images) for split in splits]
    if None in names:
        return None
    digest = hashlib.sha256(repr((FORMAT, names, classes)).encode())
    for split in splits:
        digest.update(_bytes(split.labels))
    return digest.hexdigest()[:32]


def _identity(images: Pixels) -> str | None:
    if isinstance(images, OnDemand):
        return images.identity
    if isinstance(images, np.memmap) and images.filename is not None:
        with suppress(OSError):
            found = os.stat(images.filename)
            return f"{images.filename} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    return None
