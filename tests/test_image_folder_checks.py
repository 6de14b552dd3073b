"""A mistake in a folder of images is found before a search is stored: one line, exit code 2, an unchanged database."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.image_folders import SPACE, picture, run_on, settings_of, write_folder

from hybrid_search import cli, data
from hybrid_search.data import duplicates, load, loading, prepare, progress_lines
from hybrid_search.data.image_folder import decoded_cache, decoding
from hybrid_search.data.stamp import stamp
from hybrid_search.errors import DataError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Settings

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data.clear_cache()


@pytest.fixture
def photos(tmp_path):
    write_folder(tmp_path / "photos")
    return tmp_path / "photos"


def cache_files(tmp_path, pattern):
    return sorted((tmp_path / "cache" / "hybrid-search" / "imagefolder").glob(pattern))


def damaged(path):
    """Return the bytes of an image with its second half missing."""
    raw = path.read_bytes()
    return raw[: len(raw) // 2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no\n", "cannot be decoded: it is a text file, not an image"),
        (b"", "cannot be decoded: the file is empty"),
        (POINTER.encode(), "cannot be decoded: it is a Git LFS pointer; git lfs pull fetches the image"),
        (bytes(5000), "cannot be decoded: it begins with zeros only, and is no image"),
        (b"\xff\xd8\xff\xe0 and then nothing", "cannot be decoded"),
        (None, "(mode RGB) cannot be decoded: image file is truncated"),
    ],
    ids=["text", "empty", "LFS", "zeros", "begin of a JPEG", "truncated"],
)
def test_a_broken_image_ends_the_run_with_one_line_before_anything_is_stored(photos, capsys, content, reason):
    broken = photos / "train" / "cat" / "3.png"
    picture(1, size=64).save(broken)
    broken.write_bytes(damaged(broken) if content is None else content)
    assert run_on(photos) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert f"image {broken} " in printed.err
    assert reason in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert not Path("results.db").exists()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_truncated_image_is_found_in_every_split(tmp_path, capsys, split):
    write_folder(tmp_path / "photos", ("train", "val", "test"))
    broken = tmp_path / "photos" / split / "dog" / "5.png"
    broken.write_bytes(damaged(broken))
    assert run_on(tmp_path / "photos") == 2
    assert f"{split}/dog/5.png (mode RGB) cannot be decoded: image file is truncated" in capsys.readouterr().err
    assert not Path("results.db").exists()


def test_a_truncated_image_of_train_is_found_whichever_split_it_is_cut_into(photos, capsys):
    for number in range(8):
        broken = photos / "train" / "dog" / f"{number}.png"
        whole = broken.read_bytes()
        broken.write_bytes(damaged(broken))
        data.clear_cache()
        assert run_on(photos) == 2
        assert f"dog/{number}.png (mode RGB) cannot be decoded" in capsys.readouterr().err
        broken.write_bytes(whole)
    assert not Path("results.db").exists()


def test_several_broken_images_are_named_in_one_line(photos):
    for name in ("cat/1.png", "cat/5.png", "dog/2.png"):
        (photos / "train" / name).write_bytes(b"")
    with pytest.raises(
        DataError, match=r"^image .*cat/1\.png .* the file is empty\. 2 more cannot be used: .*5\.png, .*dog/2\.png"
    ):
        prepare(settings_of(photos), print)


def test_a_broken_image_stops_a_search_that_exists_and_leaves_it_as_it_is(photos, capsys):
    assert run_on(photos) == 0
    with Ledger("sqlite:///results.db") as ledger:
        before = ledger.search("small"), ledger.read(reads.counts, 1)
    (photos / "train" / "cat" / "0.png").write_bytes(b"")
    data.clear_cache()
    assert run_on(photos, "--trials", 2) == 2
    assert "cat/0.png cannot be decoded: the file is empty" in capsys.readouterr().err
    with Ledger("sqlite:///results.db") as ledger:
        assert (ledger.search("small"), ledger.read(reads.counts, 1)) == before


def test_what_is_left_out_is_said_once_and_kept_with_the_search(photos, capsys):
    (photos / "train" / "cat" / "a.heic").write_bytes(b"x")
    (photos / "extra").mkdir()
    shutil.copy(photos / "train" / "cat" / "1.png", photos / "train" / "dog" / "again.png")
    assert run_on(photos) == 0
    said = capsys.readouterr().err
    first = f"left out of {photos}: folders beside train: 1 (extra); files .heic: 1 (train/cat/a.heic)"
    second = (
        f"images that are in several classes, with the same content: 1 ({photos}/train/cat/1.png and "
        f"{photos}/train/dog/again.png)"
    )
    assert said.count(first) == 1
    assert said.count(second) == 1
    assert said.index(second) < said.index("trial 0")
    assert cli.run(["status", "--db", "sqlite:///results.db"]) == 0
    shown = capsys.readouterr().out
    assert f"data: {first}" in shown
    assert cli.run(["status", "--db", "sqlite:///results.db", "--format", "json"]) == 0
    notes = json.loads(capsys.readouterr().out)["data_notes"]
    assert notes[0] == first
    assert second in notes
    events = [json.loads(line) for line in next(Path().glob("results*.log")).read_text().splitlines()]
    assert [event["note"] for event in events if event["event"] == "data"] == notes


def test_the_notes_of_a_search_change_with_its_data_and_its_settings_do_not(photos):
    def notes():
        with Ledger("sqlite:///results.db") as ledger:
            search = ledger.search("small")
            assert search.settings == Settings.from_dict(search.settings.to_dict())
            return ledger.read(reads.data_notes, search.id)

    (photos / "train" / "cat" / "a.heic").write_bytes(b"x")
    assert run_on(photos) == 0
    assert len(notes()) == 1
    (photos / "train" / "cat" / "a.heic").unlink()
    data.clear_cache()
    assert run_on(photos, "--trials", 2) == 0
    assert notes() == ()


def test_a_second_search_of_one_process_reads_the_files_as_they_are_then(photos, capsys):
    def run_twice(change):
        assert run_on(photos, "--name", "first") == 0
        change()
        assert run_on(photos, "--name", "second") == 0
        with Ledger("sqlite:///results.db") as ledger:
            pair = [ledger.search(name) for name in ("first", "second")]
            return [(each.classes, ledger.read(reads.fact, each.id, "fingerprint")) for each in pair]

    before, after = run_twice(lambda: shutil.copytree(photos / "train" / "cat", photos / "train" / "tiger"))
    assert (before[0], after[0]) == (2, 3)
    assert before[1] != after[1]


def test_images_in_two_splits_are_counted_and_removed_from_train_on_request(tmp_path):
    photos = tmp_path / "photos"
    settings = write_folder(photos, ("train", "val", "test"))
    for number in range(3):
        shutil.copy(photos / "val" / "cat" / f"{number}.png", photos / "train" / "cat" / f"copy-{number}.png")
    shutil.copy(photos / "test" / "dog" / "0.png", photos / "train" / "dog" / "z.png")
    shutil.copy(photos / "test" / "dog" / "1.png", photos / "val" / "dog" / "z.png")
    first = (
        "training images that are also in validation or test, with the same content: 4 of 20 "
        f"({photos}/train/cat/copy-0.png and {photos}/val/cat/0.png); "
    )
    other = "validation images that are also in test, with the same content: 1"
    assert prepare(settings, print) == (f"{first}drop_duplicates=true (--set) removes them from train", other)
    assert len(load(settings).train) == 20
    dropped = settings.with_(drop_duplicates=True)
    assert prepare(dropped, print) == (f"{first}drop_duplicates removed them from train", other)
    assert len(load(dropped).train) == 16
    assert len(load(dropped).validation) == 17
    assert len(load(dropped.with_(train_images=10)).train) == 10
    assert settings.digest == Settings.from_dict({**settings.to_dict()}).digest != dropped.digest


def test_copies_within_train_that_a_cut_separates_are_removed_too(photos):
    for path in sorted((photos / "train").rglob("*.png")):
        shutil.copy(path, path.with_name(f"copy-of-{path.name}"))
    plain, dropped = settings_of(photos), settings_of(photos, drop_duplicates=True)
    assert "training images that are also in validation or test" in prepare(plain, print)[0]
    assert prepare(dropped, print)[0].endswith("drop_duplicates removed them from train")
    held = {image.tobytes() for image in load(dropped).validation.images}
    assert not held & {image.tobytes() for image in load(dropped).train.images}
    assert held & {image.tobytes() for image in load(plain).train.images}


def test_a_class_without_other_images_than_copies_is_named(tmp_path):
    settings = write_folder(tmp_path / "photos", ("train", "val"))
    shutil.rmtree(tmp_path / "photos" / "train" / "cat")
    shutil.copytree(tmp_path / "photos" / "val" / "cat", tmp_path / "photos" / "train" / "cat")
    with pytest.raises(
        DataError, match="drop_duplicates must leave a training image of every class; class 'cat' has only"
    ):
        load(settings.with_(drop_duplicates=True))


def test_images_of_equal_size_and_beginning_are_compared_to_their_end(photos):
    for name, last in (("a", 1), ("b", 2)):
        pixels = np.zeros((64, 64, 3), np.uint8)
        pixels[-1, -1] = last
        Image.fromarray(pixels).save(photos / "train" / "cat" / f"{name}.bmp")
        Image.fromarray(pixels).save(photos / "train" / "dog" / f"{name}{name}.bmp")
    notes = prepare(settings_of(photos), print)
    assert any("in several classes, with the same content: 2 " in note for note in notes)


@pytest.mark.parametrize(
    "change", ["other size at the same time", "other time at the same size", "other content at the same size and time"]
)
def test_a_file_that_changed_on_disk_is_decoded_again(photos, change):
    path = photos / "train" / "cat" / "0.bmp"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    before = load(settings_of(photos)).fingerprint
    Image.new("RGB", (9, 8) if "other size" in change else (8, 8), (200, 2, 3)).save(path)
    os.utime(path, ns=times if "time" in change.split("same")[1] else (1, 1))
    data.clear_cache()
    assert load(settings_of(photos)).fingerprint != before


def test_a_file_that_changes_while_it_is_decoded_is_an_error(photos, tmp_path, monkeypatch):
    plain = decoding.decode_image

    def changing(path, **how):
        decoded = plain(path, **how)
        if path.name == "1.png":
            picture(77).save(path)
        return decoded

    monkeypatch.setattr(decoding, "decode_image", changing)
    with pytest.raises(DataError, match=r"^images must not change while they are read; .*photos did\. Run it again"):
        load(settings_of(photos))
    assert not cache_files(tmp_path, "*.npy")


def test_a_file_that_vanished_is_named(photos, monkeypatch):
    monkeypatch.setattr(loading, "stamp", lambda path: 1)  # it vanishes after the files were listed
    data.input_size_and_classes(settings_of(photos))
    (photos / "train" / "dog" / "2.png").unlink()
    with pytest.raises(DataError, match=r"^image .*dog/2\.png cannot be read any more: No such file"):
        load(settings_of(photos))


def test_a_damaged_cache_file_is_made_again(photos, tmp_path):
    before = load(settings_of(photos)).fingerprint
    for path, content in zip(cache_files(tmp_path, "*.npy"), (b"", b"\x93NUMPY\x01\x00"), strict=True):
        path.write_bytes(content)
    for path in cache_files(tmp_path, "*.survey"):
        path.write_text("[")
    data.clear_cache()
    assert load(settings_of(photos)).fingerprint == before


def test_the_file_beside_decoded_images_says_what_they_belong_to(photos, tmp_path):
    load(settings_of(photos))
    found = [json.loads(path.read_text()) for path in cache_files(tmp_path, "*.json")]
    assert sorted(each["images"] for each in found) == [4, 8]
    assert {each["source"] for each in found} == {str(photos)}
    assert {each["size"] for each in found} == {8}
    stems = {path.stem for path in cache_files(tmp_path, "*.npy")}
    assert stems == {path.stem for path in cache_files(tmp_path, "*.json")}
    assert not cache_files(tmp_path, "*.part")


def test_a_disk_that_is_too_small_is_said_with_both_numbers(photos, capsys, monkeypatch):
    usage = shutil.disk_usage(photos)._replace(free=14_000)
    monkeypatch.setattr(decoded_cache.shutil, "disk_usage", lambda path: usage)
    assert run_on(photos) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "16 decoded images of 8 x 8 need 15.4 kB in " in said
    assert "which has 14.0 kB free" in said
    assert not Path("results.db").exists()


def test_a_disk_that_becomes_full_is_one_line(photos, capsys, monkeypatch, tmp_path):
    def full(file, pixels):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoded_cache, "_write", full)
    assert run_on(photos) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("hybrid-search: decoded images need a cache folder that can be written; ")
    assert "No space left on device" in said
    assert not cache_files(tmp_path, "*.part")


def test_a_long_decoding_shows_its_progress(photos, monkeypatch):
    monkeypatch.setattr(decoded_cache, "BATCH", 5)
    monkeypatch.setattr(progress_lines, "FIRST", -1.0)
    monkeypatch.setattr(progress_lines, "NEXT", 1e9)
    said = []
    prepare(settings_of(photos), said.append)
    lines = [line.partition(";")[0] for line in said]
    assert lines[0] == "compared 1 of 16 images"
    assert lines[-2:] == ["checked 5 of 16 images", "decoded 5 of 8 images"]
    assert all(line.endswith(" s left") for line in said)
    said.clear()
    prepare(settings_of(photos), said.append)
    assert all(line.startswith("compared") for line in said)  # nothing is decoded again


def test_a_search_by_an_own_evaluation_decodes_nothing_and_says_what_is_left_out(photos, tmp_path):
    from support.fakes import scored, tiny_space

    from hybrid_search.records import Resources
    from hybrid_search.runs.run import run

    (photos / "train" / "cat" / "a.heic").write_bytes(b"x")
    said = []
    run(
        tiny_space(), trials=1, settings=settings_of(photos), evaluate=scored(), resources=Resources("local"),
        ledger=f"sqlite:///{tmp_path}/own.db", notice=said.append,
    )  # fmt: skip
    assert f"left out of {photos}: files .heic: 1 (train/cat/a.heic)" in said
    assert not cache_files(tmp_path, "*.npy")


def test_the_settings_of_image_folders_are_stored_and_digested_only_if_they_are_used(tmp_path):
    assert Settings(recipe="classic").digest == "634caa99e2eecd43"  # as before these settings existed
    plain, given = Settings(), Settings(drop_duplicates=True, ignore_test=True, max_image_pixels=9)
    assert set(given.to_dict()) - set(plain.to_dict()) == {"drop_duplicates", "ignore_test", "max_image_pixels"}
    assert Settings.from_dict(given.to_dict()) == given
    assert len({plain.digest, Settings(drop_duplicates=True).digest, Settings(ignore_test=True).digest}) == 3


def test_a_search_is_not_continued_with_other_images(photos, capsys, tmp_path):
    assert run_on(photos) == 0
    capsys.readouterr()
    assert run_on(photos, "--set", "drop_duplicates=true") == 2
    assert "drop_duplicates is False (got True)" in capsys.readouterr().err
    decoded = cache_files(tmp_path, "*.npy")
    assert run_on(photos, "--set", "split_seed=5") == 2
    assert cache_files(tmp_path, "*.npy") == decoded  # found before the images of the other splits are decoded
    assert run_on(photos, "--set", "max_image_pixels=100000000") == 0  # a limit changes no image that is read


def test_a_space_file_may_have_the_settings_of_image_folders(photos, capsys):
    space = Path("own.yaml")
    space.write_text(f"{SPACE}data: imagefolder\nsettings: {{data_dir: {photos}, image_size: 8, ignore_test: true}}\n")
    (photos / "test").mkdir()
    picture(1).save(photos / "test" / "flat.png")
    words = ["run", space, "--trials", 1, "--epochs", 1, "--engine", "local", "--db", "sqlite:///own.db"]
    assert cli.run([str(word) for word in words]) == 0
    assert "test is left out (ignore_test); the test split is cut from train" in capsys.readouterr().err


def test_files_are_compared_once_and_again_after_a_change(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(tmp_path / "cache"))
    files = [tmp_path / name for name in ("a", "b")]
    for path in files:
        path.write_bytes(b"one")
    assert list(duplicates.cached_same_content(files)) == [0, 0]
    whole = duplicates.same_content
    monkeypatch.setattr(duplicates, "same_content", None)
    assert list(duplicates.cached_same_content(files)) == [0, 0]
    monkeypatch.setattr(duplicates, "same_content", whole)
    files[1].write_bytes(b"two")
    assert list(duplicates.cached_same_content(files)) == [0, 1]


def test_the_stamp_follows_links(tmp_path):
    real, linked = tmp_path / "real", tmp_path / "data"
    real.mkdir()
    linked.mkdir()
    (linked / "class").symlink_to(real)
    (real / "above").symlink_to(linked)
    (linked / "broken").symlink_to("nowhere")
    before = stamp(str(linked))
    (real / "a.png").write_bytes(b"a")
    added = stamp(str(linked))
    (real / "a.png").write_bytes(b"abc")
    assert len({None, before, added, stamp(str(linked))}) == 4
