"""A first run from Python is not silent: failed trials are said, and a search without a result raises."""

import logging
import sys

import pytest
from support.fakes import scored, tiny_space

from hybrid_search import HybridSearchError, Ledger, Outcome, Resources, SearchSpec, SettingsError, open_search, run
from hybrid_search._internal.event_log import LOG, failures_shown

LOCAL = Resources(engine="local")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def failing(*operators):
    def evaluate(architecture, settings):
        if architecture.stages[0].operator in operators:
            raise ZeroDivisionError("division by zero")
        yield {"accuracy": 0.5}

    return evaluate


def test_a_failed_trial_is_logged_as_a_warning_with_its_reason(ledger, caplog):
    run(tiny_space(), trials=6, evaluate=failing("conv"), sampler="grid", resources=LOCAL, ledger=ledger)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    failed = [trial.number for trial in open_trials(ledger) if trial.state == "failed"]
    assert failed
    assert [record.getMessage() for record in warnings] == [
        f"trial {number} failed (bug): ZeroDivisionError: division by zero" for number in failed
    ]
    assert {record.name for record in warnings} == {"hybrid_search"}


def open_trials(ledger):
    spec = SearchSpec.create(tiny_space(), trials=1, sampler="grid", evaluation=ledger.search().evaluation)
    return open_search(spec, ledger).trials()


def test_failures_are_printed_if_nothing_is_configured_and_not_otherwise(monkeypatch, capsys):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    with failures_shown():
        LOG.warning("trial 3 failed (bug): password=verysecret1")
    with failures_shown(False):
        LOG.warning("not shown")
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler(sys.stdout)])
    with failures_shown():
        LOG.warning("shown by the program")
    printed = capsys.readouterr()
    assert printed.err == "trial 3 failed (bug): password=***\n"
    assert printed.out == "shown by the program\n"


@pytest.mark.parametrize(("trials", "words"), [(1, "the only trial"), (2, "all 2 trials"), (3, "all 3 trials")])
def test_a_search_in_which_every_trial_failed_raises_with_the_first_traceback(ledger, trials, words):
    calls = []

    def evaluate(architecture, settings):
        calls.append(1)
        raise ZeroDivisionError(f"number {len(calls)}")
        yield

    with pytest.raises(HybridSearchError, match=rf"^{words} failed \(bug\), so the search has no result\."):
        run(tiny_space(), trials=trials, evaluate=evaluate, resources=LOCAL, ledger=ledger)
    calls.clear()
    with pytest.raises(HybridSearchError, match=r"in evaluate\n[\s\S]*ZeroDivisionError: number 1$"):
        run(tiny_space(), trials=trials, evaluate=evaluate, resources=LOCAL, ledger=ledger)


def test_a_search_with_one_result_does_not_raise(ledger):
    run(tiny_space(), trials=1, evaluate=scored(), resources=LOCAL, ledger=ledger)
    search = run(tiny_space(), trials=3, evaluate=scored(), resources=LOCAL, ledger=ledger)
    assert search.progress().counts["complete"] == 3


def test_a_search_its_front_and_its_trials_have_a_useful_text(ledger):
    search = run(tiny_space(), trials=4, evaluate=failing("conv"), sampler="grid", resources=LOCAL, ledger=ledger)
    counts, front = search.progress().counts, search.front()
    text = repr(search)
    assert text.startswith(
        f"<Search 'tiny': {counts['complete']} of 4 trials complete, {counts['failed']} failed; front"
    )
    assert f"front of {len(front)}: {', '.join(map(str, front))}; sqlite:///" in text
    assert repr(front).splitlines()[0] == f"front of 'tiny': {len(front)} {'trial' if len(front) == 1 else 'trials'}"
    assert f"trial {front[0]}: validation accuracy 50.00 %, cost (2 x MACs) " in repr(front)
    assert front == [trial.number for trial in search.trials() if trial.number in front]
    failed, complete = (next(t for t in search.trials() if t.state == state) for state in ("failed", "complete"))
    assert repr(failed) == f"<trial {failed.number}: failed, bug; architecture {failed.digest}>"
    assert repr(complete).startswith(f"<trial {complete.number}: complete, accuracy 0.5, flops ")


def test_the_trial_that_ask_returns_has_a_useful_text(ledger):
    search = open_search(SearchSpec.create(tiny_space(), trials=2, evaluation="mine"), ledger)
    trial = search.ask()
    assert repr(trial) == f"<trial 0, attempt 1, seed 0: {trial.architecture}>"
    assert "0 of 2 trials complete, 1 running; front of 0: none" in repr(search)
    search.tell(trial, Outcome("complete", {"accuracy": 0.5}))


def test_a_frame_has_a_row_for_each_trial(ledger):
    search = run(tiny_space(), trials=4, evaluate=failing("conv"), sampler="grid", resources=LOCAL, ledger=ledger)
    frame = search.frame()
    assert list(frame.index) == [0, 1, 2, 3]
    assert list(frame["state"]) == [trial.state for trial in search.trials()]
    assert list(frame[frame["front"]].index) == sorted(search.front())
    complete = frame[frame["state"] == "complete"]
    assert set(complete["accuracy"]) == {0.5}
    assert {"flops", "params", "seconds", "digest", "failure"} <= set(frame.columns)
    assert any(column.startswith("choice ") for column in frame.columns)


def test_a_frame_without_pandas_says_what_to_install(ledger, monkeypatch):
    search = open_search(SearchSpec.create(tiny_space(), trials=1, evaluation="mine"), ledger)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SettingsError, match=r"a frame needs pandas, .* pip install pandas$"):
        search.frame()


def test_a_search_without_trials_has_an_empty_frame(ledger):
    search = open_search(SearchSpec.create(tiny_space(), trials=1, evaluation="mine"), ledger)
    assert len(search.frame()) == 0
