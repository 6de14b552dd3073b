"""`hybrid-search cache` shows what the cache holds and to what it belongs, and clears that and nothing else."""

import csv
import io
import json
import os
import sys
import tempfile

import pytest
from filelock import FileLock

from hybrid_search import cli, data
from hybrid_search._internal import cache_content
from hybrid_search.records import Settings

KEY = "0123456789abcdef" * 2


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Make a cache with decoded images, a kernel and a download, and files of other programs."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    for name, size in {
        f"imagefolder/{KEY}.npy": 3000,
        f"imagefolder/{KEY}.lock": 0,
        "imagefolder/mine.npy": 10,
        "kernels/local-attention-3-float-columns-avx2-0123.so": 500,
        "kernels/local-attention-3-float-columns-avx2-0123.lock": 0,
        "fashion-mnist/train-images-idx3-ubyte.gz": 2000,
        "fashion-mnist/notes.txt": 10,
        "cifar10/cifar-10-batches-bin/data_batch_1.bin": 100,
        "photographs/holiday.jpg": 10,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(size))
    index = {"source": "/data/flowers", "images": 1200, "size": 32}
    (folder / f"imagefolder/{KEY}.json").write_text(json.dumps(index))
    return folder


OTHER = {"imagefolder/mine.npy", "fashion-mnist/notes.txt", "photographs/holiday.jpg"}


def left(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def call(capsys, *words):
    code = cli.run(["cache", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("form", ["json", "csv"])
def test_the_cache_is_shown_with_what_each_part_belongs_to(form, root, capsys):
    code, out, err = call(capsys, "--format", form)
    rows = json.loads(out) if form == "json" else list(csv.DictReader(io.StringIO(out)))
    index = len((root / f"imagefolder/{KEY}.json").read_bytes())
    assert code == 0
    assert [(row["kind"], row["belongs_to"], int(row["bytes"]), int(row["files"])) for row in rows] == [
        ("decoded", "/data/flowers, 1,200 images of 32 x 32", 3000 + index, 2),
        ("kernels", "local-attention-3-float-columns-avx2-0123", 500, 1),
        ("downloads", "cifar10", 100, 1),
        ("downloads", "fashion-mnist", 2000, 1),
    ]
    assert f"5.5 KiB in 5 files; cache folder {root}" in err


def test_the_table_has_sizes_for_people(root, capsys):
    code, out, _ = call(capsys)
    assert code == 0
    assert "2.0 KiB" in out
    assert len(out.splitlines()) == 5


def test_an_empty_or_missing_cache_is_shown_as_empty(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(tmp_path / "none"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert call(capsys, "--format", "json")[:2] == (0, "[]\n")
    code, out, err = call(capsys)
    assert (code, out) == (0, "")
    assert "0 bytes in 0 files" in err
    assert call(capsys, "clear", "--yes") == (0, "", "the cache holds nothing of: decoded, kernels, downloads\n")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ([], {"imagefolder", "kernels", "fashion-mnist", "cifar10"}),
        (["--decoded"], {"imagefolder"}),
        (["--kernels"], {"kernels"}),
        (["--downloads"], {"fashion-mnist", "cifar10"}),
        (["--decoded", "--kernels"], {"imagefolder", "kernels"}),
    ],
)
def test_clear_deletes_the_chosen_kinds_and_no_other_file(options, gone, root, capsys):
    before = left(root)
    code, out, err = call(capsys, "clear", *options, "--yes")
    assert (code, out) == (0, "")
    assert left(root) == {name for name in before if name.partition("/")[0] not in gone or name in OTHER}
    assert err.startswith("deleted ")
    assert left(root) >= OTHER


def test_without_a_terminal_clear_needs_yes(root, capsys):
    before = left(root)
    code, _, err = call(capsys, "clear")
    assert code == 2
    assert err.endswith("Add --yes.\n")
    assert left(root) == before


def test_on_a_terminal_the_answer_no_deletes_nothing(root, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, err: False)
    before = left(root)
    assert call(capsys, "clear") == (1, "", "nothing was changed\n")
    assert left(root) == before


@pytest.mark.parametrize("place", ["folder", "file", "inner folder"])
def test_a_link_is_never_followed(place, root, tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{KEY}.npy").write_bytes(b"precious")
    if place == "folder":
        (root / "kernels").rename(tmp_path / "moved")
        (root / "imagefolder").rename(tmp_path / "moved too")
        (root / "imagefolder").symlink_to(outside)
    elif place == "file":
        (root / f"imagefolder/{KEY}.npy").unlink()
        (root / f"imagefolder/{KEY}.npy").symlink_to(outside / f"{KEY}.npy")
    else:
        (root / "cifar10/cifar-10-batches-bin/data_batch_1.bin").unlink()
        (root / "cifar10/cifar-10-batches-bin").rmdir()
        (root / "cifar10/cifar-10-batches-bin").symlink_to(outside)
    assert call(capsys, "clear", "--yes")[0] == 0
    assert (outside / f"{KEY}.npy").read_bytes() == b"precious"


def test_what_another_process_is_writing_stays(root, capsys):
    with FileLock(root / f"imagefolder/{KEY}.lock"):
        code, _, err = call(capsys, "clear", "--decoded", "--kernels", "--yes")
    assert code == 0
    assert f"imagefolder/{KEY} is in use; it was not deleted" in err
    assert f"imagefolder/{KEY}.npy" in left(root)
    assert not (root / "kernels").exists()


def test_the_temporary_cache_is_shown_and_cleared_too(root, tmp_path, capsys):
    temporary = tmp_path / "tmp" / f"hybrid-search-{os.getuid()}" / "cache"
    (temporary / "kernels").mkdir(parents=True)
    (temporary / "kernels" / "local-attention-5-float-pairs-avx2-4567.so").write_bytes(bytes(7))
    assert str(temporary) in call(capsys, "--format", "json")[1]
    assert call(capsys, "clear", "--kernels", "--yes")[2].startswith("deleted 3 files")
    assert list(temporary.rglob("*.so")) == []


def test_images_that_were_decoded_are_shown_with_their_folder_and_can_be_decoded_again(tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("cat", "dog"):
        (tmp_path / "pets/train" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (8, 8), (number * 9, 0, len(name))).save(tmp_path / f"pets/train/{name}/{number}.png")
    settings = Settings(data="imagefolder", data_dir=str(tmp_path / "pets"), image_size=8)
    first = data.load(settings)
    assert {str(tmp_path / "pets")} == {
        entry.belongs_to.partition(",")[0] for entry in cache_content.cache_entries() if entry.path.suffix == ".npy"
    }
    assert call(capsys, "clear", "--yes")[0] == 0
    assert cache_content.cache_entries() == []
    data.clear_cache()
    assert data.load(settings).fingerprint == first.fingerprint
