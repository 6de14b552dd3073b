"""The file formats of the data sets: npz, IDX files, cifar's records and folders of images."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support.datasets import random_pixels as pixels
from support.datasets import write_cifar, write_fashion_mnist, write_idx

from hybrid_search import data
from hybrid_search.data import (
    digits,
    fashion_mnist,
    input_size_and_classes,
    load,
    open_test,
)
from hybrid_search.data.image_folder import decoding
from hybrid_search.data.image_folder.decoded_cache import Decoding, read_cached_images
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

PER_CLASS = 10


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


@pytest.fixture
def clothes(tmp_path):
    """Write a small folder of IDX files."""
    write_fashion_mnist(tmp_path)
    return Settings(data="fashion-mnist", data_dir=str(tmp_path))


@pytest.fixture
def pictures(tmp_path):
    """Write train/cat and train/dog with PNG, JPEG and palette images of different sizes."""
    image = pytest.importorskip("PIL.Image", reason="image folders need Pillow: pip install pillow")
    for label, name in enumerate(("cat", "dog")):
        folder = tmp_path / "pictures" / "train" / name
        folder.mkdir(parents=True)
        for number in range(PER_CLASS):
            array = np.full((20 + number, 31, 3), 80 + 100 * label, np.uint8)
            picture = image.fromarray(array)
            if number == 0:
                picture = picture.convert("P")
            picture.save(folder / f"{number}.{'jpg' if number % 2 else 'png'}")
    return Settings(data="imagefolder", data_dir=str(tmp_path / "pictures"), image_size=12)


def test_digits_equal_those_of_scikit_learn(monkeypatch):
    ours = digits.read_scans()
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    assert np.array_equal(ours, digits.read_scans())


def test_npz_reads_all_three_layouts_and_the_official_parts(tmp_path):
    x, y = pixels(30, channels=3), np.arange(30) % 3
    first = npz(tmp_path / "first.npz", x_train=x, y_train=y, x_val=x[:6], y_val=y[:6], x_test=x[6:12], y_test=y[6:12])
    last = npz(tmp_path / "last.npz", x_train=x.transpose(0, 2, 3, 1), y_train=y)
    gray = npz(tmp_path / "gray.npz", x_train=x[:, 0], y_train=y)
    assert np.array_equal(load(first).train.images, x)
    assert np.array_equal(load(first).validation.images, x[:6])
    assert np.array_equal(open_test(first, "parts").images, x[6:12])
    assert load(last).input_size == (3, 6, 9)
    assert load(gray).input_size == (1, 6, 9)
    assert input_size_and_classes(gray.with_(image_size=4)) == ((1, 4, 4), 3)
    assert load(gray.with_(image_size=4)).input_size == (1, 4, 4)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": pixels(9)}, "needs both x_train and y_train"),
        ({}, "needs both x_train and y_train; .* has none"),
        ({"x_tran": pixels(9), "y_train": np.zeros(9, int)}, "got 'x_tran'. Did you mean 'x_train'"),
        ({"x_train": pixels(9) / 255 - 1, "y_train": np.zeros(9, int)}, "x_train must have values .* got float64"),
        (
            {"x_train": pixels(9)[:, 0, 0], "y_train": np.zeros(9, int)},
            r"x_train must be \(n, rows, columns\).* got uint8 \(9, 9\)",
        ),
        (
            {"x_train": pixels(9, 6, 3), "y_train": np.zeros(9, int)},
            r"x_train is ambiguous: axis 1 and axis 3 both have 1 to 4 entries; got \(9, 1, 6, 3\)",
        ),
        ({"x_train": pixels(9), "y_train": np.zeros(8, int)}, r"y_train must be 9 whole numbers.* int64 \(8,\)"),
        ({"x_train": pixels(9), "y_train": np.zeros(9) + 0.5}, "y_train must be whole numbers, .* image 0 has 0.5"),
        ({"x_train": pixels(9), "y_train": np.arange(9) - 1}, "classes from 0 up; got -1"),
        ({"x_train": pixels(9), "y_train": np.zeros(9, int)}, "at least two classes; got 0"),
        ({"x_train": pixels(1), "y_train": np.zeros(1, int)}, "at least two classes"),
        ({"x_train": pixels(0), "y_train": np.zeros(0, int)}, "at least two classes"),
        ({"x_train": pixels(9), "y_train": np.arange(9) // 8}, "at least 3 training images.* class '1' has 1"),
        ({"x_train": pixels(9), "y_train": np.arange(9) % 2 * 2}, "class '1' has 0"),
        (
            {"x_train": pixels(9), "y_train": np.arange(9) % 3, "classes": np.array(["a"])},
            "must name all 3 classes of the labels; got 1",
        ),
        (
            {
                "x_train": pixels(9),
                "y_train": np.arange(9) % 2,
                "x_val": pixels(2, 9, 6),
                "y_val": np.arange(2),
            },
            "x_val must have images of .* like x_train",
        ),
        (
            {
                "x_train": pixels(9),
                "y_train": np.arange(9) % 2,
                "x_val": pixels(0),
                "y_val": np.arange(0),
            },
            "validation part of npz must have at least one image",
        ),
        ({"x_train": np.array([{}], object), "y_train": np.zeros(1, int)}, "without Python objects"),
    ],
)
def test_an_unusable_npz_file_raises_an_error_of_one_line(tmp_path, arrays, message):
    settings = npz(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        input_size_and_classes(settings)
    assert "\n" not in str(caught.value)


def test_an_npz_path_must_be_a_complete_archive(tmp_path, small):
    complete = Path(small.data_dir).read_bytes()
    (tmp_path / "cut.npz").write_bytes(complete[: len(complete) // 2])
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "bare.npy").write_bytes(b"")
    np.save(tmp_path / "bare.npy", np.zeros(3))
    for name in ("cut.npz", "text.npz", "none.npz", "bare.npy", "."):
        with pytest.raises(DataError, match=r"npz needs data_dir \(--data-dir\) with a complete \.npz file"):
            input_size_and_classes(Settings(data="npz", data_dir=str(tmp_path / name)))
    with pytest.raises(DataError, match="npz needs data_dir"):
        input_size_and_classes(Settings(data="npz"))


def test_idx_files_are_read_gzipped_and_plain(clothes):
    dataset = load(clothes)
    assert (len(dataset.train), len(dataset.validation), len(open_test(clothes, "idx"))) == (40, 10, 20)
    assert dataset.input_size == (1, 28, 28)
    assert dataset.classes[9] == "ankle boot"
    assert input_size_and_classes(clothes.with_(image_size=14)) == ((1, 14, 14), 10)


def test_truncated_missing_or_malformed_idx_files_raise_an_error(clothes):
    folder = Path(clothes.data_dir)
    images, labels = folder / "t10k-images-idx3-ubyte", folder / "t10k-labels-idx1-ubyte"
    complete = images.read_bytes()
    for content, message in (
        (complete[:-1], "must have 15,680 bytes after its header; it has 15,679"),
        (complete[:3], "must be an IDX file of bytes with 3 dimensions"),
        (
            complete[:16].replace(b"\x00\x00\x00\x14", b"\x00\x00\x00\x13") + complete[16 : 16 + 19 * 784],
            "19 images, 20 labels",
        ),
    ):
        images.write_bytes(content)
        with pytest.raises(DataError, match=message):
            input_size_and_classes(clothes)
    images.write_bytes(complete)
    write_idx(labels, np.full(20, 10, np.uint8))
    with pytest.raises(DataError, match=r"labels of fashion-mnist must be 0 to 9; .* has 10"):
        input_size_and_classes(clothes)
    zipped = folder / "train-images-idx3-ubyte.gz"
    zipped.write_bytes(zipped.read_bytes()[:-500])
    with pytest.raises(DataError, match="an IDX file must be complete"):
        input_size_and_classes(clothes)
    zipped.unlink()
    with pytest.raises(DataError, match=r"lacks them.*dataset-fashion-mnist.*--data-dir"):
        input_size_and_classes(clothes)


@pytest.mark.skipif(
    not fashion_mnist.DEBIAN.is_dir(), reason="needs the package dataset-fashion-mnist (apt-get install)"
)
def test_fashion_mnist_of_the_debian_package_needs_no_data_dir():
    settings = Settings(data="fashion-mnist", image_size=14, train_images=1000, validation_images=500)
    dataset = load(settings)
    assert (len(dataset.train), len(dataset.validation)) == (1000, 500)
    assert dataset.input_size == (1, 14, 14)
    assert dataset.mean[0] == pytest.approx(0.286, abs=0.01)


def test_without_files_and_without_torchvision_the_error_lists_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "none")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match=r"cannot be downloaded.*package dataset-fashion-mnist.*--data-dir"):
        input_size_and_classes(Settings(data="fashion-mnist"))
    with pytest.raises(DataError, match=r"cifar10 is not on this machine.*--data-dir"):
        input_size_and_classes(Settings(data="cifar10"))


def test_a_download_uses_torchvision_with_the_md5_and_happens_once(clothes, tmp_path, monkeypatch):
    downloads = []

    def download_url(url, root, filename, md5):
        downloads.append((filename, md5))
        source = next(Path(clothes.data_dir).glob(filename.removesuffix(".gz") + "*"))
        (Path(root) / source.name).write_bytes(source.read_bytes())

    utils = ModuleType("torchvision.datasets.utils")
    utils.download_url, utils.download_and_extract_archive = download_url, None
    for name in ("torchvision", "torchvision.datasets"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchvision.datasets.utils", utils)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "none")
    assert input_size_and_classes(Settings(data="fashion-mnist")) == ((1, 28, 28), 10)
    assert downloads == list(fashion_mnist.FILES.items())
    data.clear_cache()
    assert input_size_and_classes(Settings(data="fashion-mnist")) == ((1, 28, 28), 10)
    assert len(downloads) == 4


def test_cifar10_is_read_from_the_binary_version(tmp_path):
    files = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    folder = tmp_path / "cifar-10-batches-bin"
    write_cifar(folder, files, 1, 10)
    (folder / "batches.meta.txt").write_text("\n".join(f"class{i}" for i in range(10)) + "\n\n")
    settings = Settings(data="cifar10", data_dir=str(tmp_path))
    dataset = load(settings)
    assert dataset.input_size == (3, 32, 32)
    assert (len(dataset.train), len(dataset.validation), len(open_test(settings, "cifar"))) == (80, 20, 20)
    assert dataset.classes[3] == "class3"
    first = np.fromfile(folder / "test_batch.bin", np.uint8)[1:3073].reshape(3, 32, 32)
    assert np.array_equal(open_test(settings, "cifar").images[0], first)
    data.clear_cache()
    (folder / "data_batch_2.bin").write_bytes(b"x" * 3000)
    with pytest.raises(DataError, match="must be complete records of 3073 bytes; it has 3,000"):
        input_size_and_classes(settings)
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_2\.bin is missing"):
        input_size_and_classes(settings)


def test_cifar100_uses_the_fine_label(tmp_path):
    write_cifar(tmp_path / "c", ["train.bin", "test.bin"], 2, 100, per_file=500)
    settings = Settings(data="cifar100", data_dir=str(tmp_path / "c"))
    assert input_size_and_classes(settings) == ((3, 32, 32), 100)
    with pytest.raises(DataError, match=r"cifar100 needs cifar-100-binary/test\.bin"):
        input_size_and_classes(settings.with_(data_dir=str(tmp_path)))
    records = np.zeros((5, 3074), np.uint8)
    records[:, 1] = 200
    records.tofile(tmp_path / "c" / "test.bin")
    data.clear_cache()
    with pytest.raises(DataError, match=r"labels of cifar100 must be 0 to 99; .* has 200"):
        input_size_and_classes(settings)


def test_an_image_folder_is_decoded_once_and_mapped_from_the_cache(pictures, monkeypatch):
    dataset = load(pictures)
    assert dataset.classes == ("cat", "dog")
    assert dataset.input_size == (3, 12, 12)
    assert input_size_and_classes(pictures) == ((3, 12, 12), 2)
    assert (len(dataset.train), len(dataset.validation)) == (12, 4)
    for split in (dataset.train, dataset.validation):
        assert (
            np.abs(split.images.astype(int) - (80 + 100 * split.labels[:, None, None, None])).max() <= 12
        )  # a palette
    assert isinstance(dataset.train.images.base, np.memmap) or isinstance(dataset.train.images, np.memmap)

    data.clear_cache()
    monkeypatch.setattr(decoding, "decode_image", None)  # calling it again would fail
    assert load(pictures).fingerprint == dataset.fingerprint


def test_workers_that_need_the_same_images_at_once_decode_them_once(pictures, monkeypatch):
    plain, decoded = decoding.decode_image, []

    def slow(path, **how):
        decoded.append(path)
        time.sleep(0.01)
        return plain(path, **how)

    monkeypatch.setattr(decoding, "decode_image", slow)
    folder = Path(pictures.data_dir)
    paths, how = sorted(folder.rglob("*.png")), Decoding(12, decoding.MAX_PIXELS, {})
    with ThreadPoolExecutor(4) as workers:
        results = list(workers.map(lambda _: read_cached_images(paths, how, folder), range(4)))
    assert sorted(decoded) == paths
    assert all((one == results[0]).all() for one in results)


def test_a_changed_image_is_decoded_again(pictures):
    from PIL import Image

    before = load(pictures).fingerprint
    for path in (Path(pictures.data_dir) / "train" / "cat").iterdir():
        Image.new("RGB", (9, 40), (5, 6, 7)).save(path)
    data.clear_cache()
    assert load(pictures).fingerprint != before


def test_an_image_folder_with_val_and_test_uses_them_as_splits(pictures):
    from PIL import Image

    for part in ("val", "test"):
        for name in ("cat", "dog"):
            folder = Path(pictures.data_dir) / part / name
            folder.mkdir(parents=True)
            Image.new("L", (8, 30), 10).save(folder / "only.png")
    dataset = load(pictures)
    assert (len(dataset.train), len(dataset.validation), len(open_test(pictures, "folder"))) == (20, 2, 2)
    (Path(pictures.data_dir) / "val" / "bird").mkdir()
    data.clear_cache()
    with pytest.raises(DataError, match=r"classes of .*val must be those of train \(cat, dog\); got 'bird'"):
        input_size_and_classes(pictures)


def test_an_unusable_image_folder_raises_an_error_with_the_reason(pictures, tmp_path):
    base = Path(pictures.data_dir)
    with pytest.raises(DataError, match="imagefolder needs data_dir"):
        input_size_and_classes(pictures.with_(data_dir=None))
    with pytest.raises(DataError, match=r"imagefolder needs train/<class>/ .*missing/train is not a folder"):
        input_size_and_classes(pictures.with_(data_dir=str(tmp_path / "missing")))
    (tmp_path / "bare" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match="has no class folder"):
        input_size_and_classes(pictures.with_(data_dir=str(tmp_path / "bare")))
    (base / "train" / "empty").mkdir()
    with pytest.raises(DataError, match=r"every class needs an image; .*train/empty has none"):
        input_size_and_classes(pictures)
    (base / "train" / "empty").rmdir()
    broken = base / "train" / "cat" / "0.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=r"image .*0\.png cannot be decoded"):
        load(pictures)
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_a_folder_with_one_class_or_one_image_raises_an_error(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="image folders need Pillow: pip install pillow")
    for name in ("a", "b"):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        image.new("RGB", (8, 8)).save(folder / "1.png")
        message = "at least two classes" if name == "a" else "at least 3 training images"
        with pytest.raises(DataError, match=message):
            input_size_and_classes(Settings(data="imagefolder", data_dir=str(tmp_path)))
