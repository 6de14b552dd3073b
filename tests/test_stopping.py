"""Stop rules: the hours of a call and a settled front; and the hypervolume that a search reports."""

import math
import time
from itertools import pairwise

import pytest
from support.fakes import scored, tiny_space

from hybrid_search.charts import hypervolume_numbers
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Resources
from hybrid_search.runs.run import run
from hybrid_search.search.opening import open_search
from hybrid_search.search.search import Search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.stop_rules import MIN_TRIALS, StopRule
from hybrid_search.search.trial import Outcome
from hybrid_search.spaces.budget import reference_costs
from hybrid_search.spaces.space import SearchSpace, load_space

SPACE = load_space("fashion-table")
OPERATORS = {"conv": {"kernel_size": [3, 5]}, "local_attention": {"extent": [3, 5], "heads": 2}}
STAGES = [{"depth": 1, "width": [8, 16, 32], "operator": OPERATORS}] * 2
MEDIUM = SearchSpace.from_dict({"name": "medium", "stem": {"conv3x3": {"width": 8}}, "stages": STAGES})


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def saturating(architecture, settings):
    """Yield an accuracy that saturates with the widths and is a little higher with attention in the last stage."""
    size = sum(stage.depth * stage.width for stage in architecture.stages) + 4 * architecture.stem.width
    late = architecture.stages[-1].operator == "local_attention"
    yield {"accuracy": 0.97 - 0.9 * math.exp(-0.04 * size) + 0.01 * late}


# -- the rule --


def test_hours_count_from_the_start_of_the_call():
    rule = StopRule(hours=2)
    assert not rule.out_of_time()
    assert rule.why is None
    assert StopRule(hours=2, _began=time.monotonic() - 7199).out_of_time() is False
    over = StopRule(hours=2, _began=time.monotonic() - 7201)
    assert over.out_of_time()
    assert over.why == "its 2 hours are over"
    assert not StopRule(_began=0.0).out_of_time()


def test_a_front_that_moves_or_is_expected_to_move_has_not_settled():
    for gains in ((0.5, 0.001), (0.001, 0.5), (0.011, 0.009)):
        assert not StopRule(until_settled=0.01).settled(100, lambda gains=gains: gains)
    rule = StopRule(until_settled=0.01)
    assert rule.settled(100, lambda: (0.009, 0.0))
    assert "added 0.90% to the hypervolume" in rule.why
    assert "the next 8 are expected to add 0.00%, less than 1.00%" in rule.why


def test_no_front_settles_before_the_minimum_of_trials_or_without_the_rule():
    calls = []

    def gains():
        calls.append(1)
        return 0.0, 0.0

    assert not StopRule().settled(1000, gains)
    assert not StopRule(until_settled=0.5).settled(MIN_TRIALS - 1, gains)
    assert not calls
    assert StopRule(until_settled=0.5).settled(MIN_TRIALS, gains)


def test_the_gains_are_computed_once_for_each_number_of_completed_trials():
    calls = []
    rule = StopRule(until_settled=0.01)
    for completed in (MIN_TRIALS, MIN_TRIALS, MIN_TRIALS, MIN_TRIALS + 1):
        assert not rule.settled(completed, lambda: calls.append(1) or (1.0, 1.0))
    assert len(calls) == 2


def test_a_stopped_rule_stays_stopped():
    rule = StopRule(until_settled=0.01)
    assert rule.settled(50, lambda: (0.0, 0.0))
    assert rule.settled(51, lambda: (1.0, 1.0))
    assert rule.out_of_time()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hours": 0}, "hours must be a number above 0; got 0"),
        ({"hours": -1.5}, "hours must be a number above 0; got -1.5"),
        ({"hours": math.nan}, "hours must be a number above 0; got nan"),
        (
            {"until_settled": 0.0},
            r"until_settled \(--settled-share\) must be a share of the hypervolume between 0 and 1; got 0",
        ),
        (
            {"until_settled": 1.0},
            r"until_settled \(--settled-share\) must be a share of the hypervolume between 0 and 1; got 1",
        ),
    ],
)
def test_a_wrong_rule_is_refused_and_nothing_is_written(tmp_path, wrong, message):
    with pytest.raises(SettingsError, match=message):
        run(
            SPACE,
            trials=2,
            resources=Resources("local"),
            ledger=f"sqlite:///{tmp_path}/x.db",
            evaluate=scored(),
            **wrong,
        )
    assert list(tmp_path.iterdir()) == []


