"""What every engine owes: every trial ends, once, with its numbers; failures stay with their trial."""

from pathlib import Path

import pytest
from support.fakes import broken, graded, kept_every_rung, resumable, scored, tiny_space, wide_space

from hybrid_search.engines import ENGINES
from hybrid_search.errors import HybridSearchError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Report, Resources
from hybrid_search.runs.run import run

SPACE = tiny_space()


@pytest.fixture(scope="module", params=sorted(ENGINES))
def engine(request):
    """Each engine in turn; Ray is started once for all the tests of each that needs it."""
    if request.param == "local":
        yield request.param
        return
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 * 2**20)
    yield request.param
    ray.shutdown()


# Ray Tune takes ten times as long as the others for a trial: what it shares with them is proven by `make faults`.
TUNE_LONG = pytest.mark.parametrize(
    "engine",
    [pytest.param(name, marks=pytest.mark.faults if name == "tune" else ()) for name in sorted(ENGINES)],
    indirect=True,
    scope="module",
)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def states(ledger):
    return {trial.number: trial.state for trial in ledger.read(reads.trials, ledger.search().id)}


def test_every_trial_ends_with_its_numbers_and_its_curve(engine, ledger):
    search = run(SPACE, trials=6, resources=Resources(engine), ledger=ledger, evaluate=scored(rungs=3))
    trials = ledger.read(reads.trials, search.record.id)
    assert states(ledger) == dict.fromkeys(range(6), "complete")
    for trial in trials:
        score = int(trial.digest[:4], 16) / 65536
        assert trial.measurements["accuracy"] == pytest.approx(score)
        assert [(rung, numbers["accuracy"]) for rung, numbers in ledger.read(reads.curve, trial.id)] == [
            (rung, pytest.approx(score * rung / 3)) for rung in (1, 2, 3)
        ]


@TUNE_LONG
def test_running_it_again_goes_on(engine, ledger):
    run(SPACE, trials=3, resources=Resources(engine), ledger=ledger, evaluate=scored())
    run(SPACE, trials=3, resources=Resources(engine), ledger=ledger, evaluate=scored())
    assert states(ledger) == dict.fromkeys(range(6), "complete")
    assert len({trial.digest for trial in ledger.read(reads.trials, ledger.search().id)}) == 6


@TUNE_LONG
@pytest.mark.parametrize(("kind", "failed"), [("raises", "bug"), ("nan", "nan")])
def test_a_trial_that_goes_wrong_leaves_the_others_alone(engine, ledger, kind, failed):
    run(SPACE, trials=12, resources=Resources(engine), ledger=ledger, evaluate=broken(kind), sampler="random", seed=3)
    trials = ledger.read(reads.trials, ledger.search().id)
    wrong = [trial for trial in trials if trial.state == "failed"]
    assert len(trials) == 12
    assert {trial.architecture["stages"][0]["operator"] for trial in wrong} == {"local_attention"}
    assert {trial.failure_kind for trial in wrong} == {failed}
    assert all(trial.state == "complete" for trial in trials if trial not in wrong)
    if kind == "raises":
        assert "a bug in the user's code" in wrong[0].failure_text


@TUNE_LONG
def test_a_search_whose_first_trials_all_fail_stops_and_says_why(engine, ledger):
    def evaluate(architecture, settings):
        raise ValueError("no such file: images")
        yield {}

    with pytest.raises(HybridSearchError, match=r"the first 4 trials all failed \(bug\)[\s\S]*no such file: images"):
        run(SPACE, trials=12, resources=Resources(engine), ledger=ledger, evaluate=evaluate)


def test_a_search_whose_first_trials_all_give_nan_stops_too(ledger):
    def evaluate(architecture, settings):
        yield {"accuracy": float("nan")}

    with pytest.raises(HybridSearchError, match=r"the first 4 trials all failed \(nan\)"):
        run(SPACE, trials=12, resources=Resources("local"), ledger=ledger, evaluate=evaluate)


def test_a_trial_that_the_pruner_stops_counts_and_frees_its_worker(engine, ledger):
    said, contexts = [], []

    def watch(search, context):
        context.on_event = lambda kind, number: said.append((number, kind))
        contexts.append(context)

    more = {"pruner": "front-probability", "sampler": "random", "trials": 24}
    search = run(wide_space(), resources=Resources(engine), ledger=ledger, evaluate=graded(), watch=watch, **more)
    trials = ledger.read(reads.trials, search.record.id)
    stopped = [trial for trial in trials if trial.state == "stopped"]
    assert len(trials) == 24
    assert stopped
    assert {trial.state for trial in trials} == {"complete", "stopped"}
    assert sorted(number for number, kind in said if kind == "stopped") == [trial.number for trial in stopped]
    assert contexts[0].completed == 24 - len(stopped)
    assert contexts[0].failed == 0
    for trial in stopped:
        assert [rung for rung, _ in ledger.read(reads.curve, trial.id)] == list(range(1, trial.rung + 1))
        assert trial.rung < 6
        assert trial.measurements == {}
        assert trial.facts["worker"] == trial.worker != ""


@TUNE_LONG
def test_stopping_leaves_what_runs_to_the_next_run(engine, ledger):
    def watch(search, context):
        def event(kind, number):
            if kind == "report" and number == 2:
                context.stop.set()

        context.on_event = event

    run(SPACE, trials=6, resources=Resources(engine), ledger=ledger, evaluate=scored(rungs=4), watch=watch)
    assert "running" in states(ledger).values()
    run(SPACE, trials=6, resources=Resources(engine), ledger=ledger, evaluate=scored(rungs=4))
    assert states(ledger) == dict.fromkeys(range(6), "complete")


