"""The sampler that proposes every design once."""

import optuna
import pytest

from hybrid_search.errors import SettingsError
from hybrid_search.samplers import GridSampler


def suggest(chooser):
    operator = chooser.suggest_categorical("operator", ("conv", "attention"))
    if operator == "attention":
        return operator, chooser.suggest_int("extent", 3, 7, step=2), chooser.suggest_categorical("heads", (2,))
    return operator, chooser.suggest_categorical("kernel", (3, 5))


DESIGNS = [("conv", 3), ("conv", 5), ("attention", 3, 2), ("attention", 5, 2), ("attention", 7, 2)]


def study_of(**options):
    return optuna.create_study(directions=["maximize", "minimize"], sampler=GridSampler(suggest, seed=0, **options))


def test_every_design_is_proposed_once_and_the_last_parameter_changes_first():
    study = study_of()
    proposed = []
    for _ in DESIGNS:
        trial = study.ask()
        proposed.append(suggest(trial))
        study.tell(trial, (1.0, 2.0))
    assert proposed == DESIGNS


def test_parallel_trials_get_different_designs_and_a_failed_one_is_not_repeated():
    study = study_of()
    trials = [study.ask() for _ in range(3)]
    assert [suggest(trial) for trial in trials] == DESIGNS[:3]
    study.tell(trials[1], state=optuna.trial.TrialState.FAIL)
    assert suggest(study.ask()) == DESIGNS[3]


def test_a_study_that_is_loaded_again_continues():
    study = study_of()
    for _ in range(2):
        trial = study.ask()
        suggest(trial)
        study.tell(trial, (1.0, 2.0))
    again = study_of()
    again.add_trials(study.trials)
    assert suggest(again.ask()) == DESIGNS[2]


def test_designs_that_are_the_same_or_over_the_budget_are_left_out():
    study = study_of(
        canonical=lambda params: params["operator"] if params["operator"] == "conv" else tuple(params.items()),
        budget_excess=lambda params: float(params.get("extent", 0)) - 5,
    )
    proposed = [suggest(study.ask()) for _ in range(3)]
    assert proposed == [DESIGNS[0], DESIGNS[2], DESIGNS[3]]


def test_after_the_last_design_proposals_are_random_designs_of_the_space():
    study = study_of()
    assert {suggest(study.ask()) for _ in range(8)} == set(DESIGNS)


def test_a_parameter_with_too_many_values_is_refused():
    study = optuna.create_study(sampler=GridSampler(lambda chooser: chooser.suggest_float("x", 0.0, 1.0)))
    with pytest.raises(SettingsError, match="a range of this space is too long"):
        study.ask().suggest_float("x", 0.0, 1.0)


def test_a_space_that_is_too_large_to_list_can_be_started():
    study = optuna.create_study(
        sampler=GridSampler(lambda chooser: [chooser.suggest_categorical(f"q{i}", (0, 1, 2)) for i in range(30)])
    )
    proposed = []
    for _ in range(4):
        trial = study.ask()
        proposed.append(tuple(trial.suggest_categorical(f"q{i}", (0, 1, 2)) for i in range(30))[-3:])
        study.tell(trial, 1.0)
    assert proposed == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0)]
