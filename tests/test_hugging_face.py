"""`hf`: images in the rows of Parquet and Arrow files."""

import json
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pyarrow as pa
import pytest
from support.image_folders import SPACE, picture, settings_of, write_folder
from support.packed import encoded, write_table

from hybrid_search import cli
from hybrid_search.data import clear_cache, input_size_and_classes, load, open_test, prepare
from hybrid_search.data.hugging_face.tables import split_of
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

NAMES = ("cat", "dog")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    clear_cache()


def rows(seed=0, count=8):
    return [(picture((seed, label, number), label), label) for label in (0, 1) for number in range(count)]


def settings(folder, **changes):
    return Settings(data="hf", data_dir=str(folder), image_size=8, **changes)


def refused(folder, **changes):
    with pytest.raises(DataError) as caught:
        prepare(settings(folder, **changes), print)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_packed_data_set_has_the_pixels_and_labels_of_the_same_image_folder(tmp_path, suffix):
    write_folder(tmp_path / "photos", ("train", "val", "test"))
    for number, split in enumerate(("train", "validation", "test")):
        write_table(tmp_path / "packed" / split / f"data-00000.{suffix}", rows(number), names=NAMES)
    packed, folder = load(settings(tmp_path / "packed")), load(settings_of(tmp_path / "photos"))
    assert packed.fingerprint == folder.fingerprint
    assert packed.classes == NAMES
    test = open_test(settings(tmp_path / "packed"), "test")
    assert np.array_equal(test.images, open_test(settings_of(tmp_path / "photos"), "test").images)
    assert input_size_and_classes(settings(tmp_path / "packed", augment="crop")) == ((3, 8, 8), 2)


def test_the_split_of_a_file_is_a_word_of_its_path():
    from pathlib import Path

    for path, split in {
        "train.parquet": "train", "data/train-00000-of-00002.parquet": "train", "validation/0000.parquet": "val",
        "dev.arrow": "val", "test/data-00000-of-00001.arrow": "test", "training-set/test_1.parquet": "test",
        "trainer.parquet": None, "0000.parquet": None,
    }.items():  # fmt: skip
        assert split_of(Path(path)) == split, path


def test_a_file_or_a_folder_without_splits_is_train_and_splits_are_cut_from_it(tmp_path):
    for path in ("one/all.parquet", "two/data-00000.arrow"):
        write_table(tmp_path / path, rows(), names=NAMES)
    write_table(tmp_path / "two" / "cache-1a2b.arrow", rows(), names=NAMES)  # of the package datasets
    for place in ("one", "one/all.parquet", "two"):
        dataset = load(settings(tmp_path / place))
        assert len(dataset.train) + len(dataset.validation) < 16


def test_several_data_sets_in_one_folder_are_refused(tmp_path):
    for name in ("small", "large"):
        write_table(tmp_path / "both" / name / "train.parquet", rows(), names=NAMES)
    assert refused(tmp_path / "both").endswith(
        "has the folders large, small. Give one of them: --data-dir FOLDER/large."
    )
    assert load(settings(tmp_path / "both" / "small")).classes == NAMES


def test_class_names_come_from_the_description_or_from_text_or_numbers(tmp_path):
    text = [(image, NAMES[label]) for image, label in rows()]
    numbers = [(image, 3 + 4 * label) for image, label in rows()]
    write_table(tmp_path / "text" / "train.parquet", text)
    write_table(tmp_path / "numbers" / "train.parquet", numbers, label="class")
    write_table(tmp_path / "described" / "train.parquet", rows(), names=("x", "y"), image="scan", label="kind")
    assert load(settings(tmp_path / "text")).classes == NAMES
    assert load(settings(tmp_path / "numbers")).classes == ("3", "7")
    assert load(settings(tmp_path / "described")).classes == ("x", "y")
    assert "images are in column scan, labels in kind" in prepare(settings(tmp_path / "described"), print)


def test_unclear_and_missing_columns_are_refused_with_the_columns(tmp_path):
    labels = pa.array([label for _, label in rows()])
    write_table(tmp_path / "two" / "train.parquet", rows(), more={"class": labels})
    assert refused(tmp_path / "two").endswith("train.parquet has label, class. Choose one: label_column=label (--set).")
    assert load(settings(tmp_path / "two", label_column="class")).classes == ("0", "1")
    write_table(tmp_path / "none" / "train.parquet", rows(), label="species")
    said = refused(tmp_path / "none")
    assert "has none that is known. The columns are 'image', 'species'. label_column=NAME (--set) names it." in said
    assert load(settings(tmp_path / "none", label_column="species")).classes == ("0", "1")
    assert "got 'specie'" in refused(tmp_path / "none", label_column="specie")
    assert "Did you mean 'species'" in refused(tmp_path / "none", label_column="specie")
    more = {"mask": pa.array([{"bytes": b"x", "path": None}] * 16)}
    write_table(tmp_path / "images" / "train.parquet", rows(), more=more)
    assert "has image, mask. Choose one: image_column=image (--set)." in refused(tmp_path / "images")
    with pytest.raises(DataError, match=r"label_column is a setting of the data sets hf; got 'x' with data digits"):
        load(Settings(label_column="x"))


