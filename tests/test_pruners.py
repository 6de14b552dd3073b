"""Pruners: which trials are stopped, which designs are deferred, and that the order of trials does not matter."""

import math
import random
import sys
from dataclasses import replace

import numpy as np
import pytest

from hybrid_search.errors import SettingsError, UnknownName
from hybrid_search.gaussian_process import Inputs
from hybrid_search.objectives import objectives
from hybrid_search.pareto import pareto_front
from hybrid_search.pruners import (
    PRUNERS,
    DeferredDesigns,
    FrontProbabilityPruner,
    PrunerObjectives,
    TrialView,
    audit_of,
    make_pruner,
)
from hybrid_search.pruners.audit import spearman, wilson
from hybrid_search.pruners.encoding import encode_choices
from hybrid_search.pruners.forecast import Warp, forecast
from hybrid_search.pruners.front_probability import MAX_TRIALS
from hybrid_search.pruners.queue import MAX_DEFERRED
from hybrid_search.pruners.ranking import count_better_ranked
from hybrid_search.pruners.surrogate import N_SAMPLES, DesignSurrogate

TWO = PrunerObjectives.of(objectives(("accuracy", "flops")))
EPOCHS = 6


def pruner_of(aims=TWO, **settings):
    return FrontProbabilityPruner(aims, **settings)


def curve(final, epochs=EPOCHS, noise=0.0, rng=None):
    """Return accuracies after each epoch that end at `final`; the logarithm of the error falls in fixed shares."""
    end = -math.log(1.0 - final)
    shares = [1.0 - 0.6 ** (epoch + 1) for epoch in range(epochs)]
    said = [end * share / shares[-1] for share in shares]
    if rng is not None:
        said = [w + rng.gauss(0.0, noise * (1.0 - share)) for w, share in zip(said, shares, strict=True)]
    return [1.0 - math.exp(-w) for w in said]


def whole(number, accuracy, flops, **more):
    """Return a completed trial."""
    values = curve(accuracy, **more)
    return TrialView(f"{number:04d}", (float(flops),), {i: (v,) for i, v in enumerate(values, 1)}, (values[-1],))


def begun(number, accuracy, flops, rung, **more):
    """Return a trial that has reached `rung` and would end at `accuracy`."""
    found = whole(number, accuracy, flops, **more)
    return replace(found, curve={r: v for r, v in found.curve.items() if r <= rung}, final=None)


def many(count=12, spread=0.0, seed=0):
    """Return completed trials whose accuracy grows with the cost; `spread` lowers some of them."""
    rng = random.Random(seed)
    costs = [10_000 * 1.5**i for i in range(count)]
    line = [1.0 - 0.25 * 0.93**i for i in range(count)]
    return [
        whole(i, at - spread * rng.random(), cost, noise=0.05, rng=rng)
        for i, (at, cost) in enumerate(zip(line, costs, strict=True))
    ]


def test_nothing_is_stopped_before_enough_trials_are_complete():
    poor_trial, judge = begun(99, 0.3, 2e5, 4), pruner_of(audit_share=0.0).judge
    assert [judge(poor_trial, 4, many(count)) for count in (0, 5, 8)] == ["keep", "keep", "stop"]


def test_a_network_that_costs_more_and_does_worse_is_stopped():
    assert pruner_of(audit_share=0.0).judge(begun(99, 0.70, 9e5, 2), 2, many()) == "stop"


def test_a_network_is_compared_only_with_networks_that_cost_no_more():
    poor = begun(99, 0.745, 9_000, 2)  # less accurate than all, and with the lowest cost
    costly = begun(99, 0.745, 900_000, 2)
    assert [pruner_of(audit_share=0.0).judge(trial, 2, many()) for trial in (poor, costly)] == [
        "keep",
        "stop",
    ]


@pytest.mark.parametrize("rung", [1, 2, 3, 4])
def test_a_trial_on_the_front_of_its_rung_is_never_stopped(rung):
    rng = random.Random(rung)
    for _ in range(60):
        others = many(20, spread=0.1, seed=rng.random())
        trial = begun(99, 0.6 + 0.35 * rng.random(), 10 ** rng.uniform(3.5, 7.0), rung, noise=0.3, rng=rng)
        mine = (trial.curve[rung][0], trial.known[0])
        beaten = any(o.curve[rung][0] >= mine[0] and o.known[0] <= mine[1] for o in others)
        verdict = pruner_of(audit_share=0.0, reduction_factor=1000.0).judge(trial, rung, others)
        assert beaten or verdict == "keep"


