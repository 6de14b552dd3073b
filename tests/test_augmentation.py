"""Random changes of training images: each image has its own, and they depend on seed and epoch only."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from hybrid_search.data import Dataset, Split, load
from hybrid_search.errors import SettingsError
from hybrid_search.records import Settings
from hybrid_search.training.augmentation import (
    CHANGES,
    Size,
    Trivial,
    colours,
    draw_crops,
    draw_erased,
    draw_trivial,
    erase,
    flipped,
    moved,
    recolour,
    sample,
    windows,
)
from hybrid_search.training.batches import EpochPlan, Images
from hybrid_search.training.central_crop import central_crop
from hybrid_search.training.loop import Trainer

CPU = torch.device("cpu")
STRONG = Settings(augment="crop+flip", trivial_augment=0.7, random_erasing=0.5)

NEEDS = "the changes are compared with torchvision's: pip install torchvision"


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def dataset(count=24, rows=12, cols=18, size=None, channels=3):
    """Return random images of rows x cols pixels, the input of a network being of `size`."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, channels, rows, cols), dtype=np.uint8)
    split = Split(pixels, np.arange(count) % 2)
    mean, std = (0.5,) * channels, (0.25,) * channels
    return Dataset("own", split, split, ("a", "b"), "none", "0" * 16, mean, std, size)


def whole(count=1):
    one, zero = torch.ones(count), torch.zeros(count)
    return windows(one, one, zero, zero)


def only(change, magnitude):
    return Trivial(torch.tensor([CHANGES.index(change)]), torch.tensor([magnitude]))


@pytest.mark.parametrize("edges", [(0, 24), (0, 5, 11, 24), (0, 1, 24)])
def test_an_augmented_image_does_not_depend_on_the_batches(edges):
    data = dataset(size=(10, 15))
    images = Images(data.train, data, CPU)
    plan = images.plan(STRONG, 3)
    expected = images.batch(plan, 0, 24)[0]
    parts = [images.batch(plan, *pair)[0] for pair in pairwise(edges)]
    assert expected.shape == (24, 3, 10, 15)
    torch.testing.assert_close(torch.cat(parts), expected, rtol=0, atol=1e-5)


def test_every_image_of_a_batch_has_its_own_change_and_every_epoch_other_ones():
    data = dataset()
    same = Split(np.repeat(data.train.images[:1], 24, 0), data.train.labels)
    images = Images(same, data, CPU)
    batches = [images.batch(images.plan(STRONG.with_(seed=s), e), 0, 24)[0] for s, e in ((0, 0), (0, 1), (1, 0))]
    assert len({image.numpy().tobytes() for batch in batches for image in batch}) == 72
    assert torch.equal(images.batch(images.plan(STRONG, 0), 0, 24)[0], batches[0])


def test_new_changes_leave_the_order_of_the_images_and_their_flips():
    data = dataset()
    images = Images(data.train, data, CPU)
    plain = images.plan(Settings(augment="shift+flip"), 0)
    changed = images.plan(Settings(augment="shift+flip", trivial_augment=1, random_erasing=1), 0)
    for name in ("order", "row_shift", "col_shift", "flip"):
        assert torch.equal(getattr(plain, name), getattr(changed, name))


def test_training_with_every_change_resumes_bit_for_bit():
    settings = STRONG.with_(train_images=60, validation_images=30, image_size=8, epochs=3, device="cpu")

    def trainer():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 10))
        return Trainer(net, load(settings), settings)

    whole_run, first, second = trainer(), trainer(), trainer()
    list(whole_run.run())
    first.advance()
    second.load_state_dict(first.state_dict())
    list(second.run())
    expected, got = whole_run.state_dict(), second.state_dict()
    assert all(torch.equal(expected[name], got[name]) for name in expected if name != "seconds")


def test_a_crop_is_within_the_image_and_has_the_area_and_the_ratio_that_are_allowed():
    matrix = draw_crops(4000, 0.25, rng())
    width, height, col, row = matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 0, 2], matrix[:, 1, 2]
    assert ((width + col.abs() <= 1 + 1e-6) & (height + row.abs() <= 1 + 1e-6)).all()
    assert 0.2 < (width * height).min() < 0.3
    assert (width * height).max() > 0.95
    ratio = width / height
    assert ratio.min() >= 3 / 4 - 1e-6
    assert ratio.max() <= 4 / 3 + 1e-6
    assert (col.std(), row.std()) == (pytest.approx(0.2, abs=0.05), pytest.approx(0.2, abs=0.05))


