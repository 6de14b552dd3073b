"""Baselines: networks that people use, trained like trials, kept and shown beside the search, never proposed."""

import importlib.util
import json
from dataclasses import replace

import pytest
from support.fakes import scored, tiny_space

from hybrid_search import cli
from hybrid_search.analysis.baseline_results import BaselineResult, compare_with_front, read_baselines
from hybrid_search.errors import ArchitectureError, LedgerError, SettingsError, UnknownName
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.baseline_rows import baseline_trainings
from hybrid_search.ledger.check import check_ledger
from hybrid_search.ledger.copy import copy_search
from hybrid_search.networks.timm_network import TimmNetwork, fitted, timm_cost
from hybrid_search.objectives import objectives
from hybrid_search.records import Report, Resources, Settings
from hybrid_search.runs.baseline import baseline
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.runs.stored_searches import delete
from hybrid_search.search.baseline_run import find_baseline
from hybrid_search.training.evaluation import evaluate as trained
from hybrid_search.training.retraining import retrain

NAMES = ["resnet-basic-8", "mobilenet-8"]
MORE = {"resources": Resources("local"), "evaluate": scored()}
needs_timm = pytest.mark.skipif(
    not importlib.util.find_spec("timm"), reason='timm is not installed: pip install "hybrid-search[timm]"'
)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


@pytest.fixture
def searched(ledger):
    run(tiny_space(), trials=6, ledger=ledger, **MORE)
    return ledger


def stored(ledger):
    return [(each.name, each.seed) for each in ledger.read(baseline_trainings, ledger.search().id)]


def test_baselines_are_kept_beside_the_search_and_only_what_is_missing_is_trained(searched):
    record = searched.search()
    before = searched.read(reads.trials, record.id)
    assert baseline(None, NAMES, ledger=searched, **MORE).total == 2
    assert baseline(None, NAMES, ledger=searched, **MORE).total == 0
    assert baseline(None, seeds=3, ledger=searched, **MORE).total == 4
    assert stored(searched) == [(name, seed) for seed in (0, 1, 2) for name in NAMES]
    assert searched.read(reads.trials, record.id) == before
    assert [each.seeds for each in read_baselines(searched, record)] == [3, 3]
    first = searched.read(baseline_trainings, record.id)[0]
    assert first.measurements["flops"] == 386_688.0
    assert first.settings == record.settings.to_dict()


def test_a_search_proposes_the_same_designs_with_baselines_as_without(ledger):
    for name in ("with", "without"):
        run(tiny_space(), trials=5, name=name, ledger=ledger, **MORE)
        if name == "with":
            baseline(name, NAMES, ledger=ledger, **MORE)
        run(tiny_space(), trials=9, name=name, ledger=ledger, **MORE)
    proposed = [ledger.read(reads.digests, ledger.search(name).id) for name in ("with", "without")]
    assert proposed[0] == proposed[1]


def test_a_failed_baseline_is_stored_with_its_reason_and_trained_again_by_the_next_call(searched):
    def breaks(architecture, settings):
        raise RuntimeError("no such kernel")
        yield

    record = searched.search()
    broken = replace(record, evaluation="test_baselines.breaks")
    run_of = baseline(None, NAMES, ledger=searched, **MORE)
    assert run_of.failures == []
    from hybrid_search.engines.driver import RunContext
    from hybrid_search.engines.local import drive
    from hybrid_search.runs.leadership import leading
    from hybrid_search.search.baseline_run import BaselineRun

    again = BaselineRun(broken, searched, run_of.baselines, seeds=2)
    context = RunContext(breaks, Resources("local"))
    with leading(searched, record, context):
        drive(again, context)
    assert [(each.name, each.seed, each.kind) for each in again.failures] == [(name, 1, "bug") for name in NAMES]
    assert "no such kernel" in searched.read(baseline_trainings, record.id)[-1].failure_text
    assert [each.seeds for each in read_baselines(searched, record)] == [1, 1]
    assert baseline(None, seeds=2, ledger=searched, **MORE).total == 2
    assert all(not finding.violations for finding in check_ledger(searched) if finding.rule != "rows")


