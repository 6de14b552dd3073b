"""Recognise the arrays of images, labels and class names of a file by their usual names."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_search._internal.shown_path import shown
from hybrid_search.errors import DataError

KEYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test", "classes")
PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing"),
}
ROLES = {
    "x": ("x", "images", "image", "imgs", "img", "data"),
    "y": ("y", "labels", "label", "targets", "target"),
}
CLASSES = ("classes", "class_names", "classnames", "label_names", "target_names")
SIMILAR = 0.85  # similarity of a key that is taken for a misspelling
LISTED = 8  # keys in a message, at most


@dataclass(frozen=True)
class ArrayKeys:
    """The names of the arrays of images, labels and class names in a file.

    Attributes:
        images: part (train, val, test) -> name of the array.
        labels: part -> name of the array.
        classes: name of the array of class names; None if there is none.
        unused: names of all other arrays.
    """

    images: dict[str, str]
    labels: dict[str, str]
    classes: str | None
    unused: tuple[str, ...]

    @property
    def used(self) -> tuple[str, ...]:
        """The names of all arrays that are read, part by part."""
        pairs = [name for part in self.images for name in (self.images[part], self.labels[part])]
        return (*pairs, *([self.classes] if self.classes else []))


def find_keys(path: Path, keys: Sequence[str], *, ignore_test: bool = False) -> ArrayKeys:
    """Return which of the arrays of a file are images, labels and class names.

    The names of this package are x_train, y_train, x_val and so on. Other usual names are read too: train_images and
    train_labels (MedMNIST), X_train, images and labels, data and target.

    Args:
        path: the file, for messages.
        keys: the names of its arrays.
        ignore_test: whether the arrays of the test part are left out.

    Raises:
        DataError: images or labels are missing, two arrays have one meaning, or a name is misspelled.
    """
    found: dict[tuple[str, str], str] = {}
    for key in keys:
        meaning = _meaning(key)
        if meaning is not None and meaning in found:
            raise DataError(
                f"an npz file must have one array of each kind; {found[meaning]!r} and {key!r} of {shown(path)} are "
                f"both {_words(meaning)}. Remove one."
            )
        if meaning is not None and not (ignore_test and meaning[1] == "test"):
            found[meaning] = key
    if ("x", "train") not in found and ("y", "train") not in found:  # one set of images, without the name of a part
        found |= {(role, "train"): found[role, ""] for role in ROLES if (role, "") in found}
    used = {key for (role, part), key in found.items() if part or role == "classes"}
    unused = tuple(key for key in keys if key not in used)
    _check_spelling(
        [key for key in unused if _meaning(key) is None], {f"{role}_{part}" for role, part in found if part}
    )
    for part in PARTS:
        pair = [found.get((role, part)) for role in ROLES]
        if (pair[0] is None) != (pair[1] is None) or (part == "train" and pair[0] is None):
            raise DataError(
                f"an npz file needs both x_{part} and y_{part}; {shown(path)} has {_listed(keys)}."
                f"{_remedy(part, pair, keys)}"
            )
    parts = [part for part in PARTS if ("x", part) in found]
    return ArrayKeys(
        {part: found["x", part] for part in parts},
        {part: found["y", part] for part in parts},
        found.get(("classes", "")),
        unused,
    )


def notes_on_keys(keys: ArrayKeys, others: Sequence[str] = ()) -> list[str]:
    """Return what a user must know about the names of the arrays, one line each.

    Args:
        keys: the keys of the file.
        others: members of the file that are no arrays.
    """
    notes = []
    if any(name not in KEYS for name in keys.used):
        pairs = [f"{part}: {keys.images[part]} and {keys.labels[part]}" for part in keys.images]
        notes.append(f"npz: images and labels are read from {', '.join(pairs)}")
    if left := [*keys.unused, *others]:
        count = "1 array is" if len(left) == 1 else f"{len(left)} arrays are"
        notes.append(f"npz: {count} not used: {_listed(left)}")
    return notes


def _meaning(key: str) -> tuple[str, str] | None:
    """Return (role, part) of an array by its name; the part is "" if the name has none; None for another name."""
    if key.lower() in CLASSES:
        return ("classes", "")
    words = tuple(re.findall(r"[a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", key).lower()))
    if len(words) > 2 or not re.fullmatch(r"[A-Za-z0-9]+[_\-. ]?[A-Za-z0-9]*", key):
        return None
    roles = {word: role for role, names in ROLES.items() for word in names}
    parts = {word: part for part, names in PARTS.items() for word in names}
    if len(words) == 1:
        return (roles[words[0]], "") if words[0] in roles else None
    one, other = words
    if one in roles and other in parts:
        return roles[one], parts[other]
    if one in parts and other in roles:
        return roles[other], parts[one]
    return None


def _check_spelling(unused: Sequence[str], present: set[str]) -> None:
    """Raise DataError for a name that is nearly the name of an array that is missing."""
    for key in unused:
        close = difflib.get_close_matches(key.lower(), [*KEYS, *_spellings()], n=1, cutoff=SIMILAR)
        meaning = _meaning(close[0]) if close else None
        if meaning is not None and meaning[1] and f"{meaning[0]}_{meaning[1]}" not in present:
            raise DataError(f"arrays of an npz file are {', '.join(KEYS)}; got {key!r}. Did you mean {close[0]!r}?")


def _spellings() -> list[str]:
    return [f"{part}_{role}" for part in PARTS for role in ("images", "labels", "x", "y")]


def _words(meaning: tuple[str, str]) -> str:
    role, part = meaning
    what = {"x": "images", "y": "labels"}.get(role, "names of the classes")
    return f"{what} of {part}" if part else what


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return ", ".join(keys[:LISTED]) + more if keys else "none"


def _remedy(part: str, pair: Sequence[str | None], keys: Sequence[str]) -> str:
    """Return a remedy for a test part without labels, or for arrays that were saved without names."""
    if part == "test" and pair[0] is not None:
        return " --set ignore_test=true leaves the test images out."
    if not any(re.fullmatch(r"arr_\d+", key) for key in keys):
        return ""
    return " Name the arrays: np.savez(path, x_train=images, y_train=labels)."
