"""`cifar10` and `cifar100`: 60,000 photographs, from binary records or from pickles, in a folder or an archive.

A binary record is one byte (cifar10: class) or two bytes (cifar100: coarse class, class), then 3 x 32 x 32 pixels. The
pickles of the Python version are read without running them; see `restricted_pickle`.
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hybrid_search._internal.cache_folder import cache_folder, user_cache
from hybrid_search._internal.shown_path import shown
from hybrid_search.data.cifar_formats import (
    CIFAR10_BINARY,
    CIFAR10_PICKLES,
    CIFAR100_BINARY,
    CIFAR100_PICKLES,
    SIDE,
    Form,
    class_names,
    images_and_labels,
)
from hybrid_search.data.class_names import check_names
from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.data.downloads import download
from hybrid_search.data.file_members import read_files
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

URL = "https://www.cs.toronto.edu/~kriz/"
LICENCE = "none stated; cite Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
PUBLISHED = (50_000, 10_000)  # training and test images


@dataclass(frozen=True)
class Variant:
    """One of the two data sets.

    Attributes:
        name: cifar10 or cifar100.
        classes: the number of classes.
        forms: the forms of its files; the first one that is found is read, the very first is downloaded.
    """

    name: str
    classes: int
    forms: tuple[Form, ...]


def read(variant: Variant, settings: Settings) -> Contents:
    """Return the official train and test parts. There is no official validation part.

    Args:
        variant: which of the two data sets.
        settings: `data_dir` and `image_size` are used.

    Raises:
        DataError: a file is missing or damaged, or a pickle has more than plain data.
    """
    form, place = _find_files(variant, settings)
    files = read_files(place, form.folder, (*form.train, form.test), (form.names,))
    train = _read_part(variant, form, place, {name: files[name] for name in form.train}, settings.image_size)
    test = _read_part(variant, form, place, {form.test: files[form.test]}, settings.image_size)
    names = class_names(form, files.get(form.names), variant.classes, shown(place / form.names))
    check_names(shown(place / form.names), names)
    size = settings.image_size or SIDE
    return Contents((3, size, size), names, train, test=test, notes=_notes(variant, form, place, train, test))


def _find_files(variant: Variant, settings: Settings) -> tuple[Form, Path]:
    """Return a form and the folder or archive of its files: at or below `data_dir`; without `data_dir`, a download."""
    base = user_cache() / variant.name if settings.data_dir is None else Path(settings.data_dir)
    for form in variant.forms:
        for folder in (base / form.folder, base):
            if (folder / form.test).is_file():
                return form, folder
    for form in variant.forms:
        for archive in (base / form.archive, base):
            if archive.is_file() and archive.name == form.archive:
                return form, archive
    if settings.data_dir is not None:
        places = [f"{form.folder}/{form.test}" for form in variant.forms] + [form.archive for form in variant.forms]
        raise DataError(
            f"{variant.name} needs {', '.join(places[:-1])} or {places[-1]}; {shown(base)} "
            f"{'has none of them' if base.is_dir() else 'is none of them' if base.exists() else 'is missing'}."
        )
    form = variant.forms[0]
    downloaded = cache_folder(variant.name)
    download(URL + form.archive, downloaded, form.md5, variant.name, "give", unpack=True)
    return form, downloaded / form.folder


def _read_part(variant: Variant, form: Form, place: Path, files: dict[str, bytes], image_size: int | None) -> Part:
    """Return the images of these files; raise DataError for a damaged file or a wrong label."""
    found = [images_and_labels(form, content, shown(place / name)) for name, content in files.items()]
    labels = np.concatenate([labels for _, labels in found])
    if labels.max() >= variant.classes:
        raise DataError(
            f"labels of {variant.name} must be 0 to {variant.classes - 1}; {shown(place)} has {labels.max()}."
        )
    return Part.from_arrays(np.concatenate([images for images, _ in found]), labels, image_size)


def _notes(variant: Variant, form: Form, place: Path, train: Part, test: Part) -> tuple[str, ...]:
    """Return what a user must know: the numbers of images, or the archive, differ from what the authors publish."""
    counts = (len(train.labels), len(test.labels))
    if counts != PUBLISHED:
        return (
            f"{variant.name}: {shown(place)} has {counts[0]:,} training and {counts[1]:,} test images; the published "
            f"data set has {PUBLISHED[0]:,} and {PUBLISHED[1]:,}",
        )
    if place.is_file() and (md5 := _md5(place)) != form.md5:
        return (
            f"{variant.name}: {shown(place)} is not the archive of the authors: its MD5 is {md5}, theirs is {form.md5}",
        )
    return ()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _source(variant: Variant) -> Source:
    about = f"60,000 photographs, {variant.classes} classes, 3 x 32 x 32 (the binary or the Python version)"
    return Source(variant.name, about, LICENCE, partial(read, variant), reads=("drop_duplicates",))


CIFAR10 = _source(Variant("cifar10", 10, (CIFAR10_BINARY, CIFAR10_PICKLES)))
CIFAR100 = _source(Variant("cifar100", 100, (CIFAR100_BINARY, CIFAR100_PICKLES)))
