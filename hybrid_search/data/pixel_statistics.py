"""Numbers over all pixels of a split: fingerprint, mean and standard deviation. They are equal on every machine."""

import hashlib

import numpy as np

from hybrid_search.data.dataset import Pixels, Split

CHUNK = 4096  # images processed at a time; bounds the memory


def fingerprint(splits: tuple[Split, ...], classes: tuple[str, ...]) -> str:
    """Return sixteen hexadecimal digits of a SHA-256 over shapes, pixels, labels and class names.

    Args:
        splits: the splits; their order changes the fingerprint.
        classes: the class names.
    """
    digest = hashlib.sha256(repr(classes).encode())
    for split in splits:
        digest.update(repr(split.images.shape).encode())
        for start in range(0, len(split), CHUNK):
            digest.update(np.ascontiguousarray(split.images[start : start + CHUNK]).data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return digest.hexdigest()[:16]


def mean_and_std(images: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, for pixels scaled to 0..1.

    They are computed from exact counts of the 256 values. A channel of one constant value gets standard deviation 1.

    Args:
        images: uint8 (n, channels, rows, columns).
    """
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
