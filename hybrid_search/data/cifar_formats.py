"""The two forms in which the files of cifar10 and cifar100 are published: binary records, and pickles of Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_search._internal.unreadable_file import what_content_is
from hybrid_search.data.dataset import Labels, Pixels
from hybrid_search.data.restricted_pickle import read_data
from hybrid_search.errors import DataError

SIDE = 32
PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True)
class Form:
    """One form of one of the two data sets.

    Attributes:
        folder: the folder in the archive.
        archive: the archive on the authors' page.
        md5: the MD5 of the archive that the authors publish.
        train: the files of the training images.
        test: the file of the test images.
        names: the file of the class names.
        label_bytes: binary records: the number of bytes before the pixels, the last one is the class. 0: pickles.
        keys: pickles: the keys of the labels and of the class names.
    """

    folder: str
    archive: str
    md5: str
    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int = 0
    keys: tuple[str, str] = ("", "")


CIFAR10_BINARY = Form(
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test="test_batch.bin",
    names="batches.meta.txt",
    label_bytes=1,
)
CIFAR100_BINARY = Form(
    folder="cifar-100-binary",
    archive="cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    train=("train.bin",),
    test="test.bin",
    names="fine_label_names.txt",
    label_bytes=2,
)
CIFAR10_PICKLES = Form(
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    train=tuple(f"data_batch_{i}" for i in range(1, 6)),
    test="test_batch",
    names="batches.meta",
    keys=("labels", "label_names"),
)
CIFAR100_PICKLES = Form(
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    train=("train",),
    test="test",
    names="meta",
    keys=("fine_labels", "fine_label_names"),
)


def images_and_labels(form: Form, content: bytes, where: str) -> tuple[Pixels, Labels]:
    """Return the images of one file.

    Args:
        form: the form of the file.
        content: its bytes.
        where: its path, for messages.

    Returns:
        uint8 (n, 3, 32, 32), and int64 (n,).

    Raises:
        DataError: the file is damaged, or is not of this form.
    """
    if wrong := what_content_is(content):
        raise DataError(f"{where} must be a file of {form.folder}; it {wrong}.")
    if form.label_bytes:
        return _from_records(form, content, where)
    return _from_pickle(form, read_data(content, where), where)


def class_names(form: Form, content: bytes | None, classes: int, where: str) -> tuple[str, ...]:
    """Return the class names in a file; without that file, the numbers.

    Args:
        form: the form of the file.
        content: its bytes; None if there is no such file.
        classes: the number of classes.
        where: its path, for messages.

    Raises:
        DataError: the file is damaged, or does not name all classes.
    """
    if content is None:
        return tuple(str(label) for label in range(classes))
    if form.label_bytes:
        names = tuple(content.decode("utf-8", "replace").split())
        return names if len(names) == classes else class_names(form, None, classes, where)
    found = _entry(read_data(content, where), form.keys[1], where)
    if not isinstance(found, list) or len(found) != classes or not all(isinstance(name, bytes | str) for name in found):
        raise DataError(f"{where} must name {classes} classes in {form.keys[1]}; got {_shown(found)}.")
    return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in found)


def _from_records(form: Form, content: bytes, where: str) -> tuple[Pixels, Labels]:
    length = form.label_bytes + PIXELS
    if len(content) == 0 or len(content) % length:
        raise DataError(f"{where} must be complete records of {length} bytes; it has {len(content):,} bytes.")
    rows = np.frombuffer(content, np.uint8).reshape(-1, length)
    labels = rows[:, form.label_bytes - 1].astype(np.int64)
    return rows[:, form.label_bytes :].reshape(-1, 3, SIDE, SIDE), labels


def _from_pickle(form: Form, batch: Any, where: str) -> tuple[Pixels, Labels]:
    images = _entry(batch, "data", where)
    if (
        not isinstance(images, np.ndarray)
        or images.dtype != np.uint8
        or images.shape[1:] != (PIXELS,)
        or not len(images)
    ):
        raise DataError(f"data of {where} must be uint8 (n, {PIXELS}); got {_shown(images)}.")
    labels = _entry(batch, form.keys[0], where)
    if isinstance(labels, np.ndarray) and labels.ndim == 1:
        labels = labels.tolist()
    whole = isinstance(labels, list) and all(isinstance(label, int) and 0 <= label < 256 for label in labels)
    if not whole or len(labels) != len(images):
        raise DataError(f"{form.keys[0]} of {where} must be {len(images)} class numbers; got {_shown(labels)}.")
    return images.reshape(-1, 3, SIDE, SIDE), np.array(labels, np.int64)


def _entry(content: Any, key: str, where: str) -> Any:
    """Return an entry of a dictionary whose keys are text, or bytes as Python 2 wrote them."""
    if not isinstance(content, Mapping):
        raise DataError(f"{where} must be a dictionary; it is {_shown(content)}.")
    for name in (key.encode(), key):
        if name in content:
            return content[name]
    keys = ", ".join(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in content)
    raise DataError(f"{where} must have {key}; it has {keys[:200] or 'nothing'}.")


def _shown(value: Any) -> str:
    """Return the type and the size of a value for a message."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, list | dict | tuple) else type(value).__name__
