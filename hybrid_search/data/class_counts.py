"""Check the number of images of each class, and list what a user must know about small classes."""

from collections.abc import Mapping, Sequence

import numpy as np

from hybrid_search.data.dataset import Contents, Indices, Part
from hybrid_search.errors import DataError

SMALL = 5  # images of a class in validation; with fewer, one image moves the mean over classes by much
UNEQUAL = 10  # times as many images has the largest class
LISTED = 3  # classes in a message, at most


def check_classes(name: str, contents: Contents) -> None:
    """Raise DataError if a network cannot learn from these contents, or a split would be empty.

    Args:
        name: the data set, for the message.
        contents: the contents of a source.
    """
    if len(contents.classes) < 2:
        raise DataError(f"{name} must have at least two classes; got {', '.join(contents.classes)}.")
    missing = [part for part, official in _official(contents).items() if official is None]
    least = 1 + len(missing)
    counts = np.bincount(contents.train.labels, minlength=len(contents.classes))
    few = np.flatnonzero(counts < least)
    if len(few):
        fewest = int(counts.argmin())
        others = {1: "", 2: ", and 1 other class has too few"}.get(
            len(few), f", and {len(few) - 1} other classes have too few"
        )
        reason = f", one for each split that is cut from them ({', '.join(['train', *missing])})" if missing else ""
        remedy = f" or give a {' and a '.join(missing)} part" if missing and counts[fewest] else ""
        raise DataError(
            f"every class of {name} must have at least {least} training images{reason}; class "
            f"{contents.classes[fewest]!r} has {counts[fewest]}{others}. Add images, leave the class out{remedy}."
        )
    for part, official in _official(contents).items():
        if official is not None and len(official.labels) == 0:
            raise DataError(f"the {part} part of {name} must have at least one image; it is empty.")


def notes_on_classes(splits: Mapping[str, tuple[Part, Indices]], classes: Sequence[str]) -> list[str]:
    """Return what a user must know about the sizes of the classes, one line each.

    Args:
        splits: "train", "validation" and "test": a part, and the indices of the split's images in it.
        classes: the class names.
    """
    notes = []
    counts = {
        name: np.bincount(part.labels[indices], minlength=len(classes)) for name, (part, indices) in splits.items()
    }
    for name in ("validation", "test"):
        absent = [classes[int(label)] for label in np.flatnonzero(counts[name] == 0)]
        if absent:
            notes.append(f"{name} has no image of {_listed(absent)}: balanced_accuracy and macro_f1 leave them out")
    present = counts["validation"][counts["validation"] > 0]
    fewest = int(present.min(initial=SMALL))
    if fewest < SMALL and int(present.max()) >= UNEQUAL * fewest:
        small = [classes[int(label)] for label in np.flatnonzero(counts["validation"] == fewest)]
        images = "1 image" if fewest == 1 else f"{fewest} images"
        notes.append(
            f"validation has {images} of {_listed(small)} and {present.max():,} of the largest class: accuracy hardly "
            f"shows small classes, and one image changes balanced_accuracy by {100 / fewest / len(present):.3g} points"
        )
    return notes


def _official(contents: Contents) -> dict[str, Part | None]:
    return {"validation": contents.validation, "test": contents.test}


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:LISTED])
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{'class' if len(names) == 1 else 'classes'} {shown}{more}"
