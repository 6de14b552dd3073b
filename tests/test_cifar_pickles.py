"""`cifar10` and `cifar100` from the pickles of the Python version: arrays are read, and nothing in a pickle is run."""

import io
import os
import pickle
import tarfile
import tracemalloc

import numpy as np
import pytest
from support.datasets import write_cifar
from support.fuzz import fuzz_counts

from hybrid_search import data
from hybrid_search.data import cifar, input_size_and_classes, load, open_test
from hybrid_search.data.restricted_pickle import read_data
from hybrid_search.data.table import DATASETS
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

NAMES = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]
TEN = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


@pytest.fixture(autouse=True)
def fresh():
    data.clear_cache()


def of_python_2(value):
    """Return a pickle as Python 2 wrote it: byte strings are of its type `str`, and NumPy's package is `numpy.core`."""
    file = io.BytesIO()
    writer = pickle._Pickler(file, protocol=2)
    writer.dispatch = dict(writer.dispatch)
    writer.dispatch[bytes] = lambda self, text: self.write(pickle.BINSTRING + len(text).to_bytes(4, "little") + text)
    writer.dump(value)
    return file.getvalue().replace(b"numpy._core", b"numpy.core")


def batch(seed, label_key=b"labels", classes=10, count=20):
    """Return one batch as the authors publish it, of fewer images."""
    images = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    labels = [label % classes for label in range(count)]
    return {b"batch_label": b"batch", label_key: labels, b"data": images, b"filenames": [b"a.png"] * count}


def write_pickles(folder, dump=of_python_2):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(TEN):
        (folder / name).write_bytes(dump(batch(seed)))
    (folder / "batches.meta").write_bytes(dump({b"label_names": NAMES, b"num_vis": 3072}))
    return Settings(data="cifar10", data_dir=str(folder.parent))


def refused(settings, match):
    data.clear_cache()
    with pytest.raises(DataError, match=match) as caught:
        input_size_and_classes(settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dump", [of_python_2, *(lambda v, p=p: pickle.dumps(v, protocol=p) for p in range(6))])
def test_pickles_of_every_protocol_give_the_images_of_the_binary_version(tmp_path, dump):
    settings = write_pickles(tmp_path / "python" / "cifar-10-batches-py", dump)
    dataset = load(settings)
    binary = tmp_path / "binary" / "cifar-10-batches-bin"
    binary.mkdir(parents=True)
    for seed, name in enumerate(TEN):
        content = batch(seed)
        rows = np.column_stack([np.array(content[b"labels"], np.uint8), content[b"data"]])
        rows.tofile(binary / f"{name}.bin")
    (binary / "batches.meta.txt").write_bytes(b"\n".join(NAMES))
    other = Settings(data="cifar10", data_dir=str(binary.parent))
    assert dataset.classes[:2] == ("airplane", "automobile")
    assert dataset.fingerprint == load(other).fingerprint
    assert np.array_equal(open_test(settings, "pickles").images, open_test(other, "binary").images)


def test_the_archive_of_the_authors_is_read_without_unpacking(tmp_path):
    folder = tmp_path / "made" / "cifar-10-batches-py"
    unpacked = load(write_pickles(folder)).fingerprint
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "cifar-10-batches-py")
    before = sorted(tmp_path.rglob("*"))
    for place in (tmp_path, archive):
        data.clear_cache()
        assert load(Settings(data="cifar10", data_dir=str(place))).fingerprint == unpacked
    assert sorted(tmp_path.rglob("*")) == before
    archive.write_bytes(archive.read_bytes()[:3000])
    refused(Settings(data="cifar10", data_dir=str(archive)), r"an archive must be complete; .*tar\.gz is damaged or")
    archive.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    refused(Settings(data="cifar10", data_dir=str(archive)), "is a Git LFS pointer")


