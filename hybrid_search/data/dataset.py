"""The values that describe a data set: split, part, contents, source and data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_search.data.embedded_image import ImageFile
from hybrid_search.data.resizing import resize
from hybrid_search.records import Settings

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Indices = NDArray[np.int64]
Size = tuple[int, int, int]  # channels, rows, columns
# Settings that only some sources have a use for.
OPTIONAL_SETTINGS = (
    "drop_duplicates", "ignore_test", "max_image_pixels", "stored_size", "cache", "image_column", "label_column",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels: `images` uint8 (n, channels, rows, columns), `labels` int64 (n,).

    The images may be those of a file that is mapped read-only, or be decoded when they are read (`OnDemand`). They may
    be larger than memory: read some at a time.
    """

    images: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Part:
    """One official part of a source, such as its training images. Pixels are read only when they are needed.

    Attributes:
        labels: int64 (n,), the class of every image.
        take: a function from indices to pixels, uint8 (len(indices), channels, rows, columns), already resized. Rows
            and columns may be larger than those of `Contents.input_size`; training then crops them.
        files: the file of every image, or its row in a file; equal ones in two splits are then found.
        images: the images before resizing, uint8 (n, channels, rows, columns), if they are in memory; equal images in
            two splits are then found.
    """

    labels: Labels
    take: Callable[[Indices], Pixels]
    files: tuple[ImageFile, ...] = ()
    images: Pixels | None = None

    @classmethod
    def from_arrays(cls, images: Pixels, labels: Labels, image_size: int | None = None) -> "Part":
        """Return a part whose images are in memory.

        Args:
            images: uint8 (n, channels, rows, columns).
            labels: int64 (n,).
            image_size: rows and columns after resizing; None keeps the images as they are.
        """
        return cls(labels, lambda indices: resize(images[indices], image_size), images=images)


@dataclass(frozen=True, eq=False)
class Contents:
    """Everything that a source has.

    Attributes:
        input_size: channels, rows and columns of an image after resizing.
        classes: the class names, in the order of the labels.
        train: the training images. A split that is None below is cut from them.
        validation: the official validation images, if there are any.
        test: the official test images, if there are any.
        notes: what the source left out or reinterpreted, one line for people each; said once before the first trial.
        prepare: called before the first trial, on the machine that runs the search, with the part and the indices of
            every split, and with a function that shows a line. It reads the images, raises DataError
            if one is damaged, and returns further notes. None: reading the source was check enough.
    """

    input_size: Size
    classes: tuple[str, ...]
    train: Part
    validation: Part | None = None
    test: Part | None = None
    notes: tuple[str, ...] = ()
    prepare: Callable[[Sequence[tuple[Part, Indices]], Callable[[str], None]], Sequence[str]] | None = None


@dataclass(frozen=True)
class Source:
    """An entry of the table of data sets.

    Another package adds a data set in two steps. It defines a Source at the top of a module, and names it in its
    pyproject.toml. Every Ray worker with that package installed can then read it:

        [project.entry-points."hybrid_search.datasets"]
        flowers = "my_package.flowers:FLOWERS"

    Attributes:
        name: the name in `Settings.data` and on the command line.
        about: one line for people.
        licence: the licence of the images.
        read: a function from settings to contents. It raises DataError if the files are missing or unusable.
        reads: the settings of `OPTIONAL_SETTINGS` that `read` uses. Any other one may only have its default.

    Example:
        >>> def read(settings):
        ...     images, labels = my_images(settings.data_dir)  # uint8 (n, 3, 32, 32), int64 (n,)
        ...     size = settings.image_size or 32
        ...     return Contents((3, size, size), ("rose", "tulip"), Part.from_arrays(images, labels, size))
        >>> FLOWERS = Source("flowers", "two flowers, 3 x 32 x 32", "CC BY 4.0", read)
    """

    name: str
    about: str
    licence: str
    read: Callable[[Settings], Contents]
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """The images that a search uses: the train and validation splits. `open_test` returns the test split.

    Attributes:
        name: the name of the source.
        train: the training split.
        validation: the validation split.
        classes: the class names, in the order of the labels.
        licence: the licence of the images.
        fingerprint: sixteen hexadecimal digits that identify both splits and the class names.
        mean: mean of the training images in each channel, for pixels 0..1.
        std: standard deviation of the training images in each channel, for pixels 0..1.
        size: rows and columns of the input of a network; None: those of the images. Larger images are cropped.
    """

    name: str
    train: Split
    validation: Split
    classes: tuple[str, ...]
    licence: str
    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None

    @property
    def input_size(self) -> Size:
        """Channels, rows and columns of the input of a network."""
        channels, rows, cols = self.train.images.shape[1:]
        return channels, *(self.size or (rows, cols))
