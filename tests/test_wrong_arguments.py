"""Wrong arguments from Python: each is an error with the rule and the value, and nothing is written."""

from pathlib import Path

import pytest
from support.fakes import scored, tiny_space

from hybrid_search.engines.table import engine_of
from hybrid_search.errors import LedgerError, SettingsError, UserError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.urls import database_url
from hybrid_search.objectives import BUILT_IN, Objective
from hybrid_search.pareto import pareto_front
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.stop_rules import StopRule

LOCAL = Resources("local")


class AnEngine:
    def ready(self, context):
        raise NotImplementedError

    def drive(self, search, context):
        raise NotImplementedError


RESOURCES = [
    ({"cpus_per_trial": "2"}, "cpus_per_trial must be a number from 0 up; got '2'"),
    ({"cpus_per_trial": None}, "cpus_per_trial must be a number from 0 up; got None"),
    ({"cpus_per_trial": True}, "cpus_per_trial must be a number from 0 up; got True"),
    ({"gpus_per_trial": [1]}, r"gpus_per_trial must be a number from 0 up; got \[1\]"),
    ({"lease_seconds": None}, r"lease_seconds \(--lease\) must be at least 1 second; got None"),
    ({"lease_seconds": "60"}, r"lease_seconds \(--lease\) must be at least 1 second; got '60'"),
    ({"timeout_seconds": "60"}, r"timeout_seconds \(--timeout\) must be at least 1 second; got '60'"),
    ({"workers": "two"}, "workers must be a whole number from 1 up; got 'two'"),
    ({"address": 5}, "address must be text such as .*; got 5"),
    ({"custom": None}, r"custom \(--resources\) must be a mapping of names to numbers; got None"),
    ({"custom": ["fast"]}, r"must be a mapping of names to numbers; got \['fast'\]"),
    ({"custom": {"fast": "1"}}, "fast must be a number above 0; got '1'"),
    ({"custom": {5: 1}}, "must have names that are text; got 5"),
]


@pytest.mark.parametrize(("fields", "message"), RESOURCES, ids=str)
def test_resources_of_a_wrong_type_are_refused(fields, message):
    with pytest.raises(SettingsError, match=message):
        Resources(**fields)


def test_equal_resources_have_one_hash():
    assert len({Resources(custom={"fast": 1.0}), Resources(custom={"fast": 1.0})}) == 1
    assert Resources(custom={"fast": 1.0}) != Resources(custom={"fast": 2.0})


OBJECTIVES = [
    ({"worst": "0"}, "worst of objective x must be a finite number or None; got '0'"),
    ({"best": [1]}, r"best of objective x must be a finite number or None; got \[1\]"),
    ({"worst": 1.0, "best": 0.0}, r"worst of objective x must be worse than its best, 0\.0, .* maximized; got 1\.0"),
    ({"direction": "minimize", "worst": 0.0, "best": 1.0}, r"worse than its best, 1\.0, .* minimized; got 0\.0"),
    ({"label": 5}, "label of objective x must be text; got 5"),
    ({"unit": None}, "unit of objective x must be text; got None"),
]


@pytest.mark.parametrize(("fields", "message"), OBJECTIVES, ids=str)
def test_fields_of_an_objective_that_are_wrong_are_refused(fields, message):
    with pytest.raises(SettingsError, match=message):
        Objective(**{"name": "x", "direction": "maximize", **fields})


