"""The known-cost sampler in ordinary Optuna studies, with conditional parameters, and its parts."""

import math
import random
import time

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState, create_trial

from hybrid_search.errors import SettingsError, UnknownName
from hybrid_search.pareto import hypervolume
from hybrid_search.samplers import PRUNED_VALUES, Facts, KnownCostSampler, make_sampler
from hybrid_search.samplers.define_by_run import RandomSuggester, list_designs, params_key, run_space
from hybrid_search.samplers.known_cost.acquisition import MAX_OBSERVATIONS, select_observations
from hybrid_search.samplers.known_cost.ehvi import (
    KnownValues,
    NormalPosterior,
    expected_hypervolume_improvement,
    non_dominated_boxes,
)
from hybrid_search.samplers.known_cost.encoding import ParamsEncoding
from hybrid_search.samplers.known_cost.history import PROPOSED, Observation
from hybrid_search.samplers.known_cost.local_search import diverse_batch
from hybrid_search.samplers.learned_space import LearnedSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)
BOTH = ["maximize", "minimize"]


def space_of(trial):
    """Suggest one of 48 designs: a width, and two stages with an operator and its option."""
    trial.suggest_categorical("width", (8, 16, 32))
    for stage in ("a", "b"):
        if trial.suggest_categorical(f"{stage}.operator", ("conv", "attention")) == "conv":
            trial.suggest_categorical(f"{stage}.kernel", (3, 5))
        else:
            trial.suggest_int(f"{stage}.extent", 3, 7, step=4)


def cost_of(params):
    total = 100.0
    for stage in ("a", "b"):
        size = params[f"{stage}.kernel"] if f"{stage}.kernel" in params else params[f"{stage}.extent"]
        per = params["width"] if params[f"{stage}.operator"] == "conv" else 3
        total += size**2 * params["width"] * per
    return total


def accuracy(params):
    good = 0.5 * (params["a.operator"] == "conv") + 0.4 * (params["b.operator"] == "attention")
    return 1 - 0.5 * cost_of(params) ** -0.1 * math.exp(-good)


def study_of(seed=0, directions=BOTH, **options):
    options.setdefault("known", {1: cost_of})
    return optuna.create_study(directions=directions, sampler=KnownCostSampler(seed=seed, **options))


def play(study, count, values=lambda params: [accuracy(params), cost_of(params)], suggest=space_of):
    for _ in range(count):
        trial = study.ask()
        suggest(trial)
        study.tell(trial, values(trial.params))
    return [trial.params for trial in study.trials]


def names(designs):
    return [params_key(params) for params in designs]


# -- proposals --


@pytest.mark.parametrize("space", [space_of, None], ids=["space given", "space learned"])
def test_every_design_is_proposed_once_before_any_is_repeated(space):
    designs = names(play(study_of(space=space), 48))
    assert len(set(designs)) == 48
    assert all(set(dict(name)) >= {"width", "a.operator", "b.operator"} for name in designs)


@pytest.mark.parametrize("space", [space_of, None], ids=["space given", "space learned"])
def test_a_long_study_fits_its_surrogates_once_for_many_new_proposals(space, monkeypatch):
    looks = []
    chosen = KnownCostSampler._acquisition

    def counted(*arguments):
        looks.append(None)
        return chosen(*arguments)

    monkeypatch.setattr(KnownCostSampler, "_acquisition", counted)
    monkeypatch.setattr("hybrid_search.samplers.known_cost.sampler.MANY_OBSERVATIONS", 10)
    study = study_of(space=space)
    study.enqueue_trial({"width": 8, "a.operator": "conv", "a.kernel": 3, "b.operator": "conv", "b.kernel": 3})
    play(study, 20)
    before = len(looks)
    study.enqueue_trial(study.sampler._batch[0].params)  # another source evaluates the next design of the batch
    designs = play(study, 28)
    assert len(set(names(designs))) == 48
    assert len(looks) - before < 14


