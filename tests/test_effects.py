"""Where attention helps: matched pairs, the model at equal FLOPs, importance, open questions, and the command."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from hybrid_search import SearchSpace, SearchSpec, SettingsError, cli
from hybrid_search.analysis.effects import (
    TrainedDesigns,
    compare,
    factors,
    importance,
    model_effects,
    open_questions,
    operator_shares,
    search_effects,
)
from hybrid_search.analysis.replay import read_table
from hybrid_search.ledger import Ledger, reads
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.records import Resources
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.search.enqueued import enqueued_designs

ACCURACY, FLOPS = OBJECTIVES["accuracy"], OBJECTIVES["flops"]
OPERATORS = ("conv", "local_attention", "depthwise_conv")
LOCAL = {"resources": Resources("local"), "checkpoints": "none"}


def designs_of(choices, values, flops=None):
    flops = np.ones(len(values)) if flops is None else np.array(flops, dtype=float)
    return TrainedDesigns(range(len(values)), choices, np.array(values, dtype=float), flops, ACCURACY)


def pair(operator, width, extent=3):
    own = {"stage1.local_attention.extent": extent} if operator == "local_attention" else {}
    return {"stage1.width": width, "stage1.operator": operator, **own}


@pytest.fixture(scope="module")
def table():
    return read_table(Path("results/fashion-table.csv"), {"accuracy": "maximize", "flops": "minimize"})


@pytest.fixture(scope="module")
def of_table(table):
    accuracy, flops = table.objectives
    return TrainedDesigns(range(len(table.designs)), table.designs, accuracy.means, flops.means, ACCURACY)


def named(comparisons, name, b=None):
    return next(each for each in comparisons if each.factor.name == name and b in (None, each.b))


# -- factors --


def test_the_factors_of_a_design_are_its_operators_blocks_stem_and_the_options_of_operators():
    first = {
        "stem": "conv3x3", "stem.conv3x3.width": 8, "stage1.depth": 1, "stage1.width": 8, "stage1.block": "basic",
        "stage2.block": "metaformer", "stage2.metaformer.operator": "conv", "stage2.metaformer.conv.kernel_size": 3,
        "stage3.operator": "conv",
    }  # fmt: skip
    second = {
        "stem": "patchify", "stem.patchify.width": 8, "stage1.depth": 2, "stage1.width": 16,
        "stage1.block": "metaformer", "stage1.metaformer.operator": "conv", "stage2.block": "metaformer",
        "stage2.metaformer.operator": "local_attention", "stage2.metaformer.local_attention.extent": 3,
        "stage3.operator": "conv",
    }  # fmt: skip
    third = {**second, "stage2.metaformer.local_attention.extent": 5}
    found = factors(designs_of([first, second, third], [0.1, 0.2, 0.3]), OPERATORS)
    assert [(each.name, each.kind) for each in found] == [
        ("stem", "stem"),
        ("stage1.block", "block"),
        ("stage2.metaformer.operator", "operator"),
        ("stage2.metaformer.local_attention.extent", "option"),
    ]
    assert found[0].owned == {"stem", "stem.conv3x3.width", "stem.patchify.width"}
    assert found[1].owned == {"stage1.block", "stage1.metaformer.operator"}
    assert found[1].place == "stage1"
    assert found[2].question == "metaformer operator"


def test_convolution_stands_before_attention_whatever_comes_first_in_the_search():
    found = factors(designs_of([pair("local_attention", 8), pair("conv", 8)], [0.1, 0.2]), OPERATORS)
    assert found[0].levels == ("conv", "local_attention")


def test_the_factors_are_in_the_order_of_the_stages_whatever_the_first_trial_had():
    first = {"stage2.operator": "conv", "stage10.operator": "conv", "stem": "conv3x3"}
    second = {
        "stage1.block1.operator": "conv", "stage1.block10.operator": "conv", "stage1.block2.operator": "conv",
        "stage2.operator": "local_attention", "stage10.operator": "local_attention", "stem": "patchify",
    }  # fmt: skip
    third = {**second, **{f"stage1.block{i}.operator": "local_attention" for i in (1, 2, 10)}}
    assert [each.name for each in factors(designs_of([first, second, third], [0.1, 0.2, 0.3]), OPERATORS)] == [
        "stem", "stage1.block1.operator", "stage1.block2.operator", "stage1.block10.operator", "stage2.operator",
        "stage10.operator",
    ]  # fmt: skip


def test_a_block_owns_the_operators_of_every_block_of_its_stage():
    rows = []
    for width in (8, 16):
        base = {"stage1.width": width, "stage1.depth": 2}
        rows.append({**base, "stage1.block": "basic"})
        inner = {f"stage1.block{i}.metaformer.operator": OPERATORS[i % 2] for i in (1, 2)}
        rows.append({**base, "stage1.block": "metaformer", **inner})
    comparison = named(compare(*_with_factors(designs_of(rows, [0.8, 0.9, 0.8, 0.9]))), "stage1.block")
    assert comparison.pairs == 2
    assert comparison.difference == pytest.approx(0.1)


def test_a_block_owns_the_expansion_unless_another_block_needs_it():
    one = [{"width": 8, "block": "basic"}, {"width": 8, "block": "bottleneck", "expansion": 2}]
    comparison = named(compare(*_with_factors(designs_of(one, [0.8, 0.9]))), "block")
    assert (comparison.pairs, comparison.difference) == (1, pytest.approx(0.1))
    two = [
        {"stage1.block": "basic", "stage2.block": "bottleneck", "expansion": 2},
        {"stage1.block": "bottleneck", "stage2.block": "bottleneck", "expansion": 4},
        {"stage1.block": "basic", "stage2.block": "basic"},
    ]
    assert named(compare(*_with_factors(designs_of(two, [0.8, 0.9, 0.7]))), "stage1.block").pairs == 0


# -- matched pairs --


def test_a_pair_is_two_designs_that_are_equal_but_for_the_factor():
    rows = [pair("conv", 8), pair("local_attention", 8), pair("conv", 16), pair("local_attention", 32)]
    comparison = compare(*_with_factors(designs_of(rows, [0.80, 0.85, 0.9, 0.5], [2, 3, 5, 7])))[0]
    assert str(comparison) == "local_attention instead of conv"
    assert comparison.pairs == 1
    assert comparison.difference == pytest.approx(0.05)
    assert comparison.flops_ratio == pytest.approx(1.5)
    assert comparison.interval is None  # one pair does not show its noise
    assert not comparison.decided


def test_several_designs_of_a_context_count_as_one_pair_of_their_means():
    rows = [pair("conv", 8), pair("local_attention", 8, 3), pair("local_attention", 8, 5)]
    comparison = compare(*_with_factors(designs_of(rows, [0.80, 0.82, 0.86])))[0]
    assert comparison.pairs == 1
    assert comparison.difference == pytest.approx(0.04)


def test_without_a_pair_nothing_is_said_about_the_difference():
    rows = [pair("conv", 8), pair("local_attention", 16)]
    comparison = compare(*_with_factors(designs_of(rows, [0.8, 0.9])))[0]
    assert (comparison.pairs, comparison.difference, comparison.interval, comparison.p_value) == (0, None, None, None)


def test_a_clear_effect_is_decided_and_noise_is_not():
    rng = np.random.default_rng(0)
    rows, values = [], []
    for width in range(12):
        for operator, gain in (("conv", 0.0), ("local_attention", 0.03)):
            for other in ("conv", "local_attention"):
                rows.append({**pair(operator, width), "stage2.operator": other})
                values.append(0.8 + gain + 0.005 * rng.normal())
    first, second = (named(compare(*_with_factors(designs_of(rows, values))), f"stage{i}.operator") for i in (1, 2))
    assert first.decided
    assert first.interval[0] < 0.03 < first.interval[1]
    assert not second.decided
    assert second.interval[0] < 0 < second.interval[1]


def test_p_values_are_corrected_for_the_number_of_comparisons():
    rng = np.random.default_rng(1)
    rows, values = [], []
    for _ in range(400):
        stages = {f"stage{i}.operator": str(rng.choice(OPERATORS[:2])) for i in range(1, 9)}
        rows.append({**stages, "stage1.width": int(rng.integers(2))})
        values.append(0.8 + 0.01 * rng.normal())
    decided = [each.decided for each in compare(*_with_factors(designs_of(rows, values)))]
    assert len(decided) == 8
    assert not any(decided)


def test_the_effects_of_the_fashion_table_agree_with_its_own_means(table, of_table):
    means = {}
    for row, value in zip(table.designs, of_table.values, strict=True):
        means.setdefault((row["stage1.operator"], row["stage2.operator"]), []).append(100 * value)
    means = {pattern: round(float(np.mean(values)), 2) for pattern, values in means.items()}
    conv, attention = "conv", "local_attention"
    assert means == {
        (conv, conv): 84.35, (attention, conv): 83.64, (conv, attention): 82.61, (attention, attention): 81.00,
    }  # fmt: skip
    for place, other in (("stage1", "stage2"), ("stage2", "stage1")):
        for fixed in (conv, attention):
            rows = np.flatnonzero([design[f"{other}.operator"] == fixed for design in table.designs])
            comparison = named(compare(*_with_factors(of_table.take(rows))), f"{place}.operator")
            sides = [(side, fixed) if place == "stage1" else (fixed, side) for side in (attention, conv)]
            assert 100 * comparison.difference == pytest.approx(means[sides[0]] - means[sides[1]], abs=0.011)
            assert comparison.decided
            assert comparison.difference < 0


def test_intervals_cover_the_effect_of_the_whole_table_in_resampling(table, of_table):
    accuracy, flops = table.objectives
    truth = {(each.factor.name, each.b, each.a): each for each in compare(*_with_factors(of_table))}
    inside = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = rng.choice(len(table.designs), 80, replace=False)
        single = accuracy.finals[rows, rng.integers(accuracy.finals.shape[1], size=len(rows))]
        choices = [table.designs[i] for i in rows]
        some = TrainedDesigns(rows.tolist(), choices, single, flops.means[rows], ACCURACY)
        for each in compare(*_with_factors(some)):
            if each.interval is not None:
                low, high = each.interval
                inside.append(low <= truth[each.factor.name, each.b, each.a].difference <= high)
    assert len(inside) > 400
    assert np.mean(inside) >= 0.93


def test_the_bands_of_flops_show_an_effect_that_depends_on_cost():
    rows, values, flops = [], [], []
    for width in range(30):
        for operator in ("conv", "local_attention"):
            rows.append(pair(operator, width))
            gain = 0.02 if width < 10 else -0.02 if width >= 20 else 0.0
            values.append(0.8 + (gain if operator == "local_attention" else 0) + 0.001 * (width % 3))
            flops.append(1e6 * (width + 1))
    low, middle, high = compare(*_with_factors(designs_of(rows, values, flops)))[0].bands
    assert [band.pairs for band in (low, middle, high)] == [10, 10, 10]
    assert [round(band.difference, 3) for band in (low, middle, high)] == [0.02, 0.0, -0.02]
    assert low.interval[0] > 0 > high.interval[1]
    assert low.high == pytest.approx(middle.low)


# -- the model --


def test_the_model_finds_an_effect_at_equal_flops_where_no_pair_exists():
    rng = np.random.default_rng(0)
    rows, values, flops = [], [], []
    for width in range(60):  # attention is twice as expensive, and each design has a width of its own: no pair
        operator = OPERATORS[width % 2]
        cost = (1 + width) * (2.0 if operator == "local_attention" else 1.0)
        rows.append(pair(operator, width))
        flops.append(cost)
        values.append(0.7 + 0.04 * np.log(cost) - (0.02 if operator == "local_attention" else 0) + 0.002 * rng.normal())
    designs = designs_of(rows, values, flops)
    found = factors(designs, OPERATORS)
    assert compare(designs, found)[0].pairs == 0
    (effect,) = model_effects(designs, found)
    assert (effect.a, effect.b) == ("conv", "local_attention")
    assert effect.interval[0] < -0.02 < effect.interval[1]
    assert effect.interval[1] < 0
    assert model_effects(designs, found) == [effect]


def test_the_model_agrees_in_sign_with_the_pairs_of_the_fashion_table(of_table):
    found = factors(of_table, OPERATORS)
    effects = {each.factor.name: each for each in model_effects(of_table, found) if each.factor.kind == "operator"}
    for each in effects.values():
        assert each.interval[1] < 0
    assert effects["stage1.operator"].difference == pytest.approx(-0.0125, abs=0.006)  # its pairs, 0.92 of the FLOPs
    assert effects["stage2.operator"].difference == pytest.approx(-0.0228, abs=0.006)  # its pairs, 1.09 of the FLOPs


def test_fewer_than_ten_designs_have_no_model():
    designs = designs_of([pair("conv", 8), pair("local_attention", 8)], [0.8, 0.9])
    assert model_effects(designs, factors(designs, OPERATORS)) == []


# -- importance and shares --


def test_the_parameter_that_decides_who_comes_near_the_front_is_the_most_important_one():
    rng = np.random.default_rng(0)
    rows, points = [], []
    for _ in range(400):
        width, operator = int(rng.choice([8, 16, 32])), str(rng.choice(OPERATORS))
        rows.append({"stage1.width": width, "stage1.operator": operator, "stage1.depth": int(rng.integers(2))})
        points.append([0.8 + (0.1 if operator == "conv" else 0) + 0.01 * rng.normal(), 1 + rng.random()])
    designs = designs_of(rows, [p[0] for p in points])
    first, *others = importance(designs, np.array(points), (ACCURACY, FLOPS))
    assert (first.name, first.favoured) == ("stage1.operator", "conv")
    assert first.share > 0.8
    assert first.share + sum(each.share for each in others) == pytest.approx(1)


def test_a_parameter_that_few_of_the_best_designs_have_is_left_out():
    rows = [pair("conv", i % 4) for i in range(40)] + [
        pair("local_attention", i % 4, 3 + 2 * (i % 2)) for i in range(40)
    ]
    values = [0.9 + 0.001 * i for i in range(40)] + [0.5] * 40
    found = importance(designs_of(rows, values), np.array([[value, 1.0] for value in values]), (ACCURACY, FLOPS))
    assert "stage1.local_attention.extent" not in {each.name for each in found}


def test_the_shares_count_the_choices_of_the_front_and_of_all_designs():
    designs = designs_of([pair("conv", 8), pair("conv", 16), pair("local_attention", 8)], [0.7, 0.8, 0.9])
    conv, attention = operator_shares(designs, factors(designs, OPERATORS), front=[1])
    assert (conv.choice, conv.trained, conv.on_front, conv.best, conv.best_trial) == ("conv", 2, 1, 0.8, 1)
    assert (attention.choice, attention.trained, attention.on_front, attention.best_trial) == (
        "local_attention",
        1,
        0,
        2,
    )


# -- open questions --


def test_an_open_question_names_twins_of_trained_designs_with_the_options_of_the_best_other_one():
    rows = [pair("conv", 8), pair("local_attention", 16, 3), pair("local_attention", 32, 7)]
    designs = designs_of(rows, [0.9, 0.7, 0.8])
    found = compare(*_with_factors(designs))
    (question,) = open_questions(designs, found, lambda choices: (json.dumps(choices), choices), pairs=3)
    twins = {0: pair("local_attention", 8, 7), 1: pair("conv", 16), 2: pair("conv", 32)}
    assert dict(zip(question.partners, question.designs, strict=True)) == twins
    assert open_questions(designs, found, lambda choices: None) == []


def test_a_twin_that_differs_in_more_than_the_factor_is_no_pair():
    designs = designs_of([pair("conv", 8), pair("local_attention", 16)], [0.9, 0.8])
    found = compare(*_with_factors(designs))
    assert open_questions(designs, found, lambda choices: ("x", {**choices, "stage1.width": 32})) == []


# -- a search --


def two_stages():
    operator = {"conv": {"kernel_size": [3, 5]}, "local_attention": {"extent": [3, 5], "heads": 2}}
    stage = {"depth": 1, "width": [8, 16], "operator": operator}
    stages = [stage, {**stage, "stride": 2}]
    return SearchSpace.from_dict({"name": "two", "stem": {"conv3x3": {"width": 8}}, "stages": stages})


def attention_helps_late(architecture, settings):
    early, late = (stage.operator == "local_attention" for stage in _by_stage(architecture))
    noise = (int(architecture.digest[:4], 16) / 65536 - 0.5) * 0.004
    yield {"accuracy": 0.8 - 0.05 * early + 0.03 * late + noise}


def worse_under_fresh_seeds(architecture, settings):
    """Have worse results under fresh seeds than under the seed of the search, 0."""
    (report,) = attention_helps_late(architecture, settings)
    yield {"accuracy": report["accuracy"] - (0.1 if settings.seed else 0.0), "test_accuracy": 0.5}


def _by_stage(architecture):
    return architecture.stages[0], architecture.stages[-1]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('effects')}/a.db"
    run(two_stages(), trials=40, sampler="random", evaluate=attention_helps_late, ledger=url, **LOCAL).ledger.close()
    return url


def test_the_effects_of_a_search_have_the_sign_that_its_evaluation_gives_them(url):
    with Ledger(url, read_only=True) as ledger:
        effects = search_effects(ledger, ledger.search("two"))
    early, late = (named(effects.comparisons, f"stage{i}.operator") for i in (1, 2))
    assert effects.trials == 40
    assert early.decided
    assert early.interval[0] < -0.05 < early.interval[1]
    assert late.decided
    assert late.interval[0] < 0.03 < late.interval[1]
    assert effects.at_equal_flops(early).interval[1] < 0 < effects.at_equal_flops(late).interval[0]


def test_a_confirmation_changes_no_effect_because_it_retrains_the_best_designs_only(tmp_path):
    url, more = f"sqlite:///{tmp_path}/a.db", {"evaluate": worse_under_fresh_seeds, **LOCAL}
    run(two_stages(), trials=12, sampler="random", ledger=url, **more).ledger.close()
    with Ledger(url, read_only=True) as ledger:
        before = search_effects(ledger, ledger.search("two"))
    confirm("two", seeds=2, trials=4, ledger=url, **more)
    with Ledger(url, read_only=True) as ledger:
        after = search_effects(ledger, ledger.search("two"))
        assert ledger.read(reads.repeats, ledger.search("two").id, confirmed=True)
    assert after.comparisons == before.comparisons


def test_the_command_prints_the_same_numbers_as_table_json_and_csv(url, capsys):
    assert cli.run(["effects", "two", "--db", url, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    early = next(row for row in document["comparisons"] if (row["place"], row["kind"]) == ("stage1", "operator"))
    assert (early["choice"], early["instead_of"]) == ("local_attention", "conv")
    assert cli.run(["effects", "two", "--db", url, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(document["comparisons"])
    assert float(rows[0]["difference"]) == document["comparisons"][0]["difference"]
    assert cli.run(["effects", "two", "--db", url]) == 0
    table = capsys.readouterr().out
    assert f"{100 * early['difference']:+.2f} ± {50 * (early['high'] - early['low']):.2f} points*" in table
    assert "kernel_size" not in table
    assert "between attention" not in table
    assert cli.run(["effects", "two", "--db", url, "--all"]) == 0
    assert "conv kernel_size" in capsys.readouterr().out


def test_the_pairs_of_an_open_question_are_trained_by_run_enqueue(tmp_path, capsys):
    url, file = f"sqlite:///{tmp_path}/a.db", tmp_path / "pairs.json"
    more = {"evaluate": attention_helps_late, "ledger": url, **LOCAL}
    run(two_stages(), trials=6, **more).ledger.close()
    assert cli.run(["effects", "two", "--db", url, "--pairs", str(file)]) == 0
    assert "designs written to" in capsys.readouterr().err
    wanted = json.loads(file.read_text())
    assert wanted
    search = run(two_stages(), trials=6 + len(wanted), enqueue=file, **more)
    with search.ledger as ledger:
        trials = search.trials()
        after = search_effects(ledger, ledger.search("two"))
    assert [dict(trial.choices) for trial in trials[6:]] == wanted
    assert all(named(after.comparisons, f"stage{i}.operator").pairs for i in (1, 2))


def test_enqueued_designs_that_were_trained_are_left_out_and_said(tmp_path):
    said, more = [], {"evaluate": attention_helps_late, "ledger": f"sqlite:///{tmp_path}/a.db", **LOCAL}
    search = run(two_stages(), trials=4, **more)
    done = [dict(trial.choices) for trial in search.trials()[:2]]
    search.ledger.close()
    run(two_stages(), trials=5, enqueue=done, notice=said.append, **more).ledger.close()
    assert "2 of 2 enqueued designs proposed before or given twice, left out" in said


def test_effects_of_an_unknown_objective_or_of_a_search_of_costs_are_one_line(url, tmp_path, capsys):
    assert cli.run(["effects", "two", "--db", url, "--objective", "flops"]) == 2
    assert "--objective must be one of accuracy in search two; got 'flops'" in capsys.readouterr().err
    assert cli.run(["effects", "tow", "--db", url]) == 2
    assert "Did you mean 'two'?" in capsys.readouterr().err
    assert cli.run(["effects", "two", "--db", url, "--pairs", str(tmp_path)]) == 2
    assert "--pairs must be a file" in capsys.readouterr().err


def complete():
    return {
        "stage1.width": 8, "stage1.operator": "conv", "stage1.conv.kernel_size": 3, "stage2.width": 8,
        "stage2.operator": "conv", "stage2.conv.kernel_size": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("designs", "message"),
    [
        ([], "must be a list of objects with the choice of each parameter; got []"),
        ("[", "designs to enqueue must be a readable JSON file; [ is not: no such file"),
        ([3], "design 1 is 3"),
        ([{**complete(), "stage1.widht": 8}], "got 'stage1.widht'. Did you mean 'stage1.width'?"),
        ([{**complete(), "stage1.width": 9}], "design 1: stage1.width must be one of 8, 16; got 9"),
        (
            [complete(), {"stage1.width": 8}],
            "design 2 must have a choice for stage1.operator, one of conv, local_attention",
        ),
    ],
)
def test_a_wrong_design_to_enqueue_is_one_line(designs, message):
    with pytest.raises(SettingsError) as caught:
        enqueued_designs(SearchSpec.create(two_stages(), trials=3), designs)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_design_over_the_budget_is_refused_before_anything_is_written(tmp_path):
    more = {"evaluate": attention_helps_late, "ledger": f"sqlite:///{tmp_path}/a.db", **LOCAL}
    large = {**complete(), "stage1.width": 16, "stage2.width": 16, "stage1.conv.kernel_size": 5}
    with pytest.raises(SettingsError, match="design 1 must be within the budget of the search; it has"):
        run(two_stages(), trials=3, max_flops=1_000_000, enqueue=[large], **more)
    assert not list(tmp_path.iterdir())


def test_a_search_without_a_complete_trial_says_so(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/a.db"
    with Ledger(url) as ledger:
        ledger.create_search(SearchSpec.create(two_stages(), trials=3).record)
    assert cli.run(["effects", "two", "--db", url]) == 0
    out = capsys.readouterr()
    assert "no complete trial yet" in out.err
    assert out.out == ""


def test_a_search_that_never_chooses_between_attention_and_convolution_says_so(tmp_path, capsys):
    stage = {"depth": 1, "width": [8, 16], "operator": {"conv": {"kernel_size": [1, 3]}}}
    space = SearchSpace.from_dict({"name": "plain", "stem": {"conv3x3": {"width": [8, 16]}}, "stages": [stage]})
    url = f"sqlite:///{tmp_path}/a.db"
    run(space, trials=6, evaluate=attention_helps_late, ledger=url, **LOCAL).ledger.close()
    assert cli.run(["effects", "plain", "--db", url]) == 0
    assert "no choice of 'plain' is between attention and another operator" in capsys.readouterr().err


def test_numbers_that_are_not_finite_are_left_out(tmp_path, capsys):
    from sqlalchemy import update

    from hybrid_search.ledger.tables import MeasurementRow

    url = f"sqlite:///{tmp_path}/a.db"
    with run(two_stages(), trials=6, evaluate=attention_helps_late, ledger=url, **LOCAL).ledger as ledger:
        row = MeasurementRow.__table__.c
        with ledger._engine.begin() as db:
            db.execute(
                update(MeasurementRow).where(row.trial_id == 1, row.name == "accuracy").values(value=float("inf"))
            )
            db.execute(update(MeasurementRow).where(row.trial_id == 2, row.name == "flops").values(value=0.0))
    assert cli.run(["effects", "two", "--db", url, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["trials"], document["left_out"]) == (4, 2)


def _with_factors(designs):
    return designs, factors(designs, OPERATORS)
