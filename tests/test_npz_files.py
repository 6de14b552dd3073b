"""`npz`: the names, types, shapes and scales of arrays that people have, and files that cannot be read."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.datasets import random_pixels
from support.fuzz import fuzz_counts

from hybrid_search import cli, data
from hybrid_search.data import input_size_and_classes, load, memory, open_test
from hybrid_search.data.table import DATASETS
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

IMAGES = random_pixels(30, channels=3)
CLASSES = np.arange(30) % 3


@pytest.fixture(autouse=True)
def fresh():
    data.clear_cache()


@pytest.fixture
def save(tmp_path):
    """Return a function that writes arrays and returns the settings that read them."""
    number = iter(range(1000))

    def write(**arrays):
        path = tmp_path / f"{next(number)}.npz"
        np.savez(path, **arrays)
        return Settings(data="npz", data_dir=str(path))

    return write


def contents(settings):
    return DATASETS["npz"].read(settings)


def refused(settings, match):
    with pytest.raises(DataError, match=match) as caught:
        input_size_and_classes(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_names_of_medmnist_are_read_and_said(save):
    parts = {f"{part}_images": IMAGES[:30] for part in ("train", "val", "test")}
    labels = {f"{part}_labels": CLASSES[:, None].astype(np.uint8) for part in ("train", "val", "test")}
    settings = save(**parts, **labels)
    dataset = load(settings)
    assert np.array_equal(dataset.train.images, IMAGES)
    assert np.array_equal(open_test(settings, "names").labels, CLASSES)
    assert contents(settings).notes == (
        "npz: images and labels are read from train: train_images and train_labels, val: val_images and val_labels, "
        "test: test_images and test_labels",
    )


@pytest.mark.parametrize(
    ("x", "y"),
    [("X_train", "Y_train"), ("trainX", "trainY"), ("images", "labels"), ("data", "target"), ("train-x", "train-y")],
)
def test_other_usual_names_are_read_and_said(save, x, y):
    settings = save(**{x: IMAGES, y: CLASSES})
    assert contents(settings).notes == (f"npz: images and labels are read from train: {x} and {y}",)


@pytest.mark.parametrize("part", ["val", "valid", "validation", "dev"])
def test_a_validation_part_has_several_usual_names(save, part):
    settings = save(x_train=IMAGES, y_train=CLASSES, **{f"x_{part}": IMAGES[:6], f"y_{part}": CLASSES[:6]})
    assert len(load(settings).validation) == 6


def test_arrays_that_are_not_used_are_said_once_with_their_names(save):
    settings = save(x_train=IMAGES, y_train=CLASSES, paths=np.arange(30), age=np.arange(30), val_idx=np.arange(3))
    assert contents(settings).notes == ("npz: 3 arrays are not used: paths, age, val_idx",)
    assert contents(save(x_train=IMAGES, y_train=CLASSES)).notes == ()


def test_two_arrays_of_one_meaning_and_misspelled_names_are_refused(save):
    both = "'x_train' and 'train_images' of .* are both images of train. Remove one"
    refused(save(x_train=IMAGES, train_images=IMAGES, y_train=CLASSES), both)
    refused(save(x_train=IMAGES, y_train=CLASSES, x_vall=IMAGES, y_vall=CLASSES), "got 'x_vall'. Did you mean 'x_val'")
    refused(save(arr_0=IMAGES, arr_1=CLASSES), r"has arr_0, arr_1. Name the arrays: np.savez\(path, x_train=images")
    refused(save(x_train=IMAGES, y_train=CLASSES, x_test=IMAGES), "needs both x_test and y_test")


@pytest.mark.parametrize(
    "labels",
    [
        CLASSES[:, None],
        np.eye(3)[CLASSES],
        np.eye(3, dtype=bool)[CLASSES],
        np.eye(3, dtype=np.float16)[CLASSES],
        np.eye(3, dtype=">i4")[CLASSES],
        CLASSES.astype(float),
        CLASSES.astype(">u2"),
        CLASSES.astype(np.uint64),
        np.asfortranarray(CLASSES[:, None].astype(np.int8)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_labels_of_every_numeric_type_as_a_column_or_one_hot_are_the_same(save, labels):
    parts = {f"{key}_{part}": a for part in ("val", "test") for key, a in (("x", IMAGES), ("y", CLASSES))}
    dataset = load(save(x_train=IMAGES, y_train=labels, **parts))
    assert np.array_equal(dataset.train.labels, CLASSES)
    assert dataset.classes == ("0", "1", "2")


def test_labels_of_true_and_false_are_two_classes(save):
    assert load(save(x_train=IMAGES, y_train=CLASSES > 0)).classes == ("0", "1")


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.full(30, 10**12), "y_train has 1000000000000, and y_train has 30 images, which is too few"),
        (np.full(30, 2**64 - 1, np.uint64), "got 18446744073709551615, which is too large for a class"),
        (np.full(30, 1e300), "which is too large for a class"),
        (CLASSES - 3, "y_train must be classes from 0 up; got -3"),
        (np.where(CLASSES, 1.0, np.nan), "must be whole numbers, the classes from 0 up; image 0 has nan"),
        (np.where(CLASSES, 1.0, np.inf), "image 0 has inf"),
        (CLASSES + 0.5, "image 0 has 0.5"),
        (CLASSES + 1, "numbered from 0; y_train has labels from 1 to 3. Subtract 1"),
        (CLASSES * 2, "class '1' has 0"),
        (CLASSES[:20], "must be 30 whole numbers, one for each image"),
        (CLASSES.reshape(1, 30), r"one for each image; got int64 \(1, 30\). The shape must be \(n,\), \(n, 1\), or"),
        (CLASSES.reshape(30, 1, 1), r"The shape must be \(n,\), \(n, 1\), or one-hot"),
        (np.stack([CLASSES, CLASSES], axis=1), r"y_train \(30, 2\) must be one-hot.* row 0 has \[0, 0\]"),
        (np.full((30, 3), 1 / 3), r"must be one-hot: one 1 in each row.* row 0 has \[0.333333, "),
        (np.full((30, 3), np.nan), "must be one-hot"),
        (np.zeros((30, 6)), r"row 0 has \[0, 0, 0, 0, 0, 0\]\."),
        (np.zeros((30, 7)), r"row 0 has \[0, 0, 0, 0, 0, 0, \.\.\.\]\."),
        (np.zeros((30, 0)), r"one for each image; got float64 \(30, 0\)"),
        (np.full(30, 30), "y_train has 30, and y_train has 30 images, which is too few"),
        (np.full(30, 29), "class '0' has 0"),
        (np.array(["cat", "dog", "cow"])[CLASSES], r"got text, <U3 \(30,\). np.unique\(labels, return_inverse=True\)"),
        (CLASSES.astype(complex), r"got complex128 \(30,\)"),
        (np.array(3), "must be 30 whole numbers"),
    ],
)
def test_labels_that_are_no_classes_are_refused_in_one_line(save, labels, match):
    refused(save(x_train=IMAGES, y_train=labels), match)


def test_class_names_of_bytes_are_decoded(save):
    names = np.array(["chat", "chien", "éléphant"])
    for array in (names, np.char.encode(names, "utf-8"), np.char.encode(names, "utf-8")[:, None]):
        assert contents(save(x_train=IMAGES, y_train=CLASSES, classes=array)).classes == ("chat", "chien", "éléphant")
    assert contents(save(x_train=IMAGES, y_train=CLASSES, classes=np.array([7, 8, 9]))).classes == ("7", "8", "9")
    assert contents(save(train_x=IMAGES, train_y=CLASSES, class_names=names)).classes[0] == "chat"


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (np.array(["a", "b", "a"]), "must have different names; classes 0 and 2 are both 'a'"),
        (np.array([b"a", b"b", b"\xff\xfe"]), r"bytes in UTF-8; the name of class 2 is b'\\xff\\xfe'"),
        (np.array(["a", "", "c"]), "must name every class; the name of class 1 is empty"),
        (np.array(["a", "  ", "c"]), "the name of class 1 is empty"),
        (np.array(["a", "b\nc", "d"]), r"names that can be printed; class 1 is 'b\\nc'"),
        (np.array(["a", "b"]), "must name all 3 classes of the labels; got 2"),
        (np.array(["a", "b", "c", "d"]), "must name all 3 classes of the labels; got 4"),
        (np.array([["a", "b", "c"]]), r"one row of class names, .* got <U1 \(1, 3\)"),
        (np.array("a b c"), "one row of class names"),
        (np.array([0.5, 1.5, 2.5]), "one row of class names, .* got float64"),
        (np.array(["a", "b", "c"], object), "without Python objects .*; classes of .* has type object"),
    ],
)
def test_class_names_that_cannot_be_used_are_refused_by_name(save, names, match):
    refused(save(x_train=IMAGES, y_train=CLASSES, classes=names), match)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES / 255,
        (IMAGES / 255).astype(np.float32),
        (IMAGES / 255).astype(">f4"),
        (IMAGES / 255).astype(np.float16),
        IMAGES.astype(np.float32),
        np.minimum(IMAGES + 0.25, 255),
        IMAGES.astype(np.uint16) * 257,
        (IMAGES.astype(np.uint16) * 257).astype(">u2"),
        IMAGES.astype(np.uint16) << 8,
        IMAGES.astype(np.uint16) << 4,
        IMAGES.astype(np.int16) << 2,
        IMAGES.astype(np.int32) * 257,
        IMAGES.astype(np.int64),
        IMAGES.astype(np.uint16),
        np.asfortranarray(IMAGES),
        IMAGES.transpose(0, 2, 3, 1),
    ],
    ids=lambda array: f"{array.dtype}-{array.max():g}",
)
def test_images_of_every_usual_type_become_the_same_bytes(save, images):
    parts = {f"{key}_{part}": a for part in ("val", "test") for key, a in (("x", images), ("y", CLASSES))}
    dataset = load(save(x_train=images, y_train=CLASSES, **parts))
    assert np.array_equal(dataset.train.images, IMAGES)
    assert dataset.train.images.flags.c_contiguous


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_of_one_to_four_channels_are_read_in_both_layouts(save, channels):
    images = random_pixels(30, channels=channels)
    for layout in (images, images.transpose(0, 2, 3, 1)):
        assert input_size_and_classes(save(x_train=layout, y_train=CLASSES)) == ((channels, 6, 9), 3)


def test_grey_and_true_or_false_images_are_read_and_changes_are_said(save):
    settings = save(x_train=IMAGES[:, 0] > 127, y_train=CLASSES)
    assert set(np.unique(load(settings).train.images)) == {0, 255}
    assert contents(settings).notes == ("npz: x_train: false and true are used as 0 and 255",)
    wide = contents(save(x_train=IMAGES.astype(np.uint16) * 257, y_train=CLASSES))
    assert wide.notes == (
        "npz: x_train: uint16 values up to 65,535 are used as 16-bit values, whose highest 8 bits are kept",
    )
    assert contents(save(x_train=IMAGES / 255, y_train=CLASSES)).notes == (
        "npz: x_train: values from 0 to 1 are multiplied by 255",
    )


def test_all_parts_are_scaled_alike(save):
    dark = IMAGES[:6] // 8
    parts = {"x_val": dark.astype(np.uint16) * 257, "y_val": CLASSES[:6]}
    dataset = load(save(x_train=IMAGES.astype(np.uint16) * 257, y_train=CLASSES, **parts))
    assert np.array_equal(dataset.validation.images, dark)
    black = np.zeros((6, *IMAGES.shape[1:]))
    dataset = load(save(x_train=IMAGES.astype(float), y_train=CLASSES, x_val=black, y_val=CLASSES[:6]))
    assert dataset.validation.images.max() == 0
    refused(
        save(x_train=IMAGES.astype(float), y_train=CLASSES, x_val=IMAGES / 255, y_val=CLASSES),
        "must have one scale; x_val has values up to 1, x_train up to 255",
    )
    refused(save(x_train=IMAGES, y_train=CLASSES, x_val=IMAGES > 9, y_val=CLASSES), "x_val is bool, x_train uint8")
    refused(
        save(x_train=IMAGES, y_train=CLASSES, x_val=IMAGES.astype(np.uint16) * 257, y_val=CLASSES),
        "x_val must have values from 0 to 255, like x_train, which is uint8; got uint16 with up to 65,535",
    )


@pytest.mark.parametrize(
    ("images", "match"),
    [
        ((IMAGES - 128.0) / 64, "values from 0 to 1 or from 0 to 255; got float64 with -2 to 1.98.* Undo a normal"),
        (IMAGES * 4.0, "got float64 with 0 to 1020"),
        (IMAGES / 50, "got float64 with up to 5.1, whose scale is unknown"),
        (np.where(IMAGES > 3, IMAGES / 255, np.nan), "must have finite values; image 0 has NaN or infinity"),
        (np.where(IMAGES > 3, IMAGES / 255, np.inf), "must have finite values"),
        (IMAGES.astype(np.int16) - 9, "got int16 with -9 to 246"),
        (IMAGES.astype(np.int32) * 258, "at most 65,535; got int32 with up to 65,790"),
        (IMAGES.astype(np.uint64) << 40, "at most 65,535; got uint64 with up to 280,375,465,082,880"),
        (IMAGES.astype(complex), "got complex128"),
        (IMAGES.astype("U3"), "got <U3"),
        (IMAGES.reshape(30, -1), "Flat images: reshape them to their rows and columns"),
        (IMAGES[..., None], r"got uint8 \(30, 3, 6, 9, 1\)"),
        (IMAGES.reshape(30, 27, 6, 1)[:, :, :, [0] * 5], "has no channel axis"),
        (IMAGES.reshape(30, 3, 6, 9)[:, [0, 1, 2, 0, 1]], r"has no channel axis: .*; got \(30, 5, 6, 9\)"),
        (np.array(7, np.uint8), r"got uint8 \(\)|30 whole numbers|0 whole numbers"),
    ],
)
def test_images_of_an_unknown_scale_or_layout_are_refused_by_name(save, images, match):
    assert "train" in refused(save(x_train=images, y_train=CLASSES), match)


def npy(shape, descr="|u1", payload=b""):
    """Return a .npy file with this header and these bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + payload


