"""`fashion-mnist`: 70,000 pictures of clothes by Zalando, in the IDX format of MNIST, gzipped or not."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid_search._internal.cache_folder import cache_folder, user_cache
from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.data.downloads import download
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
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
    test, _ = _read_part(folder, PARTS["test"], settings)
    size = settings.image_size
    return Contents((1, size or rows, size or cols), CLASSES, train, test=test)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of bytes in an IDX file.

    Args:
        path: the file; a name that ends with .gz is decompressed.
        dimensions: the number of dimensions that the array must have.

    Raises:
        DataError: the file is incomplete, damaged, or has other dimensions.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"an IDX file must be complete; {path} cannot be read: {error}.") from error
    head = 4 * (1 + dimensions)
    if len(data) < head or data[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(f"{path} must be an IDX file of bytes with {dimensions} dimensions; it has another header.")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    expected = int(np.prod(shape, dtype=object))
    if len(data) - head != expected:
        raise DataError(f"{path} must have {expected:,} bytes after its header; it has {len(data) - head:,}.")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _find_folder(settings: Settings) -> Path:
    """Return `data_dir`, or else the folder of the Debian package, or else a folder with downloaded files."""
    if settings.data_dir is not None:
        return Path(settings.data_dir)
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
            f"fashion-mnist needs {names}; {folder} lacks them. Install Debian's package dataset-fashion-mnist, or "
            "give the folder that has them with --data-dir."
        )
    images, labels = read_idx(files[0], 3), read_idx(files[1], 1).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(
            f"every image of {folder} must have one label; {stem} has {len(images)} images, {len(labels)} labels."
        )
    if len(labels) and labels.max() >= len(CLASSES):
        raise DataError(f"labels of fashion-mnist must be 0 to {len(CLASSES) - 1}; {files[1]} has {labels.max()}.")
    return Part.from_arrays(images[:, None], labels, settings.image_size), (images.shape[1], images.shape[2])


FASHION_MNIST = Source(
    "fashion-mnist", "70,000 pictures of clothes, 10 classes, 1 x 28 x 28", "MIT (Zalando SE, Fashion-MNIST 2017)", read
)
