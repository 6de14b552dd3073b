"""Images that are decoded when they are read, and images in a file larger than memory."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from support.image_folders import picture, run_on, settings_of, write_folder

from hybrid_search.data import clear_cache, load, open_test, prepare
from hybrid_search.data.on_demand import OnDemand, joined
from hybrid_search.data.pixel_statistics import fingerprint, mean_and_std, statistics
from hybrid_search.errors import DataError
from hybrid_search.records import Settings
from hybrid_search.training.batches import Images
from hybrid_search.training.loop import Trainer
from hybrid_search.training.reading_ahead import DecodedAhead, read_ahead

CPU = torch.device("cpu")
MIB = 1 << 20
# Trains one epoch of an image folder while the memory that belongs to this process alone is limited.
TRAIN = """
import json, resource, sys
import torch
from PIL import Image
from hybrid_search.data import load
from hybrid_search.records import Settings
from hybrid_search.training.loop import Trainer
settings = Settings.from_dict(json.loads(sys.argv[1]))
torch.set_num_threads(1)
limit = int(sys.argv[2])
def private():
    fields = dict(line.split(":") for line in open("/proc/self/status"))
    return 1024 * int(fields["VmData"].split()[0])
def trained(dataset, settings, channels):
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(16 * channels, 10))
    return Trainer(net, dataset, settings).advance()
