"""`digits`: 1,797 scans of handwritten digits. They are part of scikit-learn, so no download is needed."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

SIZE = 16  # the scans are 8 x 8; they are doubled so that a network can have two strides
CLASSES = tuple(str(digit) for digit in range(10))


def read_scans() -> NDArray[np.float64]:
    """Return (1797, 65): 64 pixels of 0..16 row by row, then the digit.

    The file is read directly because importing scikit-learn takes seconds in every worker.
    """
    spec = find_spec("sklearn")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            with gzip.open(path, "rt") as file:
                return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return np.column_stack([pixels, labels])


def read(settings: Settings) -> Contents:
    """Return the scans at `image_size` (default 16). They have no official validation or test part.

    Args:
        settings: `image_size` is used; `data_dir` must be None.

    Raises:
        DataError: `data_dir` is given.
    """
    if settings.data_dir is not None:
        raise DataError(f"digits are part of scikit-learn and need no data_dir (--data-dir); got {settings.data_dir}.")
    size = settings.image_size or SIZE
    rows = read_scans()
    images = np.floor(rows[:, :64] * 255 / 16 + 0.5).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Contents((1, size, size), CLASSES, Part.from_arrays(images, rows[:, 64].astype(np.int64), size))


DIGITS = Source(
    "digits",
    "1,797 scans of handwritten digits, 10 classes, 1 x 16 x 16, inside scikit-learn",
    "CC BY 4.0 (UCI Optical Recognition of Handwritten Digits, Alpaydin and Kaynak 1998)",
    read,
    reads=("drop_duplicates",),
)
