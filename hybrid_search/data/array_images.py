"""Convert images in an array, of any clear layout and type of numbers, to uint8 (n, channels, rows, columns).

type of the array     values                   becomes
uint8                 0 to 255                 the same
bool                  false, true              0, 255
other integers        0 to 255                 the same
other integers        0 to 65,535              the highest 8 of 10, 12, 14 or 16 bits, the fewest that hold all values
floats                0 to 1                   value x 255, rounded
floats                0 to 255                 rounded

Everything else is refused by name: the scale of a normalised image cannot be known.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_search.data.dataset import Pixels
from hybrid_search.errors import DataError

CHANNELS = (1, 2, 3, 4)
LAYOUTS = (
    "must be (n, rows, columns), (n, channels, rows, columns) or (n, rows, columns, channels) with 1 to 4 channels"
)
CHUNK = 1024  # images converted at a time; bounds the memory
ROUNDING = 1e-6  # how far a float may be outside 0..1
BITS = (10, 12, 14, 16)  # of images with more than 8 bits
COARSE = 32.0  # floats that are no whole numbers must reach this to be 0..255
Convert = Callable[[NDArray[Any]], NDArray[Any]]


def pixels_of(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, Pixels], list[str]]:
    """Return the images of several arrays of one data set as 8-bit values.

    Arrays of one type are scaled alike, by the largest value of all of them.

    Args:
        arrays: name -> images, in one of the layouts and types above.

    Returns:
        name -> uint8 (n, channels, rows, columns), and a line for people about every change of the values.

    Raises:
        DataError: the axes of an array are ambiguous, a value is not finite, or the range of the values is unknown.

    Example:
        >>> images, notes = pixels_of({"x_train": np.zeros((9, 28, 28), np.float32)})
        >>> images["x_train"].shape
        (9, 1, 28, 28)
    """
    for key, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise DataError(f"{key} must have numbers from 0 to 255, such as uint8; got {array.dtype} {array.shape}.")
    ordered = {key: _channels_first(key, array) for key, array in arrays.items()}
    converted: dict[str, Pixels] = {}
    notes = []
    flags = [key for key, array in arrays.items() if array.dtype.kind == "b"]
    if flags and len(flags) < len(arrays):
        other = next(key for key in arrays if key not in flags)
        raise DataError(f"arrays of images must have one scale; {flags[0]} is bool, {other} {arrays[other].dtype}.")
    for kinds in ("b", "f", "iu"):
        group = {key: array for key, array in ordered.items() if array.dtype.kind in kinds}
        if not group:
            continue
        convert, note = _scale_of(group)
        converted |= {key: _as_bytes(array, convert) for key, array in group.items()}
        if note:
            notes.append(f"{', '.join(group)}: {note}")
    return converted, notes


def _channels_first(key: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return a view (n, channels, rows, columns); raise DataError if the axes are ambiguous."""
    if array.ndim == 2 and array.shape[1] > 1:
        raise DataError(
            f"{key} {LAYOUTS}; got {array.dtype} {array.shape}. Flat images: reshape them to their rows and columns."
        )
    if array.ndim not in (3, 4) or 0 in array.shape[1:]:
        raise DataError(f"{key} {LAYOUTS}; got {array.dtype} {array.shape}.")
    if array.ndim == 3:
        return array[:, None]
    first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
    if first and last:
        raise DataError(
            f"the channel axis of {key} is ambiguous: axis 1 and axis 3 both have 1 to 4 entries; got {array.shape}."
        )
    if not first and not last:
        raise DataError(f"{key} has no channel axis: axis 1 or axis 3 must have 1 to 4 entries; got {array.shape}.")
    return array if first else array.transpose(0, 3, 1, 2)


def _as_bytes(array: NDArray[Any], convert: Convert | None) -> Pixels:
    """Return uint8 in C order, converted a few images at a time."""
    if convert is None and array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    result = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), CHUNK):
        part = array[start : start + CHUNK]
        result[start : start + CHUNK] = part if convert is None else convert(part)
    return result