# -- a search with the rule --


def test_a_search_stops_when_its_front_has_settled_and_resumes_without_the_rule(ledger):
    more = {"trials": 100, "resources": Resources("local"), "ledger": ledger, "evaluate": saturating}
    search = run(MEDIUM, until_settled=0.1, **more)
    done = search.progress().counts["complete"]
    assert MIN_TRIALS <= done < 50
    assert "its front has settled" in search.stop_rule.why
    assert max(search.gains()) < 0.1
    again = run(MEDIUM, until_settled=0.1, **more)
    assert again.progress().counts["complete"] == done  # the resumed search has the same results
    assert run(MEDIUM, **(more | {"trials": done + 2})).stop_rule.why is None


def test_a_search_whose_front_moves_runs_to_its_target(ledger):
    calls = []

    def improving(architecture, settings):
        calls.append(1)
        yield {"accuracy": 1 - 0.9 * 0.93 ** len(calls)}

    more = {"resources": Resources("local"), "ledger": ledger, "evaluate": improving}
    search = run(MEDIUM, trials=MIN_TRIALS + 6, until_settled=0.05, **more)
    assert search.progress().counts["complete"] == MIN_TRIALS + 6
    assert search.stop_rule.why is None


def test_the_expected_gain_of_any_sampler_comes_from_the_completed_trials(ledger):
    search = run(MEDIUM, trials=10, resources=Resources("local"), ledger=ledger, evaluate=saturating, sampler="random")
    past, expected = search.gains()
    assert 0 < past < 1
    assert 0.001 < expected < 10


def test_the_hours_end_a_search_between_trials_and_the_same_call_resumes_it(ledger):
    def slow(architecture, settings):
        time.sleep(0.15)
        yield {"accuracy": 0.5}

    more = {"trials": 6, "resources": Resources("local"), "ledger": ledger, "evaluate": slow}
    search = run(tiny_space(), hours=0.2 / 3600, **more)
    states = [trial.state for trial in ledger.read(reads.trials, search.record.id)]
    assert 1 <= len(states) < 6
    assert set(states) == {"complete"}  # running trials were finished
    assert search.stop_rule.why.endswith("hours are over")
    assert run(tiny_space(), **more).progress().counts["complete"] == 6


# -- the hypervolume --


@pytest.mark.parametrize(
    "objectives", [("accuracy", "flops"), ("accuracy", "params", "flops"), ("loss", "flops"), ("loss", "latency_ms")]
)
def test_the_hypervolume_never_decreases_and_is_equal_on_the_page_and_in_a_resumed_search(ledger, objectives):
    search = open_search(SearchSpec.create(SPACE, trials=20, objectives=objectives, sampler="random", seed=4), ledger)
    seen, references = [], []
    while (trial := search.ask()) is not None:
        score = int(trial.architecture.digest[:4], 16) / 65536
        search.tell(trial, Outcome("complete", {"accuracy": score, "loss": 3 - 2 * score, "latency_ms": 1 + score**2}))
        progress = search.progress()
        seen.append(progress.hypervolume)
        references.append(tuple(progress.reference))
    assert all(after >= before for before, after in pairwise(seen))
    assert len(set(references[7:])) == 1  # constant from the eighth trial on, from the first if costs are known
    assert len(set(references)) == 1 or "loss" in objectives
    again = Search(search.spec, search.record, ledger).progress()
    points, _ = ledger.read(reads.points, search.record.id, objectives)
    page = hypervolume_numbers(points, objectives, reference_costs(search.record))
    assert (again.hypervolume, tuple(again.reference)) == (seen[-1], references[-1])
    assert page.last == pytest.approx(seen[-1])
    assert page.reference == references[-1]


def test_the_reference_of_a_known_cost_is_beyond_the_largest_design_or_the_budget(ledger):
    search = open_search(SearchSpec.create(SPACE, trials=1), ledger)
    largest = max(search.spec.cost(design)["flops"] for design in SPACE.enumerate())

    def reference_costs(**more):
        return SearchSpec.create(SPACE, trials=1, **more).reference_costs()

    assert reference_costs() == {"flops": pytest.approx(1.1 * largest)}
    assert reference_costs(max_flops=1e6) == {"flops": pytest.approx(1.1e6)}
    assert reference_costs(max_flops=1e9) == {"flops": pytest.approx(1.1 * largest)}
    assert reference_costs(objectives=("accuracy", "loss")) == {}
