"""`npz`: any images in one NumPy archive: x_train, y_train and, where there are any, x_val, y_val, x_test, y_test."""

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
LAW = "must be uint8 (n, rows, cols), (n, channels, rows, cols) or (n, rows, cols, channels) with 1 to 4 channels"


def arrays_of(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of the archive; DataError for an unreadable one or an unknown or missing key."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"npz needs --data-dir with a whole .npz file, no objects in it; {path}: {error}.") from error
    for key in arrays:
        if key not in KEYS:
            raise DataError(f"arrays of an npz file are {', '.join(KEYS)}; got {key!r}.{nearest(key, KEYS)}")
    for part in ("train", "val", "test"):
        if (f"x_{part}" in arrays) != (f"y_{part}" in arrays) or (part == "train" and "x_train" not in arrays):
            raise DataError(f"an npz file needs both x_{part} and y_{part}; {path} has {', '.join(arrays) or 'none'}.")
    return arrays


def pixels(key: str, array: NDArray[Any]) -> Pixels:
    """The images as (n, channels, rows, cols); DataError where it is not plain which axis is which."""
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or 0 in array.shape[1:]:
        raise DataError(f"{key} {LAW}; got {array.dtype} {array.shape}.")
    if array.ndim == 3:
        return array[:, None]
    first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
    if first == last:
        raise DataError(f"{key} {LAW}, on one of those axes alone; got {array.shape}.")
    return array if first else np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def labels(key: str, array: NDArray[Any], images: Pixels) -> Labels:
    """The classes as int64 (n,); DataError unless they are whole numbers from 0 up, one an image."""
    if not np.issubdtype(array.dtype, np.integer) or array.shape != (len(images),):
        raise DataError(f"{key} must be {len(images)} whole numbers, one an image; got {array.dtype} {array.shape}.")
    if len(array) and array.min() < 0:
        raise DataError(f"{key} must be classes from 0 up; got {array.min()}.")
    return array.astype(np.int64)


def read(settings: Settings) -> Contents:
    """The parts of the file that `data_dir` names; those it lacks are cut from train."""
    if settings.data_dir is None:
        raise DataError("npz needs --data-dir, the path of a .npz file; got none.")
    arrays = arrays_of(Path(settings.data_dir))
    parts: dict[str, Part] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for part in ("train", "val", "test"):
        if f"x_{part}" in arrays:
            images = pixels(f"x_{part}", arrays[f"x_{part}"])
            shapes[part] = images.shape[1:]
            parts[part] = Part.of(images, labels(f"y_{part}", arrays[f"y_{part}"], images), settings.image_size)
            if shapes[part] != shapes["train"]:
                raise DataError(f"x_{part} must be images of {shapes['train']} like x_train; got {shapes[part]}.")
    count = 1 + max((int(part.labels.max()) for part in parts.values() if len(part.labels)), default=-1)
    names = tuple(str(name) for name in arrays.get("classes", np.arange(count)).ravel())
    if len(names) < count:
        raise DataError(f"classes must name all {count} classes that the labels use; got {len(names)}.")
    channels, rows, cols = shapes["train"]
    size = settings.image_size
    input_size = (channels, size or rows, size or cols)
    return Contents(input_size, names, parts["train"], parts.get("val"), parts.get("test"))


NPZ = Source(
    "npz", "images in a .npz file of your own: x_train, y_train, and x_val, y_val, x_test, y_test", "yours", read
)
