"""Splits, fingerprints and the cache of the data sets."""

import logging
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from support.datasets import random_pixels as pixels

from hybrid_search import data
from hybrid_search.data import (
    DATASETS,
    Dataset,
    input_size_and_classes,
    load,
    open_test,
)
from hybrid_search.data.resizing import resize
from hybrid_search.data.splits import subsample
from hybrid_search.errors import DataError
from hybrid_search.records import Settings


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Start with an empty cache in memory and a new cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data.clear_cache()


def npz(path, **arrays):
    np.savez(path, **arrays)
    return Settings(data="npz", data_dir=str(path))


@pytest.fixture
def small(tmp_path):
    """Write three classes of non-square two-channel images to an npz file."""
    return npz(tmp_path / "small.npz", x_train=pixels(60, channels=2), y_train=np.arange(60) % 3)


def test_digits_are_16_by_16_and_split_into_three_parts_without_overlap():
    settings = Settings()
    dataset, test = load(settings), open_test(settings, "this test")
    assert dataset.input_size == (1, 16, 16)
    assert input_size_and_classes(settings) == ((1, 16, 16), 10)
    assert (len(dataset.train), len(dataset.validation), len(test)) == (1079, 359, 359)
    sets = [{image.tobytes() for image in part.images} for part in (dataset.train, dataset.validation, test)]
    assert len(sets[0] | sets[1] | sets[2]) >= 1797 - 5  # a few scans occur twice
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.labels.dtype == np.int64


def test_every_class_has_the_same_share_in_every_split():
    settings = Settings(train_images=200, validation_images=100)
    dataset = load(settings)
    for split, count in ((dataset.train, 200), (dataset.validation, 100), (open_test(settings, "stratification"), 359)):
        counts = np.bincount(split.labels, minlength=10)
        assert counts.sum() == count
        assert counts.max() - counts.min() <= 0.05 * count


def test_a_subsample_has_every_class_and_exactly_the_requested_size():
    labels = np.array([0] * 96 + [1] * 3 + [2])
    for count in range(3, 101):
        chosen = labels[subsample(labels, 3, count, 0, "train_images")]
        assert len(chosen) == count
        assert set(chosen) == {0, 1, 2}


def test_the_test_split_is_not_in_the_dataset_and_its_use_needs_a_reason(caplog):
    settings = Settings(split_seed=3)
    assert [field.name for field in fields(Dataset) if "test" in field.name] == []
    assert not any("test" in name for name in dir(load(settings)))
    with pytest.raises(DataError, match="a use of the test split needs a reason for the log; got an empty one"):
        open_test(settings, " ")
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        open_test(settings, "confirming the front")
    assert "used the test split of digits (359 images" in caplog.text
    assert "confirming the front" in caplog.text


def test_the_fingerprint_depends_on_content_and_split_only(tmp_path):
    x, y = pixels(60), np.arange(60) % 3
    first = load(npz(tmp_path / "a.npz", x_train=x, y_train=y)).fingerprint
    assert load(npz(tmp_path / "b.npz", x_train=x, y_train=y).with_(seed=5, epochs=3)).fingerprint == first
    x[:, 0, 2, 3] ^= 1  # one bit of one pixel
    changed = npz(tmp_path / "c.npz", x_train=x, y_train=y)
    fingerprints = {
        first,
        load(changed).fingerprint,
        load(changed.with_(split_seed=1)).fingerprint,
        load(npz(tmp_path / "d.npz", x_train=x, y_train=y, classes=np.array(["a", "b", "c"]))).fingerprint,
        load(changed.with_(train_images=20)).fingerprint,
        load(changed.with_(image_size=6)).fingerprint,
    }
    assert len(fingerprints) == 6


def test_the_fingerprint_of_digits_is_the_same_on_every_machine():
    assert load(Settings()).fingerprint == "a3e9e3a7a61a672f"


def test_a_process_reads_a_dataset_once(small):
    assert load(small) is load(small.with_(epochs=3, seed=9, learning_rate=0.1))
    assert load(small) is not load(small.with_(split_seed=1))


def test_mean_and_std_are_computed_from_the_training_images(small):
    dataset = load(small)
    scaled = dataset.train.images / 255
    assert dataset.mean == pytest.approx(scaled.mean((0, 2, 3)))
    assert dataset.std == pytest.approx(scaled.std((0, 2, 3)))
    assert dataset.input_size == (2, 6, 9)


def test_the_std_of_a_constant_channel_is_one(tmp_path):
    flat = npz(tmp_path / "flat.npz", x_train=np.full((30, 4, 6), 7, np.uint8), y_train=np.arange(30) % 2)
    assert load(flat).std == (1.0,)


def test_more_images_than_available_or_fewer_than_classes_raise_an_error(small):
    with pytest.raises(DataError, match=r"train_images must be at most 36, .*; got 37"):
        input_size_and_classes(small.with_(train_images=37))
    with pytest.raises(DataError, match=r"validation_images must be at most 12, .*; got 99"):
        input_size_and_classes(small.with_(validation_images=99))
    with pytest.raises(DataError, match="train_images must be at least 3, one image for each class; got 2"):
        input_size_and_classes(small.with_(train_images=2))


def test_the_error_for_an_unknown_data_set_lists_the_known_names_and_the_nearest():
    with pytest.raises(DataError, match=r"data must be one of .*digits.*; got 'digit'\. Did you mean 'digits'\?"):
        load(Settings(data="digit"))
    assert DATASETS["digits"].licence.startswith("CC BY")
    assert set(DATASETS) >= {"digits", "fashion-mnist", "cifar10", "cifar100", "imagefolder", "npz"}


@pytest.mark.parametrize(("rows", "cols", "size"), [(28, 28, 14), (17, 30, 8), (9, 7, 20)])
def test_resizing_agrees_with_pillow_on_images_that_are_not_square(rows, cols, size):
    image = pytest.importorskip("PIL.Image", reason="image folders need Pillow: pip install pillow")
    images = pixels(3, rows, cols)
    for ours, one in zip(resize(images, size), images, strict=True):
        theirs = np.asarray(image.fromarray(one[0]).resize((size, size), image.Resampling.BILINEAR))
        assert np.abs(ours[0].astype(int) - theirs).max() <= 1


def test_a_constant_image_stays_constant_and_size_none_returns_the_same_array():
    images = np.full((2, 3, 11, 5), 255, np.uint8)
    assert (resize(images, 7) == 255).all()
    assert resize(images, None) is images


def test_loading_digits_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; from hybrid_search.data import load; from hybrid_search.records import Settings; load(Settings());"
        "print(sorted({'torch', 'sklearn', 'PIL', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
