"""Images that are stored larger than the input: for random crops, and for the central part in evaluation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from support.image_folders import picture, run_on, settings_of, write_folder

from hybrid_search.data import clear_cache, input_size_and_classes, load, open_test, prepare
from hybrid_search.data.image_folder.decoding import decode
from hybrid_search.data.stored_size import stored_side
from hybrid_search.errors import DataError
from hybrid_search.export.model_card import image_lines
from hybrid_search.records import Settings
from hybrid_search.training.batches import EpochPlan, Images
from hybrid_search.training.central_crop import central_crop
from hybrid_search.training.retraining import load_test_split


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    clear_cache()
    write_folder(tmp_path / "photos", ("train", "test"))
    return tmp_path / "photos"


def test_images_are_stored_larger_only_if_training_crops_them_or_a_size_is_given():
    assert [stored_side(Settings(augment=each), 224) for each in ("none", "shift+flip", "crop", "crop+flip")] == [
        224, 224, 256, 256,
    ]  # fmt: skip
    assert [stored_side(Settings(augment="crop"), size) for size in (28, 32, 64, 128)] == [32, 37, 74, 147]
    assert stored_side(Settings(stored_size=300), 224) == 300
    assert stored_side(Settings(augment="crop", stored_size=224), 224) == 224


def test_an_image_folder_is_stored_larger_for_crops_and_the_input_keeps_its_size(photos):
    settings = settings_of(photos, augment="crop+flip")
    assert input_size_and_classes(settings) == ((3, 8, 8), 2)
    dataset = load(settings)
    assert dataset.input_size == (3, 8, 8)
    assert dataset.train.images.shape[1:] == (3, 10, 10)
    assert load(settings_of(photos)).train.images.shape[1:] == (3, 8, 8)
    assert load(settings.with_(stored_size=16)).validation.images.shape[1:] == (3, 16, 16)
    assert open_test(settings, "test").images.shape[1:] == (3, 10, 10)
    assert load_test_split(settings).images.shape[1:] == (3, 10, 10)  # of a confirmation
    device = torch.device("cpu")
    batch, _ = Images(dataset.validation, dataset, device).batch(EpochPlan(torch.arange(2)), 0, 2)
    assert batch.shape == (2, 3, 8, 8)
    assert "images are stored at 10 x 10 pixels; training crops them at random, evaluation uses the central part" in (
        prepare(settings, print)
    )


def test_searches_that_do_not_crop_have_the_images_of_before(photos):
    plain = load(settings_of(photos, augment="shift+flip"))
    assert plain.fingerprint == load(settings_of(photos)).fingerprint
    assert plain.fingerprint != load(settings_of(photos, augment="crop")).fingerprint


def test_a_stored_size_below_the_image_size_is_refused(photos, capsys):
    with pytest.raises(DataError, match=r"stored_size must be at least image_size, 8 pixels; got 7\."):
        load(settings_of(photos, stored_size=7))
    with pytest.raises(DataError, match=r"stored_size is a setting of the data sets imagefolder.*got 40"):
        load(Settings(stored_size=40))
    assert run_on(photos, "--set", "stored_size=7") == 2
    assert "stored_size must be at least image_size" in capsys.readouterr().err


def test_a_search_with_every_change_trains_and_is_not_continued_without_them(photos, capsys):
    words = ["--set", "augment=crop+flip", "--set", "trivial_augment=1", "--set", "random_erasing=0.25"]
    assert run_on(photos, *words) == 0
    capsys.readouterr()
    assert run_on(photos, *words, "--set", "crop_area=0.08") == 2
    assert "crop_area is 0.25 (got 0.08)" in capsys.readouterr().err


@pytest.mark.parametrize("stored", [10, 24])
def test_a_model_card_reads_a_picture_as_evaluation_does(photos, stored):
    settings = settings_of(photos, stored_size=stored)
    network = SimpleNamespace(input_size=(3, 8, 8), mean=(), origin={"settings": settings.to_dict()})
    smooth = picture(1, size=4).resize((40, 60), Image.Resampling.BICUBIC)
    smooth.save("photo.jpg")
    values = {}
    exec("\n".join(image_lines(network)), values)
    dataset = load(settings)
    pixels = decode(photos.parent / "photo.jpg", stored)[None]
    expected = central_crop(torch.from_numpy(np.array(pixels)), dataset.input_size[1:]).float() / 255
    torch.testing.assert_close(values["images"], expected, rtol=0, atol=1.01 / 255)