def test_designs_of_one_batch_are_not_neighbours():
    study = study_of(space=space_of)
    play(study, 12)
    here = study.sampler._context(study, None)
    improvements = np.array([-cost_of(point.params) for point in here.open_points])
    best = here.open_points[int(improvements.argmax())]
    ahead = diverse_batch(here.open_points, improvements, best, 64)
    assert len(ahead) > 3
    ahead.insert(0, best)
    for one in ahead:
        others = [other.params for other in ahead if other is not one]
        assert all(sum(one.params.get(n) != o.get(n) for n in one.params.keys() | o.keys()) > 1 for o in others)
    costs = [cost_of(point.params) for point in ahead]
    assert costs == sorted(costs)


def test_a_study_continues_after_every_design_was_proposed():
    assert len(play(study_of(space=space_of), 51)) == 51


@pytest.mark.parametrize("first", [None, 4, 6])
def test_the_initial_design_covers_the_cost_levels_from_the_middle_to_the_highest(first):
    count = first or 4  # half of five parameters would be three; the minimum is four
    places = [place(params) for params in play(study_of(space=space_of, n_startup_trials=first), count)]
    assert 0.35 < places[0] < 0.65
    assert places[-1] == 1
    for step in range(1, count + 1):
        assert min(abs(found - step / count) for found in places) < 0.6 / count


@pytest.mark.parametrize(("n_parameters", "expected"), [(5, 4), (9, 5), (11, 6), (20, 8)])
def test_the_initial_design_has_half_as_many_trials_as_parameters_within_four_and_eight(n_parameters, expected):
    def suggest(trial):
        for n in range(n_parameters):
            trial.suggest_int(f"x{n}", 1, 2)

    def cost(params):
        return 2.0 ** sum(params.values())

    study = optuna.create_study(directions=BOTH, sampler=KnownCostSampler({1: cost}, seed=0, space=suggest))
    designs = play(study, 8, lambda params: [0.5, cost(params)], suggest)
    costs = [cost(params) for params in designs]
    assert costs.index(max(costs)) == expected - 1  # the most expensive design ends the initial design


def test_it_finds_the_front_with_half_the_trials_of_random_search():
    designs = [c.params for c in list_designs(space_of, 100)]
    whole = hypervolume([[accuracy(p), cost_of(p)] for p in designs], [0.5, 3e4], BOTH)

    def needed(sampler):
        study = optuna.create_study(directions=BOTH, sampler=sampler)
        rows = []
        while hypervolume(rows, [0.5, 3e4], BOTH) < 0.99 * whole:
            trial = study.ask()
            space_of(trial)
            rows.append([accuracy(trial.params), cost_of(trial.params)])
            study.tell(trial, rows[-1])
        return len(rows)

    ours = [needed(KnownCostSampler({1: cost_of}, seed=seed)) for seed in range(3)]
    others = [needed(optuna.samplers.RandomSampler(seed=seed)) for seed in range(9)]
    assert 2 * np.median(ours) <= np.median(others)


def test_designs_above_the_budget_are_never_proposed_and_all_others_are():
    bound = 4000
    costs = [cost_of(p) for p in play(study_of(space=space_of, budget={1: bound}), 48)]
    within = [c for c in list_designs(space_of, 100) if cost_of(c.params) <= bound]
    assert max(costs) <= bound
    assert len(set(names(t for t in play(study_of(space=space_of, budget={1: bound}), len(within))))) == len(within)


def test_designs_with_budget_excess_are_never_proposed():
    designs = play(study_of(space=space_of, budget_excess=lambda params: params["width"] == 16), 20)
    assert {params["width"] for params in designs} == {8, 32}


def test_designs_within_a_tight_budget_are_found_in_a_large_space():
    study = study_of(known={1: weight}, space=large, budget={1: 25})
    designs = play(study, 12, lambda p: [accuracy_of_large(p), weight(p)], large)
    assert max(weight(params) for params in designs) <= 25
    assert len(set(names(designs))) == 12


def test_a_budget_without_any_design_is_refused():
    with pytest.raises(SettingsError, match=r"budget must allow at least one design; the nearest .* exceeds it"):
        play(
            study_of(known={1: weight}, space=large, budget={1: 15}),
            1,
            lambda p: [accuracy_of_large(p), weight(p)],
            large,
        )


def test_designs_of_one_canonical_identity_are_proposed_once():
    def same(params):
        return (params["width"], params["a.operator"], params["b.operator"])

    designs = play(study_of(space=space_of, canonical=same), 12)
    assert len({same(params) for params in designs}) == 12