def test_trials_with_a_good_rank_at_a_rung_are_kept():
    others = many(20)
    second = begun(99, others[10].final[0] - 0.02, others[10].known[0] * 1.01, 4)  # dominated by one front
    sure = {"audit_share": 0.0, "confidence": 0.51}
    assert pruner_of(reduction_factor=1.01, **sure).judge(second, 4, others) == "keep"
    assert pruner_of(reduction_factor=1000.0, **sure).judge(second, 4, others) == "stop"


def test_a_curve_that_predicts_little_stops_no_trial_that_may_end_well():
    rng = random.Random(1)
    steady = many(30, spread=0.08)
    wild = [
        replace(trial, curve={r: (v[0] if r == EPOCHS else rng.uniform(0.3, 0.7),) for r, v in trial.curve.items()})
        for trial in steady
    ]
    trial = begun(99, 0.75, 2e5, 1)
    verdicts = [
        pruner_of(audit_share=0.0, reduction_factor=1000.0).judge(trial, 1, others) for others in (steady, wild)
    ]
    assert verdicts == ["stop", "keep"]


def test_indicators_that_predict_the_end_make_a_forecast_narrow():
    rng = random.Random(2)
    plain = [
        replace(trial, curve={r: (v[0] if r == EPOCHS else rng.uniform(0.3, 0.7),) for r, v in trial.curve.items()})
        for trial in many(30, spread=0.08)
    ]
    informed = [replace(trial, indicators={1: (1.0 - trial.final[0], 1.0)}) for trial in plain]
    trial = begun(99, 0.76, 2e5, 1)
    pruner = pruner_of(audit_share=0.0, reduction_factor=1000.0)
    assert pruner.judge(trial, 1, plain) == "keep"
    assert pruner.judge(replace(trial, indicators={1: (0.24, 1.0)}), 1, informed) == "stop"
    assert pruner.expected_values(replace(trial, indicators={1: (0.24, 1.0)}), 1, informed)[0] == pytest.approx(
        0.76, abs=0.01
    )
    assert pruner.judge(trial, 1, informed) == "keep"  # an indicator that some trials lack is ignored


def test_a_forecast_has_calibrated_quantiles():
    rng = np.random.default_rng(0)
    inside, widths = 0, []
    for _ in range(200):
        x = rng.normal(size=(16, 2))
        y = 1.0 + 0.5 * x[:, 0] - 0.2 * x[:, 1] + 0.1 * rng.normal(size=16)
        at = rng.normal(size=2)
        truth = 1.0 + 0.5 * at[0] - 0.2 * at[1] + 0.1 * rng.normal()
        found = forecast(x, y, at)
        inside += np.quantile(found.sample(1000), 0.05) <= truth
        widths.append(found.scale)
    assert 180 <= inside <= 199
    assert 0.1 < np.median(widths) < 0.2


def test_a_forecast_from_few_trials_is_wide():
    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 2.0])
    few, more = forecast(x, y, np.array([1.5])), forecast(np.tile(x, (8, 1)), np.tile(y, 8), np.array([1.5]))
    assert few.scale > 3 * more.scale > 0


def encoded_choices(count, seed=2):
    """Return encoded binary choices, and the quality that follows from their effects."""
    choices = np.random.default_rng(seed).integers(2, size=(count, 3)).astype(float)
    return Inputs(choices, np.arange(3)), choices @ [1.0, -0.5, 0.2]


def test_the_surrogate_predicts_a_design_from_its_choices():
    inputs, true = encoded_choices(41)
    finals = true[:-1] + 0.1 * np.random.default_rng(3).normal(size=40)
    done = inputs.take(np.arange(40))
    found = DesignSurrogate(done, finals)
    assert found.mean(inputs)[-1] == pytest.approx(true[-1], abs=0.1)
    assert np.std(found.mean(done) - true[:-1]) < 0.6 * np.std(finals - true[:-1])  # without the noise
    moved = DesignSurrogate(done, finals + np.where(np.arange(40) == 7, 0.5, 0.0))
    assert abs(moved.leave_one_out[7] - found.leave_one_out[7]) < 0.1  # except for the shared mean and length scales
    assert moved.mean(done)[7] > found.mean(done)[7] + 0.02