def test_a_window_is_read_as_torchvision_crops_and_resizes():
    torchvision = pytest.importorskip("torchvision.transforms.v2.functional", reason=NEEDS)
    x = torch.rand(1, 3, 20, 30)
    # rows 5 to 15, columns 6 to 24
    matrix = windows(torch.tensor([18 / 30]), torch.tensor([0.5]), torch.tensor([0.0]), torch.tensor([0.0]))
    got = sample(x, matrix, Size(10, 18))
    torch.testing.assert_close(got, x[:, :, 5:15, 6:24], rtol=0, atol=1e-5)
    resized = torchvision.resized_crop(x, 5, 6, 10, 18, [15, 27], antialias=False)
    torch.testing.assert_close(sample(x, matrix, Size(15, 27))[..., 1:-1, 1:-1], resized[..., 1:-1, 1:-1])
    mirrored = sample(x, flipped(matrix, torch.tensor([True])), Size(10, 18))
    torch.testing.assert_close(mirrored, got.flip(3), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "magnitude", "affine"),
    [
        ("rotate", 1.0, {"angle": -30.0}),
        ("move rows", -0.5, {"translate": [0, 2.5]}),
        ("move columns", 0.25, {"translate": [-1.875, 0]}),
    ],
)
def test_geometry_is_that_of_torchvision_for_images_that_are_not_square(change, magnitude, affine):
    torchvision = pytest.importorskip("torchvision.transforms.v2.functional", reason=NEEDS)
    from torchvision.transforms import InterpolationMode

    x = torch.rand(1, 3, 16, 24)
    got = sample(x, moved(whole(), only(change, magnitude), Size(16, 24)), Size(16, 24))
    words = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]} | affine
    expected = torchvision.affine(x, interpolation=InterpolationMode.BILINEAR, **words)
    edge = sample(torch.ones_like(x), moved(whole(), only(change, magnitude), Size(16, 24)), Size(16, 24)) < 0.999
    assert (~edge).float().mean() > 0.5
    torch.testing.assert_close(got[~edge], expected[~edge], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("change", "axis"), [("shear columns", 3), ("shear rows", 2)])
def test_shear_moves_each_line_by_its_distance_from_the_centre(change, axis):
    ramp = torch.arange(21.0).view((1, 1, 1, 21) if axis == 3 else (1, 1, 21, 1)).expand(1, 1, 21, 21)
    got = sample(ramp, moved(whole(), only(change, 1.0), Size(21, 21)), Size(21, 21))
    line = got[0, 0, 15] if axis == 3 else got[0, 0, :, 15]  # 5 from the centre
    torch.testing.assert_close(line[3:17], torch.arange(3.0, 17.0) + 0.3 * 5, rtol=0, atol=1e-3)


def test_colours_are_those_of_torchvision():
    torchvision = pytest.importorskip("torchvision.transforms.v2.functional", reason=NEEDS)
    x = torch.randint(0, 256, (1, 3, 9, 7), generator=rng()).float()
    unit = x / 255
    for name, function in (
        ("brightness", torchvision.adjust_brightness),
        ("contrast", torchvision.adjust_contrast),
        ("saturation", torchvision.adjust_saturation),
    ):
        for magnitude in (-0.8, 0.6):
            got = recolour(x.clone(), colours(only(name, magnitude)))
            expected = function(unit, 1 + 0.9 * magnitude) * 255
            torch.testing.assert_close(got, expected, rtol=0, atol=0.05)
    got = recolour(x.clone(), colours(only("posterize", 0.5)))
    assert torch.equal(got, torchvision.posterize(x.byte(), 6).float())
    got = recolour(x.clone(), colours(only("solarize", 0.5)))
    assert torch.equal(got, torchvision.solarize(x.byte(), 128).float())
    assert torch.equal(recolour(x.clone(), colours(only("none", 1.0))), x)