def _scale_of(group: Mapping[str, NDArray[Any]]) -> tuple[Convert | None, str]:
    """Return how the arrays of one kind of type become 0..255, and a note; None: their values are used as they are."""
    kind = next(iter(group.values())).dtype.kind
    if kind == "b":
        return (lambda part: part * np.uint8(255)), "false and true are used as 0 and 255"
    if all(array.dtype == np.uint8 for array in group.values()):
        return None, ""
    return _scale_of_floats(group) if kind == "f" else _scale_of_integers(group)


def _scale_of_integers(group: Mapping[str, NDArray[Any]]) -> tuple[Convert | None, str]:
    wide = {key: array for key, array in group.items() if array.dtype != np.uint8}
    for key, array in wide.items():
        low = array.min(initial=0)
        if low < 0:
            raise DataError(f"{key} must have values from 0 to 255; got {array.dtype} with {low} to {array.max()}.")
    brightest = max(wide, key=lambda key: int(wide[key].max(initial=0)))
    most, dtype = int(wide[brightest].max(initial=0)), wide[brightest].dtype
    if most <= 255:
        return None, f"{dtype} values are used as 8-bit values, 0 to 255"
    narrow = [key for key in group if key not in wide]
    if narrow or most >= 1 << BITS[-1]:
        alike = f", like {narrow[0]}, which is uint8" if narrow else f" or at most {(1 << BITS[-1]) - 1:,}"
        raise DataError(f"{brightest} must have values from 0 to 255{alike}; got {dtype} with up to {most:,}.")
    bits = next(bits for bits in BITS if most < 1 << bits)
    return (lambda part: part.astype(np.int64) >> (bits - 8)), (
        f"{dtype} values up to {most:,} are used as {bits}-bit values, whose highest 8 bits are kept"
    )


def _scale_of_floats(group: Mapping[str, NDArray[Any]]) -> tuple[Convert | None, str]:
    ranges = {key: _range(key, array) for key, array in group.items()}
    for key, (low, high, _) in ranges.items():
        unit = high <= 1 + ROUNDING
        if low < -(ROUNDING if unit else 0.0) or high > 255:
            raise DataError(
                f"{key} must have values from 0 to 1 or from 0 to 255; got {group[key].dtype} with {low:g} to "
                f"{high:g}. Undo a normalization before saving."
            )
    lit = {key: found for key, found in ranges.items() if found[1] > 0}  # a black array fits any scale
    units = [key for key, (_, high, _) in lit.items() if high <= 1 + ROUNDING]
    if len(units) == len(lit):
        return (lambda part: np.floor(np.clip(part.astype(np.float64), 0, 1) * 255 + 0.5)), (
            "values from 0 to 1 are multiplied by 255"
        )
    if units:
        other = next(key for key in lit if key not in units)
        raise DataError(
            f"arrays of images must have one scale; {units[0]} has values up to {lit[units[0]][1]:g}, {other} up to "
            f"{lit[other][1]:g}."
        )
    for key, (_, high, whole) in lit.items():
        if not whole and high < COARSE:
            raise DataError(
                f"{key} must have values from 0 to 1 or from 0 to 255; got {group[key].dtype} with up to {high:g}, "
                "whose scale is unknown. Scale the images to uint8, 0 to 255."
            )
    note = "whole floats" if all(whole for *_, whole in lit.values()) else "floats, rounded,"
    return (lambda part: np.floor(part.astype(np.float64) + 0.5)), f"{note} are used as 8-bit values, 0 to 255"


def _range(key: str, array: NDArray[Any]) -> tuple[float, float, bool]:
    """Return the smallest and the largest value and whether all are whole numbers; raise DataError for NaN."""
    low, high, whole = np.inf, -np.inf, True
    for start in range(0, len(array), CHUNK):
        part = array[start : start + CHUNK]
        finite = np.isfinite(part)
        if not finite.all():
            image = start + int(np.argmax(~finite.reshape(len(part), -1).all(axis=1)))
            raise DataError(f"{key} must have finite values; image {image} has NaN or infinity.")
        low, high = min(low, float(part.min())), max(high, float(part.max()))
        whole = whole and bool((np.floor(part) == part).all())
    return (low, high, whole) if len(array) else (0.0, 0.0, True)