def test_failed_trials_are_not_repeated_and_not_modelled():
    study = study_of(space=space_of)
    for number in range(30):
        trial = study.ask()
        space_of(trial)
        if number % 2:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, [accuracy(trial.params), cost_of(trial.params)])
    assert len(set(names(t.params for t in study.trials))) == 30


def test_the_values_of_a_pruned_trial_change_later_proposals():
    def after(reached):
        study = study_of(space=space_of)
        play(study, 9)
        for width in (8, 16, 32):
            params = {"width": width, "a.operator": "attention", "a.extent": 7, "b.operator": "conv", "b.kernel": 5}
            offered = run_space(space_of, RandomSuggester(random.Random(0), params)).distributions
            attrs = {} if reached is None else {PRUNED_VALUES: [reached]}
            study.add_trial(
                create_trial(state=TrialState.PRUNED, params=params, distributions=offered, user_attrs=attrs)
            )
        return names(play(study, 12)[-12:])

    assert after(0.0) != after(0.99)
    assert after(None) != after(0.99)


def test_intermediate_values_of_a_pruned_trial_are_used_with_one_unknown_objective():
    study = optuna.create_study(direction="maximize", sampler=KnownCostSampler(seed=0, space=space_of))
    for number in range(12):
        trial = study.ask()
        space_of(trial)
        trial.report(accuracy(trial.params) / 2, 1)
        if number % 3 == 2:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, accuracy(trial.params))
    assert len(set(names(t.params for t in study.trials))) == 12


def test_all_variants_of_an_identity_are_compared_and_the_best_is_proposed():
    """Only the rate decides how good a width is, and each width is proposed once."""

    def suggest(trial):
        trial.suggest_categorical("width", tuple(range(1, 31)))
        trial.suggest_categorical("rate", (1, 2, 4))

    options = {"canonical": lambda p: p["width"], "variant": lambda p: p["rate"], "space": suggest}
    study = study_of(known={1: lambda p: float(p["width"])}, **options)
    designs = play(study, 20, lambda p: [p["rate"] + p["width"] / 100, float(p["width"])], suggest)
    assert len({p["width"] for p in designs}) == 20
    assert {p["rate"] for p in designs[12:]} == {4}


def test_enqueued_trials_count_as_part_of_the_initial_design():
    study = study_of(space=space_of)
    middle = [c.params for c in list_designs(space_of, 100) if 0.4 < place(c.params) < 0.6][:3]
    for params in middle:
        study.enqueue_trial(params)
    (cost,) = [place(params) for params in play(study, 4)[3:]]
    assert cost == 1  # the three trials occupy the three levels around them


def place(params):
    costs = [math.log(cost_of(c.params)) for c in list_designs(space_of, 100)]
    return (math.log(cost_of(params)) - min(costs)) / (max(costs) - min(costs))


# -- remaining improvement --


def test_the_remaining_improvement_falls_to_zero_as_the_front_is_found():
    study = study_of(space=space_of)
    judge = study.sampler
    assert judge.remaining_improvement(study) == math.inf
    play(study, 10)
    early = judge.remaining_improvement(study)
    play(study, 30)
    late = judge.remaining_improvement(study)
    assert 0 <= late < early / 3
    assert late < 0.02
    play(study, 8)
    assert judge.remaining_improvement(study) == 0


def test_the_remaining_improvement_grows_less_than_linearly_with_the_number_of_trials():
    study = study_of(space=space_of)
    play(study, 9)
    improvements = [study.sampler.remaining_improvement(study, count) for count in (1, 2, 4, 8)]
    assert improvements == sorted(improvements)
    assert improvements[0] < improvements[-1] < 8 * improvements[0]


def test_computing_the_remaining_improvement_changes_no_proposal():
    alone, judged = study_of(space=space_of), study_of(space=space_of)
    for _ in range(14):
        play(alone, 1)
        play(judged, 1)
        judged.sampler.remaining_improvement(judged, 2)
    assert names(t.params for t in alone.trials) == names(t.params for t in judged.trials)


