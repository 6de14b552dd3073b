import csv
import itertools
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.fakes import tiny_space

from hybrid_search import cli
from hybrid_search.analysis.replay import (
    BASELINES,
    Rules,
    SimulatedRun,
    objective_table,
    parse_objectives,
    read_table,
    run_once,
    simulate,
    summarize,
    table_of_searches,
    target_of,
    write_table,
)
from hybrid_search.analysis.replay.choice_tree import ChoiceTree
from hybrid_search.analysis.replay.noise import front_shares, noise_of
from hybrid_search.analysis.replay.objective_table import target_of_rows
from hybrid_search.errors import DataError, LedgerError, SettingsError, UnknownName
from hybrid_search.ledger import Ledger
from hybrid_search.pareto import hypervolume
from hybrid_search.pruners import PRUNERS
from hybrid_search.records import Report, Settings
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome

BOTH = parse_objectives("accuracy,flops")
PARAMETERS = ["operator", "conv.kernel_size", "attention.extent", "width"]


def ten(**extra):
    """Return ten designs: convolutions of two sizes and attention of three extents, each in two widths."""
    rows = []
    for operator, size, width in [(o, s, w) for o, s in KINDS for w in (8, 16)]:
        cost = width * width * size * (2 if operator == "conv" else 1)
        accuracy = 0.5 + 0.1 * (width == 16) + 0.03 * size + 0.02 * (operator == "conv")
        kernel, extent = (size, "") if operator == "conv" else ("", size)
        row = dict(zip(PARAMETERS, (operator, kernel, extent, width), strict=True))
        rows.append(
            row | {"flops": 1000 * cost, "params": cost, "accuracy@0": accuracy - 0.01, "accuracy@1": accuracy + 0.01}
        )
    return [{**row, **extra} for row in rows]


KINDS = [("conv", 3), ("conv", 5), ("attention", 3), ("attention", 5), ("attention", 7)]


