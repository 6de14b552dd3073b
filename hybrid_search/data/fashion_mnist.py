"""`fashion-mnist`: 70,000 pictures of clothes by Zalando, in the IDX format of MNIST, gzipped or not."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid_search._internal.cache_folder import cache_folder, user_cache
from hybrid_search._internal.shown_path import shown
from hybrid_search._internal.unreadable_file import HEAD, what_content_is, what_is_wrong
from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.data.downloads import download
from hybrid_search.data.memory import check_fits
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
GZIP = b"\x1f\x8b"
PUBLISHED = (60_000, 10_000)  # training and test images
PARTS = {"train": "train", "test": "t10k"}
KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FILES = {  # name -> MD5, the values that torchvision checks
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def read(settings: Settings) -> Contents:
    """Return the official train and test parts. There is no official validation part.

    Args:
        settings: `data_dir` and `image_size` are used.

    Raises:
        DataError: a file is missing or damaged.
    """
    folder = _find_folder(settings)
    train, (rows, cols) = _read_part(folder, PARTS["train"], settings)
    test, other = _read_part(folder, PARTS["test"], settings)
    if other != (rows, cols):
        raise DataError(
            f"images of {shown(folder)} must have one size; train has {rows} x {cols}, t10k {other[0]} x {other[1]}."
        )
    size = settings.image_size
    return Contents((1, size or rows, size or cols), CLASSES, train, test=test, notes=_notes(folder, train, test))


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of bytes in an IDX file.

    Args:
        path: the file, compressed by gzip or not, whatever its name.
        dimensions: the number of dimensions that the array must have.

    Raises:
        DataError: the file is incomplete, damaged, larger than memory, or has other dimensions.
    """
    head = 4 * (1 + dimensions)
    try:
        with path.open("rb") as start:
            zipped = start.read(2) == GZIP
        with gzip.open(path) if zipped else path.open("rb") as file:
            header = file.read(head)
            if len(header) < head or header[:4] != bytes((0, 0, 8, dimensions)):
                wrong = what_content_is(header + file.read(HEAD)) or "has another header"
                raise DataError(f"{shown(path)} must be an IDX file of bytes with {dimensions} dimensions; it {wrong}.")
            shape = struct.unpack(f">{dimensions}I", header[4:])
            expected = math.prod(shape)
            check_fits(f"the array {shape} of {shown(path)}", expected)
            data = file.read(expected + 1)
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, MemoryError, ValueError) as error:
        raise DataError(f"an IDX file must be complete; {shown(path)} {what_is_wrong(path, error)}.") from error
    if len(data) != expected:
        there = f"{len(data):,}" if len(data) < expected else "more"
        raise DataError(f"{shown(path)} must have {expected:,} bytes after its header; it has {there}.")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _find_folder(settings: Settings) -> Path:
    """Return `data_dir`, or else the folder of the Debian package, or else a folder with downloaded files."""
    if settings.data_dir is not None:
        base = Path(settings.data_dir)
        below = base / "FashionMNIST" / "raw"  # where torchvision puts them
        return below if below.is_dir() and not _find_file(base, f"train-{KINDS[0]}") else base
    for folder in (DEBIAN, user_cache() / "fashion-mnist"):
        if all(_find_file(folder, f"{stem}-{kind}") for stem in PARTS.values() for kind in KINDS):
            return folder
    downloaded = cache_folder("fashion-mnist")
    advice = "install Debian's package dataset-fashion-mnist, or give"
    for name, md5 in FILES.items():
        download(URL + name, downloaded, md5, "fashion-mnist", advice)
    return downloaded


def _find_file(folder: Path, name: str) -> Path | None:
    """Return the file of this name, gzipped or not; None if it is missing."""
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _read_part(folder: Path, stem: str, settings: Settings) -> tuple[Part, tuple[int, int]]:
    """Return one part, and the rows and columns of its images before resizing."""
    files = [_find_file(folder, f"{stem}-{kind}") for kind in KINDS]
    if files[0] is None or files[1] is None:
        names = " and ".join(f"{stem}-{kind}[.gz]" for kind in KINDS)
        raise DataError(
            f"fashion-mnist needs {names}; {shown(folder)} lacks them. Install Debian's package dataset-fashion-mnist, "
            "or give the folder that has them as data_dir (--data-dir)."
        )
    images, labels = read_idx(files[0], 3), read_idx(files[1], 1).astype(np.int64)
    if 0 in images.shape[1:]:
        raise DataError(f"images must have rows and columns; {shown(files[0])} has images of {images.shape[1:]}.")
    if len(images) != len(labels):
        raise DataError(
            f"every image of {shown(folder)} must have one label; {stem} has {len(images)} images, {len(labels)} "
            "labels."
        )
    if len(labels) and labels.max() >= len(CLASSES):
        raise DataError(
            f"labels of fashion-mnist must be 0 to {len(CLASSES) - 1}; {shown(files[1])} has {labels.max()}."
        )
    return Part.from_arrays(images[:, None], labels, settings.image_size), (images.shape[1], images.shape[2])


def _notes(folder: Path, train: Part, test: Part) -> tuple[str, ...]:
    """Return what a user must know: the numbers of images differ from the published ones."""
    counts = (len(train.labels), len(test.labels))
    if counts == PUBLISHED:
        return ()
    return (
        f"fashion-mnist: {shown(folder)} has {counts[0]:,} training and {counts[1]:,} test images; the published data "
        f"set has {PUBLISHED[0]:,} and {PUBLISHED[1]:,}",
    )


FASHION_MNIST = Source(
    "fashion-mnist",
    "70,000 pictures of clothes, 10 classes, 1 x 28 x 28",
    "MIT (Zalando SE, Fashion-MNIST 2017)",
    read,
    reads=("drop_duplicates",),
)
