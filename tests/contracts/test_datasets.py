"""The contract of data sets, for every built-in entry and for entries of other packages."""

import numpy as np
import pytest
from support.datasets import random_pixels, write_cifar, write_fashion_mnist
from support.image_folders import picture
from support.packed import write_table
from support.plugins import installed

from hybrid_search.data import DATASETS, clear_cache, fashion_mnist, load
from hybrid_search.errors import DataError, PluginError
from hybrid_search.records import Settings
from hybrid_search.testing import DatasetContract


class TestDigits(DatasetContract):
    name, classes, always_square = "digits", tuple("0123456789"), True

    def write(self, folder):
        return Settings()


class TestFashionMnist(DatasetContract):
    name, classes = "fashion-mnist", fashion_mnist.CLASSES

    def write(self, folder):
        write_fashion_mnist(folder, train=120, test=120, rows=28, cols=20)
        return Settings(data="fashion-mnist", data_dir=str(folder))


class TestCifar10(DatasetContract):
    name, classes, always_square = "cifar10", tuple(f"class{i}" for i in range(10)), True

    def write(self, folder):
        write_cifar(folder, [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"], 1, 10, per_file=120)
        (folder / "batches.meta.txt").write_text("\n".join(self.classes))
        return Settings(data="cifar10", data_dir=str(folder))


class TestCifar100(DatasetContract):
    name, classes, always_square = "cifar100", tuple(str(i) for i in range(100)), True

    def write(self, folder):
        write_cifar(folder, ["train.bin", "test.bin"], 2, 100, per_file=1200)
        return Settings(data="cifar100", data_dir=str(folder))


class TestImageFolder(DatasetContract):
    name, classes, always_square = "imagefolder", ("cat", "dog"), True

    def write(self, folder):
        image = pytest.importorskip("PIL.Image", reason="image folders need Pillow: pip install pillow")
        for seed, name in enumerate(self.classes):
            (folder / "train" / name).mkdir(parents=True)
            for number, pixels in enumerate(random_pixels(12, 20, 31, channels=3, seed=seed)):
                image.fromarray(pixels.transpose(1, 2, 0)).save(folder / "train" / name / f"{number}.png")
        return Settings(data="imagefolder", data_dir=str(folder), image_size=12)


class TestHf(DatasetContract):
    name, classes, always_square = "hf", ("cat", "dog"), True

    def write(self, folder):
        rows = [(picture((label, number), label), label) for number in range(12) for label in (0, 1)]
        write_table(folder / "train.parquet", rows, names=self.classes)
        return Settings(data="hf", data_dir=str(folder), image_size=12)


class TestNpz(DatasetContract):
    name, classes = "npz", ("circle", "line", "point")

    def write(self, folder):
        names = np.array(self.classes)
        np.savez(folder / "x.npz", x_train=random_pixels(60, channels=2), y_train=np.arange(60) % 3, classes=names)
        return Settings(data="npz", data_dir=str(folder / "x.npz"))


def test_every_built_in_entry_has_its_class_of_tests():
    names = {contract.name for contract in DatasetContract.__subclasses__()}
    assert names == {name for name in DATASETS if DATASETS.is_built_in(name)}


FLOWERS = """
import numpy as np

from hybrid_search.data import Contents, Part, Source


def read(settings):
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 6, 9), dtype=np.uint8)
    return Contents((3, 6, 9), ("rose", "tulip"), Part.from_arrays(images, np.arange(40) % 2))


Thing = Source("flowers", "two flowers", "CC BY 4.0", read)
"""


def test_a_data_set_of_another_package_is_loaded_by_its_name(tmp_path, monkeypatch):
    clear_cache()
    with installed(tmp_path, monkeypatch, DATASETS, "flowers", FLOWERS):
        dataset = load(Settings(data="flowers"))
        assert (dataset.input_size, dataset.classes) == ((3, 6, 9), ("rose", "tulip"))
        assert (len(dataset.train), len(dataset.validation), dataset.licence) == (24, 8, "CC BY 4.0")


BROKEN = {
    "import": ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that"),
    "type": ("Thing = {}", r"a data set must be a hybrid_search\.data\.Source; got dict"),
    "name": (FLOWERS.replace('"flowers"', '"roses"'), "the name of a Source must be .* 'flowers'; got 'roses'"),
}


@pytest.mark.parametrize(("source", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_data_set_stops_only_the_search_that_uses_it(tmp_path, monkeypatch, caplog, source, fault):
    clear_cache()
    with installed(tmp_path, monkeypatch, DATASETS, "flowers", source):
        assert load(Settings()).name == "digits"
        with pytest.raises(DataError, match=r"data must be one of digits, .*flowers; got 'flower'\. Did you mean"):
            load(Settings(data="flower"))
        message = rf"data 'flowers' comes from the package other_package 1\.2, which cannot be used \(.*{fault}"
        with pytest.raises(PluginError, match=message):
            load(Settings(data="flowers"))
        assert "digits" in DATASETS.usable()
        assert "flowers" not in DATASETS.usable()
    assert caplog.text.count("data 'flowers' comes from the package") == 1
