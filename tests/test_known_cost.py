"""The known-cost sampler, as anyone would use it: ordinary studies, ask and tell, conditional parameters."""

import math
import random
import time

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState, create_trial

from hybrid_search.errors import SettingsError
from hybrid_search.pareto import hypervolume
from hybrid_search.samplers import PRUNED_VALUES, KnownCostSampler
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


def ask(trial):
    """Forty-eight designs: width and two stages, each of which asks for what its operator needs."""
    trial.suggest_categorical("width", (8, 16, 32))
    for stage in ("a", "b"):
        if trial.suggest_categorical(f"{stage}.operator", ("conv", "attention")) == "conv":
            trial.suggest_categorical(f"{stage}.kernel", (3, 5))
        else:
            trial.suggest_int(f"{stage}.extent", 3, 7, step=4)


def price(params):
    total = 100.0
    for stage in ("a", "b"):
        size = params[f"{stage}.kernel"] if f"{stage}.kernel" in params else params[f"{stage}.extent"]
        per = params["width"] if params[f"{stage}.operator"] == "conv" else 3
        total += size**2 * params["width"] * per
    return total


def accuracy(params):
    good = 0.5 * (params["a.operator"] == "conv") + 0.4 * (params["b.operator"] == "attention")
    return 1 - 0.5 * price(params) ** -0.1 * math.exp(-good)


def study_of(seed=0, directions=BOTH, **options):
    options.setdefault("known", {1: price})
    return optuna.create_study(directions=directions, sampler=KnownCostSampler(seed=seed, **options))


def play(study, count, values=lambda params: [accuracy(params), price(params)], questions=ask):
    for _ in range(count):
        trial = study.ask()
        questions(trial)
        study.tell(trial, values(trial.params))
    return [trial.params for trial in study.trials]


def names(designs):
    return [params_key(params) for params in designs]


# -- what it proposes --


@pytest.mark.parametrize("space", [ask, None], ids=["told the space", "learning the space"])
def test_every_design_comes_once_before_any_comes_twice(space):
    designs = names(play(study_of(space=space), 48))
    assert len(set(designs)) == 48
    assert all(set(dict(name)) >= {"width", "a.operator", "b.operator"} for name in designs)


@pytest.mark.parametrize("space", [ask, None], ids=["told the space", "learning the space"])
def test_a_long_study_asks_its_model_once_for_many_designs_of_which_none_comes_twice(space, monkeypatch):
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
    study.enqueue_trial(study.sampler._batch[0].params)  # somebody else tries what was to come
    designs = play(study, 28)
    assert len(set(names(designs))) == 48
    assert len(looks) - before < 14


def test_designs_that_are_proposed_together_are_no_neighbours():
    study = study_of(space=ask)
    play(study, 12)
    here = study.sampler._context(study, None)
    gains = np.array([-price(point.params) for point in here.open_points])
    best = here.open_points[int(gains.argmax())]
    ahead = diverse_batch(here.open_points, gains, best, 64)
    assert len(ahead) > 3
    ahead.insert(0, best)
    for one in ahead:
        others = [other.params for other in ahead if other is not one]
        assert all(sum(one.params.get(n) != o.get(n) for n in one.params.keys() | o.keys()) > 1 for o in others)
    dear = [price(point.params) for point in ahead]
    assert dear == sorted(dear)


def test_a_used_up_space_goes_on_without_an_error():
    assert len(play(study_of(space=ask), 51)) == 51


@pytest.mark.parametrize("first", [None, 4, 6])
def test_the_first_trials_are_steps_of_the_cost_up_to_the_dearest_the_middle_one_first(first):
    count = first or 4  # of a design with five answers half would be three: four are the fewest
    places = [place(params) for params in play(study_of(space=ask, n_startup_trials=first), count)]
    assert 0.35 < places[0] < 0.65
    assert places[-1] == 1
    for step in range(1, count + 1):
        assert min(abs(found - step / count) for found in places) < 0.6 / count


