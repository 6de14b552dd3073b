"""`cifar10` and `cifar100`: the binary version of both, which needs no unpickling.

A record is its label bytes (cifar10: the class; cifar100: the coarse class, then the class) and 3 x 32 x 32 pixels.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.data.fetch import cache_folder, fetch
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

SIDE = 32
PIXELS = 3 * SIDE * SIDE
LICENCE = "none stated; cite Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"


@dataclass(frozen=True)
class Version:
    """One of the two: its folder and archive with the MD5 that the authors publish, its files, bytes before a pixel."""

    name: str
    folder: str
    archive: str
    md5: str
    train: tuple[str, ...]
    test: str
    names: str
    classes: int
    label_bytes: int


VERSIONS = {
    version.name: version
    for version in (
        Version(
            name="cifar10",
            folder="cifar-10-batches-bin",
            archive="cifar-10-binary.tar.gz",
            md5="c32a1d4ab5d03f1284b67883e8d87530",
            train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
            test="test_batch.bin",
            names="batches.meta.txt",
            classes=10,
            label_bytes=1,
        ),
        Version(
            name="cifar100",
            folder="cifar-100-binary",
            archive="cifar-100-binary.tar.gz",
            md5="03b5dce01913d631647c71ecec9e9cb8",
            train=("train.bin",),
            test="test.bin",
            names="fine_label_names.txt",
            classes=100,
            label_bytes=2,
        ),
    )
}


def folder_of(version: Version, settings: Settings) -> Path:
    """Where the .bin files lie: `data_dir` or its subfolder of the usual name, else a download made once."""
    downloaded = cache_folder(version.name)
    base = downloaded if settings.data_dir is None else Path(settings.data_dir)
    for folder in (base / version.folder, base):
        if (folder / version.test).is_file():
            return folder
    if settings.data_dir is not None:
        raise DataError(f"{version.name} needs {version.folder}/{version.test} (the binary version); {base} lacks it.")
    url = f"https://www.cs.toronto.edu/~kriz/{version.archive}"
    fetch(url, downloaded, version.md5, version.name, "give", unpack=True)
    return downloaded / version.folder


def read_part(version: Version, folder: Path, files: tuple[str, ...], image_size: int | None) -> Part:
    """The records of these files; DataError for one that is missing, cut short, or labelled out of range."""
    length = version.label_bytes + PIXELS
    records = []
    for name in files:
        try:
            data = np.fromfile(folder / name, np.uint8)
        except OSError as error:
            raise DataError(f"{version.name} needs {', '.join(files)}; {folder / name} cannot be read.") from error
        if len(data) == 0 or len(data) % length:
            raise DataError(f"{folder / name} must be whole records of {length} bytes; it holds {len(data):,} bytes.")
        records.append(data.reshape(-1, length))
    rows = np.concatenate(records)
    labels = rows[:, version.label_bytes - 1].astype(np.int64)
    if labels.max() >= version.classes:
        raise DataError(f"labels of {version.name} are 0 to {version.classes - 1}; {folder} holds {labels.max()}.")
    return Part.of(rows[:, version.label_bytes :].reshape(-1, 3, SIDE, SIDE), labels, image_size)


def class_names(version: Version, folder: Path) -> tuple[str, ...]:
    """The names that lie beside the images, one a line, else the numbers."""
    path = folder / version.names
    names = tuple(path.read_text(encoding="utf-8").split()) if path.is_file() else ()
    return names if len(names) == version.classes else tuple(str(label) for label in range(version.classes))


def read(version: Version, settings: Settings) -> Contents:
    """The official train and test parts; validation is cut from train."""
    folder = folder_of(version, settings)
    size = settings.image_size or SIDE
    train = read_part(version, folder, version.train, settings.image_size)
    test = read_part(version, folder, (version.test,), settings.image_size)
    return Contents((3, size, size), class_names(version, folder), train, test=test)


CIFAR = tuple(
    Source(
        version.name,
        f"60,000 photographs, {version.classes} classes, 3 x 32 x 32 (the binary version)",
        LICENCE,
        partial(read, version),
    )
    for version in VERSIONS.values()
)