def test_joint_samples_follow_the_posterior_and_condition_on_a_final_value():
    inputs, true = encoded_choices(30)
    found = DesignSurrogate(inputs, true + 0.1 * np.random.default_rng(4).normal(size=30))
    new = Inputs(np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), np.arange(3))
    free = found.sample(new)
    assert free.shape == (N_SAMPLES, 3)
    assert np.array_equal(free, found.sample(new))
    assert free.mean(axis=0) == pytest.approx(found.mean(new), abs=0.03)
    good, poor = (found.sample(new, np.full(N_SAMPLES, end)).mean(axis=0) for end in (-1.0, 0.5))
    assert good[2] < free[:, 2].mean() < poor[2]  # the last design itself
    assert poor[2] - good[2] < 0.75  # half of a final value is noise


def test_equal_final_values_are_predicted_for_every_design():
    inputs = Inputs(np.eye(6), np.arange(6))
    found = DesignSurrogate(inputs.take(np.arange(5)), np.full(5, 0.7))
    assert found.mean(inputs) == pytest.approx(np.full(6, 0.7))
    assert found.leave_one_out == pytest.approx(np.full(5, 0.7))


def test_choices_are_encoded_by_rank_and_by_word():
    three = [{"width": 16, "kind": "conv"}, {"width": 4, "kind": "attention", "extent": 3}, {"width": 8, "kind": "x"}]
    found = encode_choices([*three, {"kind": "x", "width": 4, "extent": 5}])
    half = 0.5**0.5
    assert found.groups.tolist() == [0, 1, 1, 1, 2]  # extent, three kinds, width: in the order of their names
    assert found.rows[0] == pytest.approx([0.5, 0.0, half, 0.0, 1.0])
    assert found.rows[1] == pytest.approx([0.0, half, 0.0, 0.0, 0.0])
    assert found.rows[2] == pytest.approx([0.5, 0.0, 0.0, half, 0.5])
    assert encode_choices([{"one": 1}, {"one": 1}]).rows.shape == (2, 0)


def waiting(number, flops, wide):
    """Return a design that has not started."""
    return TrialView(f"{number:04d}", (float(flops),), {}, choices={"wide": wide})


def wide_or_not(count=20, gap=0.08):
    """Return completed trials on a line in the cost, and as many below it by `gap`; their choice says which."""
    good = many(count)
    poor = [whole(100 + i, trial.final[0] - gap, trial.known[0]) for i, trial in enumerate(good)]
    return [replace(t, choices={"wide": wide}) for group, wide in ((good, "yes"), (poor, "no")) for t in group]


def test_before_its_first_epoch_a_design_has_a_front_probability_from_its_choices():
    pruner, others = pruner_of(), wide_or_not()
    good, poor = pruner.front_probabilities([waiting(900, 2e5, "yes"), waiting(901, 2e5, "no")], others)
    assert good > 0.3
    assert poor < 0.02
    assert pruner.front_probabilities([waiting(901, 2e5, "no")], others)[0] == pytest.approx(poor, abs=0.02)
    assert pruner.front_probabilities([waiting(902, 5e3, "no")], others) == [1.0]  # lower cost than all
    assert pruner.front_probabilities([waiting(901, 2e5, "no")], others[:5]) == [1.0]  # too few completed trials
    assert pruner.front_probabilities([], others) == []


def test_two_unknown_objectives_are_sampled_independently():
    both = PrunerObjectives(("maximize", "maximize"), (), (1.0, 1.0))
    pairs = [replace(t, known=(), final=t.final * 2) for t in wide_or_not()]
    one = PrunerObjectives(("maximize",), (), (1.0,))
    singles = [replace(t, known=()) for t in wide_or_not()]
    design = replace(waiting(900, 0, "yes"), known=())
    together, alone = (
        FrontProbabilityPruner(aims).front_probabilities([design], done)[0]
        for aims, done in ((both, pairs), (one, singles))
    )
    assert together > alone + 0.1  # it is enough to be good in one objective


