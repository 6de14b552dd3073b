"""A search with a sampler, a pruner and an objective of the user's own."""

import json
from dataclasses import replace
from functools import partial

import optuna
import pytest
from sqlalchemy import text
from support.fakes import tiny_space
from support.plugins import installed

from hybrid_search import cli
from hybrid_search.analysis.status import status_of
from hybrid_search.charts.axes import objectives_of
from hybrid_search.errors import HybridSearchError, LedgerError, SettingsError, UnknownName
from hybrid_search.ledger import Ledger, reads
from hybrid_search.objectives import OBJECTIVES, Objective, check_measured, from_json, objectives, to_json
from hybrid_search.pareto import front_rows
from hybrid_search.pruners import NoPruner
from hybrid_search.records import Resources
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.samplers import SAMPLERS
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec

SPACE = tiny_space()
SPREAD = Objective("spread", "maximize", "spread of the logits", "V")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def evaluate(architecture, settings):
    yield {"spread": -1.0 + int(architecture.digest[:4], 16) / 65536 + 0.001 * settings.seed}


def random_proposals(seed, facts, shift=0):
    return optuna.samplers.RandomSampler(seed=seed + shift)


def patient(aims, seed):
    return NoPruner()


def search(ledger, trials=6, **more):
    options = {"resources": Resources("local"), "evaluate": evaluate, "objectives": (SPREAD, "flops"), **more}
    return run(SPACE, trials=trials, ledger=ledger, **options)


def test_an_own_sampler_and_pruner_are_used_and_their_names_are_stored(ledger):
    found = search(ledger, sampler=random_proposals, pruner=patient)
    assert isinstance(found.proposer.study.sampler, optuna.samplers.RandomSampler)
    record = ledger.search()
    assert record.sampler == f"{__name__}.random_proposals"
    assert record.pruner == f"{__name__}.patient"
    assert search(ledger, trials=8, sampler=random_proposals, pruner=patient).progress().counts["complete"] == 8
    with pytest.raises(LedgerError, match=rf"sampler is {__name__}.random_proposals \(got known-cost\)"):
        search(ledger, trials=9, pruner=patient)


def test_a_factory_with_arguments_is_another_sampler(ledger):
    search(ledger, sampler=partial(random_proposals, shift=1))
    assert ledger.search().sampler == f"{__name__}.random_proposals(shift=1)"


@pytest.mark.parametrize("what", ["sampler", "pruner"])
def test_a_factory_without_a_name_is_refused(tmp_path, what):
    with pytest.raises(SettingsError, match=f"{what} must have a name that stays the same.*<lambda>"):
        search(f"sqlite:///{tmp_path}/none.db", **{what: lambda first, second: None})
    assert list(tmp_path.iterdir()) == []


def test_an_own_objective_is_stored_with_the_search(ledger):
    found = search(ledger)
    record = ledger.search()
    assert record.objectives == ("spread", "flops")
    assert record.objective_list == (SPREAD, *objectives(["flops"]))
    with ledger._engine.connect() as connection:
        stored = json.loads(connection.execute(text("SELECT objectives FROM search")).scalar_one())
    assert stored == [SPREAD.to_dict(), "flops"]
    rows = ledger.read(reads.values, record.id, record.objectives)
    assert front_rows(list(rows.items()), record.objective_list)[0] in found.front()
    assert sorted(front_rows(list(rows.items()), record.objective_list)) == sorted(found.front())
    assert objectives_of(record)["spread"].text(-1500.0) == "-1.5 kV"
    assert status_of(ledger, record).best == found.progress().best


def test_the_front_of_an_own_objective_is_found_in_the_database(ledger):
    found = search(ledger)
    record = ledger.search()
    candidates = ledger.read(reads.front_candidates, record.id, record.objectives, record.objective_list)
    assert sorted(front_rows(list(candidates.items()), record.objective_list)) == sorted(found.front())


def test_a_search_with_an_own_objective_is_resumed_from_its_row(ledger):
    found = search(ledger)
    again = open_search(SearchSpec.from_record(ledger.search()), ledger)
    assert again.front() == found.front()
    assert again.spec.objectives == found.spec.objectives


def test_an_own_objective_is_confirmed_and_its_interval_may_be_negative(ledger):
    search(ledger, trials=12)
    confirmation = confirm(resources=Resources("local"), ledger=ledger, evaluate=evaluate, seeds=2, trials=30)
    intervals = [
        standing.intervals["spread"] for standing in confirmation.trial_confidences().values() if standing.seeds > 1
    ]
    assert intervals
    assert min(low for low, _ in intervals) < 0


