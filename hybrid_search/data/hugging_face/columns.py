"""The columns of image and label, from the description of Hugging Face or from their types and names."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hybrid_search._internal.shown_path import shown
from hybrid_search.data.class_names import check_names
from hybrid_search.data.dataset import Labels
from hybrid_search.data.embedded_image import ImageTable
from hybrid_search.errors import DataError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES = ("image", "img", "picture", "photo", "jpg", "png")  # names of a column of bytes
LABELS = ("label", "labels", "class", "target", "y")


class Columns(NamedTuple):
    """The columns, and the class names that the files describe; none if they describe none."""

    image: str
    label: str
    names: tuple[str, ...]


def find_columns(tables: Sequence[ImageTable], image: str | None, label: str | None) -> Columns:
    """Return the columns that all files have.

    Args:
        tables: The files of all splits.
        image: The column of the images, if the user names it.
        label: The column of the labels, if the user names it.

    Raises:
        DataError: There is no such column, or more than one.
    """
    schema, features = tables[0].schema, _features(tables[0].schema)
    images = [name for name in schema.names if _is_image(schema.field(name), features.get(name, {}))]
    labels = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    labels = labels or [name for name in LABELS if name in schema.names]
    chosen = Columns(_one("image", image, images, tables[0]), _one("label", label, labels, tables[0]), ())
    for table in tables:
        missing = next((name for name in chosen[:2] if name not in table.schema.names), None)
        if missing is not None:
            raise DataError(f"all files of hf must have the same columns; {shown(table.path)} has no {missing}.")
    names = tuple(map(str, features.get(chosen.label, {}).get("names", ())))
    return chosen._replace(names=names)


def classes_of(tables: Sequence[ImageTable], columns: Columns) -> tuple[str, ...]:
    """Return the class names: those of the description, otherwise the sorted values of the label in train.

    Args:
        tables: The files of train.
        columns: The columns.

    Raises:
        DataError: A label is missing, or labels are neither text nor whole numbers.
    """
    if columns.names:
        check_names(f"column {columns.label} of hf", columns.names)
        return columns.names
    values = {value for table in tables for value in _values(table, columns.label)}
    kinds = {type(value) for value in values}
    if not kinds <= {int, bool} and kinds != {str}:
        kind = tables[0].schema.field(columns.label).type
        raise DataError(f"column {columns.label} of hf must have class names or class numbers; got {kind}.")
    classes = tuple(str(value) for value in sorted(values))
    check_names(f"column {columns.label} of hf", classes)
    return classes


def labels_of(tables: Sequence[ImageTable], columns: Columns, classes: tuple[str, ...]) -> Labels:
    """Return the class number of every row of a split.

    Args:
        tables: The files of the split.
        columns: The columns.
        classes: The class names.

    Raises:
        DataError: A row has no label, or one that is no class of train.
    """
    numbers: dict[Any, int] = {name: number for number, name in enumerate(classes)}
    found = []
    for table in tables:
        for row, value in enumerate(_values(table, columns.label)):
            described = bool(columns.names) and isinstance(value, int)
            number = value if described and 0 <= value < len(classes) else numbers.get(str(value))
            if number is None or (described and number != value):
                advice = " ignore_test=true (--set) leaves the test split out." if value == -1 else ""
                listed = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
                raise DataError(
                    f"every label of hf must be a class of train ({listed}); {shown(table.path)} row {row} has "
                    f"{value!r}.{advice}"
                )
            found.append(number)
    return np.array(found, np.int64)


def _values(table: ImageTable, column: str) -> list[Any]:
    """Return the values of a column; raise DataError if one is missing."""
    values: list[Any] = table.column(column).to_pylist()
    if None in values:
        raise DataError(f"every image of hf needs a label; {shown(table.path)} row {values.index(None)} has none.")
    return values


def _one(what: str, given: str | None, found: Sequence[str], table: ImageTable) -> str:
    """Return the one column of a kind; raise DataError if it is absent or unclear."""
    names = list(table.schema.names)
    if given is not None:
        if given in names:
            return given
        raise DataError(
            f"{what}_column must be a column of {shown(table.path)}; got {given!r}.{_columns(names, given)}"
        )
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(found)
        raise DataError(
            f"hf needs one {what} column; {shown(table.path)} has {listed}. "
            f"Choose one: {what}_column={found[0]} (--set)."
        )
    raise DataError(
        f"hf needs a column of the {what}; {shown(table.path)} has none that is known.{_columns(names)} "
        f"{what}_column=NAME (--set) names it."
    )


def _columns(names: Sequence[str], given: str = "") -> str:
    return f" The columns are {', '.join(map(repr, names))}.{nearest(given, names) if given else ''}"


def _features(schema: "pa.Schema") -> dict[str, dict[str, Any]]:
    """Return the description that Hugging Face stores in a file: column -> type and class names."""
    with suppress(ValueError, TypeError, KeyError):
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {str(name): each for name, each in found.items() if isinstance(each, dict)}
    return {}


def _is_image(field: "pa.Field", feature: dict[str, Any]) -> bool:
    import pyarrow as pa

    if feature:
        return bool(feature.get("_type") == "Image")
    if pa.types.is_struct(field.type):
        return {"bytes", "path"} <= {field.type.field(index).name for index in range(field.type.num_fields)}
    return field.name.lower() in IMAGES and (pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type))
