"""One training in several processes: the shares of a batch, batch norm over all of them, the numbers of one.

The processes here are joined by gloo, without Ray; tests/test_devices.py has Ray Train.
"""

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from support.ranks import curve_of, train_together

from hybrid_search import Settings
from hybrid_search.errors import SettingsError
from hybrid_search.training.batches import EpochPlan
from hybrid_search.training.ranks import Ranks, parts_of

# Sums over the ranks are rounded in another order than sums over a batch: nothing else differs. docs/train.md says it.
TOLERANCE = 1e-5

SAME = {
    "plain": ("resnet-basic-4", {}),
    "mixed": ("resnet-basic-4", {"mixup": 0.4, "cutmix": 1.0, "ema": 0.9, "clip": 1.0, "optimizer": "adamw"}),
    "augmented": (
        "resnet-basic-4",
        {"augment": "crop+flip", "trivial_augment": 0.5, "random_erasing": 0.3, "optimizer": "muon"},
    ),
}
# The parts of a batch hold other images on two devices, so that their batch norms differ.
PARTS = ("resnet-basic-4", {"accumulate": 2, "batch_size": 33})


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Return, for each of two ranks, the curve and the weights of each case."""
    return train_together(tmp_path_factory.mktemp("ranks"), [*SAME.values(), PARTS])


@pytest.mark.parametrize("name", SAME)
def test_two_processes_compute_the_numbers_of_one(together, name):
    alone, weights = curve_of(*SAME[name])
    case = list(SAME).index(name)
    for row, expected in zip(together[0][case][0], alone, strict=True):
        for number in ("train_loss", "loss", "learning_rate", *(["test_loss"] if "test_loss" in expected else [])):
            assert row[number] == pytest.approx(expected[number], abs=TOLERANCE), number
        assert row["accuracy"] == pytest.approx(expected["accuracy"], abs=1.5 / 41)  # one of 41 images
    one, two = (load(bytes.fromhex(digits)) for digits in (weights, together[0][case][1]))
    for tensor in one:
        assert np.allclose(one[tensor], two[tensor], atol=10 * TOLERANCE, rtol=0), tensor


def test_every_process_has_the_same_weights_and_scores_bit_for_bit(together):
    times = ("train_seconds", "latency_ms", "images_per_second")
    for (curve, weights), (other, theirs) in zip(*together, strict=True):
        assert weights == theirs
        for row, same in zip(curve, other, strict=True):
            assert {k: v for k, v in row.items() if k not in times} == {k: v for k, v in same.items() if k not in times}


def test_parts_of_a_batch_hold_other_images_on_two_devices_and_the_loss_is_close(together):
    alone, _ = curve_of(*PARTS)
    for row, expected in zip(together[0][-1][0], alone, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], abs=2e-3)
        assert row["train_loss"] != pytest.approx(expected["train_loss"], abs=TOLERANCE)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [10, 16, 27])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_shares_of_a_batch_are_all_its_images_once(ranks, count, mirrored):
    shares = [Ranks(rank, ranks).share(count, mirrored) for rank in range(ranks)]
    assert sorted(torch.cat(shares).tolist()) == list(range(count))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= (3 if mirrored else 1)
    if mirrored:
        assert all(torch.equal(share.flip(0), count - 1 - share) for share in shares)


def test_every_rank_trains_as_many_parts_of_a_batch():
    assert parts_of(32, 32, 1) == [slice(0, 32)]
    assert parts_of(33, 33, 4) == [slice(0, 8), slice(8, 16), slice(16, 24), slice(24, 33)]
    assert [len(parts_of(27, share, 4)) for share in (13, 14)] == [4, 4]


def test_a_part_of_a_plan_has_its_images_with_their_augmentation():
    order = torch.tensor([3, 1, 2, 0])
    part = EpochPlan(order, flip=order > 1, matrix=order.view(4, 1, 1).float()).part(torch.tensor([0, 3]))
    assert (part.order.tolist(), part.flip.tolist()) == ([3, 0], [True, False])
    assert part.matrix.flatten().tolist() == [3.0, 0.0]
    assert part.colour is None


def test_too_many_devices_for_a_batch_are_refused():
    with pytest.raises(SettingsError, match=r"devices .* must leave 2 images .* got 4 devices for batches of 7 images"):
        Ranks(0, 4).check([0, 7, 15], Settings(batch_size=8))
    with pytest.raises(SettingsError, match=r"in parts: 4 \(accumulate\)"):
        Ranks(0, 2).check([0, 8], Settings(batch_size=8, accumulate=4))
    Ranks(0, 2).check([0, 8], Settings(batch_size=8, mixup=0.2))
    Ranks().check([0, 2], Settings(batch_size=2))


def test_one_process_exchanges_nothing():
    alone = Ranks.of_process()
    value = torch.ones(2)
    assert (alone, alone.backend) == (Ranks(), "none")
    assert alone.total(value) is value
    assert alone.first(b"data") == b"data"
    assert alone.any(True)
