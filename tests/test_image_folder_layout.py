"""Which folders are splits and classes, which files are images, and what is said about the rest."""

import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from support.image_folders import picture, settings_of, write_folder

from hybrid_search import data
from hybrid_search.data import input_size_and_classes, load, open_test, prepare
from hybrid_search.errors import DataError

DEEPER = "images in folders below a class folder, which belong to this class"


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data.clear_cache()


@pytest.fixture
def photos(tmp_path):
    """Write train with eight images of cat and of dog; return the folder."""
    write_folder(tmp_path / "photos")
    return tmp_path / "photos"


def sizes(root):
    """Return the numbers of images in train, validation and test."""
    data.clear_cache()
    dataset = load(settings_of(root))
    return len(dataset.train), len(dataset.validation), len(open_test(settings_of(root), "layout"))


def said(root, **changes):
    data.clear_cache()
    return prepare(settings_of(root).with_(**changes), print)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "eval", "Val", "VALID", "Validation"])
def test_a_validation_folder_of_any_usual_name_is_the_validation_split(tmp_path, name):
    write_folder(tmp_path / "photos", ("train", name))
    assert sizes(tmp_path / "photos") == (12, 16, 4)
    assert said(tmp_path / "photos") == ()


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("training", "testing"), ("TRAIN", "Testing")])
def test_train_and_test_folders_of_any_usual_name_are_these_splits(tmp_path, train, test):
    write_folder(tmp_path / "photos", (train, test))
    assert sizes(tmp_path / "photos") == (12, 4, 16)


@pytest.mark.parametrize("pair", [("valid", "val"), ("dev", "validation"), ("Val", "val")])
def test_two_validation_folders_are_refused_by_name(tmp_path, pair):
    write_folder(tmp_path / "photos", ("train", *pair))
    first, second = sorted(pair)
    with pytest.raises(
        DataError, match=rf"^the val split must be one folder; .*photos has {first} and {second}\. Keep"
    ):
        sizes(tmp_path / "photos")


def test_a_validation_folder_that_is_a_link_to_nothing_is_an_error_and_a_file_of_its_name_is_said(photos):
    (photos / "test").write_text("../elsewhere/test")  # a link, as git writes it where links are not supported
    assert said(photos) == (f"left out of {photos}: files with the name of a split: 1 (test)",)
    (photos / "valid").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"^the val split must be a folder; .*photos/valid is a link to nothing"):
        sizes(photos)


def test_a_class_without_images_says_which_files_it_has(photos):
    for path in (photos / "train" / "dog").iterdir():
        path.rename(path.with_suffix(".heic"))
    with pytest.raises(
        DataError,
        match=r"^every class needs an image; .*dog has none \(\.png, .*\)\. Left out are files \.heic: 8 \(0\.heic",
    ):
        sizes(photos)


def test_a_folder_of_classes_without_train_says_what_to_do(photos, tmp_path):
    with pytest.raises(
        DataError,
        match=rf"^imagefolder needs .*train/train is not a folder\. Give its parent folder: --data-dir {photos}\.",
    ):
        sizes(photos / "train")
    (photos / "train").rename(tmp_path / "animals")
    with pytest.raises(DataError, match=r"not a folder\. Move the class folders of .*animals into a folder train\."):
        sizes(tmp_path / "animals")
    with pytest.raises(DataError, match=r"photos/train is not a folder\.$"):
        sizes(photos)


def test_two_links_to_one_validation_folder_are_one_split(tmp_path):
    write_folder(tmp_path / "photos", ("train", "valid"))
    (tmp_path / "photos" / "val").symlink_to("valid")
    assert sizes(tmp_path / "photos") == (12, 16, 4)


def test_folders_and_images_beside_the_splits_and_classes_are_said(photos):
    for folder in ("labels", "unlabelled", ".git"):
        (photos / folder).mkdir()
    picture(1).save(photos / "cover.png")
    picture(2).save(photos / "train" / "loose.png")
    (photos / "readme.txt").write_text("no image")
    assert said(photos) == (
        f"left out of {photos}: images beside train: 1 (cover.png); hidden or system folders: 1 (.git); folders beside "
        "train: 2 (labels, unlabelled); images beside the class folders: 1 (train/loose.png)",
    )


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", "@EADIR", "__MACOSX", ".thumbnails", "$RECYCLE.BIN"])
def test_hidden_and_machine_made_folders_are_left_out_at_any_depth_and_said(photos, name):
    before = sizes(photos)
    for place in ("train/cat", "train/cat/deep", "train"):
        folder = photos / place / name / "more"
        folder.mkdir(parents=True)
        for number in range(3):
            shutil.copy(photos / "train/cat/1.png", folder / f"{number}-checkpoint.png")
    assert sizes(photos) == before
    places = f"train/{name}, train/cat/{name}, train/cat/deep/{name}"
    assert said(photos) == (f"left out of {photos}: images in hidden or system folders: 9 ({places})",)


