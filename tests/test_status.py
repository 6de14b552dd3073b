"""Where a search stands, read from the ledger alone while others drive it."""

import json
from dataclasses import replace

import pytest
from support.fakes import tiny_space
from support.ledgers import a_search, fill

from hybrid_search import cli
from hybrid_search.analysis.status import status_of
from hybrid_search.cli.status import updates
from hybrid_search.errors import LedgerAway
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.records import Report
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome

SPACE = tiny_space()


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/l.db"


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        yield opened


@pytest.fixture
def driven(ledger):
    """A search whose driver has ended one trial, begun one twice and another once."""
    search = open_search(SearchSpec.create(SPACE, trials=5), ledger)
    ledger.acquire_lease(search.record.id, "gpu-box:42/m/0/x", 30)
    search.tell(search.ask(), Outcome("complete", {"accuracy": 0.75}))
    again = search.fail(search.ask(), "oom", "too large")
    search.report(again, Report(3, {"accuracy": 0.5}, {"worker": "node-7:99"}))
    search.ask()
    return search


def test_a_search_that_is_driven_says_by_whom_and_what_runs_where(ledger, driven):
    found = status_of(ledger, driven.record)
    assert (found.course, found.driver, found.ended) == ("running", "gpu-box:42", 1)
    assert (found.counts["complete"], found.counts["running"]) == (1, 2)
    assert found.failures == {"oom": 1}
    assert [(trial.number, trial.attempt, trial.rung, trial.worker) for trial in found.running] == [
        (1, 2, 3, "node-7:99"),
        (2, 1, 0, ""),
    ]
    assert not any(trial.silent for trial in found.running)
    progress = driven.progress()
    assert (found.front, found.best) == (progress.front, progress.best) == (1, 0.75)
    assert found.hypervolume == pytest.approx(progress.hypervolume)


def test_a_worker_whose_lease_ran_out_is_silent_and_a_search_without_driver_was_interrupted(ledger, driven):
    ledger.renew_lease(driven.record.id, 0.0)
    found = status_of(ledger, driven.record)
    assert (found.course, found.driver, found.left) == ("interrupted", None, None)
    assert all(trial.silent for trial in found.running)
    for _ in range(2):
        ledger.release_lease(driven.record.id)
    for trial in ledger.read(reads.trials, driven.record.id):
        if trial.state == "running":
            ledger.write(writes.finish_trial, trial.id, "failed", failure_kind="bug", failure_text="x")
    assert status_of(ledger, driven.record).course == "idle"


def test_the_pace_of_late_gives_the_time_left(ledger):
    search = a_search(ledger, target=80)
    fill(ledger, search, 40, states="complete")
    ledger.acquire_lease(search.id, "a:1/m/0/x", 30)
    found = status_of(ledger, search)
    assert found.an_hour > 0
    assert found.left.total_seconds() == pytest.approx(40 / found.an_hour * 3600)


def test_the_command_prints_it_for_people_and_programs(driven, url, capsys):
    assert cli.run(["status", "--db", url]) == 0
    text = capsys.readouterr().out
    assert "search 'tiny' is run by gpu-box:42: 1 of 5 trials have ended" in text
    assert "failed attempts: 1 oom" in text
    assert "node-7:99" in text
    assert cli.run(["status", "tiny", "--db", url, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["course"], found["counts"]["running"], found["running"][0]["worker"]) == ("running", 2, "node-7:99")
    assert cli.run(["status", "tiny", "--db", url, "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("search,course,driver,ended,target")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "search must be one of tiny; got 'nobody'"),
        (["--every", "0"], "--every must be more than 0 seconds; got 0"),
        (["--watch", "--format", "csv"], "--watch prints a table, or one JSON object a line"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(driven, url, capsys, arguments, message):
    assert cli.run(["status", *arguments, "--db", url]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_watching_ends_with_the_search(ledger, url, capsys):
    search = a_search(ledger, target=3)
    fill(ledger, search, 3, states="complete")
    assert cli.run(["status", "--watch", "--db", url]) == 0
    assert "has reached its number of trials: 3 of 3 trials have ended" in capsys.readouterr().out
    assert cli.run(["status", "--watch", "--format", "json", "--db", url]) == 0
    assert json.loads(capsys.readouterr().out)["ended"] == 3


def test_watching_ends_with_a_driver_that_ended_in_order_and_waits_out_an_outage(ledger, driven, monkeypatch):
    looks = iter(
        ["idle", "running", LedgerAway("the database must answer"), "running", "interrupted", "running", "idle"]
    )

    def look(ledger, search):
        seen = next(looks)
        if isinstance(seen, Exception):
            raise seen
        return replace(status_of(ledger, search), course=seen)

    monkeypatch.setattr("hybrid_search.analysis.status.status_of", look)
    said = []
    found = list(updates(ledger, ledger.search().name, 0.0, said.append))
    assert [one.course for one in found] == ["idle", "running", "running", "interrupted", "running", "idle"]
    assert said == ["the database must answer"]
    assert next(looks, None) is None
