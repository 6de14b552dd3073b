"""Resizing images with numpy alone: bilinear, antialiased when it shrinks, exact to the bit on every machine."""

import numpy as np
from numpy.typing import NDArray

# Weights are whole numbers that sum to ONE, so that every sum of products is a whole number below 2**53: float64
# matrix products are then exact, whatever order a BLAS adds in, and a fingerprint does not depend on the machine.
ONE = 1 << 11
CHUNK = 1024  # images resized at a time; bounds the memory


def weights(before: int, after: int) -> NDArray[np.float64]:
    """The share of each old pixel in each new one, in units of 1 / ONE: (after, before), rows sum to ONE.

    A triangle as wide as two old pixels when growing (bilinear), as two new pixels when shrinking (antialiased).
    """
    scale = before / after
    reach = max(scale, 1.0)
    centres = (np.arange(after) + 0.5) * scale - 0.5
    triangle = np.clip(1 - np.abs(np.arange(before) - centres[:, None]) / reach, 0, None)
    shares: NDArray[np.float64] = np.round(triangle / triangle.sum(axis=1, keepdims=True) * ONE)
    shares[np.arange(after), shares.argmax(axis=1)] += ONE - shares.sum(axis=1)
    return shares


def resize(images: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    """(n, channels, rows, cols) -> (n, channels, size, size), uint8; the images themselves where `size` is None."""
    count, channels, rows, cols = images.shape
    if size is None or (rows, cols) == (size, size):
        return images
    down, across = weights(rows, size), weights(cols, size).T
    out = np.empty((count, channels, size, size), np.uint8)
    for start in range(0, count, CHUNK):
        mixed = down @ images[start : start + CHUNK].astype(np.float64) @ across
        out[start : start + CHUNK] = np.floor(mixed / ONE**2 + 0.5)
    return out
