"""`fashion-mnist`: Zalando's 70,000 pictures of clothes in the IDX files that MNIST introduced, gzipped or not."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.data.fetch import cache_folder, fetch
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
PARTS = {"train": "train", "test": "t10k"}
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FILES = {  # name -> MD5, as torchvision checks them
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def find(folder: Path, name: str) -> Path | None:
    """The file of this name in the folder, gzipped or not."""
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of bytes that an IDX file holds; DataError unless it is whole and has that many dimensions."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"an IDX file must be whole; {path} cannot be read: {error}.") from error
    head = 4 * (1 + dimensions)
    if len(data) < head or data[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(f"{path} must be an IDX file of bytes with {dimensions} dimensions; it starts otherwise.")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    expected = int(np.prod(shape, dtype=object))
    if len(data) - head != expected:
        raise DataError(f"{path} must hold {expected:,} bytes after its head; it holds {len(data) - head:,}.")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def folder_of(settings: Settings) -> Path:
    """Where the four files lie: `data_dir`, else Debian's folder, else a download made once."""
    if settings.data_dir is not None:
        return Path(settings.data_dir)
    downloaded = cache_folder("fashion-mnist")
    for folder in (DEBIAN, downloaded):
        if all(find(folder, f"{stem}-{kind}") for stem in PARTS.values() for kind in KINDS):
            return folder
    for name, md5 in FILES.items():
        fetch(URL + name, downloaded, md5, "fashion-mnist", "install Debian's package dataset-fashion-mnist, or give")
    return downloaded


KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def read_part(folder: Path, stem: str, settings: Settings) -> tuple[Part, tuple[int, int]]:
    """One part and the rows and columns of its images."""
    found = [find(folder, f"{stem}-{kind}") for kind in KINDS]
    if found[0] is None or found[1] is None:
        wanted = " and ".join(f"{stem}-{kind}[.gz]" for kind in KINDS)
        raise DataError(
            f"fashion-mnist needs {wanted}; {folder} lacks them. Debian's package dataset-fashion-mnist "
            "has them, and --data-dir says where they lie."
        )
    images, labels = read_idx(found[0], 3), read_idx(found[1], 1).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(
            f"{folder} must have one label an image; {stem} has {len(images)} images, {len(labels)} labels."
        )
    if len(labels) and labels.max() >= len(CLASSES):
        raise DataError(f"labels of fashion-mnist are 0 to {len(CLASSES) - 1}; {found[1]} holds {labels.max()}.")
    return Part.of(images[:, None], labels, settings.image_size), (images.shape[1], images.shape[2])


def read(settings: Settings) -> Contents:
    """The official train and test parts; validation is cut from train."""
    folder = folder_of(settings)
    train, (rows, cols) = read_part(folder, PARTS["train"], settings)
    test, _ = read_part(folder, PARTS["test"], settings)
    size = settings.image_size
    return Contents((1, size or rows, size or cols), CLASSES, train, test=test)


FASHION_MNIST = Source(
    "fashion-mnist", "70,000 pictures of clothes, 10 classes, 1 x 28 x 28", "MIT (Zalando SE, Fashion-MNIST 2017)", read
)