@pytest.mark.parametrize(("answers", "expected"), [(5, 4), (9, 5), (11, 6), (20, 8)])
def test_half_as_many_trials_as_a_design_has_answers_come_first_from_four_to_eight(answers, expected):
    def questions(trial):
        for n in range(answers):
            trial.suggest_int(f"x{n}", 1, 2)

    def cost(params):
        return 2.0 ** sum(params.values())

    study = optuna.create_study(directions=BOTH, sampler=KnownCostSampler({1: cost}, seed=0, space=questions))
    designs = play(study, 8, lambda params: [0.5, cost(params)], questions)
    costs = [cost(params) for params in designs]
    assert costs.index(max(costs)) == expected - 1  # the dearest is the last of the first


def test_it_finds_the_front_in_half_of_what_random_takes():
    designs = [c.params for c in list_designs(ask, 100)]
    whole = hypervolume([[accuracy(p), price(p)] for p in designs], [0.5, 3e4], BOTH)

    def needed(sampler):
        study = optuna.create_study(directions=BOTH, sampler=sampler)
        rows = []
        while hypervolume(rows, [0.5, 3e4], BOTH) < 0.99 * whole:
            trial = study.ask()
            ask(trial)
            rows.append([accuracy(trial.params), price(trial.params)])
            study.tell(trial, rows[-1])
        return len(rows)

    ours = [needed(KnownCostSampler({1: price}, seed=seed)) for seed in range(3)]
    others = [needed(optuna.samplers.RandomSampler(seed=seed)) for seed in range(9)]
    assert 2 * np.median(ours) <= np.median(others)


def test_a_budget_is_never_passed_and_reached():
    bound = 4000
    asked = [price(p) for p in play(study_of(space=ask, budget={1: bound}), 48)]
    within = [c for c in list_designs(ask, 100) if price(c.params) <= bound]
    assert max(asked) <= bound
    assert len(set(names(t for t in play(study_of(space=ask, budget={1: bound}), len(within))))) == len(within)


def test_what_is_not_allowed_is_never_proposed():
    designs = play(study_of(space=ask, budget_excess=lambda params: params["width"] == 16), 20)
    assert {params["width"] for params in designs} == {8, 32}


def test_a_budget_that_few_designs_meet_is_found_in_a_large_space():
    study = study_of(known={1: weight}, space=large, budget={1: 25})
    designs = play(study, 12, lambda p: [worth(p), weight(p)], large)
    assert max(weight(params) for params in designs) <= 25
    assert len(set(names(designs))) == 12


def test_a_budget_that_nothing_meets_is_refused():
    with pytest.raises(SettingsError, match=r"budget must allow at least one design; the nearest .* exceeds it"):
        play(study_of(known={1: weight}, space=large, budget={1: 15}), 1, lambda p: [worth(p), weight(p)], large)


def test_two_ways_to_write_one_design_are_proposed_once():
    def same(params):
        return (params["width"], params["a.operator"], params["b.operator"])

    designs = play(study_of(space=ask, canonical=same), 12)
    assert len({same(params) for params in designs}) == 12


def test_failed_trials_are_not_asked_again_and_not_modelled():
    study = study_of(space=ask)
    for number in range(30):
        trial = study.ask()
        ask(trial)
        if number % 2:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, [accuracy(trial.params), price(trial.params)])
    assert len(set(names(t.params for t in study.trials))) == 30


def test_a_stopped_trial_teaches_what_it_reached():
    def after(reached):
        study = study_of(space=ask)
        play(study, 9)
        for width in (8, 16, 32):
            params = {"width": width, "a.operator": "attention", "a.extent": 7, "b.operator": "conv", "b.kernel": 5}
            offered = run_space(ask, RandomSuggester(random.Random(0), params)).distributions
            attrs = {} if reached is None else {PRUNED_VALUES: [reached]}
            study.add_trial(
                create_trial(state=TrialState.PRUNED, params=params, distributions=offered, user_attrs=attrs)
            )
        return names(play(study, 12)[-12:])

    assert after(0.0) != after(0.99)
    assert after(None) != after(0.99)