def test_each_change_is_drawn_about_as_often_and_images_of_one_channel_have_no_saturation():
    drawn = draw_trivial(11_000, 1.0, 3, rng())
    counts = torch.bincount(drawn.change, minlength=len(CHANGES))
    assert counts.min() > 850
    assert drawn.magnitude.abs().max() <= 1
    few = draw_trivial(10_000, 0.25, 3, rng())
    assert (few.change > 0).float().mean() == pytest.approx(0.25 * 10 / 11, abs=0.02)
    grey = draw_trivial(1000, 1.0, 1, rng())
    assert CHANGES.index("saturation") not in grey.change
    x = torch.rand(2, 1, 4, 4) * 255
    assert recolour(x, colours(Trivial(grey.change[:2], grey.magnitude[:2]))).shape == x.shape


def test_an_erased_rectangle_becomes_the_mean_colour_and_its_area_is_bounded():
    size = Size(20, 32)
    rectangles = draw_erased(2000, 0.5, size, rng())
    areas = (rectangles[:, 1] - rectangles[:, 0]) * (rectangles[:, 3] - rectangles[:, 2]) / (20 * 32)
    assert (areas > 0).float().mean() == pytest.approx(0.5, abs=0.04)
    assert areas.max() <= 0.38
    assert (rectangles[:, 1] <= 20).all()
    assert (rectangles[:, 3] <= 32).all()
    x = torch.ones(2, 3, 20, 32)
    erase(x, torch.tensor([[2, 7, 30, 32], [0, 0, 0, 0]]))
    assert (x[0, :, 2:7, 30:] == 0).all()
    assert x[0].sum() == 3 * (20 * 32 - 10)
    assert (x[1] == 1).all()


def test_evaluation_uses_the_central_part_of_images_that_are_stored_larger():
    data = dataset(rows=37, cols=37, size=(32, 32))
    images = Images(data.validation, data, CPU)
    got = images.batch(EpochPlan(torch.arange(24)), 0, 24)[0]
    expected = (torch.from_numpy(data.train.images)[:, :, 2:34, 2:34] / 255 - 0.5) / 0.25
    torch.testing.assert_close(got, expected)
    large = torch.full((1, 3, 64, 96), 7, dtype=torch.uint8)
    torch.testing.assert_close(central_crop(large, (16, 24)), torch.full((1, 3, 16, 24), 7.0))
    assert central_crop(large, (64, 96)) is large


@pytest.mark.parametrize("stored", [(37, 32), (64, 48), (32, 28)])
def test_shifts_begin_at_the_central_part_with_and_without_a_matrix(stored):
    size = (32, 28)
    data = dataset(rows=stored[0], cols=stored[1], size=size)
    images = Images(data.train, data, CPU)
    still = EpochPlan(torch.arange(24), row_shift=torch.zeros(24).long(), col_shift=torch.zeros(24).long())
    expected = images.batch(EpochPlan(torch.arange(24)), 0, 24)[0]
    torch.testing.assert_close(images.batch(still, 0, 24)[0], expected)
    plan = images.plan(Settings(augment="shift"), 0)
    assert images.batch(plan, 0, 24)[0].shape == (24, 3, *size)


def test_the_matrix_of_a_shift_reads_what_the_shift_reads():
    data = dataset(rows=16, cols=24)
    images = Images(data.train, data, CPU)
    plan = images.plan(Settings(augment="shift+flip"), 0)
    matrix = flipped(images._shifted(plan), plan.flip)
    got = images.batch(EpochPlan(plan.order, matrix=matrix), 0, 24)[0]
    torch.testing.assert_close(got, images.batch(plan, 0, 24)[0], rtol=0, atol=1e-3)


def test_the_settings_of_augmentation_are_stored_only_if_they_are_used():
    assert Settings(recipe="classic").digest == "634caa99e2eecd43"  # as before these settings existed
    given = Settings(crop_area=0.08, trivial_augment=1, random_erasing=0.25, stored_size=40)
    assert set(given.to_dict()) - set(Settings().to_dict()) == {
        "crop_area", "trivial_augment", "random_erasing", "stored_size",
    }  # fmt: skip
    assert Settings.from_dict(given.to_dict()) == given


def test_a_wrong_setting_of_augmentation_is_refused():
    with pytest.raises(SettingsError, match=r"augment must be one of none, shift, .*crop\+flip; got 'crops'"):
        Settings(augment="crops")
    for name in ("crop_area", "trivial_augment", "random_erasing"):
        with pytest.raises(SettingsError, match=f"{name} must be .* 1.*; got 1.5"):
            Settings(**{name: 1.5})
    assert math.isclose(Settings(crop_area="0.08").crop_area, 0.08)
