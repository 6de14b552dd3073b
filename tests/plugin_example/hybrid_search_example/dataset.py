"""Data set `stripes`: noisy rows or noisy columns, two classes, not square. It needs no file."""

import numpy as np

from hybrid_search.data import Contents, Part, Source
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

ROWS, COLS, IMAGES = 12, 8, 240


def read(settings: Settings) -> Contents:
    """Return 240 images: horizontal stripes in class 0, vertical stripes in class 1."""
    if settings.data_dir is not None:
        raise DataError(f"stripes has no files, so data_dir must be absent; got {settings.data_dir}.")
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES, dtype=np.int64) % 2
    images = rng.integers(0, 128, (IMAGES, 1, ROWS, COLS)).astype(np.uint8)
    images[labels == 0, :, ::2] += 100
    images[labels == 1, :, :, ::2] += 100
    rows, cols = (settings.image_size,) * 2 if settings.image_size else (ROWS, COLS)
    part = Part.from_arrays(images, labels, settings.image_size)
    return Contents(input_size=(1, rows, cols), classes=("rows", "columns"), train=part)


STRIPES = Source(name="stripes", about="240 made-up images with stripes", licence="public domain", read=read)