def written(rows, name="table.csv", header=None):
    with open(name, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return Path(name)


def table_of(rows, **more):
    return read_table(written(rows), more.get("objectives", BOTH), more.get("known"))


class GivenChoices:
    """A chooser with given choices that records the parameters."""

    def __init__(self, **given):
        self.given, self.offered = given, {}

    def suggest_categorical(self, name, choices):
        self.offered[name] = tuple(choices)
        return self.given[name]


# -- tables --


def test_columns_are_parameters_numbers_and_features():
    table = table_of(ten(digest="abc", _note="x", latency_ms=3.0))
    assert table.parameters == tuple(PARAMETERS)
    assert table.designs[0] == {"operator": "conv", "conv.kernel_size": 3, "width": 8}
    assert [(r.name, r.direction, r.known, r.seeds) for r in table.objectives] == [
        ("accuracy", "maximize", False, ("0", "1")),
        ("flops", "minimize", True, ("",)),
    ]
    assert [result.name for result in table.features] == ["params"]
    assert table.means[0] == pytest.approx([0.61, 384_000])
    assert table.digests == ("abc",) * 10


def test_the_last_rung_is_the_end():
    rows = [{"width": w, "flops": w, "accuracy#1": 0.1, "accuracy#3": 0.3 * w, "accuracy#2": 0.2} for w in (1, 2)]
    (accuracy, _) = table_of(rows).objectives
    assert (accuracy.rungs, accuracy.values.shape) == ((1, 2, 3), (2, 1, 3))
    assert accuracy.means.tolist() == pytest.approx([0.3, 0.6])


def test_an_objective_of_any_name_can_have_its_direction_and_be_known():
    rows = [{"size": s, "error": 1 / s, "joules": s} for s in (1, 2, 3)]
    table = table_of(rows, objectives=parse_objectives("error:minimize, joules:minimize"), known={"joules"})
    assert table.directions == ("minimize", "minimize")
    assert [result.known for result in table.objectives] == [False, True]


def test_a_table_is_written_as_it_is_read():
    table = table_of(ten(digest="abc"))
    write_table(table, Path("again.csv"))
    again = read_table(Path("again.csv"), BOTH)
    assert (again.parameters, again.designs, again.digests) == (table.parameters, table.designs, table.digests)
    for one, other in zip((*table.objectives, *table.features), (*again.objectives, *again.features), strict=True):
        assert np.allclose(one.values, other.values)
        assert (one.seeds, one.known) == (other.seeds, other.known)


def changed(at, **cells):
    rows = ten()
    rows[at].update(cells)
    return rows


FAULTS = {
    "not finite": (changed(3, flops="nan"), "row 5 has nan as flops"),
    "infinite": (changed(0, **{"accuracy@1": "inf"}), "row 2 has inf as accuracy@1"),
    "no number": (changed(4, **{"accuracy@0": "good"}), "row 6 has 'good' as accuracy@0"),
    "empty": (changed(9, flops=""), "row 11 has '' as flops"),
    "repeated": ([*ten(), ten()[2]], "row 12 is the design of row 4"),
    "one design": (ten()[:1], "at least two designs; table has 1"),
    "no rows": ([], "at least two designs; table has 0"),
    "no column": ([{"width": 1, "flops": 2}], "lacks 'accuracy'"),
    "a seed without a rung": (
        [{"width": 1, "flops": 2, "accuracy@0#1": 1, "accuracy@0#2": 1, "accuracy@1#1": 1}],
        "lacks 'accuracy@1#2'",
    ),
    "a seed without a name": ([{"width": 1, "flops": 2, "accuracy": 1, "accuracy@1": 1}], "must name their seed"),
    "no parameter": ([{"flops": 2, "accuracy": 1}, {"flops": 3, "accuracy": 2}], "must have a column of a parameter"),
    "unexplained": (
        [{"width": 1, "depth": "", "flops": 2, "accuracy": 1}, {"width": 1, "depth": 2, "flops": 2, "accuracy": 1}],
        "the designs of row 2 and row 3 differ only in empty cells",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), FAULTS.values(), ids=FAULTS)
def test_a_table_with_a_fault_is_refused_with_its_row(capsys, rows, message):
    path = written(rows, header=list((rows or ten())[0]))
    assert cli.run(["replay", str(path), "--evaluations", "1", "--out", "figure.html"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("figure.html").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,flops,accuracy\n1,2,3\n1,2\n", "row 3 has 2"),
        ("a,a,flops,accuracy\n1,2,3,4\n", "two named 'a'"),
        ("", "is empty"),
        ("a,flops,accuracy\n\xff", "can be read"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(text, message):
    Path("odd.csv").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=message):
        read_table(Path("odd.csv"), BOTH)


def test_objectives_of_different_seeds_are_refused():
    rows = [{"a": a, "accuracy@0": 1, "accuracy@1": 1, "loss@0": 1, "loss@2": 1} for a in (1, 2)]
    with pytest.raises(DataError, match="must have the same seeds, or one"):
        table_of(rows, objectives=parse_objectives("accuracy,loss"))


# -- the choice tree --


def test_a_conditional_parameter_comes_after_the_choice_that_activates_it():
    tree = ChoiceTree(table_of(ten()))
    script = GivenChoices(operator="attention", width=16, **{"attention.extent": 7})
    assert tree.choose(script) == 9
    assert script.offered == {"operator": ("attention", "conv"), "attention.extent": (3, 5, 7), "width": (8, 16)}


def test_the_paths_lead_to_every_design():
    tree = ChoiceTree(table_of(ten()))
    assert [tree.find(path) for path in tree.paths] == list(range(10))


@pytest.mark.parametrize(
    ("given", "there", "counts_as"),
    [(4, (1, 2), 2), (1, (2, 4), 2), ("c", "ab", "a"), ("a", "bc", "b")],
)
def test_a_choice_without_a_design_counts_as_the_nearest_one_with_a_design(given, there, counts_as):
    rows = [{"side": "left", "size": size} for size in there] + [{"side": "right", "size": s} for s in (given, *there)]
    table = table_of([{**row, "flops": 1, "accuracy": 1} for row in rows])
    assert table.designs[ChoiceTree(table).find({"side": "left", "size": given})] == {
        "side": "left",
        "size": counts_as,
    }


def test_parameters_are_not_chosen_once_one_design_remains():
    table = table_of([row for row in ten() if row["attention.extent"] != 5 or row["width"] == 8])
    script = GivenChoices(operator="attention", **{"attention.extent": 5})
    assert table.designs[ChoiceTree(table).choose(script)] == {
        "operator": "attention",
        "attention.extent": 5,
        "width": 8,
    }


def test_a_table_with_gaps_can_be_searched():
    rows = [row for i, row in enumerate(ten()) if i not in (1, 4, 6)]
    curve = run_once(table := objective_table(table_of(rows)), target_of(table), "tpe", 0, Rules(7, n_random=3))
    assert curve.shares[-1] == pytest.approx(1.0)
    assert curve.front_found == curve.front_size


# -- runs --


def recorded(table):
    """Return the table, and a list to which every row of true values is appended."""
    rows = []

    def truth(params):
        rows.append(table.true_values(params))
        return rows[-1]

    return replace(table, true_values=truth), rows


@pytest.mark.parametrize("seed", range(3))
def test_random_designs_give_the_exact_hypervolumes(seed):
    results = table_of(ten())
    target = target_of_rows(results.means, results.directions)
    table, rows = recorded(objective_table(results))
    curve = run_once(table, target, "random", seed, Rules(10))
    volumes = [hypervolume(rows[: i + 1], target.reference, table.directions) for i in range(10)]
    assert curve.shares == pytest.approx([volume / target.hypervolume for volume in volumes])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, results.means.tolist()))
    assert curve.front_found == len(target.front)


def test_the_reference_is_a_tenth_of_the_front_beyond_its_worst():
    rows = np.array([[0.9, 30.0], [0.7, 10.0], [0.1, 50.0]])
    target = target_of_rows(rows, ("maximize", "minimize"))
    assert target.reference == pytest.approx((0.68, 32.0))
    assert target.front == {(0.9, 30.0), (0.7, 10.0)}
    assert target.hypervolume == pytest.approx(0.22 * 2 + 0.02 * 20)


def test_a_front_of_one_point_has_a_hypervolume():
    assert target_of_rows(np.array([[0.9, 10.0], [0.1, 50.0]]), ("maximize", "minimize")).hypervolume > 0


def test_runs_of_a_seed_start_alike_and_depend_only_on_the_seed():
    source = partial(objective_table, table_of(ten()))
    rules = Rules(10, n_random=4)
    curves = simulate(source, ["random", "tpe", "known-cost"], range(3), rules)
    assert [(c.sampler, c.seed) for c in curves] == list(itertools.product(["random", "tpe", "known-cost"], range(3)))
    assert curves[0].shares[:4] == curves[3].shares[:4] == curves[6].shares[:4]
    again = simulate(source, ["known-cost", "random"], [1], rules)
    assert [curve.shares for curve in again] == [curves[7].shares, curves[1].shares]
    assert len({curve.shares for curve in curves[:3]}) > 1


def test_several_processes_give_the_same_runs():
    source = partial(objective_table, table_of(ten()))
    done = []
    there = simulate(source, ["random"], range(2), Rules(6), jobs=2, progress=lambda *at: done.append(at))
    assert [c.shares for c in there] == [c.shares for c in simulate(source, ["random"], range(2), Rules(6))]
    assert done == [(1, 2), (2, 2)]


def test_a_repeated_proposal_counts_only_with_count_repeats():
    table = objective_table(table_of(ten()))
    target = target_of(table)
    free, counted = (run_once(table, target, "random", 0, Rules(10, count_repeats=again)) for again in (False, True))
    assert free.repeats > 0 < counted.repeats
    assert free.shares[-1] == 1.0
    assert free.front_found > counted.front_found


@pytest.mark.parametrize("workers", [2, 7, 40])
def test_parallel_workers_evaluate_designs_proposed_before_others_finish(workers):
    table = objective_table(table_of(ten()))
    target = target_of(table)
    alone, beside = (run_once(table, target, "random", 1, Rules(10, workers=n)) for n in (1, workers))
    assert beside.shares == alone.shares  # random designs do not depend on results
    curve = run_once(table, target, "known-cost", 1, Rules(10, n_random=0, workers=workers))
    assert (len(curve.shares), curve.shares[-1], curve.repeats) == (10, 1.0, 0)


def test_the_result_of_the_first_worker_comes_after_the_second_has_started():
    results_so_far = []
    table = objective_table(table_of(ten()))
    proposals = []

    def ask(trial):
        proposals.append(len(results_so_far))
        return table.space(trial)

    def measure(seed):
        tell = table.measure(seed)
        return lambda params: results_so_far.append(params) or tell(params)

    watched = replace(table, space=ask, measure=measure)
    run_once(watched, target_of(table), "tpe", 0, Rules(5, n_random=0, workers=2))
    assert proposals[:2] == [0, 0]
    assert len(results_so_far) >= 5  # a repeated proposal gets its value again


def test_a_run_receives_one_seed_and_is_scored_by_the_mean():
    results = table_of(ten())
    table = objective_table(results)
    params = table.designs()[0]
    measured = sorted({table.measure(seed)(params)[0] for seed in range(20)})
    assert measured == pytest.approx([0.60, 0.62])
    assert table.true_values(params) == pytest.approx([0.61, 384_000])
    assert objective_table(results, noisy=False).measure(0)(params) == table.true_values(params)
    assert table.known[1](params) == 384_000
    assert table.features(params) == pytest.approx([np.log(384)])


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_can_search_a_table(name):
    table = objective_table(table_of(ten()))
    count = 5 if name.startswith("gp") else 10  # their ninth proposal takes many seconds
    curve = run_once(table, target_of(table), name, 0, Rules(count, n_random=3))
    assert len(curve.shares) == count
    assert curve.shares == tuple(sorted(curve.shares))
    assert count == 5 or curve.shares[-1] == pytest.approx(1.0)


def test_a_summary_has_medians_and_worst_values():
    curves = [
        SimulatedRun("a", seed, shares, 1, 2, 0, 0.01)
        for seed, shares in enumerate([(0.5, 0.96), (0.95, 0.99), (0.1, 0.2)])
    ]
    (row,) = summarize(curves, 2, [0.95])
    assert (row["to_95"], row["to_95_worst"], row["share"]) == (2, None, 0.96)


@pytest.mark.parametrize(
    ("samplers", "seeds", "rules", "message"),
    [
        (["tpe", "tpe"], [0], {}, "different samplers"),
        ([], [0], {}, "got no sampler"),
        (["tpe"], [], {}, "0 seeds"),
        (["tpe"], [0], {"evaluations": 11}, "at most the designs of table, 10; got 11"),
        (["tpe"], [0], {"workers": 0}, "workers must be a whole number from 1 up; got 0"),
        (["tpe"], [0], {"evaluations": 0}, "evaluations must be a whole number from 1 up; got 0"),
        (["tpe"], [0], {"n_random": -1}, "n_random must be a whole number from 0 up; got -1"),
    ],
)
def test_invalid_settings_are_refused(samplers, seeds, rules, message):
    with pytest.raises(SettingsError, match=message):
        simulate(partial(objective_table, table_of(ten())), samplers, seeds, Rules(**{"evaluations": 5, **rules}))


def test_an_unknown_sampler_is_refused_with_the_known_names():
    with pytest.raises(UnknownName, match=r"sampler must be one of known-cost, .*; got 'tpa'. Did you mean 'tpe'"):
        simulate(partial(objective_table, table_of(ten())), ["tpa"], [0], Rules(5))


# -- pruners --


def curved(count=40):
    """Return designs whose accuracy at three rungs predicts the end; every second one is poor."""
    rows = []
    for size, poor in itertools.product(range(1, count // 2 + 1), (0, 1)):
        row = {"size": size, "kind": "bad" if poor else "good", "flops": 100 * size + poor}
        end = 0.5 + 0.4 * size / count - 0.3 * poor
        rows.append(
            row | {"accuracy#1": end - 0.2, "accuracy#2": end - 0.1, "accuracy#3": end, "train_loss#3": 1 - end}
        )
        rows[-1] |= {"train_loss#1": 1.2 - end, "train_loss#2": 1.1 - end}
    return rows


def test_an_indicator_is_neither_a_parameter_nor_a_feature():
    table = table_of(curved())
    assert table.parameters == ("size", "kind")
    assert [(sign.name, sign.rungs) for sign in table.indicators] == [("train_loss", (1, 2, 3))]
    write_table(table, Path("again.csv"))
    assert np.allclose(read_table(Path("again.csv"), BOTH).indicators[0].values, table.indicators[0].values)


def test_a_pruner_saves_epochs_and_keeps_the_front_if_curves_predict_the_end():
    table = table_of(curved())
    curves = simulate(
        partial(objective_table, table), ["random"], [0, 1], Rules(40), pruners=["none", "front-probability"]
    )
    assert [(curve.pruner, curve.seed) for curve in curves] == [
        ("none", 0),
        ("none", 1),
        ("front-probability", 0),
        ("front-probability", 1),
    ]
    assert curves[0].epochs == tuple(range(3, 121, 3))
    for curve in curves[2:]:
        assert curve.stopped > 0 == curve.front_missed
        assert curve.epochs[-1] <= 120 - curve.stopped
        assert (curve.shares[-1], curve.front_found) == (pytest.approx(1.0), curve.front_size)
    without, pruned = summarize(curves, 40)
    assert (without["pruner"], without["stopped"], pruned["front_stopped"]) == ("none", 0, 0)
    assert pruned["epochs_to_98"] <= without["epochs_to_98"]


def test_a_deferred_design_is_trained_itself_and_not_the_next_in_the_queue(monkeypatch):
    picked, begun = [], []

    class Slow:
        """Defer every design until the next one is proposed."""

        min_probability = 0.5

        def front_probabilities(self, waiting, others):
            picked.extend(each.digest for each in waiting[:-1])
            return [1.0] * (len(waiting) - 1) + [0.0]

        def judge(self, trial, rung, others):
            begun.extend([trial.digest] if rung == 1 else [])
            return "keep"

    monkeypatch.setitem(PRUNERS._loaded, "front-probability", lambda aims, seed: Slow())
    table = objective_table(table_of(curved()))
    curve = run_once(table, target_of(table), "random", 0, Rules(12, n_random=8), "front-probability")
    assert begun == picked
    assert len(begun) == len(set(begun)) == len(curve.shares) == 12


def test_pruners_are_compared_on_the_command_line(capsys):
    path = written(curved())
    words = ("--samplers", "random", "--pruners", "none,front-probability", "--seeds", "2", "--evaluations", "40")
    assert call("replay", path, *words, "--out", "figure.html") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines[-2:]] == [["random", "none"], ["random", "front-probability"]]
    assert lines[-3] == ["sampler", "pruner", "to", "98", "%", "front", "in", "epochs", "pruned", "of", "the", "front"]
    assert "random, front-probability" in Path("figure.html").read_text(encoding="utf-8")


# -- noise --


def test_noise_is_the_variation_between_seeds():
    rows = [{"a": a, "flops": a, "accuracy@0": a + d, "accuracy@1": a - d} for a, d in ((1, 0.1), (2, -0.1), (4, 0.1))]
    noise = noise_of(table_of(rows).objectives[0])
    assert noise.deviation == pytest.approx(0.1 * 2**0.5)
    assert noise.between_seeds == pytest.approx(1.0)
    assert noise.shift == pytest.approx((0.1 / 3, -0.1 / 3))
    assert 0.98 < noise.reliability < 1
    with pytest.raises(DataError, match="needs two seeds or more; flops has 1"):
        noise_of(table_of(rows).objectives[1])


def test_a_front_point_without_close_rivals_is_certain():
    rows = [{"a": a, "flops": a, "accuracy": x} for a, x in ((1, 0.1), (2, 0.9), (3, 0.9001))]
    shares = front_shares(table_of(rows), (0.01, 0.0))
    assert shares[:2].tolist() == [1.0, 1.0]
    assert 0.4 < shares[2] < 0.6


# -- searches --


def search_of(ledger, name, seed=0, trials=50, **settings):
    """Write a grid search of a tiny space, with synthetic accuracies that differ by seed."""
    recipe = Settings(seed=seed, epochs=2, **settings)
    record = SearchSpec.create(tiny_space(), trials=trials, sampler="grid", settings=recipe, name=name)
    search = open_search(record, ledger)
    while (trial := search.ask()) is not None:
        final = 0.9 * int(trial.architecture.digest[:4], 16) / 65536 + 0.01 * seed
        for rung in (1, 2):
            search.report(trial, Report(rung, {"accuracy": final * rung / 2}))
        search.tell(trial, Outcome("complete", {"accuracy": final}))
    return search


def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def test_searches_with_different_seeds_give_one_table(tmp_path):
    with Ledger(url(tmp_path)) as ledger:
        search_of(ledger, "one", 3)
        search_of(ledger, "two", 5, trials=9)
        table = table_of_searches(ledger, ["one", "two"], curves=True)
        assert len(table_of_searches(ledger, ["one"]).designs) == 12
    accuracy, flops = table.objectives
    assert (len(table.designs), accuracy.seeds, accuracy.rungs) == (9, ("3", "5"), (1, 2))
    assert np.allclose(accuracy.finals[:, 1] - accuracy.finals[:, 0], 0.02)
    assert np.allclose(accuracy.values[:, :, 0], accuracy.finals / 2)
    assert (flops.known, flops.values.shape, [f.name for f in table.features]) == (True, (9, 1, 1), ["params"])
    assert table.parameters[:2] == ("stage1.width", "stage1.operator")


@pytest.mark.parametrize(
    ("seed", "settings", "message"),
    [(0, {}, "must have different seeds"), (1, {"batch_size": 64}, "'one' and 'two' differ in settings")],
)
def test_searches_with_different_settings_are_refused(tmp_path, seed, settings, message):
    with Ledger(url(tmp_path)) as ledger:
        search_of(ledger, "one", trials=2)
        search_of(ledger, "two", seed, trials=2, **settings)
        with pytest.raises(LedgerError, match=message):
            table_of_searches(ledger, ["one", "two"])


def test_a_search_with_fewer_than_two_designs_is_refused(tmp_path):
    with Ledger(url(tmp_path)) as ledger:
        search_of(ledger, "one", trials=1)
        with pytest.raises(DataError, match="at least two designs with all their numbers; one has 1"):
            table_of_searches(ledger, ["one"])


# -- command line and figure --


def call(*words):
    return cli.run([str(word) for word in words])


def test_a_csv_file_is_replayed_on_the_command_line(capsys):
    path = written(ten())
    words = ("--samplers", "random,known-cost", "--seeds", "2", "--evaluations", "10", "--format", "json")
    assert call("replay", path, *words, "--out", "shown/figure.html") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["sampler"], row["seeds"], row["front_found"] == row["front"]) for row in rows] == [
        ("random", 2, True),
        ("known-cost", 2, True),
    ]
    assert all(row["to_98"] <= row["to_98_worst"] <= 10 for row in rows)
    page = Path("shown/figure.html").read_text(encoding="utf-8")
    assert '"showSendToCloud": false' in page
    assert "known-cost, quartiles" in page
    assert 'src="http' not in page


