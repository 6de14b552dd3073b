"""Paths are stored absolute as they are typed, and an export needs the data of its trial for the proof only."""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
import safetensors.torch
from support.exports import prove_in_this_process
from support.image_folders import write_folder

from hybrid_search import cli
from hybrid_search.data import clear_cache
from hybrid_search.errors import LedgerError, UserError
from hybrid_search.export import export_trial, network_export
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.weights import WeightsFolder
from hybrid_search.runs.confirm import confirm
from hybrid_search.search.spec import SearchSpec

SPACE = """
data: imagefolder
settings: {image_size: 16, epochs: 1}
stem: {conv3x3: {width: 8, stride: 2}}
stages:
  - {depth: 1, width: [8, 16], stride: 2, operator: conv}
"""


def call(capsys, *words):
    """Run a command; return the exit code, and the lines of stdout and stderr."""
    code = cli.run([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err.splitlines()


def search(data_dir, *more):
    """Run the search `tiny` of one trial over the database a.db of the current folder."""
    words = ["run", "tiny.yaml", "--data-dir", data_dir, "--engine", "local", "--no-known-designs", "--quiet"]
    return cli.run([str(word) for word in (*words, "--db", "sqlite:///a.db", *more)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Run a search in a folder of its own, with every path relative; return the folder."""
    root = tmp_path_factory.mktemp("search")
    (root / "tiny.yaml").write_text(SPACE)
    write_folder(root / "photos", count=15)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert search("photos", "--trials", 1) == 0
    return root


@pytest.fixture
def work(made, tmp_path, monkeypatch):
    """Return a copy of that folder, in which the stored paths are those of the copy, seen from another folder."""
    clear_cache()
    copied = Path(shutil.copytree(made, tmp_path / "work"))
    for column in ("search", "trial"):
        change(copied, f"UPDATE {column} SET settings = replace(settings, ?, ?)", str(made), str(copied))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(network_export, "prove", prove_in_this_process)
    return copied


def change(root, statement, *values):
    with sqlite3.connect(root / "a.db") as db:
        db.execute(statement, values)
    db.close()


def export(work, *, out="out", **more):
    """Export the trial; return the proof, the lines that a user reads after the pick, and the description."""
    lines = []
    with Ledger(f"sqlite:///{work}/a.db", read_only=True) as ledger:
        (proof,) = export_trial(ledger, "tiny", out, "best", notice=lines.append, **more)
    picked, *more_lines = lines
    assert picked.startswith("picked trial 0 (accuracy ")
    return proof, more_lines, json.loads(Path(out, "architecture.json").read_text())


def without_header(work):
    """Store the weights of the trial as versions did that wrote no facts about the data."""
    with Ledger(f"sqlite:///{work}/a.db", read_only=True) as ledger:
        folder = WeightsFolder(ledger.url, 1)
    state = safetensors.torch.load(folder.file(0).read_bytes())
    change(work, "UPDATE trial SET weights = ?", folder.write(0, safetensors.torch.save(state)))


# -- paths as typed --


def test_a_relative_data_dir_is_stored_as_an_absolute_path(made):
    with Ledger(f"sqlite:///{made}/a.db", read_only=True) as ledger:
        record = ledger.search("tiny")
        assert record.settings.data_dir == str(made / "photos")
        assert ledger.read(reads.trial, record.id, 0).settings["data_dir"] == str(made / "photos")
        assert ledger.display_url == f"sqlite:///{made}/a.db"


@pytest.mark.parametrize("typed", ["photos", "./photos/", "../work/photos", "{work}/photos", "~/photos"])
def test_the_same_folder_typed_in_another_way_continues_the_search(work, monkeypatch, capsys, typed):
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(work))
    assert search(typed.format(work=work), "--trials", 1) == 0
    with Ledger(f"sqlite:///{work}/a.db", read_only=True) as ledger:
        assert [each.name for each in ledger.searches()] == ["tiny"]
        trials = ledger.read(reads.trials, 1)
        assert {trial.settings["data_dir"] for trial in trials} == {str(work / "photos")}
        assert len(trials) == 2


def test_a_path_in_python_is_made_absolute_too(work, monkeypatch):
    from hybrid_search import Settings

    monkeypatch.chdir(work)
    spec = SearchSpec.create("tiny.yaml", trials=1, settings=Settings(data="imagefolder", data_dir="photos"))
    assert spec.settings.data_dir == str(work / "photos")
    other = SearchSpec.create(
        "tiny.yaml", trials=1, settings=Settings(data="imagefolder", data_dir=str(work / "photos"))
    )
    assert spec.differences(other) == []
    assert spec.settings.digest == other.settings.digest


@pytest.mark.parametrize("command", [["run", "tiny.yaml"], ["confirm", "tiny"], ["export", "out"], ["space", "digits"]])
@pytest.mark.parametrize(
    ("typed", "message"), [("", "got an empty one"), ("~no-such-user/x", "no user 'no-such-user'")]
)
def test_a_data_dir_that_is_no_path_is_one_line(capsys, command, typed, message):
    code, out, err = call(capsys, *command, "--data-dir", typed)
    assert (code, out, len(err)) == (2, [], 1)
    assert "--data-dir must be a path" in err[0]
    assert message in err[0]
    assert not Path("results").exists()


def test_data_that_is_loaded_does_not_depend_on_the_current_folder(work, tmp_path, monkeypatch):
    from hybrid_search import Settings
    from hybrid_search.data import load

    settings = Settings(data="imagefolder", data_dir="photos", image_size=16)
    monkeypatch.chdir(work)
    first = load(settings)
    write_folder(tmp_path / "elsewhere" / "photos", count=9)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load(settings).fingerprint != first.fingerprint


# -- the data of an export --


def test_an_export_from_another_folder_uses_the_data_where_it_was(work):
    proof, lines, described = export(work)
    assert proof.image_source == "validation images"
    assert len(lines) == 1
    assert described["classes"] == ["cat", "dog"]


def test_an_export_without_the_data_proves_on_seeded_images_and_says_so(work):
    _, _, with_data = export(work)
    shutil.rmtree(work / "photos")
    clear_cache()
    proof, lines, described = export(work, out="alone")
    assert (proof.images, proof.image_source, proof.max_difference) == (256, "images drawn from seed 0", 0.0)
    assert lines[0].startswith("the proof uses images drawn from seed 0, because the data of the trial is not here: ")
    assert "photos" in lines[0]
    assert described == with_data  # class names, mean and standard deviation come from the stored weights
    assert len(described["preprocessing"]["mean"]) == 3
    entry = json.loads(Path("alone/manifest.json").read_text())["proof"]["safetensors"]
    assert entry["image_source"] == "images drawn from seed 0"
    assert "Proof: the logits were compared on images drawn from seed 0" in Path("alone/README.md").read_text()


def test_data_that_changed_since_is_not_used_for_the_proof(work):
    (work / "photos" / "train" / "cat" / "0.png").unlink()
    clear_cache()
    proof, lines, described = export(work)
    assert proof.image_source == "images drawn from seed 0"
    assert "imagefolder had fingerprint" in lines[0]
    assert described["classes"] == ["cat", "dog"]


def test_a_data_set_of_a_package_that_is_absent_is_not_needed(work):
    change(work, "UPDATE trial SET settings = replace(settings, 'imagefolder', 'flowers')")
    change(work, "UPDATE search SET settings = replace(settings, 'imagefolder', 'flowers')")
    proof, lines, _ = export(work)
    assert proof.image_source == "images drawn from seed 0"
    assert "flowers" in lines[0]


def test_data_that_has_moved_is_named_by_an_option(work, capsys, monkeypatch):
    (work / "photos").rename(work / "moved")
    monkeypatch.chdir(work)
    code, out, err = call(capsys, "export", "tiny", "out", "--data-dir", "moved", "--db", "sqlite:///a.db")
    assert code == 0
    assert "validation images" in out[0]
    assert not any("drawn" in line for line in err)


@pytest.mark.parametrize("what", ["absent", "other"])
def test_a_data_dir_without_the_data_of_the_trial_is_one_line_and_writes_nothing(work, capsys, what):
    write_folder(work / "other", count=9)
    words = ("export", "tiny", "out", "--data-dir", work / what, "--db", f"sqlite:///{work}/a.db")
    code, out, err = call(capsys, *words)
    assert (code, out, len(err)) == (2, [], 1)
    assert ("had fingerprint" if what == "other" else "absent") in err[0]
    assert not Path("out").exists()


def test_a_trial_without_weights_and_without_data_is_one_line(work, capsys):
    shutil.rmtree(work / "a.db.weights")
    (work / "photos").rename(work / "moved")
    clear_cache()
    code, out, err = call(capsys, "export", "tiny", "out", "--db", f"sqlite:///{work}/a.db")
    assert (code, out, len(err)) == (2, [], 1)
    assert "trial 0 has no stored weights, so its data is needed to train it again: " in err[0]
    assert err[0].endswith("Name the folder or file of the data: data_dir (--data-dir PATH).")
    assert not Path("out").exists()
    proof, lines, described = export(work, data_dir=work / "moved")
    assert proof.image_source == "validation images"
    assert "its weights are missing or damaged in" in lines[0]
    assert described["classes"] == ["cat", "dog"]


def test_an_export_says_what_is_known_of_a_trial_and_no_more(work):
    described = export(work)[2]["origin"]
    assert described.keys() == {"search", "trial", "seed", "measurements", "settings", "facts", "data_licence"}
    assert (described["search"], described["trial"], described["seed"]) == ("tiny", 0, 0)
    change(work, "UPDATE measurement SET value = 0.125 WHERE name = 'accuracy'")
    shutil.rmtree(work / "a.db.weights")
    lines = export(work, out="again")[1]
    assert lines[0].endswith("; training it again (1 epoch, seed 0)")
    assert re.fullmatch(r"  epoch 1/1: accuracy [01]\.\d{4}", lines[1])
    accuracy = lines[1].partition("accuracy ")[2]
    assert lines[2] == f"the accuracy is now {accuracy}; the search recorded 0.125"
    assert lines[3].startswith("trial 0 of tiny: conv3x3 ")
    assert len(lines) == 4


def test_an_old_search_with_a_relative_path_exports_with_data_dir_or_from_its_own_folder(work, monkeypatch):
    for column in ("search", "trial"):
        change(work, f"UPDATE {column} SET settings = replace(settings, ?, ?)", str(work / "photos"), "photos")
    assert export(work)[0].image_source == "images drawn from seed 0"
    assert export(work, out="b", data_dir=work / "photos")[0].image_source == "validation images"
    monkeypatch.chdir(work)
    assert export(work, out="c")[0].image_source == "validation images"


def test_an_old_search_whose_data_is_gone_says_what_is_unknown(work):
    without_header(work)
    assert export(work)[2]["classes"] == ["cat", "dog"]  # from the data
    shutil.rmtree(work / "photos")
    clear_cache()
    _, lines, described = export(work, out="alone")
    unknown = "class names, mean and standard deviation of the pixels, licence of the data"
    assert f"unknown, because neither the stored weights nor data that is here says it: {unknown}" in lines
    assert described["classes"] == ["class 0", "class 1"]
    assert described["preprocessing"] == {"scale": 1 / 255, "mean": None, "std": None}
    assert f"Unknown: {unknown}" in Path("alone/README.md").read_text()


def test_confirm_takes_a_relative_data_dir_too(work, monkeypatch):
    (work / "photos").rename(work / "moved")
    clear_cache()
    monkeypatch.chdir(work)
    with pytest.raises(UserError, match="photos"):
        confirm("tiny", seeds=1, ledger="sqlite:///a.db")
    write_folder(work / "other", count=9)
    with pytest.raises(LedgerError, match="had fingerprint"):
        confirm("tiny", seeds=1, ledger="sqlite:///a.db", data_dir="other")


def test_data_of_another_size_without_a_fingerprint_is_not_used(work):
    change(work, "UPDATE trial SET facts = '{}'")
    for column in ("search", "trial"):
        change(work, f"UPDATE {column} SET settings = replace(settings, '\"image_size\": 16', '\"image_size\": 12')")
    proof, lines, _ = export(work)
    assert proof.image_source == "images drawn from seed 0"
    assert "3x16x16 images of 2 classes; imagefolder has 3x12x12 images of 2 classes here" in lines[0]
