"""Find the folders of a data set: its splits, and the classes of each split."""

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_search._internal.shown_path import printable, shown
from hybrid_search.data.image_folder.left_out import LeftOut
from hybrid_search.data.image_folder.listing import (
    DANGLING,
    HIDDEN_IMAGES,
    REPEATED,
    ancestors,
    entries,
    identity,
    images_within,
    is_hidden,
    is_image,
    kind_of,
)
from hybrid_search.errors import DataError

# split -> the names of its folder, in any case of letters
NAMES: Mapping[str, Sequence[str]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing"),
}
IGNORE_TEST = "ignore_test=true (--set) leaves the test folder out."


def find_splits(base: Path, left_out: LeftOut) -> dict[str, Path]:
    """Return the folders of the splits train, val and test; val and test may be absent.

    Args:
        base: The folder of the data set.
        left_out: Other folders and images beside the splits are counted here.

    Raises:
        DataError: There is no train folder, two folders are the same split, or one is a link to nothing.
    """
    if not base.is_dir():
        raise DataError(f"imagefolder needs train/<class>/ with images; {shown(base / 'train')} is not a folder.")
    found: dict[str, list[Path]] = {name: [] for name in NAMES}
    others: list[Path] = []
    for entry in entries(base):
        path, kind = base / entry.name, kind_of(entry)
        split = next((split for split, names in NAMES.items() if entry.name.lower() in names), None)
        if split is not None and kind == "folder":
            found[split].append(path)
        elif split is not None and kind == "nothing":
            raise DataError(f"the {split} split must be a folder; {shown(path)} is a link to nothing.")
        elif split is not None:
            left_out.add("files with the name of a split", path)
        elif kind == "nothing":
            left_out.add(DANGLING, path)
        elif kind == "folder":
            others.append(path)
        elif is_image(entry.name):
            left_out.add("images beside train", path)
    for split, folders in found.items():
        if len({identity(folder) for folder in folders}) > 1:
            names = " and ".join(shown(folder.name) for folder in folders)
            raise DataError(f"the {split} split must be one folder; {shown(base)} has {names}. Keep one of them.")
    if not found["train"]:
        missing = f"imagefolder needs train/<class>/ with images; {shown(base / 'train')} is not a folder."
        raise DataError(f"{missing}{_hint(base, others)}")
    for path in others:
        what = "hidden or system folders" if is_hidden(path.name) else "folders beside train"
        left_out.add(what, path)
    return {split: folders[0] for split, folders in found.items() if folders}


def _hint(base: Path, folders: Sequence[Path]) -> str:
    """Return what the user can do if a folder has class folders but no train folder."""
    if not any(is_image(entry.name) for folder in folders if not is_hidden(folder.name) for entry in entries(folder)):
        return ""
    if base.name.lower() in NAMES["train"]:
        return f" Give its parent folder: --data-dir {shown(base.parent)}."
    return f" Move the class folders of {shown(base)} into a folder train."


def find_classes(split: Path, left_out: LeftOut) -> dict[str, Path]:
    """Return the class folders of a split by class name, sorted by the name of the folder.

    Args:
        split: The folder of the split.
        left_out: Images beside the class folders, and hidden folders, are counted here.

    Raises:
        DataError: Two folders have one name: bytes that are not UTF-8 are written as escapes, and an accent may be
            one character or two.
    """
    around = ancestors(split)
    classes: dict[str, Path] = {}
    for entry in entries(split):
        path, kind = split / entry.name, kind_of(entry)
        if kind == "nothing":
            left_out.add(DANGLING, path)
        elif kind == "folder" and is_hidden(entry.name):
            left_out.add(HIDDEN_IMAGES, path, sum(1 for _ in images_within(path)))
        elif kind == "folder" and identity(path) in around:
            left_out.add(REPEATED, path)
        elif kind == "folder":
            name = printable(entry.name)
            for other in classes:
                if same_name(other, name):
                    raise DataError(
                        f"every class must have its own name; {shown(split)} has two folders '{shown(name)}'."
                    )
            classes[name] = path
        elif is_image(entry.name):
            left_out.add("images beside the class folders", path)
    return classes


def same_name(one: str, other: str) -> bool:
    """Return whether two class names are one: systems store an accented letter as one character or as two."""
    return one == other or unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def flat_images(split: Path) -> int:
    """Return the number of images in a split that are not in a class folder."""
    return sum(1 for entry in entries(split) if is_image(entry.name) and os.path.isfile(entry.path))