first = Settings(train_images=64, validation_images=32, epochs=1, device="cpu")
trained(load(first), first, 1)  # imports all that training needs
Image.init()
resource.setrlimit(resource.RLIMIT_DATA, (private() + limit,) * 2)
dataset = load(settings)
epoch = trained(dataset, settings, 3)
print(json.dumps([dataset.train.images.nbytes + dataset.validation.images.nbytes, epoch.accuracy, dataset.fingerprint]))
"""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    clear_cache()
    write_folder(tmp_path / "photos", ("train", "test"))
    return tmp_path / "photos"


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.Dropout(0.1), torch.nn.Flatten(), torch.nn.Linear(144, 2)
    )


def cached(tmp_path, suffix):
    return sorted(Path(tmp_path, "cache").rglob(f"*{suffix}"))


@pytest.mark.parametrize("augment", ["none", "shift+flip", "crop+flip"])
def test_training_without_the_cache_has_the_numbers_of_training_with_it(photos, tmp_path, augment):
    results = []
    for cache in ("none", "disk"):
        settings = settings_of(photos, augment=augment, epochs=2, batch_size=5, device="cpu", cache=cache)
        dataset = load(settings)
        trainer = Trainer(net(), dataset, settings)
        epochs = [(each.train_loss, each.accuracy, each.loss) for each in trainer.run()]
        test = open_test(settings, "test")
        results.append((epochs, dataset.fingerprint, dataset.mean, dataset.std, np.array(test.images[:]).tobytes()))
        assert isinstance(dataset.train.images, OnDemand) == (cache == "none")
        assert bool(cached(tmp_path, ".npy")) == (cache == "disk")
    assert results[0] == results[1]


def test_the_cache_is_no_part_of_the_digest_and_a_search_is_continued_with_or_without_it(photos, capsys):
    assert Settings(cache="none").digest == Settings().digest
    assert run_on(photos) == 0
    assert run_on(photos, "--set", "cache=none") == 0
    assert run_on(photos, "--set", "cache=ram") == 2
    assert "cache must be one of disk, none; got 'ram'." in capsys.readouterr().err


def test_images_on_demand_are_indexed_like_an_array(photos):
    stored = load(settings_of(photos)).train.images
    images = load(settings_of(photos, cache="none")).train.images
    assert (images.shape, images.nbytes, images.dtype, len(images)) == (
        stored.shape,
        stored.nbytes,
        stored.dtype,
        len(stored),
    )
    for key in (slice(2, 5), slice(None), np.array([4, 0]), slice(0, 0), 3):
        assert np.array_equal(images[key], stored[key])


def test_joined_images_stay_in_their_files(photos):
    stored = load(settings_of(photos))
    parts = [stored.train.images, load(settings_of(photos, cache="none")).validation.images]
    both = joined(parts)
    everything = np.concatenate([stored.train.images, stored.validation.images])
    assert isinstance(both, OnDemand)
    assert both.shape == everything.shape
    order = np.random.default_rng(0).permutation(len(everything))
    assert np.array_equal(both[order], everything[order])
    assert np.array_equal(joined([everything[:3], everything[3:]]), everything)


def test_a_broken_image_is_named_before_the_search_and_while_training(photos, capsys):
    settings = settings_of(photos, cache="none", batch_size=4, epochs=1, device="cpu")
    dataset = load(settings)
    broken = photos / "train" / "cat" / "3.png"
    broken.write_bytes(broken.read_bytes()[:60])
    trainer = Trainer(net(), dataset, settings)
    with pytest.raises(DataError, match=r"image .*3\.png.* cannot be decoded"):
        trainer.advance()
    assert run_on(photos, "--set", "cache=none") == 2
    assert "3.png" in capsys.readouterr().err


def test_without_the_cache_the_images_are_checked_and_what_is_reinterpreted_is_said(photos, tmp_path):
    picture(5).convert("RGBA").save(photos / "train" / "cat" / "clear.png")
    half = picture(6).convert("RGBA")
    half.putalpha(100)
    half.save(photos / "train" / "dog" / "half.png")
    notes = prepare(settings_of(photos, cache="none"), print)
    assert any("transparent pixels" in note and note.endswith(": 1") for note in notes)
    assert not cached(tmp_path, ".npy")


def test_images_decoded_ahead_come_in_the_order_of_the_epoch_whatever_the_batches(monkeypatch):
    images = OnDemand(
        40, (1, 2, 3), "numbers", lambda indices: np.tile(indices[:, None, None, None], (1, 1, 2, 3)).astype(np.uint8)
    )
    monkeypatch.setattr("hybrid_search.training.reading_ahead.CHUNK", 6 * 7)
    before = torch.get_rng_state()
    ahead, order = DecodedAhead(images), torch.randperm(40, generator=torch.Generator().manual_seed(0))
    for edges in ((0, 10, 11, 40), (0, 40), (7, 9)):  # the last one begins elsewhere
        parts = [ahead.read(order, *pair)[:, 0, 0, 0] for pair in pairwise(edges)]
        assert torch.equal(torch.cat(parts).long(), order[edges[0] : edges[-1]])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_numbers_of_all_pixels_do_not_depend_on_the_chunks_and_are_computed_once(photos, tmp_path, monkeypatch):
    dataset = load(settings_of(photos))
    splits = dataset.train, dataset.validation
    assert (dataset.mean, dataset.std) == mean_and_std(dataset.train.images)
    assert dataset.fingerprint == fingerprint(splits, dataset.classes)
    assert len(cached(tmp_path, ".stats")) == 1
    monkeypatch.setattr("hybrid_search.data.pixel_statistics.CHUNK", 500)
    assert (dataset.mean, dataset.std) == mean_and_std(dataset.train.images)
    assert dataset.fingerprint == fingerprint(splits, dataset.classes)
    monkeypatch.setattr("hybrid_search.data.pixel_statistics._computed", None)  # it must not be called again
    assert statistics(*splits, dataset.classes) == (dataset.fingerprint, dataset.mean, dataset.std)


def test_a_cache_file_of_other_pixels_has_another_fingerprint(photos, tmp_path):
    before = load(settings_of(photos))
    path = Path(before.train.images.filename)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    clear_cache()
    assert load(settings_of(photos)).fingerprint != before.fingerprint


def test_images_in_a_file_are_not_copied_into_memory_and_can_be_read_ahead(photos):
    dataset = load(settings_of(photos))
    images = Images(dataset.train, dataset, CPU)
    assert images.images.data_ptr() == dataset.train.images.ctypes.data
    assert not dataset.train.images.flags.writeable
    read_ahead(dataset.train.images, np.arange(4))
    read_ahead(np.zeros((4, 3, 2, 2), np.uint8), np.arange(4))  # in memory: nothing to do


def test_too_little_space_on_the_disk_is_refused_with_both_numbers(photos, monkeypatch, capsys):
    from types import SimpleNamespace

    monkeypatch.setattr(
        "hybrid_search.data.image_folder.decoded_cache.shutil.disk_usage", lambda _: SimpleNamespace(free=1)
    )
    assert run_on(photos) == 2
    said = capsys.readouterr().err
    assert "decoded images of 8 x 8 need 1" in said
    assert "has 0.0 kB free" in said
    assert "cache=none (--set)" in said
    assert run_on(photos, "--set", "cache=none") == 0


def train_limited(root, tmp_path, limit, **changes):
    """Train one epoch in a process whose private memory may grow by `limit` bytes; return what it prints."""
    settings = Settings(data="imagefolder", data_dir=str(root), epochs=1, device="cpu", **changes)
    command = [sys.executable, "-c", TRAIN, json.dumps(settings.to_dict()), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def write_alike(root, count):
    """Write links to a few pictures, `count` for each class: their decoded pixels need space, the files do not."""
    for label, name in enumerate(("cat", "dog")):
        folder = root / "train" / name
        folder.mkdir(parents=True)
        for number in range(8):
            picture((label, number), label, 32).save(folder / f"{number}.png")
        for number in range(8, count):
            (folder / f"{number}.png").symlink_to(folder / f"{number % 8}.png")


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts private memory on Linux only")
@pytest.mark.parametrize(
    ("count", "size", "limit"),
    [(150, 400, 64 * MIB), pytest.param(3600, 448, 700 * MIB, marks=pytest.mark.slow)],
    ids=["short", "4 GB of images in less than 1 GB"],
)
def test_images_larger_than_the_memory_of_a_process_train_an_epoch(tmp_path, monkeypatch, count, size, limit):
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(tmp_path / "cache"))
    write_alike(tmp_path / "photos", count)
    changes = {"image_size": size, "batch_size": 4}
    stored, accuracy, digits = train_limited(tmp_path / "photos", tmp_path, limit, **changes)
    assert stored > 1.5 * limit
    assert len(digits) == 16
    assert 0 <= accuracy <= 1
