"""`imagefolder`: images in `train/<class>/`, and in `val/<class>/` and `test/<class>/` where those exist.

The images that a search uses are decoded once, into one file of bytes in the user's cache folder that every worker
maps into memory. Its name is a hash of the images' paths, sizes and times, so an image that changes is decoded anew.
"""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from hybrid_search.data.dataset import Contents, Indices, Part, Pixels, Source
from hybrid_search.data.fetch import cache_folder, locked
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

SIZE = 64  # where no image_size is given
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMAT = "1"  # raise it when the decoding changes: old cache files are then left alone


def images_in(folder: Path) -> list[Path]:
    """The image files below a folder, in order; hidden ones are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def classes_in(folder: Path) -> list[str]:
    """The folders of a part, in order; each is a class."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def decode(path: Path, size: int) -> Pixels:
    """One image as (3, size, size): its shorter side scaled to `size`, the middle of the longer one kept."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of large images; both are decoded
            with Image.open(path) as image:
                image.draft("RGB", (size, size))  # lets a large JPEG be decoded at a fraction of its size
                upright = ImageOps.exif_transpose(image)
                square = ImageOps.fit(upright.convert("RGBA").convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"every image must be whole; {path} cannot be decoded: {error}.") from error
    return np.asarray(square, np.uint8).transpose(2, 0, 1)


def key_of(paths: Sequence[Path], size: int) -> str:
    """A hash of what the decoded file will hold."""
    lines = [f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths]
    return hashlib.sha256("\n".join([FORMAT, str(size), *lines]).encode()).hexdigest()[:32]


def take(paths: Sequence[Path], size: int, indices: Indices) -> Pixels:
    """These images, mapped from the cache, which is filled first if need be: uint8 (n, 3, size, size)."""
    chosen = [paths[int(index)] for index in indices]
    folder = cache_folder("imagefolder")
    cached = folder / f"{key_of(chosen, size)}.npy"
    if not cached.is_file():
        with locked(cached):
            if not cached.is_file():  # another worker of this machine may have been faster
                _decode_all(chosen, size, cached)
    mapped: Pixels = np.load(cached, mmap_mode="c")  # shared pages; torch warns about read-only ones
    return mapped


def _decode_all(paths: Sequence[Path], size: int, cached: Path) -> None:
    handle, name = tempfile.mkstemp(dir=cached.parent, suffix=".part")
    os.close(handle)
    try:
        images = open_memmap(name, "w+", np.uint8, (len(paths), 3, size, size))
        for row, path in enumerate(paths):
            images[row] = decode(path, size)
        images.flush()
        os.replace(name, cached)  # whole or not at all, also where there is no lock
    finally:
        Path(name).unlink(missing_ok=True)


def read_part(folder: Path, classes: Sequence[str], size: int) -> Part:
    """The images of one part; DataError names a class that has none or that train does not know."""
    for name in classes_in(folder):
        if name not in classes:
            raise DataError(f"classes of {folder} must be those of train ({', '.join(classes)}); got {name!r}.")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = images_in(folder / name)
        if not found:
            raise DataError(f"every class needs an image; {folder / name} has none ({', '.join(SUFFIXES)}).")
        paths += found
        labels += [label] * len(found)
    return Part(np.array(labels, np.int64), partial(take, tuple(paths), size))


def read(settings: Settings) -> Contents:
    """The parts below `data_dir`, listed but not decoded; those it lacks are cut from train."""
    if settings.data_dir is None:
        raise DataError("imagefolder needs --data-dir, a folder with train/<class>/ in it; got none.")
    base = Path(settings.data_dir)
    if not (base / "train").is_dir():
        raise DataError(f"imagefolder needs train/<class>/ with images; {base / 'train'} is not a folder.")
    classes = classes_in(base / "train")
    if not classes:
        raise DataError(f"imagefolder needs train/<class>/ with images; {base / 'train'} has no class folder.")
    size = settings.image_size or SIZE
    parts = {name: read_part(base / name, classes, size) for name in ("train", "val", "test") if (base / name).is_dir()}
    return Contents((3, size, size), tuple(classes), parts["train"], parts.get("val"), parts.get("test"))


IMAGEFOLDER = Source("imagefolder", "images of your own in train/<class>/, with or without val and test", "yours", read)