def test_without_distinguishing_choices_no_design_is_deferred():
    assert pruner_of().front_probabilities([TrialView("9", (9e5,), {})], many(20)) == [1.0]


def test_the_newest_design_starts_if_it_is_probable_enough_otherwise_the_best_deferred_one():
    pruner, others = pruner_of(), wide_or_not()
    good, poor, worse = waiting(900, 2e5, "yes"), waiting(901, 2e5, "no"), waiting(902, 1.9e5, "no")

    def picked(*designs, by=pruner, of=others, required=False):
        waits = DeferredDesigns()
        for design in designs:
            waits.add(design.digest, design)
        found = waits.next_design(by, of, required=required)
        assert (found in waits.designs, len(waits.designs)) == (False, len(designs) - (found is not None))
        return found

    assert picked(poor, good) == picked(good, poor) == good.digest
    assert picked(poor, worse) is None
    assert picked(poor, worse, required=True) in (poor.digest, worse.digest)
    assert picked(poor, worse, of=others[:4]) == worse.digest
    assert picked(good, poor, by=PRUNERS["none"](TWO, 0)) == poor.digest


def test_of_two_improbable_designs_the_one_nearer_to_the_front_is_preferred():
    good = many(20)
    worst = [whole(200 + i, t.final[0] - 0.25, t.known[0]) for i, t in enumerate(good)]
    others = [*wide_or_not(gap=0.12), *(replace(t, choices={"wide": "never"}) for t in worst)]
    near, far = pruner_of().front_probabilities([waiting(900, 2e5, "no"), waiting(901, 2e5, "never")], others)
    assert 1e-5 > near > far
    assert near == pytest.approx(far, abs=1e-6)


class DigestPruner:
    """A pruner whose front probabilities are the digests as numbers, and that defers every design."""

    min_probability = 1.0

    def front_probabilities(self, waiting, others):
        return [int(design.digest) / 1e4 for design in waiting]


def test_of_too_many_deferred_designs_the_least_probable_are_dropped():
    waits = DeferredDesigns()
    for number in [*range(0, 400, 2), 1]:
        waits.add(number, waiting(number, 1e5, "yes"))
    assert waits.next_design(DigestPruner(), []) is None
    assert sorted(waits.designs) == list(range(400 - 2 * MAX_DEFERRED, 400, 2))
    waits.add(2, waiting(2, 1e5, "yes"))
    assert waits.next_design(DigestPruner(), [], required=True) == 398
    assert len(waits.designs) == MAX_DEFERRED - 1


def test_final_values_that_differ_by_rounding_count_as_equal():
    for count in (7, 8):
        others = [replace(whole(i, 0.1, 1e5 + i), choices={"wide": "yes" if i % 2 else "no"}) for i in range(count)]
        chance = pruner_of().front_probabilities([waiting(99, 1e6, "yes")], others)[0]
        assert chance == pytest.approx(0.45, abs=0.25)


def designed(trial, wide, rng):
    """Return a trial with a choice and with a curve that predicts nothing."""
    reached = {r: (v[0] if r == EPOCHS else rng.uniform(0.3, 0.7),) for r, v in trial.curve.items()}
    return replace(trial, curve=reached, choices={"wide": wide})


def test_choices_that_predict_a_poor_end_stop_a_trial_that_its_curve_does_not():
    rng = random.Random(2)
    good = many(20)
    poor = [whole(100 + i, trial.final[0] - 0.08, trial.known[0]) for i, trial in enumerate(good)]
    others = [designed(t, wide, rng) for group, wide in ((good, "yes"), (poor, "no")) for t in group]
    informed = [replace(begun(999, 0.8, 2e5, 1), choices={"wide": wide}) for wide in ("yes", "no")]
    pruner = pruner_of(audit_share=0.0, reduction_factor=1000.0)
    assert [pruner.judge(trial, 1, others) for trial in informed] == ["keep", "stop"]
    without_choices = [replace(other, choices={}) for other in others]
    assert [pruner.judge(replace(trial, choices={}), 1, without_choices) for trial in informed] == ["keep", "keep"]


