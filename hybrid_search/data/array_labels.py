"""Convert labels in an array to class numbers: any numeric type, as a column (n, 1), or one-hot (n, classes)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_search.data.dataset import Labels
from hybrid_search.errors import DataError

FORMS = "The shape must be (n,), (n, 1), or one-hot (n, classes)"


def class_numbers(key: str, array: NDArray[Any], images: int) -> tuple[Labels, int]:
    """Return the class of every image, and how many classes the array itself shows.

    Args:
        key: name of the array, for messages.
        array: integers, booleans, or floats that are whole numbers; (n,), (n, 1) or one-hot (n, classes).
        images: the number of images, n.

    Returns:
        int64 (n,), and the number of classes: columns of a one-hot array, otherwise the largest label plus 1.

    Raises:
        DataError: there is not one class for each image, or a label is no whole number from 0 up.

    Example:
        >>> class_numbers("y_train", np.array([[0, 1], [1, 0]]), 2)
        (array([1, 0]), 2)
    """
    if array.dtype.kind not in "biuf":
        raise DataError(f"{key} must be {images} whole numbers, one for each image; got {_other_type(array)}.")
    if array.ndim not in (1, 2) or len(array) != images or (array.ndim == 2 and array.shape[1] == 0):
        raise DataError(
            f"{key} must be {images} whole numbers, one for each image; got {array.dtype} {array.shape}. {FORMS}."
        )
    if array.ndim == 2 and array.shape[1] > 1:
        return _from_one_hot(key, array), array.shape[1]
    column = array.reshape(-1)
    if array.dtype.kind == "f":
        _check_whole(key, column)
    if not images:
        return np.zeros(0, np.int64), 0
    smallest, largest = column.min(), column.max()
    if smallest < 0:
        raise DataError(f"{key} must be classes from 0 up; got {smallest:g}.")
    if largest > np.iinfo(np.int64).max // 2:
        raise DataError(f"{key} must be classes from 0 up; got {largest}, which is too large for a class.")
    return column.astype(np.int64), 1 + int(largest)


def check_classes(counts: dict[str, int], train: Labels, key: str) -> int:
    """Return the number of classes of all labels.

    Args:
        counts: name of each array of labels -> the number of classes that it shows.
        train: the training labels, int64 (n,).
        key: name of the array of the training labels.

    Raises:
        DataError: there are more classes than training images, or the labels begin at 1.
    """
    largest = max(counts, key=lambda name: counts[name])
    if counts[largest] > max(len(train), 1):
        raise DataError(
            f"labels must be class numbers from 0 up without gaps; {largest} has {counts[largest] - 1}, and {key} has "
            f"{len(train)} images, which is too few for so many classes."
        )
    if len(train) and train.min() == 1 and len(np.unique(train)) == train.max():
        raise DataError(f"classes must be numbered from 0; {key} has labels from 1 to {train.max()}. Subtract 1.")
    return counts[largest]


def _from_one_hot(key: str, array: NDArray[Any]) -> Labels:
    """Return the column of the one in each row; raise DataError unless a row is one 1 and otherwise 0."""
    wrong: NDArray[np.bool_] = ((array != 0) & (array != 1)).any(axis=1) | ((array == 1).sum(axis=1) != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        content = ", ".join(f"{value:g}" for value in array[row, :6].astype(np.float64))
        more = ", ..." if array.shape[1] > 6 else ""
        raise DataError(
            f"{key} {array.shape} must be one-hot: one 1 in each row, because every image has one class; row {row} has "
            f"[{content}{more}]."
        )
    labels: Labels = array.argmax(axis=1).astype(np.int64)
    return labels


def _check_whole(key: str, column: NDArray[Any]) -> None:
    """Raise DataError unless every float is a whole number."""
    with np.errstate(invalid="ignore"):
        wrong = ~(np.floor(column) == column) | ~np.isfinite(column)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{key} must be whole numbers, the classes from 0 up; image {row} has {column[row]:g}.")


def _other_type(array: NDArray[Any]) -> str:
    """Return the type and shape of an array that has no numbers, with a remedy if it has text."""
    text = f"{array.dtype} {array.shape}"
    if array.dtype.kind in "SU":
        return f"text, {text}. np.unique(labels, return_inverse=True) gives class names and numbers"
    return text
