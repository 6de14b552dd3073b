"""`npz`: the user's images in one NumPy archive.

The archive contains x_train and y_train. It may contain x_val, y_val, x_test, y_test and classes (the class names).
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_search.data.dataset import Contents, Labels, Part, Pixels, Source
from hybrid_search.errors import DataError, nearest
from hybrid_search.records import Settings

CHANNELS = (1, 2, 3, 4)
KEYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test", "classes")
LAYOUTS = (
    "must be uint8 (n, rows, columns), (n, channels, rows, columns) or (n, rows, columns, channels) "
    "with 1 to 4 channels"
)


def read(settings: Settings) -> Contents:
    """Return the parts of the archive `data_dir`.

    Args:
        settings: `data_dir` (required, the path of the archive) and `image_size` are used.

    Raises:
        DataError: the archive cannot be read, or an array is missing or has the wrong type or shape.
    """
    if settings.data_dir is None:
        raise DataError("npz needs --data-dir, the path of a .npz file; got none.")
    arrays = _read_arrays(Path(settings.data_dir))
    parts: dict[str, Part] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for part in ("train", "val", "test"):
        if f"x_{part}" in arrays:
            images = _images(f"x_{part}", arrays[f"x_{part}"])
            labels = _labels(f"y_{part}", arrays[f"y_{part}"], images)
            shapes[part] = images.shape[1:]
            parts[part] = Part.from_arrays(images, labels, settings.image_size)
            if shapes[part] != shapes["train"]:
                raise DataError(f"x_{part} must have images of {shapes['train']} like x_train; got {shapes[part]}.")
    count = 1 + max((int(part.labels.max()) for part in parts.values() if len(part.labels)), default=-1)
    names = tuple(str(name) for name in arrays.get("classes", np.arange(count)).ravel())
    if len(names) < count:
        raise DataError(f"classes must name all {count} classes of the labels; got {len(names)}.")
    channels, rows, cols = shapes["train"]
    size = settings.image_size
    input_size = (channels, size or rows, size or cols)
    return Contents(input_size, names, parts["train"], parts.get("val"), parts.get("test"))


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return every array; raise DataError for an unreadable archive, or an unknown or missing key."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"npz needs --data-dir with a complete .npz file without Python objects; {path}: {error}."
        ) from error
    for key in arrays:
        if key not in KEYS:
            raise DataError(f"arrays of an npz file are {', '.join(KEYS)}; got {key!r}.{nearest(key, KEYS)}")
    for part in ("train", "val", "test"):
        if (f"x_{part}" in arrays) != (f"y_{part}" in arrays) or (part == "train" and "x_train" not in arrays):
            raise DataError(f"an npz file needs both x_{part} and y_{part}; {path} has {', '.join(arrays) or 'none'}.")
    return arrays


def _images(key: str, array: NDArray[Any]) -> Pixels:
    """Return the images as (n, channels, rows, columns); raise DataError if the axes are ambiguous."""
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or 0 in array.shape[1:]:
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
    return array if first else np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _labels(key: str, array: NDArray[Any], images: Pixels) -> Labels:
    """Return the labels as int64 (n,); raise DataError unless they are integers from 0 up, one for each image."""
    if not np.issubdtype(array.dtype, np.integer) or array.shape != (len(images),):
        raise DataError(
            f"{key} must be {len(images)} whole numbers, one for each image; got {array.dtype} {array.shape}."
        )
    if len(array) and array.min() < 0:
        raise DataError(f"{key} must be classes from 0 up; got {array.min()}.")
    return array.astype(np.int64)


NPZ = Source(
    "npz",
    "your own images in a .npz file: x_train, y_train, and x_val, y_val, x_test, y_test",
    "set by the owner",
    read,
)
