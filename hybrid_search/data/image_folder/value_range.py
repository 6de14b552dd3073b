"""Convert images with more than 8 bits per value to 0..255, with one range of values for all images.

Pillow reads such images in the modes I;16 (16 bits), I (32 bits) and F (floating point). Their files do not say which
values mean black and white: 12-bit cameras write 16-bit files, and programs write floating-point values 0..1 or 0..255.
The range is therefore chosen once for all images of a data set in one mode, from their largest value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hybrid_search._internal.shown_path import shown
from hybrid_search.data.embedded_image import ImageFile
from hybrid_search.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

BITS = (8, 10, 12, 14, 16)  # of whole numbers
LARGEST = 65535.0  # of any value
ROUNDING = 1e-6  # how far a floating-point number may be above 1
COARSE = 32.0  # floating-point numbers that are not whole must reach this to be 0..255
PHOTOMETRIC = 262  # the TIFF tag that says whether 0 is black (1) or white (0)
Tops = Mapping[str, float]  # mode -> the value that is white, for a data set


@dataclass(frozen=True)
class Extent:
    """The smallest and largest value of one image, and whether all its values are whole numbers."""

    path: ImageFile
    mode: str
    low: float
    high: float
    whole: bool


def mode_of(image: "Image") -> str | None:
    """Return I;16, I or F for an image with more than 8 bits per value; None for every other image."""
    mode = "I;16" if image.mode.startswith("I;16") else image.mode
    return mode if mode in ("I;16", "I", "F") else None


def extent_of(image: "Image", path: ImageFile, mode: str) -> Extent:
    """Return the range of the values of an image.

    Raises:
        DataError: A value is below 0 or not finite, or above 65535.
    """
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= LARGEST):  # not a number fails both
        raise DataError(
            f"image {shown(path)} has mode {image.mode} with values from {low:g} to {high:g}; values must be from 0 to "
            "1, 255 or 65535. Convert it to 8 bits."
        )
    return Extent(path, mode, low, high, mode != "F" or bool((values == np.rint(values)).all()))


def tops_of(extents: Iterable[Extent]) -> dict[str, float]:
    """Return, for each mode, the value that is white: the smallest usual one that no image exceeds.

    Args:
        extents: The ranges of all images of a data set with more than 8 bits.

    Raises:
        DataError: Some floating-point images have values 0..1, and others larger ones.
    """
    ranges = list(extents)
    tops: dict[str, float] = {}
    for mode in sorted({each.mode for each in ranges}):
        same = [each for each in ranges if each.mode == mode]
        largest = max(same, key=lambda each: each.high)
        tops[mode] = _top(largest, all(each.whole for each in same))
        unlike = next((each for each in same if not each.whole and each.high <= 1 + ROUNDING < tops[mode]), None)
        if unlike is not None:
            raise DataError(
                f"floating-point images must have one range of values; {shown(unlike.path)} (mode F) has values up to "
                f"{unlike.high:g}, {shown(largest.path)} up to {largest.high:g}. Convert them to 8 bits."
            )
    return tops


def _top(largest: Extent, whole: bool) -> float:
    """Return the value that is white, from the image with the largest value.

    Args:
        largest: That image.
        whole: Whether all values of all images are whole numbers.

    Raises:
        DataError: Floating-point values that are not whole are above 255, or above 1 and far below 255.
    """
    if largest.mode == "F" and largest.high <= 1 + ROUNDING:
        return 1.0
    if whole:
        return next(2.0**bits - 1 for bits in BITS if largest.high <= 2.0**bits - 1)
    if COARSE <= largest.high <= 255:
        return 255.0
    raise DataError(
        f"floating-point images must have values from 0 to 1 or from 0 to 255; {shown(largest.path)} (mode "
        f"{largest.mode}) has values up to {largest.high:g}. Convert it to 8 bits."
    )


def is_white_zero(image: "Image") -> bool:
    """Return whether 0 is white in a TIFF file. Pillow inverts such values if they have 8 bits, and only then."""
    return image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == 0  # type: ignore[attr-defined]


def eight_bits(image: "Image", mode: str, tops: Tops, white_zero: bool) -> "Image":
    """Return an image with more than 8 bits per value as an 8-bit grey image.

    Whole numbers lose their lowest bits, as in a 16-bit colour image. Floating-point numbers are rounded.

    Args:
        image: The image.
        mode: Its mode, from `mode_of`.
        tops: The value that is white, by mode.
        white_zero: Whether 0 is white, and the value of `tops` is black.
    """
    from PIL import Image

    top = tops[mode]
    values: NDArray[Any] = np.asarray(image)
    if white_zero:
        values = (top if mode == "F" else int(top)) - values
    bits = int(top).bit_length()
    grey = np.rint(values * (255 / top)) if mode == "F" else values.astype(np.int64) >> (bits - 8)
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))