def test_intermediate_values_of_a_stopped_trial_teach_where_one_objective_is_unknown():
    study = optuna.create_study(direction="maximize", sampler=KnownCostSampler(seed=0, space=ask))
    for number in range(12):
        trial = study.ask()
        ask(trial)
        trial.report(accuracy(trial.params) / 2, 1)
        if number % 3 == 2:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, accuracy(trial.params))
    assert len(set(names(t.params for t in study.trials))) == 12


def test_designs_of_one_identity_are_all_weighed_and_one_is_proposed():
    """The recipe alone decides how good a width is, and each width is asked for once."""

    def questions(trial):
        trial.suggest_categorical("width", tuple(range(1, 31)))
        trial.suggest_categorical("rate", (1, 2, 4))

    options = {"canonical": lambda p: p["width"], "variant": lambda p: p["rate"], "space": questions}
    study = study_of(known={1: lambda p: float(p["width"])}, **options)
    designs = play(study, 20, lambda p: [p["rate"] + p["width"] / 100, float(p["width"])], questions)
    assert len({p["width"] for p in designs}) == 20
    assert {p["rate"] for p in designs[12:]} == {4}


def test_designs_asked_for_otherwise_count_among_the_first_and_are_not_spread_over_again():
    study = study_of(space=ask)
    middle = [c.params for c in list_designs(ask, 100) if 0.4 < place(c.params) < 0.6][:3]
    for params in middle:
        study.enqueue_trial(params)
    (cost,) = [place(params) for params in play(study, 4)[3:]]
    assert cost == 1  # they took the three steps around them


def place(params):
    costs = [math.log(price(c.params)) for c in list_designs(ask, 100)]
    return (math.log(price(params)) - min(costs)) / (max(costs) - min(costs))


# -- what the next trials may gain --


def test_the_expected_gain_falls_as_the_front_is_found_and_is_nothing_at_the_end():
    study = study_of(space=ask)
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


def test_the_expected_gain_grows_with_the_trials_looked_ahead_but_counts_no_neighbour_twice():
    study = study_of(space=ask)
    play(study, 9)
    gains = [study.sampler.remaining_improvement(study, count) for count in (1, 2, 4, 8)]
    assert gains == sorted(gains)
    assert gains[0] < gains[-1] < 8 * gains[0]


def test_asking_for_the_expected_gain_changes_no_proposal():
    alone, judged = study_of(space=ask), study_of(space=ask)
    for _ in range(14):
        play(alone, 1)
        play(judged, 1)
        judged.sampler.remaining_improvement(judged, 2)
    assert names(t.params for t in alone.trials) == names(t.params for t in judged.trials)


def test_the_gain_of_trials_that_others_proposed_in_a_large_space_is_judged_too():
    study = optuna.create_study(directions=BOTH, sampler=optuna.samplers.RandomSampler(seed=0))
    play(study, 12, lambda p: [worth(p), weight(p)], large)
    judge = KnownCostSampler({1: weight}, space=large, seed=0)
    assert 0 < judge.remaining_improvement(study, 3) < math.inf


# -- workers side by side --


@pytest.mark.parametrize("space", [ask, None], ids=["told the space", "learning the space"])
def test_workers_beside_each_other_never_get_the_same(space):
    study = study_of(space=space)
    play(study, 10)
    trials = [study.ask() for _ in range(12)]
    for trial in trials:
        ask(trial)
    assert len(set(names(t.params for t in study.trials))) == 22


def test_a_trial_whose_questions_are_still_open_counts_as_what_it_will_answer():
    study = study_of(space=ask)
    play(study, 9)
    first, second = study.ask(), study.ask()
    first.suggest_categorical("width", (8, 16, 32))  # the rest of its design is only proposed so far
    ask(second)
    ask(first)
    assert params_key(first.params) != params_key(second.params)


def test_threads_share_one_study():
    study = study_of(space=ask)

    def objective(trial):
        ask(trial)
        return accuracy(trial.params), price(trial.params)

    study.optimize(objective, n_trials=24, n_jobs=4)
    assert len(set(names(t.params for t in study.trials))) == 24


