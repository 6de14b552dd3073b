"""Images that are decoded at every access: they need neither memory nor space in the cache."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from hybrid_search.data.dataset import Indices, Pixels, Size


class OnDemand:
    """Images with the shape, type and indexing of an array (images, channels, rows, columns), which are not stored.

    Args:
        count: the number of images.
        size: channels, rows and columns of each.
        identity: a text that changes with the images.
        decode: a function from indices to uint8 (len(indices), channels, rows, columns). It raises DataError if an
            image is damaged.

    Example:
        >>> images = OnDemand(3, (1, 2, 2), "zeros", lambda indices: np.zeros((len(indices), 1, 2, 2), np.uint8))
        >>> images[1:].shape
        (2, 1, 2, 2)
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, count: int, size: Size, identity: str, decode: Callable[[Indices], Pixels]) -> None:
        self.shape = (count, *size)
        self.identity = identity
        self.decode = decode

    @property
    def nbytes(self) -> int:
        """The bytes of all images if they were stored."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Pixels:
        indices = np.arange(len(self), dtype=np.int64)[key]
        return self.decode(np.atleast_1d(indices)) if np.ndim(indices) else self.decode(np.atleast_1d(indices))[0]


def joined(parts: Sequence[Pixels]) -> Pixels:
    """Return the images of several arrays as one; those in files stay there, and are read when they are used.

    Args:
        parts: images of one size, each uint8 (n, channels, rows, columns).

    Returns:
        uint8 (sum of n, channels, rows, columns).
    """
    if not any(isinstance(part, np.memmap | OnDemand) for part in parts):
        return np.concatenate(parts)
    starts = np.cumsum([0, *(len(part) for part in parts)])

    def read(indices: Indices) -> Pixels:
        pixels = np.empty((len(indices), *parts[0].shape[1:]), np.uint8)
        for part, start, stop in zip(parts, starts, starts[1:], strict=False):
            inside = np.flatnonzero((indices >= start) & (indices < stop))
            if len(inside):
                pixels[inside] = part[indices[inside] - start]
        return pixels

    names = [getattr(part, "identity", None) or str(getattr(part, "filename", "")) for part in parts]
    return cast(Pixels, OnDemand(int(starts[-1]), parts[0].shape[1:], " ".join(names), read))