def test_a_data_set_below_a_hidden_folder_is_read(tmp_path):
    write_folder(tmp_path / ".datasets" / "photos")
    assert sizes(tmp_path / ".datasets" / "photos") == (8, 4, 4)


def test_hidden_files_and_unknown_suffixes_are_said_with_counts(photos):
    cat = photos / "train" / "cat"
    for name in ("._1.png", ".DS_Store", "Thumbs.db", "a.heic", "b.HEIC", "notes.txt", "README"):
        (cat / name).write_bytes(b"x")
    assert sizes(photos) == (8, 4, 4)
    assert said(photos) == (
        f"left out of {photos}: hidden or system files: 3 (train/cat/.DS_Store, train/cat/._1.png, train/cat/Thumbs.db)"
        "; files without a suffix: 1 (train/cat/README); files .heic: 2 (train/cat/a.heic, train/cat/b.HEIC); "
        "files .txt: 1 (train/cat/notes.txt)",
    )


def test_only_the_first_names_of_many_are_said(photos):
    for number in range(5):
        (photos / "train" / "dog" / f"{number}.svg").write_text("<svg/>")
    assert said(photos)[0].endswith("files .svg: 5 (train/dog/0.svg, train/dog/1.svg, train/dog/2.svg, ...)")


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".avif"])
def test_images_of_suffixes_that_pillow_decodes_are_used(photos, suffix):
    if suffix == ".avif":
        pytest.importorskip("PIL._avif", reason="this Pillow has no AVIF")
    picture(5).save(photos / "train" / "cat" / f"more{suffix}", format="avif" if suffix == ".avif" else "jpeg")
    assert sum(sizes(photos)) == 17
    assert said(photos) == ()


def test_links_to_files_folders_classes_and_splits_are_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    write_folder(elsewhere, ("train", "val"))
    photos = tmp_path / "photos"
    (photos / "train" / "dog").mkdir(parents=True)
    (photos / "val").symlink_to(elsewhere / "val")
    (photos / "train" / "cat").symlink_to(elsewhere / "train" / "cat")
    for number in range(4):
        (photos / "train" / "dog" / f"{number}.png").symlink_to(elsewhere / "train" / "dog" / f"{number}.png")
    (elsewhere / "more").mkdir()
    for number in range(4, 8):
        (elsewhere / "train" / "dog" / f"{number}.png").rename(elsewhere / "more" / f"{number}.png")
    (photos / "train" / "dog" / "subfolder").symlink_to(elsewhere / "more")
    assert sizes(photos) == (12, 16, 4)
    assert said(photos) == (f"{DEEPER}: 4 (train/dog/subfolder)",)


def test_images_in_deeper_folders_belong_to_the_class_and_are_said(photos):
    for number in range(5):
        (photos / "train" / "cat" / f"session {number}").mkdir()
        picture(100 + number).save(photos / "train" / "cat" / f"session {number}" / "a.png")
    assert sum(sizes(photos)) == 21
    first = ", ".join(f"train/cat/session {number}" for number in range(3))
    assert said(photos) == (f"{DEEPER}: 5 ({first}, ...)",)


def test_a_size_that_the_user_did_not_choose_is_said(photos):
    assert said(photos, image_size=None) == (
        "images are scaled to 64 x 64 pixels; image_size (--set image_size=N) chooses another size",
    )


def test_loops_of_links_end_and_are_said(photos):
    cat = photos / "train" / "cat"
    (cat / "deep").mkdir()
    picture(9).save(cat / "deep" / "z.png")
    (cat / "deep" / "up").symlink_to("..")
    (cat / "above").symlink_to(photos.parent)
    (cat / "twice").symlink_to("deep")
    (photos / "train" / "everything").symlink_to(photos)
    assert sum(sizes(photos)) == 17
    assert said(photos) == (
        f"left out of {photos}: links to folders that are read already: 4 (train/everything, train/cat/above, "
        "train/cat/twice, ...)",
        f"{DEEPER}: 1 (train/cat/deep)",
    )


def test_links_to_nothing_and_special_files_are_said_and_do_not_block(photos):
    cat = photos / "train" / "cat"
    (cat / "gone.png").symlink_to("nowhere.png")
    (cat / "self.png").symlink_to("self.png")
    (photos / "train" / "bird").symlink_to("nowhere")
    os.mkfifo(cat / "pipe.png")
    assert sizes(photos) == (8, 4, 4)
    assert said(photos) == (
        f"left out of {photos}: links to nothing: 3 (train/bird, train/cat/gone.png, train/cat/self.png); "
        "files that are no ordinary files: 1 (train/cat/pipe.png)",
    )


