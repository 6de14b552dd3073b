"""The whole message of every fault of arrays and of CIFAR's files, and the values at the bounds of each rule."""

import re
from pathlib import Path

import numpy as np
import pytest

from hybrid_search.data.array_images import LAYOUTS, pixels_of
from hybrid_search.data.array_keys import KEYS, find_keys, notes_on_keys
from hybrid_search.data.array_labels import FORMS, check_classes, class_numbers
from hybrid_search.data.cifar import Variant, _read_part
from hybrid_search.data.cifar_formats import CIFAR10_BINARY, CIFAR10_PICKLES, PIXELS, class_names, images_and_labels
from hybrid_search.data.class_names import check_names, names_from_array
from hybrid_search.data.file_members import read_files
from hybrid_search.errors import DataError


def refused(text, call, *arguments, **more):
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        call(*arguments, **more)


def image(*images, dtype=float):
    """Return images of one row, (n, 1, columns)."""
    return np.array(images, dtype)[:, None, :]


def pixels(**arrays):
    found, notes = pixels_of(arrays)
    return {key: array.ravel().tolist() for key, array in found.items()}, notes


# -- images --


def test_integers_are_scaled_by_their_bits():
    for values, expected, note in (
        ([0, 255], [0, 255], "a: int64 values are used as 8-bit values, 0 to 255"),
        ([0, 256, 511], [0, 64, 127], None),
        ([1, 4095], [0, 255], "a: int64 values up to 4,095 are used as 12-bit values, whose highest 8 bits are kept"),
        (
            [256, 65535],
            [1, 255],
            "a: int64 values up to 65,535 are used as 16-bit values, whose highest 8 bits are kept",
        ),
    ):
        found, notes = pixels(a=image(values, dtype=np.int64))
        if note is not None:
            assert (found["a"], notes) == (expected, [note])
    assert pixels(a=image([0, 7], dtype=np.uint8)) == ({"a": [0, 7]}, [])
    assert pixels(a=image([0, 1], dtype=bool)) == ({"a": [0, 255]}, ["a: false and true are used as 0 and 255"])
    law = "a must have values from 0 to 255"
    refused(f"{law}; got int64 with -1 to 3.", pixels, a=image([-1, 3], dtype=np.int64))
    refused(f"{law} or at most 65,535; got int64 with up to 65,536.", pixels, a=image([0, 65536], dtype=np.int64))
    refused(
        f"{law}, like b, which is uint8; got int64 with up to 256.",
        pixels, a=image([0, 256], dtype=np.int64), b=image([0, 1], dtype=np.uint8),
    )  # fmt: skip


def test_floats_are_scaled_by_their_range():
    unit, whole, rounded = "multiplied by 255", "whole floats are used as", "floats, rounded, are used as"
    assert pixels(a=image([0, 0.5, 1])) == ({"a": [0, 128, 255]}, [f"a: values from 0 to 1 are {unit}"])
    assert pixels(a=image([0, 2, 255])) == ({"a": [0, 2, 255]}, [f"a: {whole} 8-bit values, 0 to 255"])
    assert pixels(a=image([0.5, 199.4])) == ({"a": [1, 199]}, [f"a: {rounded} 8-bit values, 0 to 255"])
    found, notes = pixels(a=image([0, 0]), b=image([0.0, 200.0]))  # a black array fits any scale
    assert (found, len(notes)) == ({"a": [0, 0], "b": [0, 200]}, 1)
    law = "a must have values from 0 to 1 or from 0 to 255; got float64 with "
    undo = "Undo a normalization before saving."
    refused(f"{law}-0.5 to 1. {undo}", pixels, a=image([-0.5, 1]))
    refused(f"{law}0 to 255.5. {undo}", pixels, a=image([0, 255.5]))
    refused(f"{law}-0.0001 to 200. {undo}", pixels, a=image([-1e-4, 200]))
    refused(f"{law}up to 1.5, whose scale is unknown. Scale the images to uint8, 0 to 255.", pixels, a=image([0, 1.5]))
    refused(
        "arrays of images must have one scale; a has values up to 1, b up to 200.",
        pixels, a=image([0, 1]), b=image([0, 200]),
    )  # fmt: skip
    refused("a must have finite values; image 1 has NaN or infinity.", pixels, a=image([0, 1], [0, np.nan]))


