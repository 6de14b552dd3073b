"""`cifar10` and `cifar100`: 60,000 photographs in the binary version, which is read without pickle.

A record is one byte (cifar10: class) or two bytes (cifar100: coarse class, class), then 3 x 32 x 32 pixels.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hybrid_search._internal.cache_folder import cache_folder, user_cache
from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.data.downloads import download
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

SIDE = 32
PIXELS = 3 * SIDE * SIDE
URL = "https://www.cs.toronto.edu/~kriz/"
LICENCE = "none stated; cite Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"


@dataclass(frozen=True)
class Variant:
    """The files of one of the two data sets.

    Attributes:
        name: cifar10 or cifar100.
        folder: the folder in the archive.
        archive: the archive on the authors' page.
        md5: the MD5 of the archive that the authors publish.
        train: the files of the training images.
        test: the file of the test images.
        names: the file of the class names.
        classes: the number of classes.
        label_bytes: the number of bytes before the pixels; the last one is the class.
    """

    name: str
    folder: str
    archive: str
    md5: str
    train: tuple[str, ...]
    test: str
    names: str
    classes: int
    label_bytes: int


CIFAR10_FILES = Variant(
    name="cifar10",
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test="test_batch.bin",
    names="batches.meta.txt",
    classes=10,
    label_bytes=1,
)
CIFAR100_FILES = Variant(
    name="cifar100",
    folder="cifar-100-binary",
    archive="cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    train=("train.bin",),
    test="test.bin",
    names="fine_label_names.txt",
    classes=100,
    label_bytes=2,
)


def read(variant: Variant, settings: Settings) -> Contents:
    """Return the official train and test parts. There is no official validation part.

    Args:
        variant: which of the two data sets.
        settings: `data_dir` and `image_size` are used.

    Raises:
        DataError: a file is missing or damaged.
    """
    folder = _find_folder(variant, settings)
    size = settings.image_size or SIDE
    train = _read_part(variant, folder, variant.train, settings.image_size)
    test = _read_part(variant, folder, (variant.test,), settings.image_size)
    return Contents((3, size, size), _class_names(variant, folder), train, test=test)


def _find_folder(variant: Variant, settings: Settings) -> Path:
    """Return the folder of the .bin files: `data_dir` or its usual subfolder; without `data_dir`, a download."""
    base = user_cache() / variant.name if settings.data_dir is None else Path(settings.data_dir)
    for folder in (base / variant.folder, base):
        if (folder / variant.test).is_file():
            return folder
    if settings.data_dir is not None:
        raise DataError(f"{variant.name} needs {variant.folder}/{variant.test} (the binary version); {base} lacks it.")
    downloaded = cache_folder(variant.name)
    download(URL + variant.archive, downloaded, variant.md5, variant.name, "give", unpack=True)
    return downloaded / variant.folder


def _read_part(variant: Variant, folder: Path, files: tuple[str, ...], image_size: int | None) -> Part:
    """Return the records of these files; raise DataError for a missing or incomplete file or a wrong label."""
    length = variant.label_bytes + PIXELS
    records = []
    for name in files:
        try:
            data = np.fromfile(folder / name, np.uint8)
        except OSError as error:
            raise DataError(f"{variant.name} needs {', '.join(files)}; {folder / name} cannot be read.") from error
        if len(data) == 0 or len(data) % length:
            raise DataError(f"{folder / name} must be complete records of {length} bytes; it has {len(data):,} bytes.")
        records.append(data.reshape(-1, length))
    rows = np.concatenate(records)
    labels = rows[:, variant.label_bytes - 1].astype(np.int64)
    if labels.max() >= variant.classes:
        raise DataError(f"labels of {variant.name} must be 0 to {variant.classes - 1}; {folder} has {labels.max()}.")
    return Part.from_arrays(rows[:, variant.label_bytes :].reshape(-1, 3, SIDE, SIDE), labels, image_size)


def _class_names(variant: Variant, folder: Path) -> tuple[str, ...]:
    """Return the names in the file beside the images, one a line; without that file, the numbers."""
    path = folder / variant.names
    names = tuple(path.read_text(encoding="utf-8").split()) if path.is_file() else ()
    return names if len(names) == variant.classes else tuple(str(label) for label in range(variant.classes))


def _source(variant: Variant) -> Source:
    about = f"60,000 photographs, {variant.classes} classes, 3 x 32 x 32 (the binary version)"
    return Source(variant.name, about, LICENCE, partial(read, variant))


CIFAR10 = _source(CIFAR10_FILES)
CIFAR100 = _source(CIFAR100_FILES)
