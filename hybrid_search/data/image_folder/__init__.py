"""`imagefolder`: the user's images in `train/<class>/`, and in `val/<class>/` and `test/<class>/` if these exist.

Files:
    layout.py         the folders of splits and classes
    listing.py        the image files of a class: suffixes, hidden files, links
    left_out.py       counts of what is left out
    decoding.py       one file becomes a square of 8-bit values
    value_range.py    images with more than 8 bits per value
    decoded_cache.py  the decoded images of a split in one file, which all workers map
    image_files.py    all files of a data set: check them, decode them
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from hybrid_search._internal.shown_path import shown
from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.data.image_folder.decoding import MAX_PIXELS, check_pillow, decode
from hybrid_search.data.image_folder.image_files import ImageFiles
from hybrid_search.data.image_folder.layout import IGNORE_TEST, find_classes, find_splits, flat_images, same_name
from hybrid_search.data.image_folder.left_out import LeftOut
from hybrid_search.data.image_folder.listing import list_images, suffixes
from hybrid_search.data.stored_size import SIZE, size_notes, stored_side
from hybrid_search.errors import DataError, nearest
from hybrid_search.records import Settings

__all__ = ["IMAGEFOLDER", "decode", "read"]

Files = dict[str, list[Path]]  # class -> its image files


def read(settings: Settings) -> Contents:
    """List the images below `data_dir` without decoding them.

    Args:
        settings: `data_dir` (required), `image_size`, `stored_size`, `augment`, `ignore_test`, `cache` and
            `max_image_pixels` are used.

    Raises:
        DataError: A folder is missing, a class has no image, a class of val or test is not a class of train, or
            `stored_size` is smaller than `image_size`.
    """
    if settings.data_dir is None:
        raise DataError("imagefolder needs data_dir (--data-dir), a folder that contains train/<class>/; got none.")
    check_pillow()
    size = settings.image_size or SIZE
    stored = stored_side(settings, size)
    base = Path(settings.data_dir)
    left_out = LeftOut(base)
    splits = find_splits(base, left_out)
    classes = find_classes(splits["train"], left_out)
    if not classes:
        raise DataError(f"imagefolder needs train/<class>/ with images; {shown(splits['train'])} has no class folder.")
    listed = {"train": _list_classes(classes, left_out)}
    notes = []
    for name in [name for name in ("val", "test") if name in splits]:
        if name == "test" and settings.ignore_test:
            notes.append(f"{shown(splits[name])} is left out (ignore_test); the test split is cut from train")
            continue
        listed[name] = _list_split(splits[name], name, tuple(classes), left_out)
    every_file = [path for files in listed.values() for paths in files.values() for path in paths]
    limit = settings.max_image_pixels or MAX_PIXELS
    images = ImageFiles(base, every_file, stored, limit, stores=settings.cache == "disk")
    parts = {name: _part(files, images) for name, files in listed.items()}
    notes += size_notes(settings, size, stored)
    return Contents(
        (3, size, size),
        tuple(classes),
        parts["train"],
        parts.get("val"),
        parts.get("test"),
        notes=(*left_out.lines(), *notes),
        prepare=images.prepare,
    )


def _list_classes(classes: Mapping[str, Path], left_out: LeftOut) -> Files:
    """Return the images of every class; raise DataError for a class without any."""
    files = {name: list_images(folder, left_out) for name, folder in classes.items()}
    for name, folder in classes.items():
        if not files[name]:
            found = LeftOut(folder)
            list_images(folder, found)
            others = f" Left out are {found.entries()}." if found.counts else ""
            raise DataError(f"every class needs an image; {shown(folder)} has none ({', '.join(suffixes())}).{others}")
    return files


def _list_split(folder: Path, split: str, classes: tuple[str, ...], left_out: LeftOut) -> Files:
    """Return the images of val or test by the classes of train; raise DataError unless its classes are the same."""
    advice = f" {IGNORE_TEST}" if split == "test" else ""
    found = find_classes(folder, left_out)
    if not found and (flat := flat_images(folder)):
        raise DataError(
            f"images of {split} must be in class folders, as in train; {shown(folder)} has {flat:,} images and no "
            f"class folder.{advice}"
        )
    by_class: dict[str, Path] = {}
    for name, path in found.items():
        known = next((known for known in classes if same_name(known, name)), None)
        if known is None:
            listed = ", ".join(shown(each) for each in classes)
            raise DataError(
                f"classes of {shown(folder)} must be those of train ({listed}); got '{shown(name)}'."
                f"{nearest(name, classes)}{advice}"
            )
        by_class[known] = path
    missing = next((name for name in classes if name not in by_class), None)
    if missing is not None:
        raise DataError(f"every class needs an image; {shown(folder / missing)} is not a folder.{advice}")
    return _list_classes({name: by_class[name] for name in classes}, left_out)


def _part(files: Files, images: ImageFiles) -> Part:
    """Return a part with the images of every class, in the order of the classes."""
    paths = tuple(path for each in files.values() for path in each)
    labels = np.repeat(np.arange(len(files), dtype=np.int64), [len(each) for each in files.values()])
    return Part(labels, partial(images.take, paths), paths)


IMAGEFOLDER = Source(
    "imagefolder",
    "your own images in train/<class>/, with or without val and test",
    "set by the owner",
    read,
    reads=("drop_duplicates", "ignore_test", "max_image_pixels", "stored_size", "cache"),
)