OWN = "objective names of the package keep their meaning; got another definition of 'accuracy'"
NAME = "name of an objective must have no comma, colon or control character; got "
RUNS = [
    ({"resources": "local"}, r"resources must be a Resources value; got 'local'\. Use Resources\(engine='local'\)\."),
    ({"resources": Resources(AnEngine)}, r"got the class AnEngine\. Use engine=AnEngine\(\)"),
    ({"space": 5}, "space must be a SearchSpace, a name or the path of a YAML file; got 5"),
    ({"name": 5}, "name must be text; got 5"),
    ({"name": 0}, "name must be text; got 0"),
    ({"max_flops": "1e6 or so"}, r"max_flops \(--max-flops\) must be a number; got '1e6 or so'"),
    ({"max_params": [1]}, r"max_params \(--max-params\) must be a number; got \[1\]"),
    ({"settings": {"epochs": 1}}, r"settings must be a Settings value; got \{'epochs': 1\}"),
    ({"settings": {}}, r"settings must be a Settings value; got \{\}"),
    ({"objectives": "accuracy"}, r"objectives must be a sequence; got 'accuracy'\. Use objectives=\('accuracy',\)"),
    ({"objectives": Objective("x", "maximize")}, r"objectives must be a sequence; got Objective\(name='x'"),
    ({"objectives": 5}, "objectives must be a sequence of names and Objective values; got 5"),
    ({"objectives": [("x", "maximize")]}, r"objectives must be names and Objective values; got \('x', 'maximize'\)"),
    ({"objectives": [Objective("accuracy", "minimize"), "flops"]}, OWN),
    ({"objectives": [Objective("a,b", "minimize")]}, f"{NAME}'a,b'"),
    ({"objectives": [Objective("a:b", "minimize")]}, f"{NAME}'a:b'"),
    ({"objectives": [Objective("a\nb", "minimize")]}, NAME),
    ({"hours": "1"}, "hours must be a number above 0; got '1'"),
    ({"until_settled": "1"}, "until_settled .* must be a share of the hypervolume between 0 and 1; got '1'"),
    ({"ledger": 5}, "a ledger must be a Ledger, a database URL or the path of an SQLite file; got 5"),
    ({"ledger": Path("sqlite:///x.db")}, "a path must name an SQLite file"),
    ({"checkpoints": 5}, "checkpoints must be a folder, a URL or an object with"),
]


@pytest.mark.parametrize(
    ("wrong", "message"), RUNS, ids=[f"{next(iter(wrong))}-{n}" for n, (wrong, _) in enumerate(RUNS)]
)
def test_a_run_with_a_wrong_argument_writes_nothing(tmp_path, wrong, message):
    url = f"sqlite:///{tmp_path}/l.db"
    options = {"space": tiny_space(), "trials": 1, "resources": LOCAL, "ledger": url, "evaluate": scored(), **wrong}
    with pytest.raises(LedgerError if "ledger" in wrong else SettingsError, match=message):
        run(**options)
    assert list(tmp_path.iterdir()) == []


def test_the_built_in_objective_itself_is_accepted():
    spec = SearchSpec.create(tiny_space(), trials=1, objectives=(BUILT_IN["accuracy"], BUILT_IN["flops"]))
    assert [objective.name for objective in spec.objectives] == ["accuracy", "flops"]


def test_a_spec_has_at_least_one_trial():
    spec = SearchSpec.create(tiny_space(), trials=1)
    fields = {name: getattr(spec, name) for name in ("space", "name", "objectives", "input_size", "classes")}
    with pytest.raises(SettingsError, match="trials must be a whole number from 1 up; got 0"):
        SearchSpec(**fields, settings=Settings(), trials=0)


def test_the_ledger_and_the_checkpoints_may_be_paths(tmp_path):
    space, stored = tiny_space(), tmp_path / "l.db"
    run(space, trials=1, resources=LOCAL, ledger=stored, checkpoints=tmp_path / "kept", evaluate=scored())
    with Ledger(f"sqlite:///{stored}", read_only=True) as ledger:
        assert ledger.search("tiny").target == 1
    assert database_url(Path("folder/l.db")) == database_url("sqlite:///folder/l.db")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"resources": "local"},
            r"resources must be a Resources value; got 'local'\. Use Resources\(engine='local'\)\.",
        ),
        ({"resources": 5}, r"resources must be a Resources value; got 5\. Use Resources\(engine='local'\)\."),
        ({"hours": "1"}, "hours must be more than 0; got '1'"),
    ],
)
def test_a_confirmation_with_a_wrong_argument_is_refused(tmp_path, wrong, message):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        run(tiny_space(), trials=1, resources=LOCAL, ledger=ledger, evaluate=scored())
        with pytest.raises(SettingsError, match=message):
            confirm(**{"resources": LOCAL, "ledger": ledger, "evaluate": scored(), **wrong})


@pytest.mark.parametrize("call", [lambda: engine_of(AnEngine), lambda: StopRule(hours=[1])], ids=["engine", "hours"])
def test_a_wrong_value_is_refused_without_a_run(call):
    with pytest.raises(UserError, match="got"):
        call()


@pytest.mark.parametrize("points", [[[1.0, 2.0], [1.0]], [["a", "b"]], [[1.0, None, {}]]], ids=str)
def test_points_that_are_no_table_of_numbers_are_refused(points):
    with pytest.raises(SettingsError, match="points must be rows of equal length with a number for each of 2 direc"):
        pareto_front(points, ["maximize", "minimize"])