def test_a_completed_trial_whose_noise_is_favourable_does_not_stop_an_equal_design():
    rng = random.Random(4)
    flat = [whole(i, 0.8 + 0.02 * rng.gauss(0.0, 1.0), 1e5 * 1.02**i) for i in range(30)]
    favourable = whole(30, 0.86, 1e5 * 1.02**15.5)
    others = [replace(t, choices={"wide": i % 2}) for i, t in enumerate([*flat, favourable])]
    trial = replace(begun(99, 0.82, 2e5, 4), choices={"wide": 0.0})
    plain = [replace(t, choices={}) for t in others]
    pruner = pruner_of(audit_share=0.0, reduction_factor=1000.0)
    assert pruner.judge(replace(trial, choices={}), 4, plain) == "stop"
    assert pruner.judge(trial, 4, others) == "keep"


def test_the_model_uses_the_front_and_some_others_of_many_completed_trials():
    done = many(MAX_TRIALS + 80, spread=0.3)
    found = pruner_of()._training_set(done)
    front = pareto_front([[trial.final[0], trial.known[0]] for trial in done], TWO.directions)
    assert len(found) == MAX_TRIALS
    assert {done[i].digest for i in front} <= {trial.digest for trial in found}


@pytest.mark.parametrize(("maximize", "best"), [(True, 1.0), (False, 0.0), (True, None), (False, None)])
def test_a_warp_can_be_inverted_and_makes_less_better(maximize, best):
    values = np.array([0.2, 0.5, 0.9])
    warp = Warp.of(values, maximize, best)
    there = warp.to(values)
    assert np.allclose(warp.back(there), values)
    assert (np.diff(there) < 0).all() == maximize


def test_values_beyond_their_natural_best_are_not_warped():
    assert Warp.of(np.array([40.0, 80.0]), True, 1.0) == Warp(-1.0, None)


def test_the_order_of_the_history_does_not_matter():
    others = many(20, spread=0.1)
    mixed = random.Random(3).sample(others, len(others))
    for accuracy in (0.7, 0.8, 0.85):
        trial = begun(99, accuracy, 3e5, 2)
        pruner = pruner_of(seed=5)
        assert pruner.judge(trial, 2, others) == pruner.judge(trial, 2, mixed)
        assert pruner.expected_values(trial, 2, others) == pruner.expected_values(trial, 2, mixed)


def test_the_audit_spares_its_share_of_trials_by_digest_and_seed():
    others = many()
    poor_trial = [begun(100 + i, 0.5, 9e5, 1) for i in range(200)]
    verdicts = [pruner_of(seed=1, audit_share=0.2).judge(trial, 1, others) for trial in poor_trial]
    assert set(verdicts) == {"stop", "spare"}
    assert 25 < verdicts.count("spare") < 55
    assert verdicts == [pruner_of(seed=1, audit_share=0.2).judge(trial, 1, others) for trial in poor_trial]
    assert verdicts != [pruner_of(seed=2, audit_share=0.2).judge(trial, 1, others) for trial in poor_trial]
    assert pruner_of(audit_share=0.0).judge(replace(begun(99, 0.5, 9e5, 2), spared=1), 2, others) == "keep"


def test_trials_are_judged_at_rungs_below_the_full_budget():
    pruner = pruner_of(audit_share=0.0)
    assert [pruner.rungs(full) for full in (1, 2, 3, 6, 30)] == [
        [],
        [1],
        [2, 1],
        [4, 3, 2, 1],
        [20, 13, 9, 6, 4, 3, 2, 1],
    ]
    poor_trial = begun(99, 0.5, 9e5, EPOCHS)
    said = [pruner.judge(poor_trial, rung, many()) for rung in range(1, EPOCHS + 1)]
    assert said == ["stop", "stop", "stop", "stop", "keep", "keep"]


def test_an_objective_to_be_minimised_is_the_mirror_of_one_to_be_maximised():
    error = PrunerObjectives(("minimize", "minimize"), (1,), (0.0, None))

    def mirrored(trial):
        reached = {rung: (1.0 - value[0],) for rung, value in trial.curve.items()}
        return replace(trial, curve=reached, final=None if trial.final is None else (1.0 - trial.final[0],))

    others, pruner, mirror = (
        many(20, spread=0.1),
        pruner_of(audit_share=0.0),
        pruner_of(error, audit_share=0.0),
    )
    for accuracy in (0.6, 0.7, 0.8, 0.9):
        for cost in (2e4, 1e5, 1e6):
            trial = begun(99, accuracy, cost, 2)
            assert pruner.judge(trial, 2, others) == mirror.judge(mirrored(trial), 2, [mirrored(o) for o in others])