def test_an_archive_larger_than_memory_is_refused_with_numbers(save, tmp_path, monkeypatch):
    settings = save(x_train=IMAGES, y_train=CLASSES)
    monkeypatch.setattr(memory, "free_memory", lambda: 4000)
    refused(settings, "must fit into memory; they have 5,100 bytes, 4,000 bytes are free")


def test_a_header_that_describes_more_than_the_file_holds_is_refused(tmp_path):
    for shape, descr in (((10**15, 9), "|u1"), ((2**40, 2**40), "<f8"), ((-5, 9), "|u1")):
        with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
            archive.writestr("x_train.npy", npy(shape, descr, b"12345"))
            archive.writestr("y_train.npy", npy((3,), "|u1", b"123"))
        message = refused(Settings(data="npz", data_dir=str(tmp_path / "bomb.npz")), "bomb.npz")
        assert len(message) < 400


@pytest.mark.parametrize(("version", "match"), [((2, 0), None), ((3, 0), "classes of .* has version 3.0")])
def test_arrays_of_version_2_are_read_and_of_version_3_refused(tmp_path, version, match):
    path = tmp_path / "versions.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in (("x_train", IMAGES), ("y_train", CLASSES), ("classes", np.array(["a", "b", "c"]))):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, version if name == "classes" else (1, 0))
    settings = Settings(data="npz", data_dir=str(path))
    if match is None:
        assert load(settings).classes == ("a", "b", "c")
    else:
        refused(settings, match)