def test_the_remaining_improvement_works_for_trials_of_another_sampler():
    study = optuna.create_study(directions=BOTH, sampler=optuna.samplers.RandomSampler(seed=0))
    play(study, 12, lambda p: [accuracy_of_large(p), weight(p)], large)
    judge = KnownCostSampler({1: weight}, space=large, seed=0)
    assert 0 < judge.remaining_improvement(study, 3) < math.inf


# -- parallel trials --


@pytest.mark.parametrize("space", [space_of, None], ids=["space given", "space learned"])
def test_parallel_trials_get_different_designs(space):
    study = study_of(space=space)
    play(study, 10)
    trials = [study.ask() for _ in range(12)]
    for trial in trials:
        space_of(trial)
    assert len(set(names(t.params for t in study.trials))) == 22


def test_a_running_trial_counts_with_its_proposed_parameters():
    study = study_of(space=space_of)
    play(study, 9)
    first, second = study.ask(), study.ask()
    first.suggest_categorical("width", (8, 16, 32))  # the other parameters are proposed, but not suggested yet
    space_of(second)
    space_of(first)
    assert params_key(first.params) != params_key(second.params)


def test_threads_can_share_one_study():
    study = study_of(space=space_of)

    def objective(trial):
        space_of(trial)
        return accuracy(trial.params), cost_of(trial.params)

    study.optimize(objective, n_trials=24, n_jobs=4)
    assert len(set(names(t.params for t in study.trials))) == 24


