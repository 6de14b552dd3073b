"""An interrupted trial resumes from its checkpoint: it trains the remaining epochs and has the same numbers."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch
from support.fakes import tiny_space, wide_space
from support.killing import json_output_of

from hybrid_search import cli
from hybrid_search.engines import ENGINES
from hybrid_search.engines.worker import TrialRunner, takes_checkpoints
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import Report, Resources, Settings
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS, checkpoint_root
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.training.checkpoints import SearchCheckpoints
from hybrid_search.training.evaluation import evaluate
from hybrid_search.training.retraining import retrain

SETTINGS = Settings(image_size=8, train_images=64, validation_images=30, epochs=3, augment="shift", device="cpu")
KEY = "ab" * 16
CLOCKS = ("train_seconds", "latency_ms")


def architecture(operator="conv"):
    options = {"extent": 3, "heads": 2} if operator == "local_attention" else {}
    stage = {"operator": operator, "depth": 1, "width": 8, "stride": 2, **options}
    return Architecture.from_dict({"stem": {"kind": "conv3x3", "width": 8}, "stages": [stage], "expansion": 2})


@pytest.fixture
def keep(tmp_path):
    """Return a function that gives the checkpoints of a trial, written after every rung."""
    (tmp_path / "kept").mkdir()

    def checkpoints_of(design, settings=SETTINGS, number=0, interval=0.0):
        return SearchCheckpoints(str(tmp_path / "kept"), KEY, interval).of(number, design, settings)

    return checkpoints_of


def reports_of(runner, most=99):
    """Return the reports of a trial to its end, `most` of them at most."""
    reports = []
    while len(reports) < most and not (reports and reports[-1].last):
        reports.append(runner.advance())
    return reports


def numbers(report):
    return report.rung, {name: value for name, value in report.measurements.items() if name not in CLOCKS}


@pytest.mark.parametrize("optimizer", ["adamw", "nesterov"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("operator", ["conv", "local_attention"])
def test_a_resumed_trial_has_the_weights_and_numbers_of_an_uninterrupted_one(keep, operator, ema, optimizer):
    design, settings = architecture(operator), SETTINGS.with_(ema=ema, optimizer=optimizer)
    whole = reports_of(TrialRunner(evaluate, design, settings))
    reports_of(TrialRunner(evaluate, design, settings, keep(design, settings)), most=1 + (ema > 0))
    again = reports_of(TrialRunner(evaluate, design, settings, keep(design, settings)))
    assert [numbers(report) for report in again] == [numbers(report) for report in whole]
    assert again[-1].weights == whole[-1].weights
    assert again[-1].weights is not None
    assert {report.facts["resumed"] for report in again} == {f"rung {1 + (ema > 0)}"}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_resumes_too(keep, precision):
    design, settings = architecture(), SETTINGS.with_(precision=precision)
    whole = reports_of(TrialRunner(evaluate, design, settings))
    reports_of(TrialRunner(evaluate, design, settings, keep(design, settings)), most=2)
    again = reports_of(TrialRunner(evaluate, design, settings, keep(design, settings)))
    assert [numbers(report) for report in again] == [numbers(report) for report in whole]
    assert again[-1].weights == whole[-1].weights


def test_a_resumed_retraining_has_the_test_accuracy_of_an_uninterrupted_one(keep):
    design = architecture("local_attention")
    whole = reports_of(TrialRunner(retrain, design, SETTINGS))
    reports_of(TrialRunner(retrain, design, SETTINGS, keep(design)), most=2)
    again = reports_of(TrialRunner(retrain, design, SETTINGS, keep(design)))
    assert [numbers(report) for report in again] == [numbers(report) for report in whole]
    assert "test_accuracy" in again[-1].measurements
    assert again[0].facts["resumed"] == "rung 2"


def counting(log, rungs=6):
    """Return an evaluation that can resume, logs every epoch, and whose early values predict the final one."""

    def evaluate(architecture, settings, *, resume=None, keep=None):
        score = 0.5 + 0.45 * int(architecture.digest[:4], 16) / 65536 + settings.seed / 1000
        begun = 0 if resume is None else int(resume["rung"])
        for rung in range(begun + 1, rungs + 1):
            log.append((architecture.digest, settings.seed, rung))
            reached = score * (1.0 - 0.5**rung)
            if keep is not None:
                keep(rung, lambda rung=rung: {"rung": torch.tensor(rung)})
            yield {"accuracy": reached, "train_loss": 2.0 - reached}

    return evaluate


def test_short_rungs_write_no_checkpoint(keep):
    design, log = architecture(), []
    reports_of(TrialRunner(counting(log), design, SETTINGS, keep(design, interval=60.0)), most=4)
    assert keep(design).latest().checkpoint is None
    reports_of(TrialRunner(counting(log), design, SETTINGS, keep(design)), most=4)
    assert keep(design).latest().checkpoint.rung == 4


def test_the_last_rung_writes_no_checkpoint(keep):
    design = architecture()
    reports_of(TrialRunner(evaluate, design, SETTINGS, keep(design)))
    assert keep(design).latest().checkpoint.rung == SETTINGS.epochs - 1


def test_a_trial_cut_off_after_its_last_rung_ends_at_once(keep):
    design, log = architecture(), []
    cut = reports_of(TrialRunner(counting(log), design, SETTINGS, keep(design)), most=6)
    again = reports_of(TrialRunner(counting(log), design, SETTINGS, keep(design)))
    assert len(log) == 6
    assert [numbers(report) for report in again[:-1]] == [numbers(report) for report in cut]
    assert again[-1] == replace(again[-2], last=True)
    assert numbers(again[-1]) == numbers(cut[-1])


def test_an_evaluation_without_the_keyword_arguments_starts_again(keep):
    def plain(architecture, settings, resume=None):
        yield {"accuracy": 0.1}
        yield {"accuracy": 0.2}

    design = architecture()
    for _ in range(2):
        reports = reports_of(TrialRunner(plain, design, SETTINGS, keep(design)), most=2)
        assert [report.rung for report in reports] == [1, 2]
        assert "resumed" not in reports[0].facts
    evaluations = [plain, counting([]), partial(counting([])), evaluate, retrain, print, 3]
    assert [takes_checkpoints(one) for one in evaluations] == [False, True, True, True, True, False, False]


def test_a_state_that_does_not_fit_the_network_is_ignored_and_the_trial_starts_again(keep):
    def of_width(width):
        def evaluate(architecture, settings, *, resume=None, keep=None):
            model = torch.nn.Linear(2, width)
            if resume is not None:
                model.load_state_dict(resume)
            for rung in range(1, 4):
                keep(rung, model.state_dict)
                yield {"accuracy": rung / 10}

        return evaluate

    design = architecture()
    reports_of(TrialRunner(of_width(3), design, SETTINGS, keep(design)), most=2)
    again = reports_of(TrialRunner(of_width(4), design, SETTINGS, keep(design)))
    assert [report.rung for report in again] == [1, 2, 3, 3]
    assert [report.failure for report in again] == [None] * 4
    assert "size mismatch" in again[0].facts["checkpoint"] or "Error(s) in loading" in again[0].facts["checkpoint"]
    assert "resumed" not in again[0].facts


def test_a_checkpoint_of_other_data_is_refused_and_not_replaced(keep, tmp_path):
    import numpy as np

    def write(seed):
        rng = np.random.default_rng(seed)
        np.savez(
            tmp_path / "x.npz", x_train=rng.integers(0, 256, (60, 1, 8, 9), dtype=np.uint8), y_train=np.arange(60) % 2
        )

    def reports(most=99):
        from hybrid_search import data

        data.clear_cache()
        return reports_of(TrialRunner(evaluate, design, settings, keep(design, settings)), most)

    design = architecture()
    settings = Settings(data="npz", data_dir=str(tmp_path / "x.npz"), epochs=3, device="cpu")
    write(0)
    was = reports(most=2)[0].facts["fingerprint"]
    write(1)
    again = reports()
    assert [report.rung for report in again] == [1, 2, 3]
    assert "resumed" not in again[0].facts
    now = again[0].facts["fingerprint"]
    assert now != was
    write(0)  # the first data again: their checkpoint is still there
    back = reports()
    assert (back[0].facts["resumed"], back[0].facts["fingerprint"]) == ("rung 2", was)
    assert again[0].facts["checkpoint"] == (
        f"a checkpoint must be resumed with the data that it was trained on; it has {was}, "
        f"npz here has fingerprint {now}."
    )


def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(keep, tmp_path):
    design, log = architecture(), []
    cut = reports_of(TrialRunner(counting(log), design, SETTINGS, keep(design)), most=3)
    newest = tmp_path / "kept" / keep(design).folder / "000003.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    again = reports_of(TrialRunner(counting(log), design, SETTINGS, keep(design)))
    assert [numbers(report) for report in again[:3]] == [numbers(report) for report in cut]
    assert again[0].facts["resumed"] == "rung 2"
    assert "000003.safetensors does not" in again[0].facts["checkpoint"]
    assert sorted(path.name for path in newest.parent.glob("*.safetensors")) == [
        f"00000{n}.safetensors" for n in (5, 6)
    ]
    assert [rung for _, _, rung in log] == [1, 2, 3, 3, 4, 5, 6]


def test_the_checkpoint_of_the_resumed_trial_outlives_a_damaged_one(keep, tmp_path):
    design = architecture()
    reports_of(TrialRunner(counting([]), design, SETTINGS, keep(design)), most=3)
    where = tmp_path / "kept" / keep(design).folder
    (where / "000003.safetensors").write_bytes(b"")
    pausing = TrialRunner(counting([]), design, SETTINGS, keep(design, interval=60.0))
    assert [pausing.advance().rung for _ in range(3)] == [1, 2, 3]
    pausing._write_time -= 60.0
    assert pausing.advance().rung == 4
    assert sorted(path.name for path in where.glob("*.safetensors")) == ["000002.safetensors", "000004.safetensors"]


def test_a_trial_continues_if_a_checkpoint_cannot_be_written(keep, tmp_path):
    design, log = architecture(), []
    runner = TrialRunner(counting(log), design, SETTINGS, keep(design))
    assert "checkpoint" not in runner.advance().facts
    (tmp_path / "kept").rename(tmp_path / "elsewhere")
    rest = reports_of(runner)
    assert [report.failure for report in rest] == [None] * 6
    assert "000002.safetensors cannot be written: this machine does not see" in rest[0].facts["checkpoint"]
    assert rest[-1].measurements["accuracy"] > 0.4


def test_a_state_of_another_rung_is_an_error_of_the_evaluation(keep):
    def late(architecture, settings, *, resume=None, keep=None):
        yield {"accuracy": 0.1}
        keep(1, lambda: {"rung": torch.tensor(1)})
        yield {"accuracy": 0.2}

    design = architecture()
    *_, last = reports_of(TrialRunner(late, design, SETTINGS, keep(design)))
    assert last.failure.kind == "bug"
    assert "must come before the report of its rung; got 1 before 2" in last.failure.text


def test_a_state_that_is_not_a_function_is_an_error_at_the_first_rung(keep):
    def eager(architecture, settings, *, resume=None, keep=None):
        keep(1, {"rung": torch.tensor(1)})
        yield {"accuracy": 0.1}

    design = architecture()
    (report,) = reports_of(TrialRunner(eager, design, SETTINGS, keep(design, interval=60.0)))
    assert "keep(rung, state) needs a function that returns the state; got a dict." in report.failure.text


def test_the_state_function_is_not_called_if_no_checkpoint_is_due(keep):
    def failing_state(architecture, settings, *, resume=None, keep=None):
        keep(1, lambda: 1 / 0)
        yield {"accuracy": 0.1}

    design = architecture()
    assert TrialRunner(failing_state, design, SETTINGS, keep(design, interval=60.0)).advance().failure is None


def test_numbers_of_any_kind_survive_a_checkpoint_unchanged(keep):
    def odd(architecture, settings, *, resume=None, keep=None):
        if resume is None:
            keep(1, lambda: {"x": torch.zeros(1, dtype=torch.bfloat16), "none": torch.zeros(0, 3)})
            yield Report(1, {"accuracy": 0.1 + 0.2, "loss": 1e-320, "flops": 1e18}, {"device": "ö"})
        yield Report(2, {"accuracy": 1 / 3}, last=True)

    design = architecture()
    (cut,) = reports_of(TrialRunner(odd, design, SETTINGS, keep(design)), most=1)
    first, last = reports_of(TrialRunner(odd, design, SETTINGS, keep(design)))
    assert first.measurements == cut.measurements
    assert first.facts == {**cut.facts, "resumed": "rung 1"}
    assert last.last


# -- a whole search --


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


@contextmanager
def stopping_at(number, rung):
    """Yield a `watch` that writes a checkpoint every rung and stops the search when trial `number` reaches `rung`."""
    seen = []

    def watch(search, context):
        context.checkpoints = replace(context.checkpoints, interval=0.0)

        def event(kind, which):
            seen.append((kind, which))
            if seen.count(("report", number)) == rung:
                context.stop.set()

        context.on_event = event

    yield watch


def table(ledger):
    """Return the results of a search: state, digest, seed, values and curve of every trial."""
    return [
        (t.number, t.state, t.digest, t.seed, t.measurements, t.audit_rung, ledger.read(reads.curve, t.id))
        for t in ledger.read(reads.trials, ledger.search().id)
    ]


@pytest.mark.parametrize(
    ("space", "trials", "cut", "more"),
    [(tiny_space(), 5, 2, {}), (wide_space(), 20, 14, {"pruner": "front-probability"})],
)
def test_an_interrupted_search_trains_the_remaining_epochs_and_has_the_same_results(
    ledger, tmp_path, space, trials, cut, more
):
    whole, log = [], []
    options = {"trials": trials, "resources": Resources("local"), "name": "mine", **more}
    with Ledger(f"sqlite:///{tmp_path}/whole.db") as other:
        run(space, ledger=other, evaluate=counting(whole), **options)
        expected = table(other)
    with stopping_at(cut, rung=2) as watch:
        run(space, ledger=ledger, evaluate=counting(log), watch=watch, **options)
    assert ledger.read(reads.trials, ledger.search().id)[-1].state == "running"
    kept = SearchCheckpoints(f"{tmp_path}/l.db.checkpoints", ledger.search().uid)
    assert kept.trials() == {(cut, 0)}
    run(space, ledger=ledger, evaluate=counting(log), **options)
    assert table(ledger) == expected
    assert log == whole
    assert kept.trials() == set()
    assert list((tmp_path / "l.db.checkpoints").iterdir()) == []
    assert ledger.read(reads.trial, ledger.search().id, cut).facts["resumed"] == "rung 2"


def test_no_checkpoints_are_written_with_the_setting_none(ledger, tmp_path):
    log = []

    def watch(search, context):
        assert context.checkpoints is None
        context.on_event = lambda kind, number: kind == "report" and context.stop.set()

    for _ in range(2):
        run(
            tiny_space(),
            trials=1,
            resources=Resources("local"),
            ledger=ledger,
            evaluate=counting(log),
            checkpoints="none",
            watch=watch,
        )
    assert [rung for _, _, rung in log] == [1, 1]
    assert not (tmp_path / "l.db.checkpoints").exists()


def test_checkpoints_of_ended_trials_are_removed_when_a_driver_starts(ledger, tmp_path):
    options = {
        "resources": Resources("local"),
        "ledger": ledger,
        "evaluate": counting([]),
        "checkpoints": f"{tmp_path}/kept",
    }
    with stopping_at(2, rung=1) as watch:
        run(tiny_space(), trials=3, watch=watch, **options)
    kept = SearchCheckpoints(f"{tmp_path}/kept", ledger.search().uid, interval=0.0)
    settings = ledger.search().settings
    for number, seed in ((0, settings.seed), (1, 77), (40, 0)):
        leftover = kept.of(number, architecture(), settings.with_(seed=seed))
        reports_of(TrialRunner(counting([]), architecture(), settings, leftover), most=1)
    assert kept.trials() == {(0, 0), (1, 77), (2, 0), (40, 0)}

    def watch(search, context):
        assert context.checkpoints.trials() == {(1, 77), (2, 0)}  # a retraining can be resumed

    run(tiny_space(), trials=3, watch=watch, **options)
    assert kept.trials() == {(1, 77)}
    assert ledger.read(reads.trial, ledger.search().id, 2).facts["resumed"] == "rung 1"


def test_a_confirmation_resumes_with_the_interrupted_seed(ledger, tmp_path):
    options = {"resources": Resources("local"), "ledger": ledger, "evaluate": counting(log := [])}
    run(tiny_space(), trials=3, **options)
    member = max(ledger.read(reads.trials, ledger.search().id), key=lambda trial: trial.measurements["accuracy"]).number
    log.clear()
    with stopping_at(member, rung=4) as watch:
        confirm(seeds=1, trials=1, watch=watch, **options)
    kept = SearchCheckpoints(f"{tmp_path}/l.db.checkpoints", ledger.search().uid)
    assert kept.trials() == {(member, 1)}
    confirm(seeds=1, trials=1, **options)
    assert [(seed, rung) for _, seed, rung in log] == [(1, rung) for rung in range(1, 7)]
    assert kept.trials() == set()


def test_the_default_place_of_checkpoints(ledger, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    beside = f"{tmp_path}/l.db.checkpoints"
    assert checkpoint_root(None, ledger, "local", None) == beside
    assert checkpoint_root(None, f"sqlite:///{tmp_path}/l.db", "ray", None) == beside
    assert checkpoint_root(None, "postgresql://host/db", "ray", None) is None
    assert checkpoint_root(None, ledger, "ray", "host:6379") is None
    assert checkpoint_root("none", ledger, "local", None) is None
    assert checkpoint_root("memory://x", ledger, "ray", "host:6379") == "memory://x"
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert checkpoint_root(None, ledger, "ray", None) is None
    assert checkpoint_root(None, ledger, "local", None) == beside


def test_a_root_that_cannot_be_written_is_an_error_before_anything_is_written(tmp_path, capsys):
    assert cli.run(["run", "digits", "--db", "sqlite:///x.db", "--checkpoints", "/proc/kept"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hybrid-search: checkpoints need a place that can be written; /proc/kept cannot: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_confirmation_checks_its_root_before_anything_is_written(ledger):
    options = {"resources": Resources("local"), "ledger": ledger, "evaluate": counting(log := [])}
    run(tiny_space(), trials=2, **options)
    log.clear()
    with pytest.raises(SettingsError, match="need a place that can be written; /proc/kept cannot"):
        confirm(checkpoints="/proc/kept", **options)
    assert log == []


def test_a_search_without_a_place_for_checkpoints_prints_one_line(tmp_path, monkeypatch, capsys):
    """On an existing cluster it is unknown which folder all machines share."""

    class Idle:
        ready = staticmethod(lambda context: nullcontext())
        drive = staticmethod(lambda search, context: None)

    monkeypatch.setitem(ENGINES._entries, "idle", Idle)
    command = ["run", "digits", "--engine", "idle", "--db", f"sqlite:///{tmp_path}/x.db", "--address", "host:6379"]
    assert cli.run(command) == 1
    assert capsys.readouterr().err.splitlines().count(NO_CHECKPOINTS) == 1
    assert cli.run([*command, "--checkpoints", f"{tmp_path}/kept"]) == 1
    assert cli.run([*command, "--checkpoints", "none"]) == 1
    assert NO_CHECKPOINTS not in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_search_ends_with_the_results_of_an_uninterrupted_one(tmp_path):
    """Short form of tests/faults/test_same_table.py."""
    result = json_output_of("killed_search.py", tmp_path, 2, 3, 3, 4, 100)
    assert result.pop("resumed") >= 0
    assert result == {"kills": 2, "same": True, "trials": 3}
