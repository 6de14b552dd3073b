"""What a data set is made of: splits of images, the contents a source offers, and the source itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_search.data.resize import resize
from hybrid_search.records import Settings

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Indices = NDArray[np.int64]
Size = tuple[int, int, int]  # channels, rows, cols


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their classes: `images` uint8 (n, channels, rows, cols), `labels` int64 (n,)."""

    images: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a source before it is split: every label, and pixels on demand.

    `take` gives the images of these indices as uint8 (len(indices), channels, rows, cols), already resized.
    """

    labels: Labels
    take: Callable[[Indices], Pixels]

    @classmethod
    def of(cls, images: Pixels, labels: Labels, image_size: int | None = None) -> "Part":
        """A part whose images lie in memory; they are resized to `image_size` squared where it is given."""
        return cls(labels, lambda indices: resize(images[indices], image_size))


@dataclass(frozen=True, eq=False)
class Contents:
    """All that a source holds: `train`, and `validation` and `test` where it has official ones."""

    input_size: Size
    classes: tuple[str, ...]
    train: Part
    validation: Part | None = None
    test: Part | None = None


@dataclass(frozen=True)
class Source:
    """A data set by name: one line about it, its licence, and how it is read.

    `read` looks at the files that the settings point at and raises DataError where they cannot be used. Other packages
    offer a Source by the entry point group `hybrid_search.datasets`.
    """

    name: str
    about: str
    licence: str
    read: Callable[[Settings], Contents]


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a search sees: `train` and `validation`. The test split is closed; `open_test` opens and logs it.

    `fingerprint` is sixteen hexadecimal digits over both splits and the class names; `mean` and `std` are those of the
    training images by channel, pixels scaled to 0..1.
    """

    name: str
    train: Split
    validation: Split
    classes: tuple[str, ...]
    licence: str
    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def input_size(self) -> Size:
        """Channels, rows and columns of one image."""
        channels, rows, cols = self.train.images.shape[1:]
        return channels, rows, cols
