"""Loggers of `run` and `train`: TensorBoard in earnest, fakes of the clients of W&B and MLflow, own objects, failures.

The clients of W&B and MLflow are extras that CI does not install. docs/log.md says how the real ones were tried.
"""

import importlib.util
import sys
from types import SimpleNamespace

import pytest
from support.fakes import scored, tiny_space

from hybrid_search import cli
from hybrid_search.errors import PluginError, SettingsError, UnknownName
from hybrid_search.ledger import Ledger
from hybrid_search.loggers import LOGGERS, ChosenLoggers
from hybrid_search.loggers.tensorboard import TensorBoardLogger
from hybrid_search.records import Resources
from hybrid_search.runs.run import run
from hybrid_search.runs.train import train
from hybrid_search.testing import LoggerContract

needs_tensorboard = pytest.mark.skipif(
    not importlib.util.find_spec("tensorboard"),
    reason='TensorBoard is not installed: pip install "hybrid-search[tensorboard]"',
)
DATA = {"data": "digits", "train_images": 80, "validation_images": 40, "batch_size": 16}
DESIGN = "resnet-basic-4"


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db", notice=lambda line: None) as opened:
        yield opened


class Kept:
    """A logger that keeps what it is given."""

    def __init__(self):
        self.trials, self.epochs, self.closed = [], [], 0

    def trial(self, fields):
        self.trials.append(dict(fields))

    def epoch(self, epoch, measurements):
        self.epochs.append((epoch, dict(measurements)))

    def close(self):
        self.closed += 1


def searched(ledger, loggers, trials=3, **more):
    said = []
    options = {"resources": Resources("local"), "notice": said.append, "known_designs": False, "evaluate": scored()}
    search = run(tiny_space(), trials=trials, ledger=ledger, loggers=loggers, **{**options, **more})
    return search, said


def trained(ledger, loggers, folder, epochs=2, **more):
    said = []
    options = {"settings": DATA, "epochs": epochs, "ledger": ledger, "log_dir": folder, "notice": said.append}
    return train(DESIGN, loggers=loggers, **{**options, **more}), said


