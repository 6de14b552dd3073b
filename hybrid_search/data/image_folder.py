"""`imagefolder`: the user's images in `train/<class>/`, and in `val/<class>/` and `test/<class>/` if these exist.

The images of a split are decoded once, into one file in the user's cache folder. All workers of a machine map this
file into memory. Its name is a hash of the paths, sizes and times of the images, so a changed image is decoded again.
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

from hybrid_search._internal.cache_folder import cached_file
from hybrid_search.data.dataset import Contents, Indices, Part, Pixels, Source
from hybrid_search.data.downloads import locked
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

SIZE = 64  # rows and columns if image_size is None
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMAT = "1"  # part of the hash; increase it when the decoding changes


def read(settings: Settings) -> Contents:
    """List the images below `data_dir` without decoding them.

    Args:
        settings: `data_dir` (required) and `image_size` are used.

    Raises:
        DataError: a folder is missing, a class has no image, or a class of val or test is not a class of train.
    """
    if settings.data_dir is None:
        raise DataError("imagefolder needs --data-dir, a folder that contains train/<class>/; got none.")
    base = Path(settings.data_dir)
    if not (base / "train").is_dir():
        raise DataError(f"imagefolder needs train/<class>/ with images; {base / 'train'} is not a folder.")
    classes = _class_folders(base / "train")
    if not classes:
        raise DataError(f"imagefolder needs train/<class>/ with images; {base / 'train'} has no class folder.")
    size = settings.image_size or SIZE
    parts = {
        name: _read_part(base / name, classes, size) for name in ("train", "val", "test") if (base / name).is_dir()
    }
    return Contents((3, size, size), tuple(classes), parts["train"], parts.get("val"), parts.get("test"))


def decode(path: Path, size: int) -> Pixels:
    """Decode one image, scale its shorter side to `size`, and crop the longer side around the middle.

    Args:
        path: a file that Pillow can decode.
        size: rows and columns of the result.

    Returns:
        uint8 (3, size, size).

    Raises:
        DataError: the image is damaged.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata and large images; both can be decoded
            with Image.open(path) as image:
                image.draft("RGB", (size, size))  # a large JPEG is decoded at a fraction of its size
                upright = ImageOps.exif_transpose(image)
                square = ImageOps.fit(upright.convert("RGBA").convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"image {path} cannot be decoded: {error}.") from error
    return np.asarray(square, np.uint8).transpose(2, 0, 1)


def read_cached_images(paths: Sequence[Path], size: int, indices: Indices) -> Pixels:
    """Return images from the cache file; decode them into it first if it does not exist.

    Args:
        paths: all images of a part.
        size: rows and columns of the result.
        indices: which of the paths.

    Returns:
        uint8 (len(indices), 3, size, size), mapped from the file.

    Raises:
        DataError: an image is damaged.
    """
    chosen = [paths[int(index)] for index in indices]
    cached = cached_file("imagefolder", f"{_cache_key(chosen, size)}.npy")
    if not cached.is_file():
        with locked(cached):
            if not cached.is_file():  # another worker of this machine may have written it
                _decode_all(chosen, size, cached)
    mapped: Pixels = np.load(cached, mmap_mode="c")  # shared memory pages; torch warns about read-only ones
    return mapped


def _cache_key(paths: Sequence[Path], size: int) -> str:
    """Return a hash of everything that determines the decoded images."""
    lines = [f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths]
    return hashlib.sha256("\n".join([FORMAT, str(size), *lines]).encode()).hexdigest()[:32]


def _decode_all(paths: Sequence[Path], size: int, cached: Path) -> None:
    """Decode all images into a temporary file, then rename it, so that no process sees an incomplete file."""
    handle, name = tempfile.mkstemp(dir=cached.parent, suffix=".part")
    os.close(handle)
    try:
        images = open_memmap(name, "w+", np.uint8, (len(paths), 3, size, size))
        for row, path in enumerate(paths):
            images[row] = decode(path, size)
        images.flush()
        os.replace(name, cached)
    finally:
        Path(name).unlink(missing_ok=True)


def _read_part(folder: Path, classes: Sequence[str], size: int) -> Part:
    """List the images of one part; raise DataError for a class without images or an unknown class."""
    for name in _class_folders(folder):
        if name not in classes:
            raise DataError(f"classes of {folder} must be those of train ({', '.join(classes)}); got {name!r}.")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        images = _image_files(folder / name)
        if not images:
            raise DataError(f"every class needs an image; {folder / name} has none ({', '.join(SUFFIXES)}).")
        paths += images
        labels += [label] * len(images)
    return Part(np.array(labels, np.int64), partial(read_cached_images, tuple(paths), size))


def _class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a part, sorted; each is a class."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _image_files(folder: Path) -> list[Path]:
    """Return the image files below a folder, sorted, without hidden files."""
    images = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in images if path.is_file())


IMAGEFOLDER = Source(
    "imagefolder", "your own images in train/<class>/, with or without val and test", "set by the owner", read
)
