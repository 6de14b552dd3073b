"""An exported folder loads in a new process and computes equal logits, for every trial of a search."""

import json
import shutil
from dataclasses import replace

import pytest
from support.fakes import tiny_space

from hybrid_search import cli, data
from hybrid_search.analysis.picks import pick_trial
from hybrid_search.errors import LedgerError, SettingsError, UserError
from hybrid_search.export import export_trial, load_exported
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.run import run

SETTINGS = Settings(epochs=1, batch_size=128)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """Return the ledger of a search with four trained networks on digits."""
    url = f"sqlite:///{tmp_path_factory.mktemp('export')}/l.db"
    with Ledger(url) as opened:
        run(tiny_space(), trials=4, resources=Resources("local"), ledger=opened, settings=SETTINGS, name="taken")
        yield opened


@pytest.fixture(scope="module")
def best(ledger, tmp_path_factory):
    """Export the best network; return the folder and the proof."""
    folder = tmp_path_factory.mktemp("taken") / "net"
    (proof,) = export_trial(ledger, "taken", folder, "best")
    return folder, proof


def off_front(ledger):
    stored = {one.number for one in ledger.read(reads.trials_with_weights, ledger.search().id)}
    return next(t.number for t in ledger.read(reads.trials, ledger.search().id) if t.number not in stored)


def test_a_network_of_the_front_is_written_with_its_proof(best):
    folder, proof = best
    assert (proof.max_difference, proof.equal_answers, proof.images) == (0.0, 1.0, 256)
    names = {path.name for path in folder.iterdir()}
    assert names == {"model.safetensors", "architecture.json", "architecture.svg", "README.md", "manifest.json"}
    description = json.loads((folder / "architecture.json").read_text())
    assert description["classes"] == [str(digit) for digit in range(10)]
    assert description["origin"]["measurements"]["accuracy"] > 0


@pytest.mark.usefixtures("_proof_in_this_process")
def test_a_network_without_stored_weights_is_trained_again_with_the_same_result(ledger, tmp_path):
    number = off_front(ledger)
    lines = []
    export_trial(ledger, "taken", tmp_path / "net", str(number), notice=lines.append)
    accuracy = ledger.read(reads.trial, ledger.search().id, number).measurements["accuracy"]
    assert lines[0].startswith(f"picked trial {number} (accuracy ")
    assert f"trial {number}: its weights are not stored; training it again (1 epoch, seed 0)" in lines
    assert f"accuracy {accuracy:.4f}" in lines[2]


def test_a_network_whose_data_changed_is_not_trained_again(ledger, tmp_path, monkeypatch):
    dataset = data.load(Settings.from_dict(ledger.read(reads.trial, 1, 0).settings))
    monkeypatch.setattr(data, "load", lambda settings: replace(dataset, fingerprint="0123456789abcdef"))
    message = f"digits had fingerprint {dataset.fingerprint}, here it has 0123456789abcdef. Restore the data"
    with pytest.raises(LedgerError, match=message):
        export_trial(ledger, "taken", tmp_path / "net", str(off_front(ledger)))
    with pytest.raises(LedgerError, match=message):
        export_trial(ledger, "taken", tmp_path / "net", "best", data_dir=tmp_path)
    assert not (tmp_path / "net").exists()


def test_the_code_of_the_model_card_gives_the_accuracy_that_the_search_measured(best, ledger, monkeypatch):
    folder, _ = best
    monkeypatch.chdir(folder)
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    as_written = {}
    exec(code, as_written)
    assert as_written["logits"].shape == (1, 10)
    validation = data.load(SETTINGS).validation
    lines = ["pixels = given" if line.startswith("pixels = ") else line for line in code.splitlines()]
    of_validation = {"given": validation.images}
    exec("\n".join(lines), of_validation)
    accuracy = (of_validation["logits"].argmax(1).numpy() == validation.labels).mean()
    measured = json.loads((folder / "architecture.json").read_text())["origin"]["measurements"]["accuracy"]
    assert accuracy == pytest.approx(measured, abs=1e-9)


def test_best_is_the_most_accurate_and_the_knee_is_on_the_front(ledger):
    record = ledger.search()
    trials = ledger.read(reads.trials, record.id)
    assert pick_trial(ledger, record, "best").trial.measurements["accuracy"] == max(
        t.measurements["accuracy"] for t in trials
    )
    assert pick_trial(ledger, record, "knee").trial.weights is not None


def test_a_folder_with_files_is_not_changed(ledger, tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "mine.txt").write_text("mine")
    with pytest.raises(SettingsError, match="OUT must be a new or empty folder"):
        export_trial(ledger, "taken", tmp_path / "net", "best")
    assert [path.name for path in (tmp_path / "net").iterdir()] == ["mine.txt"]


def test_a_changed_file_raises_an_error(best, tmp_path):
    changed = shutil.copytree(best[0], tmp_path / "net")
    content = bytearray((changed / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (changed / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"model\.safetensors differs from its sha256"):
        load_exported(changed)
    with pytest.raises(UserError, match=r"lacks architecture\.json"):
        load_exported(tmp_path)


@pytest.mark.usefixtures("_proof_in_this_process")
def test_the_command_prints_the_proof(ledger, tmp_path, capsys):
    assert cli.run(["export", "taken", str(tmp_path / "net"), "--pick", "knee", "--db", str(ledger.url)]) == 0
    assert "largest difference of a logit 0, equal predictions 100 %" in capsys.readouterr().out


@pytest.mark.usefixtures("_proof_in_this_process")
def test_a_confirmed_network_has_its_own_measurements_and_the_means_over_fresh_seeds(ledger, tmp_path):
    record = ledger.search()
    best = pick_trial(ledger, record, "best").trial
    for seed, accuracy in ((1, 0.93), (2, 0.95)):
        fresh = {"accuracy": accuracy, "test_accuracy": accuracy - 0.1}
        ledger.write(writes.add_measurements, best.id, seed, {**best.measurements, **fresh})
    export_trial(ledger, "taken", tmp_path / "net", str(best.number))
    origin = json.loads((tmp_path / "net" / "architecture.json").read_text())["origin"]
    assert origin["measurements"] == best.measurements
    assert origin["confirmed"]["seeds"] == 2
    assert origin["confirmed"]["means"]["accuracy"] == pytest.approx(0.94)
    assert origin["confirmed"]["intervals_95"]["accuracy"][1] <= 1
    card = (tmp_path / "net" / "README.md").read_text()
    assert "Means over 2 fresh seeds of this design: accuracy 94.00 %, test accuracy 84.00 %" in card