def test_names_that_are_not_utf8_are_read_and_shown_with_escapes(tmp_path):
    root = tmp_path / os.fsdecode(b"f\xf6tos")
    write_folder(root, ("train", "val"), classes=(os.fsdecode(b"caf\xe9"), "dog"))
    os.rename(os.fsencode(root / "train" / "dog" / "1.png"), os.fsencode(root / "train" / "dog") + b"/\xff\xfe.png")
    (Path(os.fsencode(root / "train" / "dog").decode(errors="surrogateescape")) / os.fsdecode(b"\xe9.heic")).touch()
    assert load(settings_of(root)).classes == (r"caf\xe9", "dog")
    assert sizes(root) == (12, 16, 4)
    (note,) = said(root)
    assert note.isprintable()
    assert note.endswith(r"f\xf6tos: files .heic: 1 (train/dog/\xe9.heic)")
    with open(os.fsencode(root) + b"/train/dog/\xff\xfe.png", "wb") as broken:
        broken.write(b"no image")
    data.clear_cache()
    with pytest.raises(DataError, match=r"dog/\\xff\\xfe\.png cannot be decoded: it is a text file") as caught:
        prepare(settings_of(root), print)
    assert str(caught.value).encode().isascii()


def test_odd_class_names_are_read_and_stay_on_one_line(tmp_path):
    names = ("<b>", "[red]x", "a, b", "two\nlines", "ünïcödé 猫", "-n", "%s{}", "'\"", "e" * 200)
    write_folder(tmp_path / "photos", classes=names, count=3)
    assert load(settings_of(tmp_path / "photos")).classes == tuple(sorted(names))
    (tmp_path / "photos" / "val" / "other\nclass").mkdir(parents=True)
    data.clear_cache()
    with pytest.raises(DataError, match=r"got 'other\\nclass'") as caught:
        input_size_and_classes(settings_of(tmp_path / "photos"))
    assert "\n" not in str(caught.value)


def test_an_accent_may_be_one_character_in_train_and_two_in_val(tmp_path):
    one, two = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    write_folder(tmp_path / "photos", classes=(one, "dog"))
    write_folder(tmp_path / "more", ("val",), classes=(two, "dog"))
    (tmp_path / "more" / "val").rename(tmp_path / "photos" / "val")
    assert load(settings_of(tmp_path / "photos")).classes == (one, "dog")
    (tmp_path / "photos" / "train" / two).mkdir()
    data.clear_cache()
    with pytest.raises(DataError, match=r"^every class must have its own name; .*train has two folders 'café'"):
        input_size_and_classes(settings_of(tmp_path / "photos"))


def test_a_class_that_differs_by_a_letter_is_named_with_the_nearest(tmp_path):
    write_folder(tmp_path / "photos", ("train", "val"))
    (tmp_path / "photos" / "val" / "cat").rename(tmp_path / "photos" / "val" / "Cat")
    with pytest.raises(
        DataError, match=r"^classes of .*val must be those of train \(cat, dog\); got 'Cat'\. Did you mean 'cat'\?"
    ):
        input_size_and_classes(settings_of(tmp_path / "photos"))


def test_a_test_folder_without_classes_names_the_setting_that_leaves_it_out(photos):
    (photos / "test").mkdir()
    for number in range(5):
        picture(number).save(photos / "test" / f"{number}.png")
    message = r"^images of test must be in class folders, .*test has 5 images and no class folder\. ignore_test=true"
    with pytest.raises(DataError, match=message):
        input_size_and_classes(settings_of(photos))
    (photos / "test" / "unknown").mkdir()
    with pytest.raises(DataError, match=r"got 'unknown'\. ignore_test=true \(--set\) leaves the test folder out"):
        input_size_and_classes(settings_of(photos))
    assert said(photos, ignore_test=True) == (
        f"{photos}/test is left out (ignore_test); the test split is cut from train",
    )
    assert len(open_test(settings_of(photos, ignore_test=True), "flat")) == 4


def test_a_class_that_is_missing_in_val_is_named(tmp_path):
    write_folder(tmp_path / "photos", ("train", "val"))
    shutil.rmtree(tmp_path / "photos" / "val" / "dog")
    with pytest.raises(DataError, match=r"^every class needs an image; .*val/dog is not a folder"):
        input_size_and_classes(settings_of(tmp_path / "photos"))


def test_class_names_and_fingerprint_are_the_same_in_every_locale(tmp_path):
    root = tmp_path / "photos"
    write_folder(root, classes=("café", "dog", "猫"))
    code = (
        "import sys; from hybrid_search.data import load; from hybrid_search.records import Settings; "
        "d = load(Settings(data='imagefolder', data_dir=sys.argv[1], image_size=8)); "
        "print(ascii(d.classes), d.fingerprint)"
    )
    expected = load(settings_of(root))
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, root], capture_output=True, text=True, env=environment, check=True, timeout=60
    )
    assert done.stdout.split(") ") == [ascii(expected.classes)[:-1], f"{expected.fingerprint}\n"]
