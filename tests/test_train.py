"""`train`: a design of a search trained in full, kept beside the search, stopped, continued and exported."""

import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load
from support.fakes import scored, tiny_space

from hybrid_search import cli
from hybrid_search.analysis.status import status_of
from hybrid_search.charts import draw_chart
from hybrid_search.cli.training_table import training_lines, training_rows
from hybrid_search.data.all_images import AllImages
from hybrid_search.errors import NotFinite, SettingsError, UnknownName
from hybrid_search.export import export_training, load_exported
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.check import check_ledger
from hybrid_search.ledger.copy import copy_search
from hybrid_search.ledger.trainings import add_training, training, trainings
from hybrid_search.ledger.weights import TRAININGS, WeightsFolder
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.run import run
from hybrid_search.runs.stored_searches import delete
from hybrid_search.runs.train import train

SETTINGS = Settings(epochs=1, train_images=80, validation_images=40, batch_size=16, threads=1)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Return the URL of a database with a search of two trials that trains."""
    url = f"sqlite:///{tmp_path_factory.mktemp('searched')}/l.db"
    with Ledger(url, notice=lambda line: None) as ledger:
        run(
            tiny_space(), trials=2, settings=SETTINGS, resources=Resources("local"), ledger=ledger, name="tiny",
            notice=lambda line: None, known_designs=False,
        )  # fmt: skip
    return url


@pytest.fixture
def ledger(searched, tmp_path):
    """Return a copy of the searched database that a test can write."""
    with Ledger(searched) as source, Ledger(f"sqlite:///{tmp_path}/l.db") as target:
        copy_search(source, target, "tiny", None, lambda *_: 0)
        yield target


def quiet(ledger, **changes):
    """Train trial 0 for 3 epochs; return the training and the notices."""
    said = []
    return train("tiny", **{"pick": "0", "epochs": 3, "ledger": ledger, "notice": said.append, **changes}), said


def stop_after(steps):
    """Return what `watch` needs to stop a training after so many steps."""

    def watch(context):
        count = iter(range(steps))
        context.stop.is_set = lambda: next(count, None) is None

    return watch


def weights_of(ledger, record):
    return load(WeightsFolder(ledger.url, TRAININGS).read(record.uid, record.weights))


def test_a_training_is_kept_with_settings_curve_facts_and_weights(ledger):
    done, _ = quiet(ledger)
    record = done.record
    assert ledger.read(trainings, ledger.search("tiny").id) == [record]
    assert (record.number, record.design, record.trial, record.recipe, record.seed) == (1, "trial 0", 0, "search", 0)
    assert [each["epoch"] for each in record.curve] == [1, 2, 3]
    assert {"accuracy", "test_accuracy", "images_per_second", "learning_rate"} <= record.measurements.keys()
    assert record.facts["test_images"] == "359"
    assert weights_of(ledger, record)
    assert all(not each.violations for each in check_ledger(ledger))
    assert status_of(ledger, ledger.search("tiny")).trainings == (record,)


def test_the_rules_of_the_recipe_fill_warm_up_again_for_the_new_epochs(ledger):
    done, _ = quiet(ledger, epochs=10, settings={"batch_size": 64}, pick="1")
    settings = done.record.settings
    assert settings["warmup_epochs"] == 2.0
    assert settings["learning_rate"] == 0.04
    assert ledger.search("tiny").settings.warmup_epochs == 0.2


def test_the_front_lists_a_training_in_json_and_csv_and_the_page_draws_its_curve(ledger, capsys):
    done, _ = quiet(ledger)
    url = f"sqlite:///{ledger.url.database}"
    assert cli.run(["front", "tiny", "--db", url, "--format", "json"]) == 0
    row = json.loads(capsys.readouterr().out)[-1]
    assert (row["kind"], row["name"], row["trial"]) == ("training", "training 1", 0)
    assert row["accuracy"] == done.record.measurements["accuracy"]
    assert row["test_accuracy"] == done.record.measurements["test_accuracy"]
    assert row["digest"] == ledger.read(reads.trial, ledger.search("tiny").id, 0).digest
    assert cli.run(["front", "tiny", "--db", url, "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("training,training 1,0,")
    figure = draw_chart("trainings", ledger, ledger.search("tiny"))
    (line,) = figure.data
    assert list(line.x) == [1, 2, 3]
    assert list(line.y) == [each["accuracy"] for each in done.record.curve]
    assert line.name == f"training 1: trial 0, test {100 * row['test_accuracy']:.2f} %"
    assert figure.layout.xaxis.title.text == "epoch"
    for _ in range(7):
        ledger.write(add_training, done.record)
    figure = draw_chart("trainings", ledger, ledger.search("tiny"))
    assert len(figure.data) == 6
    assert figure.layout.xaxis.title.text == "epoch; 2 older trainings are not drawn"


def test_a_training_says_which_trial_was_picked_and_why(ledger):
    _, said = quiet(ledger, pick="knee")
    picked = [line for line in said if line.startswith("picked trial ")]
    assert len(picked) == 1
    assert "the front has no knee" in picked[0] or "the knee" in picked[0]


def test_the_test_split_is_used_once_and_its_use_is_written(ledger):
    quiet(ledger)
    uses = ledger.read(reads.openings, ledger.search("tiny").id)
    assert [(each.images, each.reason) for each in uses] == [(359, "scoring a fully trained network: trial 0")]


def test_a_complete_training_is_not_trained_again(ledger):
    first, _ = quiet(ledger)
    again, _ = quiet(ledger)
    assert again.was_complete
    assert again.record == first.record
    assert not quiet(ledger, seed=1)[0].was_complete


def test_a_stopped_training_continues_to_the_same_weights_bit_for_bit(ledger, monkeypatch):
    monkeypatch.setattr("hybrid_search.runs.training_run.CHECKPOINT_SECONDS", 0.0)
    whole, _ = quiet(ledger)
    with Ledger(f"sqlite:///{ledger.url.database}.2") as other:
        copy_search(ledger, other, "tiny", None, lambda *_: 0)
        with other.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM training")
        stopped, _ = quiet(other, watch=stop_after(12))  # in the third epoch of 5 steps
        assert stopped.record is None
        assert other.read(trainings, other.search("tiny").id) == []
        resumed, _ = quiet(other)
        assert resumed.record.facts["resumed"] == "rung 2"
        assert [row["epoch"] for row in resumed.record.curve] == [1, 2, 3]
        assert [row["loss"] for row in resumed.record.curve] == [row["loss"] for row in whole.record.curve]
        one, two = weights_of(ledger, whole.record), weights_of(other, resumed.record)
        assert all(np.array_equal(one[name], two[name]) for name in one)


def test_an_unfinished_training_with_another_recipe_is_refused_unless_restarted(ledger, monkeypatch):
    monkeypatch.setattr("hybrid_search.runs.training_run.CHECKPOINT_SECONDS", 0.0)
    quiet(ledger, watch=stop_after(12))
    with pytest.raises(SettingsError, match=r"must be continued with its own recipe.*trial 0 with seed 0.*--restart"):
        quiet(ledger, recipe="classic")
    done, _ = quiet(ledger, recipe="classic", restart=True)
    assert "resumed" not in done.record.facts
    assert done.record.settings["optimizer"] == "adamw"


@pytest.mark.usefixtures("_proof_in_this_process")
def test_data_all_measures_nothing_on_the_validation_images_and_says_what_it_trained_on(ledger, tmp_path, monkeypatch):
    from hybrid_search.training import full_training, loop

    scored_splits = []

    def counting(model, split, *more):
        scored_splits.append(len(split))
        return score(model, split, *more)

    score = loop.score
    for module in (loop, full_training):
        monkeypatch.setattr(module, "score", counting)
    done, said = quiet(ledger, data_all=True)
    record = done.record
    assert scored_splits == [359]  # the test split only
    validated = {"accuracy", "balanced_accuracy", "macro_f1", "loss"}
    assert not validated & {name for row in [record.measurements, *record.curve] for name in row}
    assert "test_accuracy" in record.measurements
    assert "trained on 80 training and 40 validation images; no validation accuracy is measured" in " ".join(said)
    assert any("--set validation_images=all takes all" in line for line in said)
    assert record.options == {"data_all": True}
    assert {name: record.facts.get(name) for name in ("trained_on", "train_images", "validation_images")} == {
        "trained_on": "train and validation", "train_images": "80", "validation_images": "40",
    }  # fmt: skip
    assert "validation_classes" not in record.facts
    (line,) = training_lines([record])
    assert "trained on train and validation: test accuracy" in line
    assert training_rows([record])[0]["trained_on"] == "train and validation"
    draw_chart("trainings", ledger, ledger.search("tiny"))
    export_training(ledger, record.number, tmp_path / "out")
    assert "an accuracy on them is one on training images" in (tmp_path / "out" / "README.md").read_text()


def test_data_all_leaves_copies_of_test_images_out_if_duplicates_are_dropped(tmp_path):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (20, 8, 8), dtype=np.uint8) for name in ("train", "val", "test")}
    images["val"][:3] = images["test"][:3]
    parts = {f"x_{name}": value for name, value in images.items()}
    np.savez(tmp_path / "a.npz", **parts, **{f"y_{name}": np.arange(20) % 2 for name in images})
    settings = Settings(data="npz", data_dir=str(tmp_path / "a.npz"))
    kept = AllImages.of(settings)
    assert (kept.train, kept.validation, kept.left_out, kept.in_test, len(kept.dataset.train)) == (20, 20, 0, 3, 40)
    assert "3 validation images with the content of test images are trained on" in kept.lines[1]
    dropped = AllImages.of(settings.with_(drop_duplicates=True))
    assert (dropped.train, dropped.validation, dropped.left_out, dropped.in_test) == (20, 17, 3, 0)
    assert np.array_equal(dropped.dataset.train.images[20:, 0], images["val"][3:])
    assert "left 3 validation images out" in dropped.lines[1]
    assert dropped.facts["validation_images_left_out"] == "3"


def test_other_images_than_those_of_the_search_are_said(ledger):
    done, said = quiet(ledger, settings={"train_images": 120})
    assert any("other images than those of the search: train_images 120 (search: 80)" in line for line in said)
    assert done.record.settings["train_images"] == 120


def test_a_loss_that_is_not_finite_keeps_the_checkpoint_and_names_the_value_to_lower(ledger, monkeypatch):
    monkeypatch.setattr("hybrid_search.runs.training_run.CHECKPOINT_SECONDS", 0.0)
    from hybrid_search.training.loop import Trainer

    step = Trainer._step

    def broken(self, x, y, number, *more):
        return step(self, x * float("nan") if number == 7 else x, y, number, *more)

    monkeypatch.setattr(Trainer, "_step", broken)
    message = r"step 8 of 15 gave nan.*learning_rate below 0.02.*checkpoint of epoch 1 is kept in .*--restart"
    with pytest.raises(NotFinite, match=message):
        quiet(ledger)
    failed = ledger.read(training, 1)
    assert (failed.failure_kind, failed.measurements, len(failed.curve)) == ("nan", {}, 1)
    monkeypatch.setattr(Trainer, "_step", step)
    assert quiet(ledger)[0].record.facts["resumed"] == "rung 1"


def test_each_epoch_is_a_line_of_a_csv_file(ledger, tmp_path):
    done, _ = quiet(ledger, log_dir=tmp_path / "logs")
    (file,) = (tmp_path / "logs").iterdir()
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert float(rows[-1]["accuracy"]) == done.record.measurements["accuracy"]


def test_a_recipe_file_changes_settings_and_an_unknown_key_names_the_nearest(ledger, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: classic\nlabel_smoothing: 0.2\nepochs: 2\n")
    done, _ = quiet(ledger, recipe=str(file), epochs=None)
    settings = done.record.settings
    assert (settings["optimizer"], settings["label_smoothing"], settings["epochs"]) == ("adamw", 0.2, 2)
    file.write_text("learning_rat: 0.1\n")
    with pytest.raises(SettingsError, match=r"mine.yaml has 'learning_rat'.* Did you mean 'learning_rate'\?"):
        quiet(ledger, recipe=str(file))
    file.write_text("label_smoothing: 3\n")
    with pytest.raises(SettingsError, match=r"mine.yaml: label_smoothing must be a number from 0 to 1"):
        quiet(ledger, recipe=str(file))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pick": "7"}, UnknownName, "trial must be a number from 0 to 1; got 7"),
        ({"pick": "flops<=1"}, SettingsError, "no completed trial of 'tiny' has flops"),
        ({"recipe": "modrn"}, UnknownName, "recipe must be one of search, .* Did you mean 'modern'"),
        ({"settings": {"learning_rat": 1}}, SettingsError, "Did you mean 'learning_rate'"),
        ({"settings": {"device": "cuda:7"}}, SettingsError, "device must be one that torch sees here"),
        ({"settings": {"data": "fashion-mnist"}}, SettingsError, r"train tiny/NUMBER --data fashion-mnist"),
        ({"settings": {"epochs": 4}}, SettingsError, "epochs must be given once"),
        ({"data_dir": ""}, SettingsError, "--data-dir"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(ledger, changes, error, message, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=message):
        quiet(ledger, **changes)
    assert sorted(tmp_path.rglob("*")) == before
    assert ledger.read(trainings, ledger.search("tiny").id) == []


def test_a_search_of_an_own_evaluation_does_not_say_how_to_train(ledger):
    run(tiny_space(), trials=1, ledger=ledger, name="own", resources=Resources("local"), evaluate=scored())
    with pytest.raises(SettingsError, match=r"only a search of trained networks .* train own/NUMBER --data NAME"):
        train("own", pick="0", ledger=ledger)


@pytest.mark.usefixtures("_proof_in_this_process")
def test_a_training_is_exported_by_its_number(ledger, tmp_path):
    done, _ = quiet(ledger)
    (proof,) = export_training(ledger, done.record.number, tmp_path / "out")
    assert proof.holds
    assert load_exported(tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Trial 0 of search 'tiny', trained in full with recipe search, seed 0" in card
    assert "test accuracy" in card


def test_the_weights_of_a_failed_or_unknown_training_are_not_exported(ledger, tmp_path):
    with pytest.raises(UnknownName, match="a training must be one of this database, which has none; got 3"):
        export_training(ledger, 3, tmp_path / "out")
    done, _ = quiet(ledger)
    number = ledger.write(add_training, done.record._replace(measurements={}, failure_kind="nan", failure_text="x"))
    with pytest.raises(SettingsError, match="training 2 failed"):
        export_training(ledger, number, tmp_path / "out")
    WeightsFolder(ledger.url, TRAININGS).remove(done.record.uid)
    with pytest.raises(SettingsError, match="those of training 1 are missing or damaged"):
        export_training(ledger, 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_search_is_deleted_with_its_trainings(ledger):
    done, _ = quiet(ledger)
    file = WeightsFolder(ledger.url, TRAININGS).file(done.record.uid)
    assert file.exists()
    assert delete(ledger, ledger.search("tiny")).weights == 1
    assert not file.exists()
    with pytest.raises(UnknownName):
        ledger.read(training, 1)


@pytest.mark.usefixtures("_proof_in_this_process")
def test_the_command_prints_a_table_and_the_commands_show_it(ledger, capsys, tmp_path):
    db = ["--db", ledger.command_url]
    assert cli.run(["train", "tiny", "--pick", "0", "--epochs", "2", "--format", "json", *db]) == 0
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)
    assert (row["training"], row["epochs"], row["trial"]) == (1, 2, 0)
    assert "epoch 1 of 2: loss" in captured.err
    assert "images/s" in captured.err
    assert "was used once" in captured.err
    assert cli.run(["train", "tiny", "--pick", "0", "--epochs", "2", *db]) == 0
    assert "training 1 is complete already" in capsys.readouterr().err
    assert cli.run(["front", "tiny", *db]) == 0
    assert "training 1: trial 0, 2 epochs, recipe search, seed 0: validation accuracy" in capsys.readouterr().err
    assert cli.run(["status", "tiny", *db]) == 0
    assert "training 1: trial 0, 2 epochs" in capsys.readouterr().out
    assert cli.run(["export", "tiny", str(tmp_path / "out"), "--pick", "training", *db]) == 0
    assert cli.run(["export", "tiny", str(tmp_path / "out2"), "--training", "1", *db]) == 2
    assert cli.run(["train", "tiny", "--pick", "9", *db]) == 2


@pytest.mark.slow
def test_ctrl_c_stops_between_two_steps_and_the_same_command_continues(ledger, tmp_path):
    program = "from hybrid_search.cli import main; main()"
    options = ["--pick", "0", "--epochs", "100000", "--log-dir", str(tmp_path / "logs"), "--db", ledger.command_url]
    command = [sys.executable, "-c", program, "train", "tiny", *options]

    def stopped_after(epochs):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            said = []
            for line in process.stderr:
                said.append(line)
                if line.startswith("epoch ") and int(line.split()[1]) >= epochs:
                    process.send_signal(signal.SIGINT)
                    break
            said.append(process.stderr.read())
        return process.returncode, "".join(said)

    code, said = stopped_after(20)
    assert code == 130, said
    assert "stopping after this step" in said
    code, said = stopped_after(40)
    assert code == 130, said
    assert "continuing after epoch" in said
    assert ledger.read(trainings, ledger.search("tiny").id) == []
