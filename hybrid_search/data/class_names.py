"""Names of classes in an array: text, bytes in UTF-8, or whole numbers."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from hybrid_search.errors import DataError


def names_from_array(key: str, array: NDArray[Any], count: int) -> tuple[str, ...]:
    """Return the class names of an array.

    Args:
        key: name of the array, for messages.
        array: text, bytes or integers; (classes,) or (classes, 1).
        count: the number of classes that the labels have.

    Raises:
        DataError: a name is no text in UTF-8, is empty or occurs twice, or there is not one name for each class.

    Example:
        >>> names_from_array("classes", np.array([b"cat", b"dog"]), 2)
        ('cat', 'dog')
    """
    if array.dtype.kind not in "SUiu" or array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)):
        raise DataError(
            f"{key} must be one row of class names, text or bytes in UTF-8; got {array.dtype} {array.shape}."
        )
    names = tuple(_text(key, index, value) for index, value in enumerate(array.reshape(-1).tolist()))
    check_names(key, names)
    if len(names) != count:
        raise DataError(f"{key} must name all {count} classes of the labels; got {len(names)}.")
    return names


def check_names(what: str, names: Sequence[str]) -> None:
    """Raise DataError if a name is empty, cannot be printed, or occurs twice.

    Args:
        what: where the names come from, for the message.
        names: the names of the classes, in the order of the labels.
    """
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if not name.strip():
            raise DataError(f"{what} must name every class; the name of class {index} is empty.")
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise DataError(f"{what} must have names that can be printed; class {index} is {name!r}.")
        if name in first:
            raise DataError(f"{what} must have different names; classes {first[name]} and {index} are both {name!r}.")
        first[name] = index


def _text(key: str, index: int, value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{key} must be text or bytes in UTF-8; the name of class {index} is {value!r}.") from error