def test_front_shows_baselines_in_every_format(searched, capsys):
    front = ["front", "--db", str(searched.url), "--format"]
    cli.run([*front, "json"])
    plain = json.loads(capsys.readouterr().out)
    assert all("kind" not in row for row in plain)
    baseline(None, NAMES, seeds=2, ledger=searched, **MORE)
    cli.run([*front, "json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["trial"] for row in rows if row["kind"] == "trial"] == [row["trial"] for row in plain]
    assert [row["name"] for row in rows if row["kind"] == "baseline"] == NAMES
    assert rows[-1]["seeds"] == 2
    assert len(rows[-1]["accuracy_interval"]) == 2
    cli.run([*front, "csv"])
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.startswith("kind,name,trial,")
    assert "accuracy_low" in header
    assert len(lines) == len(rows)
    cli.run([*front, "table"])
    printed = capsys.readouterr()
    assert "Baselines of tiny, never proposals" in printed.out
    assert "resnet-basic-8 at 387 kFLOPs reaches" in printed.err


def test_copies_and_deletions_follow(searched, tmp_path):
    baseline(None, NAMES, ledger=searched, **MORE)
    with Ledger(f"sqlite:///{tmp_path}/copy.db") as other:
        copy_search(searched, other, "tiny", None, lambda *_: 0)
        assert stored(other) == stored(searched)
        baseline("tiny", seeds=2, ledger=searched, **MORE)
        copy_search(searched, other, "tiny", None, lambda *_: 0)
        assert stored(other) == stored(searched)
    record = searched.search()
    delete(searched, record)
    assert searched.read(baseline_trainings, record.id) == []


def test_a_confirmation_gives_baselines_as_many_seeds_as_the_front(searched):
    baseline(None, NAMES, ledger=searched, **MORE)
    confirmation = confirm(seeds=2, trials=400, ledger=searched, **MORE)
    assert len(confirmation.baselines.results) == 2
    assert [each.seeds for each in read_baselines(searched, searched.search())] == [2, 2]
    with pytest.raises(SettingsError, match="nothing to confirm"):
        confirm(seeds=2, ledger=searched, **MORE)
    assert confirm(seeds=3, ledger=searched, references=False, **MORE).baselines is None


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"accuracy": 0.9, "flops": 2e6}, "above every searched design of at most its cost. It dominates trial 2"),
        ({"accuracy": 0.7, "flops": 2e6}, "net at 2 MFLOPs reaches 70.00 %; trial 1 reaches more"),
        ({"accuracy": 0.7, "flops": 5e5}, "net at 500 kFLOPs reaches 70.00 %; no searched design costs as little"),
        ({"accuracy": 0.82, "flops": 2e6}, "reaches 82.00 %, above every searched design of at most its cost"),
        ({"accuracy": 0.85, "flops": 3e6}, "net at 3 MFLOPs reaches 85.00 %, as trial 2"),
    ],
)
def test_one_line_compares_a_baseline_with_the_front(values, line):
    front = {1: {"accuracy": 0.8, "flops": 1e6}, 2: {"accuracy": 0.85, "flops": 3e6}}
    said = compare_with_front(BaselineResult("net", {}, 1, values), front, objectives(("accuracy", "flops")))
    assert said.endswith(line)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"models": []}, SettingsError, "search 'tiny' has no baseline yet. Name one or more: resnet-basic-16"),
        ({"models": "resnet18"}, SettingsError, "models must be a list of names; got 'resnet18'"),
        (
            {"models": ["resnet-basic-2"]},
            UnknownName,
            "width of resnet-basic-W must be a whole number from 4 up; got 2",
        ),
        ({"width": 0.5}, SettingsError, r"width \(--width\) must be given for models of timm; got resnet-basic-8"),
        ({"seeds": 0}, SettingsError, "seeds must be a whole number from 1 up; got 0"),
        ({"hours": -1}, SettingsError, "hours must be more than 0; got -1"),
        ({"evaluate": None}, LedgerError, r"hybrid_search.baseline\(name, models, evaluate=...\)"),
    ],
)
def test_a_wrong_request_trains_nothing(searched, wrong, error, message):
    with pytest.raises(error, match=message):
        baseline(**{"models": NAMES, "ledger": searched, **MORE, **wrong})
    assert stored(searched) == []