def test_another_process_sees_what_was_proposed(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(
        directions=BOTH, study_name="s", storage=storage, sampler=KnownCostSampler({1: price}, seed=0, space=ask)
    )
    play(study, 3)
    first = study.ask()
    first.suggest_categorical("width", (8, 16, 32))
    assert PROPOSED in study.trials[first.number].system_attrs
    other = optuna.load_study(study_name="s", storage=storage, sampler=KnownCostSampler({1: price}, seed=0, space=ask))
    second = other.ask()
    ask(second)
    ask(first)
    assert params_key(first.params) != params_key(second.params)


# -- the same again --


@pytest.mark.parametrize("space", [ask, None], ids=["told the space", "learning the space"])
@pytest.mark.parametrize("at", [3, 8, 15])
def test_a_study_loaded_again_goes_on_as_it_would_have(space, at):
    whole = names(play(study_of(space=space), 20))
    half = study_of(space=space)
    play(half, at)
    again = study_of(space=space)
    again.add_trials(half.trials)
    assert names(play(again, 20 - at)) == whole


def test_the_order_in_which_trials_ended_changes_nothing():
    told = study_of(space=ask)
    play(told, 14)
    turned = study_of(space=ask)
    turned.add_trials(told.trials[::-1])
    assert names(play(turned, 1))[-1] == names(play(told, 1))[-1]


def test_another_seed_asks_other_questions():
    assert names(play(study_of(0, space=ask), 12)) != names(play(study_of(1, space=ask), 12))


def test_a_sampler_may_serve_two_studies():
    sampler = KnownCostSampler({1: price}, seed=0, space=ask)
    studies = [optuna.create_study(directions=BOTH, sampler=sampler) for _ in range(2)]
    for _ in range(12):
        for study in studies:
            play(study, 1)
    assert names(t.params for t in studies[0].trials) == names(t.params for t in studies[1].trials)


# -- which objectives are known --


@pytest.mark.parametrize(
    ("directions", "known", "values"),
    [
        (["maximize"], {}, lambda p: [accuracy(p)]),
        (["minimize"], {0: price}, lambda p: [price(p)]),
        (["minimize", "maximize"], {0: price}, lambda p: [price(p), accuracy(p)]),
        (BOTH, {}, lambda p: [accuracy(p), price(p)]),
        (BOTH, {0: accuracy, 1: price}, lambda p: [accuracy(p), price(p)]),
        (["maximize", "minimize", "minimize"], {1: price}, lambda p: [accuracy(p), price(p), p["width"] ** 0.5]),
        (["maximize", "minimize", "minimize"], {}, lambda p: [accuracy(p), price(p), -p["width"]]),
        (
            ["maximize", "minimize", "minimize", "maximize"],
            {1: price},
            lambda p: [accuracy(p), price(p), p["width"], len(p) / accuracy(p)],
        ),
    ],
)
def test_any_of_the_objectives_may_be_known(directions, known, values):
    designs = play(study_of(directions=directions, known=known), 14, values)
    assert len(set(names(designs))) == 14


def test_with_one_objective_known_the_best_is_found_at_once():
    study = study_of(directions=["minimize"], known={0: price}, space=ask, n_startup_trials=1)
    play(study, 4, lambda p: [price(p)])
    assert study.best_value == min(price(c.params) for c in list_designs(ask, 100))


def test_constant_values_and_hopeless_ones_are_no_obstacle():
    play(study_of(space=ask), 14, lambda p: [0.5, price(p)])
    play(study_of(space=ask), 14, lambda p: [-math.inf if p["width"] == 16 else accuracy(p), price(p)])
    play(study_of(space=ask), 14, lambda p: [1e30 * (p["width"] == 16), price(p)])


def test_numbers_and_ranges_are_questions_like_any():
    def questions(trial):
        trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        trial.suggest_float("share", 0.0, 1.0, step=0.25)
        if trial.suggest_int("layers", 1, 400) > 100:
            trial.suggest_int("skip", 1, 64, log=True)
        trial.suggest_categorical("kind", (True, False, None, "x"))
        trial.suggest_categorical("alone", (1,))

    def worth(p):
        return [-abs(math.log10(p["rate"]) + 2.5) - p["share"], float(p["layers"])]

    study = study_of(known={1: lambda p: float(p["layers"])}, directions=BOTH)
    play(study, 20, worth, questions)
    best = max(study.trials, key=lambda t: t.values[0])
    assert best.values[0] > -0.6
    assert len({params_key(t.params) for t in study.trials}) == 20


def test_enqueued_and_fixed_parameters_are_kept():
    study = study_of(space=ask)
    play(study, 9)
    study.enqueue_trial({"width": 16, "a.operator": "conv"})
    assert play(study, 1)[-1].items() >= {"width": 16, "a.operator": "conv"}.items()
    with pytest.warns(ExperimentalWarning, match="PartialFixedSampler is experimental"):
        study.sampler = optuna.samplers.PartialFixedSampler({"width": 8}, study.sampler)
    assert play(study, 1)[-1]["width"] == 8


# -- mistakes --


@pytest.mark.parametrize(
    ("known", "law"),
    [
        ({1: lambda p: 1 / 0}, r"known\[1\] must return a finite number; it raised ZeroDivisionError: .*'width': 8"),
        ({1: lambda p: math.nan}, r"known\[1\] must return a finite number; got nan, for \{.*'width': 8"),
        ({1: lambda p: math.inf}, r"known\[1\] must return a finite number; got inf"),
    ],
)
def test_a_known_function_that_fails_is_named_with_its_parameters(known, law):
    with pytest.raises(SettingsError, match=law):
        play(study_of(known=known, space=ask), 1)
    with pytest.raises(SettingsError, match=law.replace("'width': 8", "'width'")):
        play(study_of(known=known), 2)


def test_a_known_function_that_disagrees_with_what_is_told_is_named_with_both():
    study = study_of(known={1: lambda p: price(p) + 1}, space=ask)
    with pytest.raises(SettingsError, match=r"known\[1\] must return the value .*; got .*, and trial 0 reported"):
        play(study, 1)
    loaded = study_of(known={1: lambda p: 2 * price(p)}, space=ask)
    loaded.add_trials(study.trials)
    with pytest.raises(SettingsError, match=r"trial 0 reported .* for \{.*'a.operator'"):
        play(loaded, 1)


def test_a_study_of_other_directions_is_refused():
    with pytest.raises(SettingsError, match=r"objectives of the study, which has 1 \(numbers 0 to 0\); got 1\."):
        play(study_of(directions=["maximize"]), 1)
    with pytest.raises(SettingsError, match="reference must have one value for each of 2 objectives; got 1"):
        play(study_of(reference=[0.5]), 1)


@pytest.mark.parametrize(
    ("options", "law"),
    [
        ({"known": {-1: price}}, "known must map numbers of objectives to functions; got -1"),
        ({"known": {1: 5}}, "known must map numbers of objectives to functions; got 1: 5"),
        ({"known": {}, "budget": {1: 5.0}}, "budget must bound known objectives; got 1"),
        ({"n_startup_trials": 0}, "n_startup_trials must be a whole number from 1 up; got 0"),
    ],
)
def test_a_sampler_that_cannot_be_is_refused(options, law):
    with pytest.raises(SettingsError, match=law):
        KnownCostSampler(**options)


# -- its parts --


def test_expected_improvement_is_the_mean_of_what_hypervolume_gains():
    rng = np.random.default_rng(0)
    for count in (1, 2, 3):
        front = rng.random((5, count))
        reference = np.full(count, 1.1)
        mean, deviation = rng.random((4, count)), 0.05 + 0.2 * rng.random((4, count))
        beliefs = [NormalPosterior(mean[:, k], deviation[:, k]) for k in range(count - 1)]
        beliefs.append(NormalPosterior(np.log(mean[:, -1]), deviation[:, -1], 0.0))
        found = expected_hypervolume_improvement(beliefs, front, reference)
        draws = mean + deviation * rng.standard_normal((300, 4, count))
        draws[:, :, -1] = np.exp(np.log(mean[:, -1]) + deviation[:, -1] * rng.standard_normal((300, 4)))
        least = ["minimize"] * count
        before = hypervolume(front, reference, least)
        gains = [[hypervolume([*front, point], reference, least) - before for point in row] for row in draws]
        assert found == pytest.approx(np.mean(gains, axis=0), abs=1e-9 + 4 * np.std(gains, axis=0).max() / 300**0.5)


def test_a_known_candidate_is_worth_exactly_what_it_gains():
    front = np.array([[1.0, 5.0], [2.0, 3.0], [4.0, 1.0]])
    reference = np.array([6.0, 6.0])
    points = np.array([[0.5, 4.0], [3.0, 2.0], [5.0, 5.0], [1.0, 5.0]])
    found = expected_hypervolume_improvement([KnownValues(points[:, 0]), KnownValues(points[:, 1])], front, reference)
    least = ["minimize"] * 2
    before = hypervolume(front, reference, least)
    assert found == pytest.approx([hypervolume([*front, p], reference, least) - before for p in points])


def test_boxes_fill_what_no_front_point_dominates():
    rng = np.random.default_rng(1)
    front, reference = rng.random((7, 3)), np.ones(3)
    lows, highs = non_dominated_boxes(front, reference)
    sides = np.prod(highs - np.maximum(lows, 0.0), axis=1)
    assert sides.sum() == pytest.approx(1 - hypervolume(front, reference, ["minimize"] * 3))


def test_of_many_trials_the_front_the_newest_and_an_even_share_of_the_others_are_modelled():
    rows = np.random.default_rng(0).random((3 * MAX_OBSERVATIONS, 2)).tolist()
    rows[5] = [-1.0, -1.0]
    told = [Observation(number, row, 1.0) for number, row in enumerate(rows)]
    kept = [observation.point for observation in select_observations(told)]
    assert len(kept) == len(set(kept)) == MAX_OBSERVATIONS
    assert 5 in kept
    assert kept == sorted(kept)
    assert set(range(2 * MAX_OBSERVATIONS + MAX_OBSERVATIONS // 2, 3 * MAX_OBSERVATIONS)) <= set(kept)
    assert max(np.diff(kept)) <= 8
    assert select_observations(told[:MAX_OBSERVATIONS]) == told[:MAX_OBSERVATIONS]


def designs_of(space):
    return {params_key(design.params) for design in list_designs(space, 100)}


def test_a_learned_space_knows_what_opens_a_question():
    past = [run_space(ask, RandomSuggester(random.Random(seed))) for seed in range(12)]
    learned = LearnedSpace((c.params, c.distributions) for c in past)
    assert {params_key(c.params) for c in list_designs(learned, 100)} == {
        params_key(c.params) for c in list_designs(ask, 100)
    }


def test_a_question_inside_a_question_is_learned_too():
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
    """4^16 designs, and options that depend on them."""
    for block in range(16):
        if trial.suggest_categorical(f"{block}.kind", ("a", "b", "c", "d")) == "a":
            trial.suggest_categorical(f"{block}.size", (3, 5, 7))


def weight(params):
    return 1.0 + sum("abcd".index(params[f"{block}.kind"]) + params.get(f"{block}.size", 0) for block in range(16))


def worth(params):
    return 1 - 0.5 * math.exp(-weight(params) / 30) - 0.01 * sum(params[f"{b}.kind"] == "b" for b in range(16))


@pytest.mark.parametrize(("held", "limit"), [(300, 0.3)])
def test_a_proposal_takes_its_time_at_most_and_is_new(held, limit):
    study = study_of(known={1: weight}, space=large)
    dice = random.Random(0)
    for _ in range(held):
        chooser = run_space(large, RandomSuggester(dice))
        values = [worth(chooser.params), weight(chooser.params)]
        study.add_trial(create_trial(values=values, params=chooser.params, distributions=chooser.distributions))
    spent = []
    for _ in range(3):
        began = time.process_time()
        trial = study.ask()
        large(trial)
        spent.append(time.process_time() - began)
        study.tell(trial, [worth(trial.params), weight(trial.params)])
    assert len(set(names(t.params for t in study.trials[-3:]))) == 3
    assert sorted(spent)[1] < 2 * limit  # the figures of docs/log.md are those of a quiet machine