def test_what_was_stopped_goes_on_from_its_checkpoint(engine, ledger):
    def watch(search, context):
        kept_every_rung(search, context)
        context.on_event = lambda kind, number: kind == "report" and number == 2 and context.stop.set()

    asked = {"trials": 4, "resources": Resources(engine, workers=1), "ledger": ledger, "evaluate": resumable()}
    run(SPACE, watch=watch, **asked)
    cut = [trial for trial in ledger.read(reads.trials, ledger.search().id) if trial.state == "running" and trial.rung]
    assert 2 in [trial.number for trial in cut]
    search = run(SPACE, watch=kept_every_rung, **asked)
    for trial in ledger.read(reads.trials, search.record.id):
        assert trial.state == "complete"
        assert [rung for rung, _ in ledger.read(reads.curve, trial.id)] == [1, 2, 3, 4]
        assert trial.measurements["accuracy"] == int(trial.digest[:4], 16) / 65536
        if trial.number in [other.number for other in cut]:
            assert int(trial.facts["resumed"].split()[1]) >= 1
        else:
            assert "resumed" not in trial.facts
    assert list(Path(f"{ledger.url.database}.checkpoints").iterdir()) == []


@TUNE_LONG
def test_weights_reach_the_ledgers_folder_and_facts_its_rows(engine, ledger):
    def evaluate(architecture, settings):
        facts = {"device": "cpu", "worker": "w"}
        yield Report(1, {"accuracy": 0.1}, facts)
        yield Report(2, {"accuracy": 0.5}, facts, weights=architecture.digest.encode(), last=True)

    search = run(SPACE, trials=5, resources=Resources(engine), ledger=ledger, evaluate=evaluate)
    kept = ledger.read(reads.trials_with_weights, search.record.id)
    assert {trial.number for trial in kept} == set(search.front())
    for one in kept:
        trial = ledger.read(reads.trial, search.record.id, one.number)
        assert search.weights.read(one.number, trial.weights) == trial.digest.encode()
        assert (trial.facts["device"], trial.worker) == ("cpu", "w")


def test_weights_that_cannot_be_written_cost_the_search_nothing_else(ledger):
    def evaluate(architecture, settings):
        yield Report(1, {"accuracy": 0.5}, {}, weights=b"weights", last=True)

    def watch(search, context):
        context.notice = said.append

    said = []
    Path(f"{ledger.url.database}.weights").write_text("in the way")
    run(SPACE, trials=3, resources=Resources("local"), ledger=ledger, evaluate=evaluate, watch=watch)
    assert ledger.read(reads.counts, 1) == {"complete": 3}
    assert ledger.read(reads.trials_with_weights, 1) == []
    assert any(line.startswith("the weights of trial 0 are not kept: ") for line in said)


@TUNE_LONG
@pytest.mark.parametrize("kind", ["a word", "no generator", "a list"])
def test_an_evaluation_that_gives_no_numbers_fails_its_trial_and_not_the_search(engine, ledger, kind):
    def evaluate(architecture, settings):
        good = architecture.stages[0].operator == "conv"
        wrong = {"a word": [{"accuracy": "x"}], "no generator": 3, "a list": [[1, 2]]}[kind]
        return iter([{"accuracy": 0.5}]) if good else wrong

    run(SPACE, trials=12, resources=Resources(engine), ledger=ledger, evaluate=evaluate, sampler="random", seed=3)
    found = {
        t.architecture["stages"][0]["operator"]: (t.state, t.failure_kind)
        for t in ledger.read(reads.trials, ledger.search().id)
    }
    assert found == {"conv": ("complete", None), "local_attention": ("failed", "bug")}


@TUNE_LONG
def test_the_end_of_the_hours_lets_what_runs_finish(engine, ledger):
    def evaluate(architecture, settings):
        import time

        time.sleep(0.2)
        yield {"accuracy": 0.5}

    search = run(SPACE, trials=12, resources=Resources(engine), ledger=ledger, evaluate=evaluate, hours=0.1 / 3600)
    assert 1 <= len(states(ledger)) < 12
    assert set(states(ledger).values()) == {"complete"}
    assert search.stop_rule.why.endswith("hours are over")


@TUNE_LONG
def test_a_tuned_recipe_reaches_the_worker(engine, ledger):
    def evaluate(architecture, settings):
        yield {"accuracy": settings.learning_rate}

    run(SPACE, trials=8, resources=Resources(engine), ledger=ledger, evaluate=evaluate, tune_recipe=True)
    trials = ledger.read(reads.trials, ledger.search().id)
    assert [t.measurements["accuracy"] for t in trials] == [t.settings["learning_rate"] for t in trials]
    assert len({t.settings["learning_rate"] for t in trials}) > 1


def test_a_trial_whose_worker_is_killed_begins_again_and_nothing_counts_twice(engine, ledger, tmp_path):
    if engine == "local":
        return  # its worker is the driver: killing it is what tests of the ledger do
    mark = tmp_path / "died"

    def evaluate(architecture, settings):
        import os
        import signal

        yield {"accuracy": 0.1}
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield {"accuracy": 0.5}

    run(SPACE, trials=4, resources=Resources(engine, workers=1), ledger=ledger, evaluate=evaluate)
    trials = ledger.read(reads.trials, ledger.search().id)
    assert [(t.state, t.attempt) for t in trials] == [("complete", 2), *[("complete", 1)] * 3]
    assert [[rung for rung, _ in ledger.read(reads.curve, trial.id)] for trial in trials] == [[1, 2]] * 4
    (failed,) = ledger.read(reads.failures, ledger.search().id)
    assert (failed.number, failed.kind) == (0, "lost")
    assert failed.text.startswith("its worker died: The actor died unexpectedly")
