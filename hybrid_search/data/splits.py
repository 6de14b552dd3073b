"""Stratified splits from a seed: every class has about the same share in each split.

Official test and validation parts are used as they are. A missing one is cut from the training images: a fifth of
them, at most 10,000.
"""

import numpy as np

from hybrid_search.data.dataset import Contents, Indices, Labels, Part
from hybrid_search.data.duplicates import find_duplicates
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

CUT_SHARE = 5  # a split that is cut takes one image in five,
CUT_LIMIT = 10_000  # and at most this many


def plan_splits(contents: Contents, settings: Settings) -> dict[str, tuple[Part, Indices]]:
    """Return, for "train", "validation" and "test", a part and the indices of the split's images in it.

    Args:
        contents: the contents of a source.
        settings: `split_seed`, `drop_duplicates`, `train_images` and `validation_images` are used.

    Raises:
        DataError: `train_images` or `validation_images` is too large, or smaller than the number of classes.
    """
    parts = divide(contents, settings.split_seed)
    if settings.drop_duplicates:
        part, indices = parts["train"]
        parts["train"] = (part, np.delete(indices, find_duplicates(parts).in_train))
        _check_classes(parts["train"], contents.classes)
    for name, count in (("train", settings.train_images), ("validation", settings.validation_images)):
        part, indices = parts[name]
        chosen = subsample(part.labels[indices], len(contents.classes), count, settings.split_seed, f"{name}_images")
        parts[name] = (part, indices[chosen])
    return parts


def divide(contents: Contents, seed: int) -> dict[str, tuple[Part, Indices]]:
    """Return the official parts as splits, and cut the missing ones from the training images.

    Args:
        contents: the contents of a source.
        seed: selects the images of a split that is cut.

    Returns:
        "train", "validation" and "test": a part, and the indices of the split's images in it.
    """
    classes = len(contents.classes)
    share = min(1 / CUT_SHARE, CUT_LIMIT / len(contents.train.labels))
    rest = np.arange(len(contents.train.labels), dtype=np.int64)
    parts: dict[str, tuple[Part, Indices]] = {}
    for name, official in (("test", contents.test), ("validation", contents.validation)):
        if official is not None:
            parts[name] = (official, np.arange(len(official.labels), dtype=np.int64))
        else:
            remaining, removed = cut(contents.train.labels[rest], classes, seed, share)
            parts[name] = (contents.train, rest[removed])
            rest = rest[remaining]
            share /= 1 - share  # the second cut takes as many images from the smaller rest
    parts["train"] = (contents.train, rest)
    return parts


def _check_classes(split: tuple[Part, Indices], classes: tuple[str, ...]) -> None:
    """Raise DataError if a class has lost all its training images."""
    part, indices = split
    counts = np.bincount(part.labels[indices], minlength=len(classes))
    if counts.min() == 0:
        raise DataError(
            f"drop_duplicates must leave a training image of every class; class {classes[int(counts.argmin())]!r} has "
            "only images that are also in validation or test."
        )


def cut(labels: Labels, classes: int, seed: int, share: float) -> tuple[Indices, Indices]:
    """Divide images into two sets, each with every class.

    Args:
        labels: int64 (n,).
        classes: the number of classes.
        seed: selects the images.
        share: the share of each class in the second set, 0..1.

    Returns:
        The indices of the first and of the second set, each in ascending order.
    """
    first, second = [], []
    for indices in _by_class(labels, classes, seed):
        count = max(1, round(share * len(indices)))
        second.append(indices[:count])
        first.append(indices[count:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def subsample(labels: Labels, classes: int, count: int | None, seed: int, setting: str) -> Indices:
    """Choose `count` images so that every class keeps its share and at least one image.

    Args:
        labels: int64 (n,).
        classes: the number of classes.
        count: the number of images; None takes all of them.
        seed: selects the images.
        setting: the name of the setting that gave `count`, for the error message.

    Returns:
        The indices in ascending order.

    Raises:
        DataError: there are fewer than `count` images, or `count` is smaller than the number of classes.
    """
    if count is None:
        return np.arange(len(labels), dtype=np.int64)
    if count > len(labels):
        raise DataError(f"{setting} must be at most {len(labels)}, the images that this data set has; got {count}.")
    if count < classes:
        raise DataError(f"{setting} must be at least {classes}, one image for each class; got {count}.")
    parts = _by_class(labels, classes, seed)
    sizes = np.array([len(part) for part in parts])
    exact = sizes * count / len(labels)
    counts = np.maximum(np.minimum(np.floor(exact).astype(int), sizes), np.minimum(sizes, 1))
    # Largest remainder method. The one image that each class must have can make the sum too large; the surplus is
    # taken from the classes that exceed their share the most.
    while counts.sum() < count:
        counts[np.argmax(np.where(counts < sizes, exact - counts, -np.inf))] += 1
    while counts.sum() > count:
        counts[np.argmax(np.where(counts > 1, counts - exact, -np.inf))] -= 1
    return np.sort(np.concatenate([part[:n] for part, n in zip(parts, counts, strict=True)]))


def _by_class(labels: Labels, classes: int, seed: int) -> list[Indices]:
    """Return the indices of each class in a random order given by the seed."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(np.flatnonzero(labels == label)).astype(np.int64) for label in range(classes)]
