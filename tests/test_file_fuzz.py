"""Mutated exports and data files load, or are refused in one line by an error of this package.

`make test` tries some hundred mutations; `make fuzz` tries 20,000 (`-k 20000 tests/test_file_fuzz.py` alone).
"""

import io
import pickle
import random
import shutil
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from support.exports import renew_manifest, write_export
from support.fuzz import fuzz_counts

from hybrid_search import data
from hybrid_search.errors import UserError
from hybrid_search.export import load_exported
from hybrid_search.records import Settings
from hybrid_search.runs.designs import find_design

COUNTS = fuzz_counts(200)
SECONDS = 5.0  # of processor time for one file
FOREIGN = ("traceback", "object at 0x", "nonetype", "errno", "error(")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
INTERESTING = (
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\0\x80",
    b"-1",
    b"NaN",
    b"9" * 20,
    b"{",
    b"]",
    b"null",
    b'"',
)


def mutated(content, rng):
    """Return bytes with one to four small changes."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at, end = (rng.randrange(len(content) + 1) for _ in range(2))
        if rng.random() < 0.5:
            at = min(at, rng.randrange(200))  # headers are short
        change = rng.randrange(8)
        if change == 0 and content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
        elif change == 1 and content:
            content[at % len(content)] = rng.randrange(256)
        elif change == 2:
            del content[at:]
        elif change == 3:
            del content[at : at + rng.choice((1, 2, 8, 100))]
        elif change == 4:
            content[at:at] = rng.choice(INTERESTING)
        elif change == 5:
            content[at : at + 4] = rng.choice(INTERESTING)
        elif change == 6:
            content[at:at] = content[min(at, end) : min(at, end) + rng.choice((1, 8, 64))]
        elif rng.random() < 0.2:
            content = bytearray(
                rng.choice((b"", b"version https://git-lfs.github.com/spec/v1\n", b"<html>", content[::-1]))
            )
    return bytes(content)


def image_bytes(form, rng):
    """Return an image file of 8 x 8 pixels."""
    file = io.BytesIO()
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


class Kind:
    """Files of one kind in a folder: which of them are mutated, and how they are read."""

    def __init__(self, folder, files, read):
        self.folder, self.read = folder, read
        self.files = {name: (folder / name).read_bytes() for name in files}

    def tried(self, rng):
        """Mutate one file, read the folder, and return "legal" or the class of the error."""
        name = rng.choice(sorted(self.files))
        content = mutated(self.files[name], rng)
        (self.folder / name).write_bytes(content)
        start = time.process_time()
        try:
            self.read(self.folder, rng)
            return "legal"
        except UserError as error:
            message = str(error).replace(str(self.folder), "")
            assert "\n" not in message, (name, message)
            assert len(message) < 600, (name, message)
            assert not any(words in message.lower() for words in FOREIGN), (name, message)
            return type(error).__name__
        finally:
            assert time.process_time() - start < SECONDS, (name, content[:2000])
            (self.folder / name).write_bytes(self.files[name])


def exports(root):
    """Return a kind for exported folders. In half of the cases the manifest fits the mutated file."""
    folder = write_export(root / "export")

    def read(folder, rng):
        if rng.random() < 0.5:
            renew_manifest(folder)
        try:
            (load_exported if rng.random() < 0.7 else lambda path: find_design(str(path), None))(folder)
        finally:
            (folder / "manifest.json").write_bytes(kind.files["manifest.json"])

    kind = Kind(folder, ("model.safetensors", "architecture.json", "manifest.json"), read)
    return kind


def of_data(name, folder, files, path=None):
    """Return a kind for the files of a data set."""
    settings = Settings(data=name, data_dir=str(path or folder), image_size=8)

    def read(_folder, _rng):
        data.clear_cache()
        data.load(settings)

    return Kind(folder, files, read)


def npz(root):
    (root / "npz").mkdir()
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(0, 256, (20, 8, 8), dtype=np.uint8), "y_train": np.arange(20) % 2}
    np.savez(root / "npz" / "a.npz", **arrays)
    return of_data("npz", root / "npz", ("a.npz",), root / "npz" / "a.npz")


def packed_npz(root):
    (root / "packed").mkdir()
    arrays = {"images": np.zeros((20, 8, 8, 3), np.uint8), "labels": np.arange(20) % 2, "classes": np.array(["a", "b"])}
    np.savez_compressed(root / "packed" / "a.npz", **arrays)
    return of_data("npz", root / "packed", ("a.npz",), root / "packed" / "a.npz")


def idx(root):
    (root / "idx").mkdir()
    rng = np.random.default_rng(0)
    for stem, count in (("train", 40), ("t10k", 20)):
        images = rng.integers(0, 256, count * 28 * 28, dtype=np.uint8).tobytes()
        sizes = b"".join(size.to_bytes(4, "big") for size in (count, 28, 28))
        (root / "idx" / f"{stem}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + images)
        labels = bytes(label % 10 for label in range(count))
        (root / "idx" / f"{stem}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels)
    return of_data("fashion-mnist", root / "idx", [path.name for path in (root / "idx").iterdir()])


def pickles(root):
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        images = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
        batch = {b"data": images, b"labels": [label % 10 for label in range(20)]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    names = [f"class {i}".encode() for i in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, protocol=2))
    return of_data("cifar10", folder, ("data_batch_1", "test_batch", "batches.meta"), root)


def pictures(root):
    rng = random.Random(0)
    files = []
    for label in ("cat", "dog"):
        (root / "pictures" / "train" / label).mkdir(parents=True)
        for number, form in enumerate(FORMATS):
            files.append(f"train/{label}/{number}.{form.lower()}")
            (root / "pictures" / files[-1]).write_bytes(image_bytes(form, rng))
    return of_data("imagefolder", root / "pictures", files)


KINDS = (exports, exports, npz, packed_npz, idx, pickles, pictures)


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_export_or_data_file_loads_or_is_refused_in_one_line(tmp_path, monkeypatch, count):
    rng = random.Random(count)
    made = {kind.__name__: kind(tmp_path) for kind in dict.fromkeys(KINDS)}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # of decoded images; kernels are loaded by now
    outcomes = {name: Counter() for name in made}
    for number in range(count):
        name = KINDS[number % len(KINDS)].__name__
        outcomes[name][made[name].tried(rng)] += 1
        if number % 500 == 0:
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    for name, found in outcomes.items():
        print(f"{name}: {dict(found)}")
        refused = found.total() - found["legal"]
        assert refused > found.total() / 10, (name, found)
    data.clear_cache()
