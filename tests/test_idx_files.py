"""`fashion-mnist`: IDX files that are damaged, cut short, pointers, or not what they seem."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from support.datasets import write_fashion_mnist, write_idx
from support.fuzz import fuzz_counts

from hybrid_search import data
from hybrid_search.data import input_size_and_classes, load, memory
from hybrid_search.data.fashion_mnist import read_idx
from hybrid_search.data.table import DATASETS
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

IMAGES = "train-images-idx3-ubyte.gz"


@pytest.fixture(autouse=True)
def fresh():
    data.clear_cache()


@pytest.fixture
def clothes(tmp_path):
    write_fashion_mnist(tmp_path)
    return Settings(data="fashion-mnist", data_dir=str(tmp_path))


def header(shape, magic=(0, 0, 8)):
    return bytes((*magic, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "it is a Git LFS pointer .*git lfs pull"),
        (b"<!DOCTYPE html><html><body>Not found", "it is a web page"),
        (header((50, 28, 28), (0, 0, 13)) + bytes(40000), "with 3 dimensions; it has another header"),
        (header((50,)) + bytes(50), "with 3 dimensions; it has another header"),
        (header((50, 28, 28)) + bytes(100), "must have 39,200 bytes after its header; it has 100"),
        (header((50, 28, 28)) + bytes(39_201), "must have 39,200 bytes after its header; it has more"),
        (header((50, 0, 28)), r"must have rows and columns; .* has images of \(0, 28\)"),
        (header((49, 28, 28)) + bytes(49 * 784), "train has 49 images, 50 labels"),
        (header((50, 20, 28)) + bytes(50 * 560), "must have one size; train has 20 x 28, t10k 28 x 28"),
        (gzip.compress(header((50, 28, 28)) + bytes(39_200), mtime=0)[:-6], "is damaged or incomplete"),
        (b"\x1f\x8b\x08 no more of gzip", "is damaged or incomplete"),
    ],
)
def test_a_wrong_file_of_images_is_described_in_one_line(clothes, content, match):
    (Path(clothes.data_dir) / IMAGES).write_bytes(content)
    with pytest.raises(DataError, match=match) as caught:
        input_size_and_classes(clothes)
    assert "\n" not in str(caught.value)


def test_a_file_is_read_by_its_content_whatever_its_name(clothes):
    before = load(clothes).fingerprint
    path = Path(clothes.data_dir) / IMAGES
    path.write_bytes(gzip.decompress(path.read_bytes()))  # as a browser saves it
    data.clear_cache()
    assert load(clothes).fingerprint == before


def test_a_header_of_more_than_memory_is_refused_with_numbers(tmp_path, monkeypatch):
    path = tmp_path / "large"
    path.write_bytes(header((60_000, 28, 28)))
    monkeypatch.setattr(memory, "free_memory", lambda: 10**6)
    with pytest.raises(DataError, match=r"must fit into memory; they have 47\.0 MB, 1\.0 MB are free"):
        read_idx(path, 3)


def test_the_folder_of_torchvision_is_found_and_other_counts_are_said(tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    write_fashion_mnist(raw)
    settings = Settings(data="fashion-mnist", data_dir=str(tmp_path))
    notes = DATASETS["fashion-mnist"].read(settings).notes
    assert notes == (
        f"fashion-mnist: {raw} has 50 training and 20 test images; the published data set has 60,000 and 10,000",
    )
    write_fashion_mnist(tmp_path, train=30)  # files in the folder itself come first
    assert len(DATASETS["fashion-mnist"].read(settings).train.labels) == 30


@pytest.mark.parametrize("count", fuzz_counts(150))
def test_a_seeded_mutation_of_an_idx_file_raises_nothing_but_a_data_error(tmp_path, count):
    refusals = 0
    rng = np.random.default_rng(0)
    path = tmp_path / "mutated"
    for zipped in (False, True):
        write_idx(path, np.zeros((5, 4, 3), np.uint8), zipped)
        good = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(count):
            bad = good.copy()
            bad[rng.integers(0, min(len(bad), 40), rng.integers(1, 5))] = rng.integers(0, 256)
            path.write_bytes(bad[: rng.integers(1, len(bad) + 1)].tobytes())
            try:
                read_idx(path, 3)
            except DataError:
                refusals += 1
    assert refusals > count
