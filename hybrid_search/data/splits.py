"""Cutting and thinning splits: seeded and stratified, so that every class keeps its share."""

import numpy as np

from hybrid_search.data.dataset import Indices, Labels
from hybrid_search.errors import DataError

# A validation or test split that a data set does not have is a fifth of it, at most this many images.
CUT = 5
MOST = 10_000


def by_class(labels: Labels, classes: int, seed: int) -> list[Indices]:
    """The indices of each class in a seeded order."""
    generator = np.random.default_rng(seed)
    return [generator.permutation(np.flatnonzero(labels == label)).astype(np.int64) for label in range(classes)]


def cut(labels: Labels, classes: int, seed: int, share: float) -> tuple[Indices, Indices]:
    """The indices that stay and those cut off, a share of each class, in ascending order; both hold every class."""
    kept, off = [], []
    for indices in by_class(labels, classes, seed):
        count = max(1, round(share * len(indices)))
        off.append(indices[:count])
        kept.append(indices[count:])
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(off))


def thin(labels: Labels, classes: int, count: int | None, seed: int, what: str) -> Indices:
    """The indices of `count` images with every class at its share (all of them for None), in ascending order.

    `what` is the setting that asked for them; DataError when there are fewer, or fewer than one for each class.
    """
    if count is None:
        return np.arange(len(labels), dtype=np.int64)
    if count > len(labels):
        raise DataError(f"{what} must be at most {len(labels)}, the images that this data set has; got {count}.")
    if count < classes:
        raise DataError(f"{what} must be at least {classes}, one image for each class; got {count}.")
    parts = by_class(labels, classes, seed)
    sizes = np.array([len(part) for part in parts])
    exact = sizes * count / len(labels)
    wanted = np.maximum(np.minimum(np.floor(exact).astype(int), sizes), np.minimum(sizes, 1))
    # The images still to give go to the largest remainders; those given too many (one for each class) come back
    # from the classes with the most.
    while wanted.sum() < count:
        wanted[np.argmax(np.where(wanted < sizes, exact - wanted, -np.inf))] += 1
    while wanted.sum() > count:
        wanted[np.argmax(np.where(wanted > 1, wanted - exact, -np.inf))] -= 1
    return np.sort(np.concatenate([part[:n] for part, n in zip(parts, wanted, strict=True)]))