def test_arrays_that_are_no_images_have_their_message():
    refused("a must have numbers from 0 to 255, such as uint8; got <U1 (1, 1, 1).", pixels, a=np.array([[["x"]]]))
    refused(
        "arrays of images must have one scale; b is bool, a float64.",
        pixels, a=image([0, 1]), b=image([0, 1], dtype=bool),
    )  # fmt: skip
    zeros = lambda *shape: np.zeros(shape, np.uint8)  # noqa: E731
    flat = "Flat images: reshape them to their rows and columns."
    refused(f"a {LAYOUTS}; got uint8 (3, 4). {flat}", pixels, a=zeros(3, 4))
    for shape in ((3, 1), (3, 0, 2), (3, 1, 2, 3, 4)):
        refused(f"a {LAYOUTS}; got uint8 {shape}.", pixels, a=zeros(*shape))
    axes = "axis 1 and axis 3 both have 1 to 4 entries"
    refused(f"the channel axis of a is ambiguous: {axes}; got (2, 1, 9, 4).", pixels, a=zeros(2, 1, 9, 4))
    refused(
        "a has no channel axis: axis 1 or axis 3 must have 1 to 4 entries; got (2, 5, 9, 5).",
        pixels,
        a=zeros(2, 5, 9, 5),
    )
    assert pixels_of({"a": zeros(2, 6, 9, 4)})[0]["a"].shape == (2, 4, 6, 9)
    assert pixels_of({"a": zeros(2, 6, 9)})[0]["a"].shape == (2, 1, 6, 9)


# -- labels and names --


def test_labels_that_are_no_classes_have_their_message():
    law = "y must be 3 whole numbers, one for each image; got "
    hint = "np.unique(labels, return_inverse=True) gives class names and numbers"
    refused(f"{law}text, <U1 (3,). {hint}.", class_numbers, "y", np.array(["a", "b", "c"]), 3)
    refused(f"{law}object (3,).", class_numbers, "y", np.array([{}, {}, {}]), 3)
    for shape in ((2,), (3, 0), (3, 1, 1)):
        refused(f"{law}int64 {shape}. {FORMS}.", class_numbers, "y", np.zeros(shape, np.int64), 3)
    refused("y must be classes from 0 up; got -2.", class_numbers, "y", np.array([0, -2]), 2)
    huge = 2**62
    refused(
        f"y must be classes from 0 up; got {huge}, which is too large for a class.",
        class_numbers,
        "y",
        np.array([huge]),
        1,
    )
    floats = "y must be whole numbers, the classes from 0 up; image 1 has "
    refused(f"{floats}0.5.", class_numbers, "y", np.array([0, 0.5]), 2)
    refused(f"{floats}inf.", class_numbers, "y", np.array([0, np.inf]), 2)
    one_hot = "must be one-hot: one 1 in each row, because every image has one class; row 1 has "
    refused(f"y (2, 2) {one_hot}[1, 1].", class_numbers, "y", np.array([[1, 0], [1, 1]]), 2)
    refused(f"y (2, 2) {one_hot}[0.5, 1].", class_numbers, "y", np.array([[1, 0], [0.5, 1]]), 2)
    seven = np.eye(7, dtype=int)[[1, 1]]
    seven[1] = 0
    refused(f"y (2, 7) {one_hot}[0, 0, 0, 0, 0, 0, ...].", class_numbers, "y", seven, 2)
    assert class_numbers("y", np.zeros((0, 1)), 0)[1] == 0
    numbers, count = class_numbers("y", np.array([[0], [4]]), 2)
    assert (numbers.tolist(), numbers.dtype, count) == ([0, 4], np.int64, 5)
    numbers, count = class_numbers("y", np.array([[0, 1, 0], [1, 0, 0]]), 2)
    assert (numbers.tolist(), numbers.dtype, count) == ([1, 0], np.int64, 3)


def test_class_numbers_must_begin_at_0_and_have_no_gap():
    train = np.array([0, 1, 1])
    assert check_classes({"y_train": 2, "y_test": 3}, train, "y_train") == 3
    refused(
        "labels must be class numbers from 0 up without gaps; y_test has 3, and y_train has 3 images, which is too few "
        "for so many classes.",
        check_classes, {"y_train": 2, "y_test": 4}, train, "y_train",
    )  # fmt: skip
    refused(
        "classes must be numbered from 0; y_train has labels from 1 to 2. Subtract 1.",
        check_classes, {"y_train": 3}, np.array([1, 2, 2]), "y_train",
    )  # fmt: skip
    assert check_classes({"y_train": 3}, np.array([2, 2, 1, 0]), "y_train") == 3


def test_names_that_name_no_class_have_their_message():
    array = names_from_array
    law = "classes must be one row of class names, text or bytes in UTF-8; got "
    refused(f"{law}float64 (2,).", array, "classes", np.zeros(2), 2)
    refused(f"{law}int64 (1, 2).", array, "classes", np.zeros((1, 2), np.int64), 2)
    refused(f"{law}int64 (1, 1, 1).", array, "classes", np.zeros((1, 1, 1), np.int64), 1)
    refused("classes must name all 3 classes of the labels; got 2.", array, "classes", np.array(["a", "b"]), 3)
    utf_8 = "classes must be text or bytes in UTF-8; the name of class 1 is b'\\xff'."
    refused(utf_8, array, "classes", np.array([b"a", b"\xff"]), 2)
    assert array("classes", np.array([[3], [5]], np.uint8), 2) == ("3", "5")
    refused("x must name every class; the name of class 1 is empty.", check_names, "x", ["a", " "])
    refused("x must have names that can be printed; class 0 is 'a\\n'.", check_names, "x", ["a\n"])
    refused("x must have names that can be printed; class 0 is '\\udcff'.", check_names, "x", ["\udcff"])
    refused("x must have different names; classes 1 and 2 are both 'b'.", check_names, "x", ["a", "b", "b"])