def test_members_that_are_encrypted_repeated_or_no_arrays_are_named(tmp_path):
    path = tmp_path / "odd.npz"
    settings = Settings(data="npz", data_dir=str(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", npy((30, 6, 9), payload=bytes(30 * 54)))
        archive.writestr("y_train.npy", npy((30,), payload=bytes(CLASSES.astype(np.uint8))))
        archive.writestr("README.txt", "hello")
    assert contents(settings).notes == ("npz: 1 array is not used: README.txt",)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("y_train.npy", npy((30,), payload=bytes(30)))
    refused(settings, "must have one array of each name; .* has 'y_train' twice")


RUN_ME = "import os, pathlib; pathlib.Path(os.environ['MARK']).touch()"


class Harmful:
    """An object whose pickle runs a program."""

    def __reduce__(self):
        return exec, (RUN_ME,)


def test_a_pickle_in_an_archive_is_refused_and_nothing_of_it_runs(save, tmp_path, monkeypatch):
    monkeypatch.setenv("MARK", str(tmp_path / "it-ran"))
    for arrays in (
        {"x_train": IMAGES, "y_train": CLASSES, "classes": np.array([Harmful()], object)},
        {"x_train": np.array([Harmful()], object), "y_train": CLASSES},
        {"x_train": IMAGES, "y_train": CLASSES, "more": np.array([Harmful()], object)},
    ):
        refused(save(**arrays), "without Python objects")
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", "is a Git LFS pointer .*git lfs pull"),
        (b"<!DOCTYPE html><html>", "is a web page, not the file"),
        (b"PK\x03\x04 and nothing else", "is damaged or incomplete"),
        (b"PK only in part", r"is damaged or incomplete \(File is not a zip file\)"),
        (npy((3,), payload=b"123"), r"is one NumPy array \(\.npy\)"),
        (b"\x80\x04K\x01.", "is a pickle"),
    ],
)
def test_a_file_that_is_no_archive_is_described(tmp_path, content, match):
    path = tmp_path / "photos.npz"
    path.write_bytes(content)
    refused(Settings(data="npz", data_dir=str(path)), f"photos.npz {match}")