def test_broken_images_and_labels_are_named_with_their_rows(tmp_path):
    broken = rows()
    broken[6] = (encoded(picture(1))[:50], 0)
    write_table(tmp_path / "broken" / "train.parquet", broken, names=NAMES)
    said = refused(tmp_path / "broken")
    assert "train.parquet row 6" in said
    assert "cannot be decoded" in said
    broken[9] = broken[12] = (b"no image", 1)  # found first: every image is opened before any is decoded
    write_table(tmp_path / "broken" / "train.parquet", broken, names=NAMES)
    said = refused(tmp_path / "broken")
    assert "row 9 cannot be decoded: it is a text file, not an image. 1 more cannot be used" in said
    assert "row 12" in said
    write_table(tmp_path / "empty" / "train.arrow", [*rows(), (None, 1)], names=NAMES)
    assert refused(tmp_path / "empty").endswith("train.arrow row 16 cannot be read: the row has no image.")
    unlabelled = [*rows(), (picture(3), None)]
    write_table(tmp_path / "missing" / "train.parquet", unlabelled, names=NAMES)
    assert refused(tmp_path / "missing").endswith("train.parquet row 16 has none.")
    write_table(tmp_path / "hidden" / "train.parquet", rows(), names=NAMES)
    write_table(tmp_path / "hidden" / "test.parquet", [(picture(4), -1)], names=NAMES)
    assert refused(tmp_path / "hidden").endswith("row 0 has -1. ignore_test=true (--set) leaves the test split out.")
    assert load(settings(tmp_path / "hidden", ignore_test=True)).classes == NAMES


def test_other_files_and_folders_are_refused(tmp_path):
    assert "none" in refused_without_folder()
    assert "is missing" in refused(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.csv").write_text("x")
    assert "has none. It has files .csv." in refused(tmp_path / "empty")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "train.parquet").write_bytes(b"PAR1 and no more")
    assert "must be a Parquet or Arrow file; it cannot be read" in refused(tmp_path / "damaged")
    write_table(tmp_path / "tests" / "test.parquet", rows(), names=NAMES)
    assert "has test only, by the names of its files." in refused(tmp_path / "tests")


def refused_without_folder():
    with pytest.raises(DataError) as caught:
        load(Settings(data="hf"))
    return str(caught.value)


def test_arrow_files_are_decoded_on_demand_and_parquet_files_are_not(tmp_path):
    write_table(tmp_path / "arrow" / "train.arrow", rows(), names=NAMES)
    write_table(tmp_path / "parquet" / "train.parquet", rows(), names=NAMES)
    assert (
        load(settings(tmp_path / "arrow", cache="none")).fingerprint == load(settings(tmp_path / "arrow")).fingerprint
    )
    assert "cache=none needs image files or Arrow files" in refused(tmp_path / "parquet", cache="none")


def test_the_same_image_in_two_splits_is_found(tmp_path):
    write_table(tmp_path / "data" / "train.parquet", rows(), names=NAMES)
    write_table(tmp_path / "data" / "test.parquet", [*rows(1), rows()[3]], names=NAMES)
    notes = prepare(settings(tmp_path / "data"), print)
    assert any("also in validation or test, with the same content: 1 of" in note and "row 3" in note for note in notes)


def test_a_changed_file_is_decoded_again(tmp_path):
    path = tmp_path / "data" / "train.parquet"
    write_table(path, rows(), names=NAMES)
    before = load(settings(tmp_path / "data")).fingerprint
    write_table(path, rows(5), names=NAMES)
    assert load(settings(tmp_path / "data")).fingerprint != before


def test_an_image_may_be_the_path_of_a_file_beside_the_table(tmp_path):
    from hybrid_search.data.embedded_image import EmbeddedImage

    table = SimpleNamespace(path=tmp_path / "train.arrow", value=lambda column, row: {"bytes": None, "path": "a.png"})
    picture(1).save(tmp_path / "a.png")
    with EmbeddedImage(table, "image", 0).open() as file:
        assert file.read() == (tmp_path / "a.png").read_bytes()


def test_a_data_set_of_the_hub_is_downloaded_once(tmp_path, monkeypatch):
    requests = []

    def snapshot_download(name, **options):
        requests.append((name, options["repo_type"], options["revision"]))
        folder = tmp_path / f"hub-{len(requests)}"
        folder.mkdir()
        if options["revision"] != "main":  # the data set itself has other files
            write_table(folder / "default" / "train" / "0000.parquet", rows(), names=NAMES)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    for _ in range(2):
        clear_cache()
        assert load(settings("hf://owner/pets")).classes == NAMES
    assert requests == [("owner/pets", "dataset", "main"), ("owner/pets", "dataset", "refs/convert/parquet")]
    assert load(settings("hf://owner/pets/default")).classes == NAMES
    assert "must be one of its folders; it has default" in refused("hf://owner/pets/other")
    assert len(requests) == 2
    for address in ("hf://pets", "hf://owner/pets/../x", "hf://"):
        assert "must be hf://owner/name" in refused(address)


def test_a_download_that_fails_is_one_line(monkeypatch):
    def fails(name, **options):
        raise ConnectionError("the hub does not answer\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    said = refused("hf://owner/pets")
    assert said == "hf://owner/pets cannot be downloaded: the hub does not answer. Give a folder: --data-dir FOLDER."


def test_a_search_runs_on_packed_images(tmp_path, capsys):
    write_table(tmp_path / "data" / "train.parquet", rows(), names=NAMES)
    (tmp_path / "small.yaml").write_text(SPACE)
    words = ["run", "small.yaml", "--data", "hf", "--data-dir", "data", "--set", "image_size=8", "--trials", "1"]
    assert cli.run([*words, "--epochs", "1", "--engine", "local", "--db", "sqlite:///results.db"]) == 0
    assert "images are in column image, labels in label" in capsys.readouterr().err
    index = next((tmp_path / "cache").rglob("*.json"))
    assert json.loads(index.read_text())["source"] == str(tmp_path / "data")
