"""The table of data sets: name -> images cut into train, validation and a closed test split.

    load(settings) -> Dataset                what a search sees, read once per process
    size_of(settings) -> (input size, classes)    checked in full, but no pixel is decoded or resized
    open_test(settings, reason) -> Split     the test split; every opening is logged

Splits are made once by `split_seed`, stratified: a data set's own test and validation parts stay what they are, and a
missing one is cut from train, a fifth of it (at most 10,000 images).
"""

import hashlib
import logging
from functools import lru_cache
from importlib.metadata import entry_points

import numpy as np

from hybrid_search.data.cifar import CIFAR
from hybrid_search.data.dataset import Contents, Dataset, Indices, Part, Pixels, Size, Source, Split
from hybrid_search.data.digits import DIGITS
from hybrid_search.data.idx import FASHION_MNIST
from hybrid_search.data.image_folder import IMAGEFOLDER
from hybrid_search.data.npz import NPZ
from hybrid_search.data.splits import CUT, MOST, cut, thin
from hybrid_search.errors import DataError, one_of
from hybrid_search.records import Settings

__all__ = [
    "DATASETS",
    "Dataset",
    "Source",
    "Split",
    "datasets",
    "describe",
    "fingerprint_of",
    "load",
    "open_test",
    "size_of",
]

# Adding a data set: its file, and its line here. Other packages add theirs by the entry point group
# `hybrid_search.datasets`.
DATASETS: dict[str, Source] = {source.name: source for source in (DIGITS, FASHION_MNIST, *CIFAR, IMAGEFOLDER, NPZ)}

# The settings that say which images a data set is made of.
CHOSEN_BY = ("data", "data_dir", "image_size", "train_images", "validation_images", "split_seed")
CHUNK = 4096  # images hashed and summed at a time


def datasets() -> dict[str, Source]:
    """Every data set by name: the table above and what installed plugins offer."""
    plugins = {point.name: point.load() for point in entry_points(group="hybrid_search.datasets")}
    return {**plugins, **DATASETS}


def describe(name: str) -> Source:
    """The data set of this name: one line about it and its licence, nothing read; DataError for an unknown one."""
    known = datasets()
    one_of("data", name, known, DataError)
    return known[name]


def size_of(settings: Settings) -> tuple[Size, int]:
    """(channels, rows, cols) of an image and the number of classes; DataError for anything a search would trip over."""
    contents, _ = _planned(_key(settings))
    return contents.input_size, len(contents.classes)


def load(settings: Settings) -> Dataset:
    """The training and validation images; DataError where they are missing, or too few to learn from."""
    return _loaded(_key(settings))


def open_test(settings: Settings, reason: str) -> Split:
    """The test split, all of it; the opening is logged as a warning on `hybrid_search.data` with the reason."""
    if not reason.strip():
        raise DataError("opening the test split needs a reason, which is logged; got an empty one.")
    contents, parts = _planned(_key(settings))
    test = _split(*parts["test"])
    mark = _fingerprint((test,), contents.classes)
    logging.getLogger(__name__).warning(
        "opened the test split of %s (%d images, fingerprint %s): %s", settings.data, len(test), mark, reason
    )
    return test


def fingerprint_of(split: Split, settings: Settings) -> str:
    """Sixteen hexadecimal digits over one split of these settings and its class names, as an opening is logged with."""
    contents, _ = _planned(_key(settings))
    return _fingerprint((split,), contents.classes)


def _key(settings: Settings) -> Settings:
    """Settings that differ only where the images do, so that the caches hit."""
    return Settings(**{name: getattr(settings, name) for name in CHOSEN_BY})


@lru_cache(maxsize=2)
def _planned(settings: Settings) -> tuple[Contents, dict[str, tuple[Part, Indices]]]:
    """The contents, and which images of which part each split takes."""
    source = describe(settings.data)
    contents = source.read(settings)
    _check(settings.data, contents)
    classes, seed = len(contents.classes), settings.split_seed
    share = min(1 / CUT, MOST / len(contents.train.labels))
    left = np.arange(len(contents.train.labels), dtype=np.int64)
    parts: dict[str, tuple[Part, Indices]] = {}
    for name, official in (("test", contents.test), ("validation", contents.validation)):
        if official is not None:
            parts[name] = (official, np.arange(len(official.labels), dtype=np.int64))
        else:
            kept, off = cut(contents.train.labels[left], classes, seed, share)
            parts[name] = (contents.train, left[off])
            left = left[kept]
            share /= 1 - share  # the next one takes as many from what is left
    parts["train"] = (contents.train, left)
    for name, count in (("train", settings.train_images), ("validation", settings.validation_images)):
        part, indices = parts[name]
        parts[name] = (part, indices[thin(part.labels[indices], classes, count, seed, f"{name}_images")])
    return contents, parts


def _check(name: str, contents: Contents) -> None:
    """Raise DataError for contents that nothing can be learned from."""
    if len(contents.classes) < 2:
        raise DataError(f"{name} must have at least two classes to tell apart; got {', '.join(contents.classes)}.")
    least = 1 + (contents.validation is None) + (contents.test is None)
    counts = np.bincount(contents.train.labels, minlength=len(contents.classes))
    fewest = int(counts.argmin())
    if counts[fewest] < least:
        raise DataError(
            f"every class of {name} must have at least {least} training images, one for each split cut from them; "
            f"class {contents.classes[fewest]!r} has {counts[fewest]}."
        )
    for part, official in (("validation", contents.validation), ("test", contents.test)):
        if official is not None and len(official.labels) == 0:
            raise DataError(f"the {part} part of {name} must have at least one image; it is empty.")


def _split(part: Part, indices: Indices) -> Split:
    return Split(part.take(indices), part.labels[indices])


@lru_cache(maxsize=2)
def _loaded(settings: Settings) -> Dataset:
    contents, parts = _planned(settings)
    train, validation = _split(*parts["train"]), _split(*parts["validation"])
    mean, std = _mean_and_std(train.images)
    licence = describe(settings.data).licence
    mark = _fingerprint((train, validation), contents.classes)
    return Dataset(settings.data, train, validation, contents.classes, licence, mark, mean, std)


def _fingerprint(splits: tuple[Split, ...], classes: tuple[str, ...]) -> str:
    """Sixteen hexadecimal digits over shapes, pixels, labels and class names; the order of the splits counts."""
    digest = hashlib.sha256(repr(classes).encode())
    for split in splits:
        digest.update(repr(split.images.shape).encode())
        for start in range(0, len(split), CHUNK):
            digest.update(np.ascontiguousarray(split.images[start : start + CHUNK]).data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return digest.hexdigest()[:16]


def _mean_and_std(images: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each channel, pixels scaled to 0..1, from exact counts of the 256 values; a flat channel has std 1."""
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), CHUNK):
            counts += np.bincount(images[start : start + CHUNK, channel].ravel(), minlength=256)
        mean = float((counts * values).sum() / counts.sum())
        means.append(mean)
        stds.append(float(np.sqrt((counts * (values - mean) ** 2).sum() / counts.sum())) or 1.0)
    return tuple(means), tuple(stds)