def mutated(good, rng):
    """Return bytes with a few changed ones, sometimes cut short."""
    bad = np.frombuffer(good, np.uint8).copy()
    bad[rng.integers(0, min(len(bad), 300), rng.integers(1, 9))] = rng.integers(0, 256)
    return bad[: rng.integers(1, len(bad) + 1)].tobytes() if rng.random() < 0.2 else bad.tobytes()


@pytest.mark.parametrize("count", fuzz_counts(120))
def test_a_seeded_mutation_of_an_archive_raises_nothing_but_a_data_error(save, tmp_path, count):
    settings = save(x_train=IMAGES[:9], y_train=CLASSES[:9].astype(float), classes=np.array([b"a", b"b", b"c"]))
    good = Path(settings.data_dir).read_bytes()
    with zipfile.ZipFile(settings.data_dir) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    rng = np.random.default_rng(0)
    path = tmp_path / "mutated.npz"
    refusals = []
    for number in range(count):
        if number % 2:
            path.write_bytes(mutated(good, rng))
        else:  # the archive is complete, with a right checksum, and one of its arrays is not
            changed = rng.choice(list(members))
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, mutated(content, rng) if name == changed else content)
        try:
            contents(Settings(data="npz", data_dir=str(path)))
        except DataError as error:
            refusals.append(str(error))
    assert len(refusals) > 0.4 * count
    assert all("\n" not in message for message in refusals)


def test_the_command_line_refuses_an_archive_with_one_line_and_code_2(save, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = save(x_train=IMAGES, y_train=CLASSES, classes=np.array(["a", "a", "b"]))
    assert cli.run(["run", "digits", "--data", "npz", "--data-dir", settings.data_dir, "--engine", "local"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "classes 0 and 1 are both 'a'" in printed.err
    assert [path.name for path in tmp_path.iterdir()] == ["0.npz"]
