"""A stored search as an Optuna study and as a pandas frame."""

import optuna
import pytest
from support.fakes import graded, scored, tiny_space, wide_space

from hybrid_search import UnknownName, pareto_front, to_frame, to_optuna
from hybrid_search.ledger import Ledger
from hybrid_search.records import Resources
from hybrid_search.runs.run import run

LOCAL = {"resources": Resources("local"), "checkpoints": "none"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('studies')}/a.db"
    run(tiny_space(), trials=10, evaluate=scored(), ledger=url, **LOCAL).ledger.close()
    run(wide_space(), trials=12, evaluate=graded(), pruner="front-probability", ledger=url, **LOCAL).ledger.close()
    return url


def test_a_study_has_the_trials_directions_and_front_of_the_search(url):
    with Ledger(url, read_only=True) as ledger:
        study = to_optuna("tiny", ledger)
    assert study.study_name == "tiny"
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.user_attrs["objectives"] == ["accuracy", "flops"]
    assert [trial.user_attrs["trial"] for trial in study.trials] == list(range(10))
    rows = [trial.values for trial in study.trials]
    front = {study.trials[i].user_attrs["trial"] for i in pareto_front(rows, ["maximize", "minimize"])}
    assert {trial.user_attrs["trial"] for trial in study.best_trials} == front
    frame = to_frame("tiny", url)
    assert set(frame[frame.front].index) == front
    assert list(frame.accuracy) == [row[0] for row in rows]


@pytest.mark.filterwarnings("ignore:PedAnova")
def test_optuna_can_go_on_with_the_study(url):
    study = to_optuna("tiny", url)
    importances = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(), target=lambda trial: -trial.values[0]
    )
    assert importances
    assert set(importances) <= {name for trial in study.trials for name in trial.params}
    operator = study.trials[0].distributions["stage1.operator"]
    assert operator.choices == ("conv", "local_attention")
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    assert study.ask({"stage1.operator": operator}).params["stage1.operator"] in operator.choices


def test_stopped_trials_are_pruned_and_the_newest_search_is_the_default(url):
    study = to_optuna(ledger=url)
    assert study.study_name == "wide"
    states = {state.name for state in (trial.state for trial in study.trials)}
    assert states <= {"COMPLETE", "PRUNED"}
    assert "COMPLETE" in states


def test_an_unknown_search_is_named(url):
    for function in (to_frame, to_optuna):
        with pytest.raises(UnknownName, match="search must be one of"):
            function("tinny", url)
