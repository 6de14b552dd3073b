"""Wrong results and wrong factories: refused with a message, or a failed trial; the search can be opened afterwards."""

import optuna
import pytest
from support.fakes import scored, tiny_space

from hybrid_search import (
    HybridSearchError,
    Ledger,
    LostLease,
    Outcome,
    Report,
    Resources,
    SearchSpec,
    SettingsError,
    open_search,
    run,
)
from hybrid_search.ledger import reads

LOCAL = Resources(engine="local")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def spec():
    return SearchSpec.create(tiny_space(), trials=3, evaluation="mine", known_designs=False)


@pytest.mark.parametrize(
    ("state", "kind", "text"),
    [("completed", None, "state of an outcome must be one of"), ("failed", "weird", "failure_kind must be one of")],
)
def test_an_outcome_of_an_unknown_state_or_kind_is_refused(state, kind, text):
    with pytest.raises(SettingsError, match=text):
        Outcome(state, {"accuracy": 0.5}, kind)


def test_a_trial_ends_once(ledger):
    search = open_search(spec(), ledger)
    trial = search.ask()
    search.tell(trial, Outcome("complete", {"accuracy": 0.5}))
    with pytest.raises(LostLease, match="a trial ends once; trial 0 of 'tiny' is complete already"):
        search.tell(trial, Outcome("complete", {"accuracy": 0.9}))
    assert search.progress().counts == {"running": 0, "complete": 1, "stopped": 0, "failed": 0}
    assert open_search(spec(), ledger).progress().counts["complete"] == 1


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (Report(rung=1, measurements={"accuracy": None}, last=True), "a measurement must be a number"),
        (Report(rung=1, measurements={"accuracy": "0.5"}, last=True), "a measurement must be a number"),
        ({"accuracy": "0.5"}, "a measurement must be a number"),
        (Report(rung="x", measurements={"accuracy": 0.5}, last=True), "the rung of a report must be a whole number"),
    ],
    ids=["none", "text", "text in a mapping", "rung"],
)
def test_a_wrong_report_fails_its_trial_and_not_the_search(ledger, report, text):
    def evaluate(architecture, settings):
        yield report

    evaluate.__qualname__ = "wrong_report"
    with pytest.raises(HybridSearchError, match=r"^all 2 trials failed \(bug\), so the search has no result"):
        run(tiny_space(), trials=2, evaluate=evaluate, resources=LOCAL, ledger=ledger, known_designs=False)
    trials = ledger.read(reads.trials, ledger.search().id)
    assert [trial.state for trial in trials] == ["failed", "failed"]
    assert text in trials[0].failure_text


def raises(seed, facts):
    raise ValueError("no such thing")


def returns_three(first, second):
    return 3


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"sampler": optuna.samplers.RandomSampler}, r"factory \(seed, facts\) -> optuna sampler; .* raised TypeError"),
        ({"sampler": raises}, "raised ValueError: no such thing"),
        ({"sampler": returns_three}, "returned 3"),
        ({"pruner": returns_three}, "returned 3, which has no min_probability"),
    ],
    ids=["a class", "an error", "a number", "a pruner that is a number"],
)
def test_a_wrong_factory_is_refused_and_nothing_is_stored(ledger, more, text):
    with pytest.raises(SettingsError, match=text):
        run(tiny_space(), trials=2, evaluate=scored(), resources=LOCAL, ledger=ledger, **more)
    assert ledger.searches() == []