def test_without_a_known_cost_all_objectives_are_forecast():
    aims = PrunerObjectives(("maximize", "minimize"), (), (1.0, 0.0))

    def timed(trial):
        slow = trial.known[0] / 1e5
        reached = {rung: (value[0], slow) for rung, value in trial.curve.items()}
        return replace(trial, known=(), curve=reached, final=(trial.final[0], slow))

    others = [timed(trial) for trial in many(20)]

    def trial(accuracy, delay):
        found = begun(99, accuracy, 0.0, 2)
        return replace(found, known=(), curve={r: (v[0], delay) for r, v in found.curve.items()})

    judge = pruner_of(aims, audit_share=0.0).judge
    assert [judge(trial(*at), 2, others) for at in ((0.6, 5.0), (0.9, 5.0), (0.6, 0.01))] == ["stop", "keep", "keep"]


def test_with_one_objective_poor_trials_are_stopped():
    aims = PrunerObjectives(("maximize",), (), (1.0,))
    others = [replace(trial, known=()) for trial in many(20)]
    poor, good = (replace(begun(99, accuracy, 0.0, 3), known=()) for accuracy in (0.7, 0.99))
    assert pruner_of(aims, audit_share=0.0).judge(poor, 3, others) == "stop"
    assert pruner_of(aims, audit_share=0.0).judge(good, 3, others) == "keep"


def test_with_three_objectives_a_small_network_is_kept_and_a_large_one_stopped():
    aims = PrunerObjectives.of(objectives(("accuracy", "flops", "params")))
    others = [replace(trial, known=(trial.known[0], 1000.0 + 7919 * i % 8000)) for i, trial in enumerate(many(20))]
    large, small = (replace(begun(99, 0.5, 9e5, 2), known=(9e5, params)) for params in (9000.0, 10.0))
    assert pruner_of(aims, audit_share=0.0).judge(large, 2, others) == "stop"
    assert pruner_of(aims, audit_share=0.0).judge(small, 2, others) == "keep"


def test_an_objective_measured_only_at_the_end_is_forecast_from_the_cost():
    aims = PrunerObjectives.of(objectives(("accuracy", "latency_ms", "flops")))

    def timed(trial):
        slow = trial.known[0] / 1e5
        reached = {r: (v[0], slow if r == EPOCHS else math.nan) for r, v in trial.curve.items()}
        return replace(trial, curve=reached, final=None if trial.final is None else (trial.final[0], slow))

    others, pruner = [timed(trial) for trial in many(20)], pruner_of(aims, audit_share=0.0)
    poor_trial, good = timed(begun(99, 0.6, 5e5, 3)), timed(begun(99, 0.95, 5e5, 3))
    assert [pruner.judge(trial, 3, others) for trial in (poor_trial, good)] == ["stop", "keep"]
    assert pruner.expected_values(good, 3, others)[1] == pytest.approx(5.0, rel=0.2)


def test_equal_final_values_stop_no_trial_on_the_front():
    same = [whole(i, 0.8, 1e5) for i in range(10)]
    assert pruner_of(audit_share=0.0).judge(begun(99, 0.8, 1e5, 2), 2, same) == "keep"
    assert pruner_of(audit_share=0.0).judge(begun(99, 0.7, 2e5, 2), 2, same) == "stop"


def test_ranks_count_those_on_better_fronts():
    rows = [[0, 4], [4, 0], [1, 5], [5, 1], [2, 2], [2, 2], [6, 6]]
    assert [count_better_ranked(np.array([*rows[:i], *rows[i + 1 :], rows[i]], dtype=float)) for i in range(7)] == [
        0,
        0,
        4,
        4,
        0,
        0,
        6,
    ]
    three = np.array([[0, 0, 9], [1, 1, 1], [2, 2, 2], [3, 3, 3]], dtype=float)
    assert count_better_ranked(three) == 3
    assert count_better_ranked(three, enough=1.0) == 2