# -- names of arrays --


def test_arrays_whose_names_do_not_fit_have_their_message(tmp_path):
    path = tmp_path / "d.npz"
    both = f"an npz file must have one array of each kind; 'x_train' and 'train_images' of {path} are both "
    refused(f"{both}images of train. Remove one.", find_keys, path, ["x_train", "train_images", "y_train"])
    refused(
        f"an npz file must have one array of each kind; 'classes' and 'class_names' of {path} are both names of the "
        "classes. Remove one.",
        find_keys, path, ["classes", "class_names"],
    )  # fmt: skip
    needs = f"an npz file needs both x_train and y_train; {path} has "
    refused(f"{needs}none.", find_keys, path, [])
    refused(f"{needs}a9, b9.", find_keys, path, ["a9", "b9"])
    name = "Name the arrays: np.savez(path, x_train=images, y_train=labels)."
    refused(f"{needs}arr_0, arr_1. {name}", find_keys, path, ["arr_0", "arr_1"])
    refused(
        f"an npz file needs both x_test and y_test; {path} has x_train, y_train, x_test. --set ignore_test=true "
        "leaves the test images out.",
        find_keys, path, ["x_train", "y_train", "x_test"],
    )  # fmt: skip
    refused(
        f"an npz file needs both x_test and y_test; {path} has x_train, y_train, y_test.",
        find_keys, path, ["x_train", "y_train", "y_test"],
    )  # fmt: skip
    refused(
        f"arrays of an npz file are {', '.join(KEYS)}; got 'x_trian'. Did you mean 'x_train'?",
        find_keys, path, ["x_trian", "y_train"],
    )  # fmt: skip
    keys = find_keys(path, ["train_images", "train_labels", "x_test", "y_test", "zz"], ignore_test=True)
    assert (keys.images, keys.labels, keys.classes) == ({"train": "train_images"}, {"train": "train_labels"}, None)
    assert keys.unused == ("x_test", "y_test", "zz")
    assert notes_on_keys(keys, ["a.txt"]) == [
        "npz: images and labels are read from train: train_images and train_labels",
        "npz: 4 arrays are not used: x_test, y_test, zz, a.txt",
    ]
    plain = find_keys(path, ["x_train", "y_train", "classes", "zz"])
    assert plain.used == ("x_train", "y_train", "classes")
    assert notes_on_keys(plain) == ["npz: 1 array is not used: zz"]
    several = [f"k{number}" for number in range(30)]
    (line,) = notes_on_keys(plain, several)
    shown = line.partition(": 31 ")[2] or line
    assert re.search(r" and \d+ more$", shown)


# -- the files of CIFAR --


def test_files_of_cifar_that_are_damaged_have_their_message():
    records, pickles = CIFAR10_BINARY, CIFAR10_PICKLES
    length = records.label_bytes + PIXELS
    read = images_and_labels
    whole = f"f must be complete records of {length} bytes; it has "
    refused(f"{whole}{length + 1:,} bytes.", read, records, bytes(length + 1), "f")
    two = bytes([3]) + bytes(range(256)) * 12 + bytes([7]) + bytes(PIXELS)
    images, labels = read(records, two, "f")
    assert (labels.tolist(), labels.dtype, images.shape, images.dtype) == ([3, 7], np.int64, (2, 3, 32, 32), np.uint8)
    assert images[0].ravel()[:4].tolist() == [0, 1, 2, 3]
    assert class_names(pickles, None, 3, "f") == ("0", "1", "2")
    assert class_names(records, b"cat dog\xff", 2, "f") == ("cat", "dog\N{REPLACEMENT CHARACTER}")
    assert class_names(records, b"cat dog", 3, "f") == ("0", "1", "2")
    variant = Variant("cifar10", 7, (records,))
    part = _read_part(Variant("cifar10", 8, (records,)), records, Path("p"), {"f": two}, 16)
    assert part.labels.tolist() == [3, 7]
    refused(
        "labels of cifar10 must be 0 to 6; p has 7.",
        _read_part, variant, records, Path("p"), {"f": two}, None,
    )  # fmt: skip


def test_a_file_that_a_data_set_needs_is_named_and_an_optional_one_is_not(tmp_path):
    for name in ("a", "c"):
        (tmp_path / name).write_bytes(name.encode())
    assert read_files(tmp_path, "inner", ("a",), ("b", "c")) == {"a": b"a", "c": b"c"}
    refused(f"a data set needs a, b; {tmp_path}/b is missing.", read_files, tmp_path, "inner", ("a", "b"), ("c",))
