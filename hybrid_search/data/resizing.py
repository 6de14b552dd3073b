"""Resize images with NumPy alone: bilinear, with antialiasing when an image shrinks, and bit-equal on every machine."""

import numpy as np
from numpy.typing import NDArray

# Weights are whole numbers that sum to ONE, so every sum of products is a whole number below 2**53. Matrix products in
# float64 are then exact in any order of addition, and a fingerprint does not depend on the machine.
ONE = 1 << 11
CHUNK = 1024  # images resized at a time; bounds the memory


def resize(images: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    """Resize images to `size` x `size`.

    Args:
        images: uint8 (n, channels, rows, columns).
        size: rows and columns of the result; None returns the images unchanged.

    Returns:
        uint8 (n, channels, size, size).
    """
    count, channels, rows, cols = images.shape
    if size is None or (rows, cols) == (size, size):
        return images
    down, across = _weights(rows, size), _weights(cols, size).T
    out = np.empty((count, channels, size, size), np.uint8)
    for start in range(0, count, CHUNK):
        mixed = down @ images[start : start + CHUNK].astype(np.float64) @ across
        out[start : start + CHUNK] = np.floor(mixed / ONE**2 + 0.5)
    return out


def _weights(before: int, after: int) -> NDArray[np.float64]:
    """Return the share of each old pixel in each new one, in units of 1 / ONE: (after, before), each row sums to ONE.

    The filter is a triangle. Its half width is one old pixel if the image grows, one new pixel if it shrinks.
    """
    scale = before / after
    reach = max(scale, 1.0)
    centres = (np.arange(after) + 0.5) * scale - 0.5
    triangle = np.clip(1 - np.abs(np.arange(before) - centres[:, None]) / reach, 0, None)
    shares: NDArray[np.float64] = np.round(triangle / triangle.sum(axis=1, keepdims=True) * ONE)
    shares[np.arange(after), shares.argmax(axis=1)] += ONE - shares.sum(axis=1)
    return shares