def test_the_audit_counts_epochs_and_spared_trials_on_the_front():
    done = many(10)
    best = replace(whole(50, 0.99, 1e3), spared=1)
    poor = replace(whole(51, 0.5, 9e6), spared=2)
    stopped = [replace(begun(60 + rung, 0.4, 9e6, rung), stopped=True) for rung in (1, 4)]
    found = audit_of([*done, best, poor, *stopped], TWO)
    assert (found.complete, found.stopped, found.spared, found.spared_on_front) == (12, 2, 2, 1)
    assert (found.spent, found.saved) == (12 * 6 + 5, 5 + 2)
    assert found.missed == pytest.approx((0.0945, 0.5, 0.9055), abs=1e-3)
    assert set(found.correlations) == {1, 2, 3, 4, 5}
    assert all(0.9 < value <= 1.0 for value in found.correlations.values())
    said = found.lines()
    assert said[0] == "pruning stopped 2 of 14 trials and saved 7 of 84 epochs (8 %)"
    assert said[2].startswith(
        "share of wrong stops: 1 of 2 trials whose stop was skipped reached the front, 50 % (95 % interval 9"
    )


def test_an_audit_of_few_trials_states_that_data_are_missing():
    assert len(audit_of(many(3), TWO).lines()) == 2
    found = audit_of([*many(3), replace(begun(9, 0.5, 1e6, 1), stopped=True)], TWO)
    assert set(found.correlations.values()) == {None}
    assert found.missed is None
    assert found.lines()[1:] == [
        "rank correlation: not enough data (3 completed trials)",
        "share of wrong stops: unknown, because no stop was skipped for the audit",
    ]
    assert audit_of([], TWO).lines()[0] == "pruning stopped 0 of 0 trials and saved 0 of 0 epochs (0 %)"


def test_a_rank_correlation_is_spearmans():
    assert spearman([1, 2, 3, 4], [10, 20, 30, 400]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9487, abs=1e-4)
    assert spearman([1, 1], [1, 2]) is None


def test_a_wilson_interval_is_correct_at_zero_and_one():
    assert wilson(0, 20) == pytest.approx((0.0, 0.0, 0.1611), abs=1e-4)
    assert wilson(20, 20) == pytest.approx((0.8389, 1.0, 1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ratio": 1.0}, "ratio must be between 1 and inf; got 1.0"),
        ({"reduction_factor": 0.5}, "reduction_factor must be between 1 and inf; got 0.5"),
        ({"confidence": 1.0}, "confidence must be between 0.5 and 1; got 1.0"),
        ({"audit_share": 1.5}, "audit_share must be a share from 0 to 1; got 1.5"),
        ({"min_probability": -0.1}, "min_probability must be a share from 0 to 1; got -0.1"),
        ({"n_startup_trials": 3}, "n_startup_trials must be a whole number from 4 up; got 3"),
    ],
)
def test_a_setting_out_of_range_is_refused(wrong, message):
    with pytest.raises(SettingsError, match=message):
        pruner_of(**wrong)


def test_aims_that_do_not_fit_together_are_refused():
    with pytest.raises(SettingsError, match=r"aims must be .*; got 2 directions, known \[2\], 0 best values"):
        PrunerObjectives(("maximize", "minimize"), (2,))
    with pytest.raises(SettingsError, match="direction must be one of maximize, minimize; got 'up'"):
        PrunerObjectives(("up",))


def test_an_unknown_pruner_is_refused_with_the_known_names():
    with pytest.raises(
        UnknownName,
        match=r"one of none, front-probability; got 'front-probabilty'\. Did you mean 'front-probability'",
    ):
        make_pruner("front-probabilty", objectives(("accuracy", "flops")))


def test_the_package_does_not_import_optuna(tmp_path):
    import subprocess

    check = "import hybrid_search.pruners, sys; print('optuna' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_the_former_name_of_a_pruner_is_accepted():
    pruner = make_pruner("moasha", objectives(("accuracy", "flops")), seed=3)
    assert pruner == pruner_of(seed=3)


def test_a_pruner_can_be_given_as_a_factory():
    pruner = make_pruner(lambda aims, seed: pruner_of(aims, seed=seed, audit_share=0.5), objectives(("accuracy",)), 7)
    assert (pruner.seed, pruner.audit_share, pruner.aims.directions) == (7, 0.5, ("maximize",))