# -- models of timm --


@needs_timm
def test_a_model_of_timm_gets_a_finer_stem_for_small_images_and_its_cost_is_counted(ledger):
    network = fitted("resnet18", (3, 32, 24), 4)
    assert str(network) == "timm resnet18, first convolution with stride 1, without the max pool of the stem"
    assert TimmNetwork.from_dict(network.to_dict()) == network
    half = replace(network, width=0.5)
    flops, params = timm_cost(half, 3, 4)
    assert flops < 0.3 * timm_cost(network, 3, 4)[0]
    assert params == sum(parameter.numel() for parameter in half.build(3, 4).parameters())
    record = run(tiny_space(), trials=1, ledger=ledger, **MORE).record
    for name, width, error, message in [
        ("resnt18", None, UnknownName, "Did you mean 'resnet"),
        ("mobilenetv3_small_100", 0.5, ArchitectureError, "names in other widths: .*mobilenetv3_small_050"),
        ("resnet18", 90.0, ArchitectureError, "width must be from 0.1 to 8; got 90"),
    ]:
        with pytest.raises(error, match=message):
            find_baseline(name, record, width)


@needs_timm
@pytest.mark.slow
def test_a_model_of_timm_is_trained_and_scored_on_the_test_split_like_an_architecture():
    with pytest.raises(ArchitectureError, match="timm model inception_v3 cannot take 1x16x16"):
        fitted("inception_v3", (1, 16, 16), 10)
    settings = Settings(epochs=1, train_images=64, validation_images=32)
    network = fitted("mobilenetv3_small_050", (1, 16, 16), 10)
    (*_, report), (*_, tested) = trained(network, settings), retrain(network, settings)
    assert isinstance(report, Report)
    assert (report.measurements["flops"], report.measurements["params"]) == timm_cost(network, 1, 10)
    assert tested.measurements["accuracy"] == report.measurements["accuracy"]
    assert "test_accuracy" in tested.measurements
    assert report.facts["architecture"] == network.digest


# -- on the page --


def test_the_chart_of_the_front_shows_baselines_as_stars_with_names(searched):
    pytest.importorskip("plotly", reason="charts need plotly: pip install -e '.[page]'")
    from hybrid_search.charts import LIGHT, draw_chart
    from hybrid_search.dashboard.snapshot import Snapshot

    record = searched.search()
    assert not draw_chart("front", searched, record).data[-1].showlegend
    snapshot = Snapshot(str(searched.url))
    before = snapshot.view(record)
    baseline(None, NAMES, seeds=2, ledger=searched, **MORE)
    figure = draw_chart("front", searched, record, theme=LIGHT)
    stars = figure.data[-1]
    assert (stars.name, stars.marker.symbol, stars.showlegend) == ("baselines", "star", True)
    assert list(stars.text) == NAMES
    assert all(length > 0 for length in stars.error_y.array)
    assert "never proposed" in stars.hovertext[0]
    assert stars.customdata is None  # a click on a star selects no trial
    snapshot._states[record.id].read_at = float("-inf")  # instead of a wait
    after = snapshot.view(record)
    snapshot.close()
    assert (before.baselines, [each.name for each in after.baselines]) == ((), NAMES)
    assert after.version > before.version
    assert after.front == before.front