def test_another_process_reads_the_proposed_parameters(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(
        directions=BOTH, study_name="s", storage=storage, sampler=KnownCostSampler({1: cost_of}, seed=0, space=space_of)
    )
    play(study, 3)
    first = study.ask()
    first.suggest_categorical("width", (8, 16, 32))
    assert PROPOSED in study.trials[first.number].system_attrs
    other = optuna.load_study(
        study_name="s", storage=storage, sampler=KnownCostSampler({1: cost_of}, seed=0, space=space_of)
    )
    second = other.ask()
    space_of(second)
    space_of(first)
    assert params_key(first.params) != params_key(second.params)


# -- reproducibility --


@pytest.mark.parametrize("space", [space_of, None], ids=["space given", "space learned"])
@pytest.mark.parametrize("at", [3, 8, 15])
def test_a_study_that_is_loaded_again_continues_with_the_same_proposals(space, at):
    whole = names(play(study_of(space=space), 20))
    half = study_of(space=space)
    play(half, at)
    again = study_of(space=space)
    again.add_trials(half.trials)
    assert names(play(again, 20 - at)) == whole


def test_the_order_in_which_trials_finished_changes_no_proposal():
    observed = study_of(space=space_of)
    play(observed, 14)
    turned = study_of(space=space_of)
    turned.add_trials(observed.trials[::-1])
    assert names(play(turned, 1))[-1] == names(play(observed, 1))[-1]


def test_another_seed_gives_other_proposals():
    assert names(play(study_of(0, space=space_of), 12)) != names(play(study_of(1, space=space_of), 12))


def test_one_sampler_can_serve_two_studies():
    sampler = KnownCostSampler({1: cost_of}, seed=0, space=space_of)
    studies = [optuna.create_study(directions=BOTH, sampler=sampler) for _ in range(2)]
    for _ in range(12):
        for study in studies:
            play(study, 1)
    assert names(t.params for t in studies[0].trials) == names(t.params for t in studies[1].trials)


# -- known objectives --


@pytest.mark.parametrize(
    ("directions", "known", "values"),
    [
        (["maximize"], {}, lambda p: [accuracy(p)]),
        (["minimize"], {0: cost_of}, lambda p: [cost_of(p)]),
        (["minimize", "maximize"], {0: cost_of}, lambda p: [cost_of(p), accuracy(p)]),
        (BOTH, {}, lambda p: [accuracy(p), cost_of(p)]),
        (BOTH, {0: accuracy, 1: cost_of}, lambda p: [accuracy(p), cost_of(p)]),
        (["maximize", "minimize", "minimize"], {1: cost_of}, lambda p: [accuracy(p), cost_of(p), p["width"] ** 0.5]),
        (["maximize", "minimize", "minimize"], {}, lambda p: [accuracy(p), cost_of(p), -p["width"]]),
        (
            ["maximize", "minimize", "minimize", "maximize"],
            {1: cost_of},
            lambda p: [accuracy(p), cost_of(p), p["width"], len(p) / accuracy(p)],
        ),
    ],
)
def test_any_of_the_objectives_can_be_known(directions, known, values):
    designs = play(study_of(directions=directions, known=known), 14, values)
    assert len(set(names(designs))) == 14


def test_a_single_known_objective_is_minimized_at_once():
    study = study_of(directions=["minimize"], known={0: cost_of}, space=space_of, n_startup_trials=1)
    play(study, 4, lambda p: [cost_of(p)])
    assert study.best_value == min(cost_of(c.params) for c in list_designs(space_of, 100))


def test_constant_infinite_and_huge_values_are_accepted():
    play(study_of(space=space_of), 14, lambda p: [0.5, cost_of(p)])
    play(study_of(space=space_of), 14, lambda p: [-math.inf if p["width"] == 16 else accuracy(p), cost_of(p)])
    play(study_of(space=space_of), 14, lambda p: [1e30 * (p["width"] == 16), cost_of(p)])


def test_numbers_and_ranges_are_supported_parameters():
    def suggest(trial):
        trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        trial.suggest_float("share", 0.0, 1.0, step=0.25)
        if trial.suggest_int("layers", 1, 400) > 100:
            trial.suggest_int("skip", 1, 64, log=True)
        trial.suggest_categorical("kind", (True, False, None, "x"))
        trial.suggest_categorical("alone", (1,))

    def values_of_mixed(p):
        return [-abs(math.log10(p["rate"]) + 2.5) - p["share"], float(p["layers"])]

    study = study_of(known={1: lambda p: float(p["layers"])}, directions=BOTH)
    play(study, 20, values_of_mixed, suggest)
    best = max(study.trials, key=lambda t: t.values[0])
    assert best.values[0] > -0.6
    assert len({params_key(t.params) for t in study.trials}) == 20


def test_enqueued_and_fixed_parameters_are_kept():
    study = study_of(space=space_of)
    play(study, 9)
    study.enqueue_trial({"width": 16, "a.operator": "conv"})
    assert play(study, 1)[-1].items() >= {"width": 16, "a.operator": "conv"}.items()
    with pytest.warns(ExperimentalWarning, match="PartialFixedSampler is experimental"):
        study.sampler = optuna.samplers.PartialFixedSampler({"width": 8}, study.sampler)
    assert play(study, 1)[-1]["width"] == 8


# -- the table of samplers --


def test_a_sampler_can_be_given_as_a_factory():
    sampler = make_sampler(lambda seed, facts: optuna.samplers.RandomSampler(seed=seed), 0, Facts())
    assert isinstance(sampler, optuna.samplers.RandomSampler)
    with pytest.raises(UnknownName, match=r"sampler must be one of known-cost, .*; got 'tpa'. Did you mean 'tpe'"):
        make_sampler("tpa", 0)


def test_the_example_of_the_documentation_runs():
    def cost(params):
        return float(params["width"] ** 2)

    def objective(trial):
        width = trial.suggest_int("width", 1, 64)
        return 1 - 1 / width, cost(trial.params)

    study = optuna.create_study(directions=BOTH, sampler=KnownCostSampler(known={1: cost}, seed=0))
    study.optimize(objective, n_trials=20)
    assert len({trial.params["width"] for trial in study.trials}) == 20


# -- user errors --


@pytest.mark.parametrize(
    ("known", "law"),
    [
        ({1: lambda p: 1 / 0}, r"known\[1\] must return a finite number; it raised ZeroDivisionError: .*'width': 8"),
        ({1: lambda p: math.nan}, r"known\[1\] must return a finite number; got nan, for \{.*'width': 8"),
        ({1: lambda p: math.inf}, r"known\[1\] must return a finite number; got inf"),
    ],
)
def test_a_known_function_that_fails_is_reported_with_its_parameters(known, law):
    with pytest.raises(SettingsError, match=law):
        play(study_of(known=known, space=space_of), 1)
    with pytest.raises(SettingsError, match=law.replace("'width': 8", "'width'")):
        play(study_of(known=known), 2)


def test_a_known_function_that_contradicts_a_reported_value_is_reported_with_both():
    study = study_of(known={1: lambda p: cost_of(p) + 1}, space=space_of)
    with pytest.raises(SettingsError, match=r"known\[1\] returned .*, but trial 0 reported"):
        play(study, 1)
    loaded = study_of(known={1: lambda p: 2 * cost_of(p)}, space=space_of)
    loaded.add_trials(study.trials)
    with pytest.raises(SettingsError, match=r"trial 0 reported .* for \{.*'a.operator'"):
        play(loaded, 1)


def test_a_study_with_a_different_number_of_objectives_is_refused():
    with pytest.raises(SettingsError, match=r"objectives of the study, which has 1 \(numbers 0 to 0\); got 1\."):
        play(study_of(directions=["maximize"]), 1)
    with pytest.raises(SettingsError, match="reference must have one value for each of 2 objectives; got 1"):
        play(study_of(reference=[0.5]), 1)


@pytest.mark.parametrize(
    ("options", "law"),
    [
        ({"known": {-1: cost_of}}, "known must map numbers of objectives to functions; got -1"),
        ({"known": {1: 5}}, "known must map numbers of objectives to functions; got 1: 5"),
        ({"known": {}, "budget": {1: 5.0}}, "budget must bound known objectives; got 1"),
        ({"n_startup_trials": 0}, "n_startup_trials must be a whole number from 1 up; got 0"),
    ],
)
def test_invalid_arguments_are_refused(options, law):
    with pytest.raises(SettingsError, match=law):
        KnownCostSampler(**options)


# -- its parts --


def test_expected_improvement_is_the_mean_of_simulated_hypervolume_improvements():
    rng = np.random.default_rng(0)
    for count in (1, 2, 3):
        front = rng.random((5, count))
        reference = np.full(count, 1.1)
        mean, deviation = rng.random((4, count)), 0.05 + 0.2 * rng.random((4, count))
        posteriors = [NormalPosterior(mean[:, k], deviation[:, k]) for k in range(count - 1)]
        posteriors.append(NormalPosterior(np.log(mean[:, -1]), deviation[:, -1], 0.0))
        found = expected_hypervolume_improvement(posteriors, front, reference)
        draws = mean + deviation * rng.standard_normal((300, 4, count))
        draws[:, :, -1] = np.exp(np.log(mean[:, -1]) + deviation[:, -1] * rng.standard_normal((300, 4)))
        least = ["minimize"] * count
        before = hypervolume(front, reference, least)
        improvements = [[hypervolume([*front, point], reference, least) - before for point in row] for row in draws]
        assert found == pytest.approx(
            np.mean(improvements, axis=0), abs=1e-9 + 4 * np.std(improvements, axis=0).max() / 300**0.5
        )


def test_the_improvement_of_a_known_candidate_is_exact():
    front = np.array([[1.0, 5.0], [2.0, 3.0], [4.0, 1.0]])
    reference = np.array([6.0, 6.0])
    points = np.array([[0.5, 4.0], [3.0, 2.0], [5.0, 5.0], [1.0, 5.0]])
    found = expected_hypervolume_improvement([KnownValues(points[:, 0]), KnownValues(points[:, 1])], front, reference)
    least = ["minimize"] * 2
    before = hypervolume(front, reference, least)
    assert found == pytest.approx([hypervolume([*front, p], reference, least) - before for p in points])


def test_boxes_fill_the_non_dominated_region():
    rng = np.random.default_rng(1)
    front, reference = rng.random((7, 3)), np.ones(3)
    lows, highs = non_dominated_boxes(front, reference)
    sides = np.prod(highs - np.maximum(lows, 0.0), axis=1)
    assert sides.sum() == pytest.approx(1 - hypervolume(front, reference, ["minimize"] * 3))


def test_of_many_observations_the_front_the_newest_and_an_even_share_of_the_others_are_used():
    rows = np.random.default_rng(0).random((3 * MAX_OBSERVATIONS, 2)).tolist()
    rows[5] = [-1.0, -1.0]
    observed = [Observation(number, row, 1.0) for number, row in enumerate(rows)]
    kept = [observation.point for observation in select_observations(observed)]
    assert len(kept) == len(set(kept)) == MAX_OBSERVATIONS
    assert 5 in kept
    assert kept == sorted(kept)
    assert set(range(2 * MAX_OBSERVATIONS + MAX_OBSERVATIONS // 2, 3 * MAX_OBSERVATIONS)) <= set(kept)
    assert max(np.diff(kept)) <= 8
    assert select_observations(observed[:MAX_OBSERVATIONS]) == observed[:MAX_OBSERVATIONS]


def designs_of(space):
    return {params_key(design.params) for design in list_designs(space, 100)}


def test_a_learned_space_has_the_conditions_of_its_parameters():
    past = [run_space(space_of, RandomSuggester(random.Random(seed))) for seed in range(12)]
    learned = LearnedSpace((c.params, c.distributions) for c in past)
    assert {params_key(c.params) for c in list_designs(learned, 100)} == {
        params_key(c.params) for c in list_designs(space_of, 100)
    }


def test_nested_conditions_are_learned():
    def nested(trial):
        for block in range(trial.suggest_int("depth", 1, 3)):
            if trial.suggest_categorical(f"{block}", ("conv", "attention")) == "attention":
                trial.suggest_categorical(f"{block}.extent", (3, 5))

    past = [run_space(nested, RandomSuggester(random.Random(seed))) for seed in range(60)]
    learned = LearnedSpace((c.params, c.distributions) for c in past)
    assert {params_key(c.params) for c in list_designs(learned, 100)} == {
        params_key(c.params) for c in list_designs(nested, 100)
    }


def test_numbers_are_encoded_by_their_order_and_words_one_hot():
    offered = {
        "width": CategoricalDistribution((32, 8, 16)),
        "kind": CategoricalDistribution(("a", "b", "c")),
        "rate": FloatDistribution(1e-4, 1.0, log=True),
        "layers": IntDistribution(1, 5),
    }
    encoding = ParamsEncoding(offered)
    rows = {name: encoding.row({name: value}) for name, value in [("width", 16), ("layers", 2), ("rate", 1e-2)]}
    place = {name: encoding.groups.tolist().index(i) for i, name in enumerate(sorted(offered))}
    assert rows["width"][place["width"]] == 0.5
    assert rows["layers"][place["layers"]] == 0.25
    assert rows["rate"][place["rate"]] == pytest.approx(0.5)
    apart = [np.subtract(encoding.row({"kind": one}), encoding.row({"kind": "a"})) for one in ("b", "c")]
    assert (apart[0] ** 2).sum() == (apart[1] ** 2).sum() == pytest.approx(1.0)


# -- large spaces --


def large(trial):
    """Suggest one of more than 4^16 designs with conditional options."""
    for block in range(16):
        if trial.suggest_categorical(f"{block}.kind", ("a", "b", "c", "d")) == "a":
            trial.suggest_categorical(f"{block}.size", (3, 5, 7))


def weight(params):
    return 1.0 + sum("abcd".index(params[f"{block}.kind"]) + params.get(f"{block}.size", 0) for block in range(16))


def accuracy_of_large(params):
    return 1 - 0.5 * math.exp(-weight(params) / 30) - 0.01 * sum(params[f"{b}.kind"] == "b" for b in range(16))


@pytest.mark.parametrize(("held", "limit"), [(300, 0.3)])
def test_a_proposal_is_new_and_takes_limited_time(held, limit):
    study = study_of(known={1: weight}, space=large)
    rng = random.Random(0)
    for _ in range(held):
        chooser = run_space(large, RandomSuggester(rng))
        values = [accuracy_of_large(chooser.params), weight(chooser.params)]
        study.add_trial(create_trial(values=values, params=chooser.params, distributions=chooser.distributions))
    spent = []
    for _ in range(3):
        began = time.process_time()
        trial = study.ask()
        large(trial)
        spent.append(time.process_time() - began)
        study.tell(trial, [accuracy_of_large(trial.params), weight(trial.params)])
    assert len(set(names(t.params for t in study.trials[-3:]))) == 3
    assert sorted(spent)[1] < 2 * limit  # docs/log.md has the times of an idle machine