def scalars_of(folder):
    """Return tag -> step -> value of all event files in a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: {each.step: each.value for each in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_an_object_gets_each_trial_that_ends_with_its_fields(ledger):
    kept = Kept()
    search, _ = searched(ledger, [kept])
    trials = {record.number: record for record in search.trials()}
    assert [fields["number"] for fields in kept.trials] == [0, 1, 2]
    for fields in kept.trials:
        record = trials[fields["number"]]
        assert (fields["digest"], fields["state"], fields["failure"]) == (record.digest, "complete", None)
        assert fields["accuracy"] == record.measurements["accuracy"]
        assert fields["flops"] > 0
        assert fields["seconds"] >= 0
    assert kept.closed == 1


def test_a_failed_trial_is_shown_with_its_kind_and_its_cost(ledger):
    def evaluate(architecture, settings):
        yield {"accuracy": 0.5}
        if not kept.trials:
            raise RuntimeError("broken")

    kept = Kept()
    searched(ledger, [kept], trials=2, evaluate=evaluate)
    assert [(fields["state"], fields["failure"]) for fields in kept.trials] == [("failed", "bug"), ("complete", None)]
    assert kept.trials[0]["flops"] > 0


def test_an_object_gets_each_epoch_of_a_training_once(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("hybrid_search.runs.training_run.CHECKPOINT_SECONDS", 0.0)

    def stop(context):
        count = iter(range(7))
        context.stop.is_set = lambda: next(count, None) is None

    kept, later = Kept(), Kept()
    assert trained(ledger, [kept], tmp_path / "logs", watch=stop)[0].record is None
    done, _ = trained(ledger, [later], tmp_path / "logs")
    assert [epoch for epoch, _ in kept.epochs + later.epochs] == [1, 2]
    assert later.epochs[-1][1]["test_accuracy"] == done.record.measurements["test_accuracy"]


@needs_tensorboard
def test_tensorboard_has_the_trials_of_a_search_and_the_epochs_of_a_training(ledger, tmp_path):
    search, _ = searched(ledger, [f"tensorboard:{tmp_path}/tb"], trials=2)
    searched(ledger, [f"tensorboard:{tmp_path}/tb"], trials=1)  # one more
    scalars = scalars_of(tmp_path / "tb" / search.record.name)
    numbers = {record.number: record.measurements["accuracy"] for record in search.trials()}
    assert scalars["trial/accuracy"] == pytest.approx(numbers)
    assert scalars["trial/flops"].keys() == {0, 1, 2}
    done, _ = trained(ledger, ["tensorboard"], tmp_path / "logs")
    (folder,) = (path for path in (tmp_path / "logs").iterdir() if path.is_dir())
    curve = {row["epoch"]: row["train_loss"] for row in done.record.curve}
    assert scalars_of(folder)["train_loss"] == pytest.approx(curve)


@needs_tensorboard
class TestTensorBoard(LoggerContract):
    def new_logger(self, tmp_path, run):
        return TensorBoardLogger(str(tmp_path / "tb"), run)


@needs_tensorboard
def test_the_option_log_of_both_commands_and_the_old_option(tmp_path, capsys):
    db = ["--db", f"sqlite:///{tmp_path}/l.db", "--set", "train_images=80", "--set", "validation_images=40", "--quiet"]
    log = ["--log", f"tensorboard:{tmp_path}/tb"]
    assert cli.run(["run", "digits", "--trials", "1", "--epochs", "1", "--engine", "local", *log, *db]) == 0
    assert scalars_of(tmp_path / "tb" / "digits")["trial/accuracy"].keys() == {0}
    for option in (["--tensorboard"], log):
        assert cli.run(["train", "digits", "--pick", "0", "--epochs", str(len(option)), *option, *db]) == 0
    assert len(list(tmp_path.rglob("events.out.tfevents.*"))) == 3
    assert cli.run(["train", "--help"]) == 0
    assert "--tensorboard" not in capsys.readouterr().out  # one way is shown


def test_a_logger_that_fails_is_switched_off_and_the_search_continues(ledger):
    class Broken(Kept):
        def trial(self, fields):
            super().trial(fields)
            raise ConnectionError("the server is gone\nsecond line")

    broken, kept = Broken(), Kept()
    search, said = searched(ledger, [broken, kept])
    assert search.progress().counts["complete"] == 3
    assert (len(broken.trials), len(kept.trials)) == (1, 3)
    assert [line for line in said if "logger" in line] == [
        "logger Broken is switched off: ConnectionError: the server is gone. All results are in the ledger; the run "
        "continues"
    ]


def fake_wandb(runs, fail=False):
    """Return a module with what the logger uses of the client, which keeps its runs."""

    def init(**options):
        if fail:
            raise RuntimeError("no API key configured")
        logged = []
        runs.append((options, logged))
        return SimpleNamespace(
            define_metric=lambda name, step_metric=None: None, log=logged.append, finish=lambda: logged.append("end")
        )

    return SimpleNamespace(init=init, Settings=lambda **options: options)


def test_wandb_gets_one_run_for_a_search_that_continues_and_one_for_a_training(ledger, tmp_path, monkeypatch):
    runs = []
    monkeypatch.setitem(sys.modules, "wandb", fake_wandb(runs))
    search, _ = searched(ledger, ["wandb:team/attention"], trials=2)
    searched(ledger, ["wandb:team/attention"], trials=1)
    done, _ = trained(ledger, ["wandb"], tmp_path / "logs")
    (first, logged), (second, more), (training, epochs) = runs
    assert (first["entity"], first["project"], first["job_type"]) == ("team", "attention", "search")
    assert first["id"] == second["id"] == search.record.uid
    assert first["resume"] == "allow"
    assert first["config"]["sampler"] == "known-cost"
    assert [each if each == "end" else each["number"] for each in logged + more] == [0, 1, "end", 2, "end"]
    assert "failure" not in logged[0]
    assert (training["entity"], training["project"], training["id"]) == (None, "hybrid-search", done.record.uid)
    assert [each if each == "end" else each["epoch"] for each in epochs] == [1, 2, "end"]


def test_a_client_that_cannot_start_is_one_line_and_the_new_search_is_removed(ledger, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", fake_wandb([], fail=True))
    with pytest.raises(SettingsError, match=r"logger wandb \(--log\) must be able to start; .*no API key configured\."):
        searched(ledger, ["wandb"])
    assert ledger.searches() == []


class FakeMlflow:
    """What the logger uses of `MlflowClient`; runs are kept by id for all clients."""

    runs: dict

    def __init__(self, uri):
        self.uri = uri

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id="7") if self.runs else None

    def create_experiment(self, name):
        return "7"

    def search_runs(self, experiments, query, max_results):
        found = [run for run, kept in self.runs.items() if f"'{kept['tags'].get('hybrid_search.uid')}'" in query]
        return [SimpleNamespace(info=SimpleNamespace(run_id=run)) for run in found]

    def create_run(self, experiment, tags, run_name):
        run = f"run {len(self.runs)}"
        self.runs[run] = {"tags": tags, "params": {}, "metrics": [], "state": "RUNNING"}
        return SimpleNamespace(info=SimpleNamespace(run_id=run))

    def update_run(self, run, status):
        self.runs[run]["state"] = status

    def log_batch(self, run, metrics=(), params=()):
        self.runs[run]["metrics"] += metrics
        self.runs[run]["params"] |= dict(params)

    def set_terminated(self, run, status="FINISHED"):
        self.runs[run]["state"] = status


@pytest.fixture
def mlflow(monkeypatch):
    """Replace the client of MLflow; return its runs."""
    monkeypatch.setattr(FakeMlflow, "runs", {}, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    entities = SimpleNamespace(Metric=lambda *parts: parts, Param=lambda name, value: (name, value))
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=FakeMlflow))
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return FakeMlflow.runs


def test_mlflow_gets_a_run_for_each_trial_below_that_of_the_search(ledger, tmp_path, mlflow):
    search, _ = searched(ledger, ["mlflow:sqlite:///m.db"], trials=2)
    searched(ledger, ["mlflow:sqlite:///m.db"], trials=1)
    first, *trials = mlflow.values()
    assert first["tags"]["hybrid_search.uid"] == search.record.uid
    assert first["params"]["sampler"] == "known-cost"
    assert [run["tags"]["mlflow.runName"] for run in trials] == ["trial 0", "trial 1", "trial 2"]
    assert {run["tags"]["mlflow.parentRunId"] for run in trials} == {"run 0"}
    assert trials[0]["params"]["digest"] == search.trials()[0].digest
    numbers = {name: value for name, value, *_ in trials[0]["metrics"]}
    assert numbers["accuracy"] == search.trials()[0].measurements["accuracy"]
    assert {run["state"] for run in mlflow.values()} == {"FINISHED"}
    trained(ledger, ["mlflow"], tmp_path / "logs")
    training = list(mlflow.values())[-1]
    assert [step for name, _, _, step in training["metrics"] if name == "train_loss"] == [1, 2]


def test_mlflow_needs_a_server_that_answers_and_no_password_in_its_address(mlflow):
    with pytest.raises(SettingsError, match=r"must have a server that answers; 127\.0\.0\.1 does not: .*refused"):
        ChosenLoggers.of(["mlflow:http://127.0.0.1:1"])
    with pytest.raises(SettingsError, match=r"without a user or password \(not shown\)") as raised:
        ChosenLoggers.of(["mlflow:https://me:geheim@host"])
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_package_that_is_not_installed_is_one_line_and_nothing_is_written(name, tmp_path, monkeypatch, capsys):
    module = {"tensorboard": "torch.utils.tensorboard"}.get(name, name)
    monkeypatch.setitem(sys.modules, module, None)
    before = sorted(tmp_path.rglob("*"))
    for command in (["run", "digits"], ["train", DESIGN, "--data", "digits"]):
        assert cli.run([*command, "--log", name, "--db", f"sqlite:///{tmp_path}/l.db"]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert f"logger {name} (--log) needs" in said[-1]
        assert f"pip install 'hybrid-search[{name}]'" in said[-1]
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (["tensorbord"], UnknownName, "logger must be one of tensorboard, wandb, mlflow; got 'tensorbord'"),
        (["tensorboard", "tensorboard:"], SettingsError, "must be given once each; got tensorboard: twice"),
        ("tensorboard", SettingsError, r"loggers must be a list; got 'tensorboard'. Use loggers=\['tensorboard'\]"),
        ([Kept], SettingsError, r"must be names \(tensorboard, wandb, mlflow\) or objects with trial, epoch, close"),
        ([3], SettingsError, "or objects with trial, epoch, close; got 3"),
    ],
)
def test_wrong_loggers_are_refused(given, error, message, monkeypatch):
    monkeypatch.setattr(TensorBoardLogger, "check", staticmethod(lambda place: None))
    with pytest.raises(error, match=message):
        ChosenLoggers.of(given)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    if importlib.util.find_spec("tensorboard"):
        with pytest.raises(SettingsError, match=r"logger tensorboard \(--log\) must write to a folder; .* is a file"):
            ChosenLoggers.of([f"tensorboard:{tmp_path}/file"])


def test_a_plugin_that_is_no_logger_is_refused():
    with pytest.raises(PluginError, match="a logger must be a class with check, trial, epoch, close; mine lacks check"):
        LOGGERS._check("mine", Kept)
