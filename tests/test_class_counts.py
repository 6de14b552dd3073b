"""Splits with tiny classes, classes without images, equal images in two splits, and data that changes on disk."""

import os
from pathlib import Path

import numpy as np
import pytest
from support.datasets import random_pixels

from hybrid_search import cli, data
from hybrid_search.data import input_size_and_classes, load, prepare
from hybrid_search.data.duplicates import same_pixels
from hybrid_search.errors import DataError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Settings
from hybrid_search.training.retraining import load_test_split


@pytest.fixture(autouse=True)
def fresh():
    data.clear_cache()


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "x.npz", **arrays)
        return Settings(data="npz", data_dir=str(tmp_path / "x.npz"))

    return write


def of_classes(part, *sizes, seed=0):
    """Return images and labels of a part with so many images of each class."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return {f"x_{part}": random_pixels(len(labels), seed=seed), f"y_{part}": labels}


def notes(settings):
    return prepare(settings, print)


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        (
            [("train", 9, 1)],
            r"at least 3 training images, one for each split .* \(train, validation, test\); class '1'",
        ),
        ([("train", 9, 1)], "has 1. Add images, leave the class out or give a validation and a test part"),
        ([("train", 1, 1, 9, 2)], "class '0' has 1, and 2 other classes have too few"),
        (
            [("train", 9, 1), ("test", 3, 3)],
            r"at least 2 training images.* \(train, validation\); .* give a validation",
        ),
        ([("train", 9, 0), ("val", 3, 3), ("test", 3, 3)], "at least 1 training images; class '1' has 0. Add images"),
        ([("train", 9, 9), ("val", 0, 0)], "the validation part of npz must have at least one image; it is empty"),
        ([("train", 9)], "must have at least two classes; got 0"),
    ],
)
def test_classes_that_are_too_small_for_the_splits_are_refused_with_numbers_and_a_remedy(save, parts, match):
    arrays = {}
    for name, *sizes in parts:
        arrays |= of_classes(name, *sizes)
    with pytest.raises(DataError, match=match) as caught:
        input_size_and_classes(save(**arrays))
    assert "\n" not in str(caught.value)


def test_one_image_of_a_class_for_each_split_is_enough():
    labels = np.array([0, 0, 0, 1, 1, 1])
    parts = data.splits.divide(
        data.Contents((1, 6, 9), ("a", "b"), data.Part.from_arrays(random_pixels(6), labels)), seed=0
    )
    assert all(sorted(labels[indices]) == [0, 1] for _, indices in parts.values())


def test_a_class_without_validation_or_test_images_is_said(save):
    settings = save(**of_classes("train", 9, 9, 9), **of_classes("val", 5, 5, 0, seed=1), **of_classes("test", 9, 0, 0))
    assert [note for note in notes(settings) if "no image" in note] == [
        "validation has no image of class '2': balanced_accuracy and macro_f1 leave them out",
        "test has no image of classes '1', '2': balanced_accuracy and macro_f1 leave them out",
    ]


@pytest.mark.parametrize(
    ("absent", "text"),
    [(1, "class '1':"), (3, "classes '1', '2', '3':"), (4, "classes '1', '2', '3' and 1 more:")],
)
def test_at_most_three_classes_are_listed(save, absent, text):
    settings = save(**of_classes("train", *[9] * 6), **of_classes("val", 5, *[0] * absent, *[5] * (5 - absent), seed=1))
    assert any(note.startswith(f"validation has no image of {text}") for note in notes(settings))


def test_classes_of_very_different_sizes_are_said_with_the_objective_that_shows_them(save):
    assert notes(save(**of_classes("train", 200, 3))) == (
        "validation has 1 image of class '1' and 40 of the largest class: accuracy hardly shows small classes, and one "
        "image changes balanced_accuracy by 50 points",
    )
    data.clear_cache()
    assert notes(save(**of_classes("train", 20, 10))) == ()


def test_equal_images_have_one_number():
    images = random_pixels(5)
    assert same_pixels([images, images[[3, 1]], random_pixels(1, seed=9)]).tolist() == [0, 1, 2, 3, 4, 3, 1, 7]


def test_equal_images_in_two_splits_are_counted_and_removed_from_train_on_request(save):
    train, test = of_classes("train", 20, 20), of_classes("test", 4, 4, seed=1)
    test["x_test"][[1, 5]] = train["x_train"][[7, 30]]
    settings = save(**train, **test, **of_classes("val", 4, 4, seed=2))
    line = (
        "training images that are also in validation or test, with the same content: 2 of 40 (image 7 of train and "
        "image 1 of test)"
    )
    assert notes(settings) == (f"{line}; drop_duplicates=true (--set) removes them from train",)
    dropped = settings.with_(drop_duplicates=True)
    assert notes(dropped) == (f"{line}; drop_duplicates removed them from train",)
    assert np.array_equal(load(dropped).train.images, np.delete(train["x_train"], [7, 30], axis=0))
    assert len(load(settings).train) == 40


def test_equal_images_in_splits_that_are_cut_and_in_two_classes_are_counted(save):
    arrays = of_classes("train", 30, 30)
    arrays["x_train"][30:] = arrays["x_train"][:30]
    settings = save(**arrays)
    splits = [load(settings).train, load(settings).validation, load_test_split(settings)]
    train, validation, test = ([image.tobytes() for image in split.images] for split in splits)
    shared = sum(image in {*validation, *test} for image in train)
    both = sum(image in set(test) for image in validation)
    first, second, third = notes(settings)
    assert first.startswith(
        f"training images that are also in validation or test, with the same content: {shared} of {len(train)} (image "
    )
    assert second == f"validation images that are also in test, with the same content: {both}"
    assert third.startswith("images that are in several classes, with the same content: 30 (image ")


def test_test_images_without_labels_are_left_out_on_request(save):
    settings = save(**of_classes("train", 20, 20), x_test=random_pixels(9, seed=3))
    with pytest.raises(DataError, match=r"needs both x_test and y_test; .* --set ignore_test=true leaves the test"):
        input_size_and_classes(settings)
    ignored = settings.with_(ignore_test=True)
    assert len(load_test_split(ignored)) == 8
    assert notes(ignored) == ("npz: 1 array is not used: x_test",)


def test_data_that_changes_on_disk_is_read_again_in_the_same_process(save):
    first = load(save(**of_classes("train", 20, 20)))
    assert load(save(**of_classes("train", 20, 20))).fingerprint == first.fingerprint
    settings = save(**of_classes("train", 20, 20, seed=5))
    second = load(settings)
    assert second.fingerprint != first.fingerprint
    assert load(settings) is second
    os.utime(settings.data_dir, (1, 1))
    assert load(settings).fingerprint == second.fingerprint
    before = load(settings)
    Path(settings.data_dir).unlink()
    assert load(settings) is before  # a file system that is away for a while ends no search


def test_what_is_said_about_the_data_is_printed_before_the_first_trial_and_stored(save, tmp_path, capsys):
    settings = save(**of_classes("train", 200, 3), paths=np.arange(9))
    url = f"sqlite:///{tmp_path}/x.db"
    words = ["run", "digits", "--data", "npz", "--data-dir", settings.data_dir, "--trials", "1", "--epochs", "1"]
    assert cli.run([*words, "--engine", "local", "--db", url]) == 0
    printed = capsys.readouterr().err
    assert printed.count("npz: 1 array is not used: paths") == 1
    assert printed.index("1 image of class '1'") < printed.index("trial 0")
    with Ledger(url, read_only=True) as ledger:
        stored = ledger.read(reads.data_notes, ledger.search("digits").id)
    assert [note.split(":")[0] for note in stored] == [
        "npz",
        "validation has 1 image of class '1' and 40 of the largest class",
    ]