def test_another_definition_of_the_objective_is_refused(ledger):
    search(ledger)
    with pytest.raises(LedgerError, match=r"objectives is .*maximize.*got .*minimize"):
        search(ledger, trials=7, objectives=(replace(SPREAD, direction="minimize"), "flops"))


def test_built_in_objectives_are_stored_as_names(ledger):
    names = ("accuracy", "flops")
    assert to_json(names, SearchSpec.create(SPACE, trials=1).record.own_objectives) == list(names)
    assert from_json(["accuracy", "flops"]) == (names, ())


def files_in(folder):
    """Return the files of a folder without the bytecode that an import writes."""
    return sorted(path for path in folder.iterdir() if path.name != "__pycache__")


def test_an_objective_that_training_never_measures_is_refused_before_training(tmp_path, monkeypatch, capsys):
    address = f"sqlite:///{tmp_path}/none.db"
    source = "from hybrid_search import Objective; Thing = Objective('sharpness', 'minimize')"
    with installed(tmp_path, monkeypatch, OBJECTIVES, "sharpness", source):
        before = files_in(tmp_path)
        command = ["run", "digits", "--objectives", "accuracy,sharpness,flops", "--db", address, "--engine", "local"]
        assert cli.run(command) == 2
        assert files_in(tmp_path) == before
    error = capsys.readouterr().err
    assert "must be one that training measures: accuracy, balanced_accuracy, macro_f1, loss, train_loss, flops" in error
    assert "got 'sharpness'. Measure it in Python: run(..., evaluate=...)." in error
    assert error.count("\n") == 1
    with pytest.raises(SettingsError, match=r"training measures: .*; got 'spread'"):
        run(SPACE, trials=1, ledger=address, objectives=(SPREAD, "flops"), resources=Resources("local"))
    assert not (tmp_path / "none.db").exists()


def test_an_objective_that_training_measures_needs_no_evaluation_of_ones_own():
    check_measured(objectives((Objective("train_loss", "minimize"), "latency_ms", "params")))


def test_the_error_of_a_search_names_the_objective_that_its_evaluation_lacks(ledger):
    with pytest.raises(HybridSearchError, match="must measure accuracy, which the search optimizes; it gave spread"):
        search(ledger, trials=8, objectives=("accuracy", "flops"))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            (replace(SPREAD, known=True),),
            SettingsError,
            "flops and params are known before training; got 'spread'",
        ),
        ((SPREAD, SPREAD), SettingsError, "one or more different names; got spread, spread"),
        (("spread",), UnknownName, "objective must be one of accuracy, .*; got 'spread'"),
    ],
)
def test_wrong_objectives_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        objectives(given)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"direction": "up"}, "direction of objective spread must be one of maximize, minimize; got 'up'"),
        ({"name": ""}, "name of an objective must have 1 to 100 characters; got ''"),
        ({"worst": float("nan")}, "worst of objective spread must be a finite number or None; got nan"),
    ],
)
def test_a_wrong_field_of_an_objective_is_refused(fields, message):
    with pytest.raises(SettingsError, match=message):
        replace(SPREAD, **fields)


def test_a_value_without_a_unit_ends_with_its_last_letter():
    plain = Objective("spread", "maximize")
    assert [plain.text(value) for value in (0.00281, 12300.0, None)] == ["0.00281", "12.3 k", "-"]


def test_networks_of_an_own_evaluation_are_called_evaluated(ledger, capsys):
    search(ledger, trials=3)
    assert cli.run(["front", "--db", str(ledger.url)]) == 0
    assert "of 3 evaluated networks" in capsys.readouterr().out


def test_help_and_the_error_of_an_unknown_name_list_the_installed_plugins(tmp_path, monkeypatch, capsys):
    assert "From plugins" not in help_of_run(capsys)
    with installed(tmp_path, monkeypatch, SAMPLERS, "sobol", "def Thing(seed, facts): ..."):
        assert "or grid. From plugins: sobol." in help_of_run(capsys)
        assert cli.run(["run", "digits", "--sampler", "sobbol", "--db", f"sqlite:///{tmp_path}/none.db"]) == 2
        assert "gp, grid, sobol; got 'sobbol'. Did you mean 'sobol'?" in capsys.readouterr().err


def help_of_run(capsys):
    assert cli.run(["run", "--help"]) == 0
    return " ".join(capsys.readouterr().out.split())