def test_a_search_is_replayed_on_the_command_line(capsys, tmp_path):
    with Ledger(url(tmp_path)) as ledger:
        search_of(ledger, "one", 3)
        search_of(ledger, "two", 5)
    for name in ("one", "one,two"):
        assert call("replay", name, "--db", url(tmp_path), "--samplers", "random", "--seeds", "1") == 0
        assert "12 designs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--samplers", "tpa"), "sampler must be one of"),
        (("--seeds", "0"), "--seeds must be a whole number from 1 up; got 0"),
        (("--evaluations", "11"), "at most the designs of table, 10; got 11"),
        (("--objectives", "accurracy"), "Did you mean 'accuracy'?"),
        (("--objectives", "speed:up"), "got 'speed:up'"),
        (("--known", "params"), "known must name objectives, here accuracy, flops; got 'params'"),
        (("--pruners", "moashi"), "pruner must be one of none, front-probability"),
        (("--pruners", "front-probability"), "table has only final numbers"),
        (("--pruners", ","), "one or more different pruners; got none"),
        (("--jobs", "0"), "jobs must be a whole number from 1 up"),
        (("--out", "figure.png"), "--out must be an HTML file"),
    ],
)
def test_a_user_error_is_one_line(capsys, words, message):
    assert call("replay", written(ten()), *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_missing_file_is_one_line(capsys):
    assert call("replay", "gone.csv") == 2
    assert "got gone.csv: No such file or directory." in capsys.readouterr().err


def test_a_figure_has_a_line_and_a_band_for_each_sampler():
    pytest.importorskip("plotly", reason="charts need plotly: pip install -e '.[page]'")
    from hybrid_search.charts import LIGHT, band_numbers, bands_figure

    bands = band_numbers({"a": [(0.0, 0.4), (0.1, 0.5), (0.2, 0.6), (0.3, 0.7), (0.4, 0.8)], "b": [(0.5,), (0.5, 1.0)]})
    assert (bands[0].low, bands[0].median, bands[0].high) == (
        pytest.approx((0.1, 0.5)),
        pytest.approx((0.2, 0.6)),
        pytest.approx((0.3, 0.7)),
    )
    assert bands[1].median == (0.5, 0.75)  # a run that ended keeps its share
    figure = bands_figure(bands, LIGHT, goals=(0.95,))
    assert [(trace.name, trace.fill) for trace in figure.data] == [
        ("b, quartiles", "toself"),
        ("b", None),
        ("a, quartiles", "toself"),
        ("a", None),
    ]
    assert len({trace.line.color for trace in figure.data if trace.fill is None}) == 2
    assert figure.layout.yaxis.tickformat == ".0%"