def test_cifar100_has_the_fine_labels_and_their_names(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for seed, name in enumerate(("train", "test")):
        content = batch(seed, b"fine_labels", 100, 500) | {b"coarse_labels": [0] * 500}
        (folder / name).write_bytes(of_python_2(content))
    names = [f"fine {i}".encode() for i in range(100)]
    (folder / "meta").write_bytes(of_python_2({b"fine_label_names": names, b"coarse_label_names": [b"all"]}))
    settings = Settings(data="cifar100", data_dir=str(tmp_path))
    assert input_size_and_classes(settings) == ((3, 32, 32), 100)
    assert load(settings).classes[99] == "fine 99"


def test_the_binary_version_is_preferred_and_other_counts_than_the_published_ones_are_said(tmp_path):
    write_pickles(tmp_path / "cifar-10-batches-py")
    write_cifar(tmp_path / "cifar-10-batches-bin", [f"{name}.bin" for name in TEN], 1, 10, per_file=40)
    settings = Settings(data="cifar10", data_dir=str(tmp_path))
    found = DATASETS["cifar10"].read(settings)
    assert len(found.train.labels) == 200
    assert found.notes == (
        f"cifar10: {tmp_path}/cifar-10-batches-bin has 200 training and 40 test images; the published data set has "
        "50,000 and 10,000",
    )


class Harmful:
    """An object whose pickle makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Evaluated:
    """An object whose pickle runs a text as a program."""

    def __reduce__(self):
        return eval, ("1 + 1",)


@pytest.mark.parametrize("dump", [pickle.dumps, of_python_2])
def test_a_harmful_pickle_is_refused_by_name_and_nothing_of_it_runs(tmp_path, dump):
    settings = write_pickles(tmp_path / "cifar-10-batches-py")
    mark = tmp_path / "it-ran"
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    for content, asks_for in (
        (batch(3) | {b"more": Harmful(mark)}, r"asks for posix\.mkdir, which is refused. Nothing in it was run"),
        (batch(3) | {b"data": Evaluated()}, r"asks for (builtins|__builtin__)\.eval"),
        (Harmful(mark), r"asks for posix\.mkdir"),
    ):
        file.write_bytes(dump(content))
        refused(settings, f"data_batch_3 must have arrays, .* only; it {asks_for}")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"cos\nsystem\n(S'touch it-ran'\ntR.", r"asks for os\.system"),
        (b"cnumpy\nload\n(S'x'\ntR.", r"asks for numpy\.load"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\ntR.", r"asks for os\.system"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0dctypeslib.os.\x93.", r"asks for numpy\.ctypeslib"),
        (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "is damaged or incomplete"),
        (b"cnumpy\ndtype\n(VO8\ntR.", "arrays must have numbers; got type 'O8'"),
        (b"cnumpy\nndarray\n(tR.", "cannot be called like this"),
        (b"cnumpy\nndarray\n.", "it has a _Name"),
        (b"cnumpy\nndarray\n}Va\ncnumpy\ndtype\nsb.", "a name has no state"),
        (b"Pelsewhere\n.", "refers to an object elsewhere"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "is damaged or incomplete"),
        (b"]" * 3000 + b"a" * 2999 + b".", "is damaged or incomplete"),
        (b"", "is damaged or incomplete"),
        (b"\x80\x04", "is damaged or incomplete"),
    ],
)
def test_a_pickle_with_other_names_or_damage_is_refused(content, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=match) as caught:
        read_data(content, "a file")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("protocol", range(6))
def test_numbers_of_numpy_and_arrays_of_every_order_are_read(protocol):
    value = {"n": np.int64(-7), "f": np.asfortranarray(np.arange(6, dtype=">u2").reshape(2, 3)), "x": np.float32(0.5)}
    found = read_data(pickle.dumps(value, protocol=protocol), "a file")
    assert (found["n"], found["x"]) == (-7, 0.5)
    assert np.array_equal(found["f"], value["f"])


def test_an_archive_of_the_published_counts_with_other_contents_is_said(tmp_path, monkeypatch):
    folder = tmp_path / "made" / "cifar-10-batches-py"
    write_pickles(folder)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "cifar-10-batches-py")
    monkeypatch.setattr(cifar, "PUBLISHED", (100, 20))
    for place, said in ((archive, True), (folder, False)):
        notes = DATASETS["cifar10"].read(Settings(data="cifar10", data_dir=str(place))).notes
        assert bool(notes) == said
        assert all("is not the archive of the authors: its MD5 is " in note for note in notes)


def test_one_list_named_many_times_is_read_once():
    value = [0]
    for _ in range(18):
        value = [value] * 50
    assert len(read_data(pickle.dumps(value), "a file")) == 50


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({b"data": np.zeros((20, 100), np.uint8)}, r"data of .* must be uint8 \(n, 3072\); got uint8 \(20, 100\)"),
        ({b"data": np.zeros((20, 3072))}, r"got float64 \(20, 3072\)"),
        ({b"data": [1, 2]}, "got list of 2"),
        ({b"labels": [1] * 19}, "labels of .* must be 20 class numbers; got list of 19"),
        ({b"labels": [-1] * 20}, "must be 20 class numbers"),
        ({b"labels": ["cat"] * 20}, "must be 20 class numbers"),
        ({b"labels": [10] * 20}, "labels of cifar10 must be 0 to 9; .* has 10"),
    ],
)
def test_a_batch_with_other_contents_is_refused(tmp_path, change, match):
    settings = write_pickles(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(of_python_2(batch(1) | change))
    refused(settings, match)


def test_files_that_are_missing_empty_or_of_another_kind_are_described(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    settings = write_pickles(folder)
    for content, match in (
        (b"", "data_batch_2 must be a file of cifar-10-batches-py; it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        (pickle.dumps([1, 2]), "data_batch_2 must be a dictionary; it is list of 2"),
        (pickle.dumps({"x": 1}), "data_batch_2 must have data; it has x"),
    ):
        (folder / "data_batch_2").write_bytes(content)
        refused(settings, match)
    (folder / "data_batch_2").unlink()
    refused(settings, "data_batch_2 is missing")
    write_pickles(folder)
    (folder / "batches.meta").write_bytes(of_python_2({b"label_names": [b"a"] * 10}))
    refused(settings, "must have different names; classes 0 and 1 are both 'a'")
    refused(settings.with_(data_dir=str(tmp_path / "none")), r"cifar-10-python\.tar\.gz; .*none is missing")


@pytest.mark.parametrize("count", fuzz_counts(1_000))
def test_a_seeded_mutation_of_a_pickle_raises_nothing_but_a_data_error(count):
    good = np.frombuffer(of_python_2(batch(0, count=1) | {b"data": np.zeros((1, 9), np.uint8)}), np.uint8)
    rng = np.random.default_rng(0)
    refusals = []
    for _ in range(count):
        bad = good.copy()
        bad[rng.integers(0, len(bad), rng.integers(1, 9))] = rng.integers(0, 256)
        try:
            read_data(bad[: rng.integers(1, len(bad) + 1)].tobytes() if rng.random() < 0.2 else bad.tobytes(), "a file")
        except DataError as error:
            refusals.append(str(error))
    assert len(refusals) > 0.3 * count
    assert all("\n" not in message for message in refusals)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"c_codecs\nencode\n(J\x00\x00\x00\x10Vlatin1\ntR.", "cannot be called like this"),
        (b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"x.", "longer than the file"),
        (b"\x80\x02}cnumpy\nndarray\nK\x01s.", "keys that are text, bytes or numbers"),
    ],
)
def test_a_pickle_that_asks_for_memory_or_hides_a_name_in_a_key_is_refused(content, match):
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=match):
            read_data(content, "a file")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
