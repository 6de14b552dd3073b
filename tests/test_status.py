"""The status of a search, read from the ledger while the search runs."""

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
def running_search(ledger):
    """Return a running search: one trial complete, one at its second attempt, one at its first."""
    search = open_search(SearchSpec.create(SPACE, trials=5), ledger)
    ledger.acquire_lease(search.record.id, "gpu-box:42/m/0/x", 30)
    search.tell(search.ask(), Outcome("complete", {"accuracy": 0.75}))
    again = search.fail(search.ask(), "oom", "too large")
    search.report(again, Report(3, {"accuracy": 0.5}, {"worker": "node-7:99"}))
    search.ask()
    return search


def test_a_running_search_shows_its_driver_and_where_each_trial_runs(ledger, running_search):
    found = status_of(ledger, running_search.record)
    assert (found.state, found.driver, found.ended) == ("running", "gpu-box:42", 1)
    assert (found.counts["complete"], found.counts["running"]) == (1, 2)
    assert found.failures == {"oom": 1}
    assert [(trial.number, trial.attempt, trial.rung, trial.worker) for trial in found.running] == [
        (1, 2, 3, "node-7:99"),
        (2, 1, 0, ""),
    ]
    assert not any(trial.silent for trial in found.running)
    progress = running_search.progress()
    assert (found.front, found.best) == (progress.front, progress.best) == (1, 0.75)
    assert found.hypervolume == pytest.approx(progress.hypervolume)


def test_a_trial_with_an_expired_lease_is_silent_and_a_search_without_a_driver_is_interrupted(ledger, running_search):
    ledger.renew_lease(running_search.record.id, 0.0)
    found = status_of(ledger, running_search.record)
    assert (found.state, found.driver, found.time_left) == ("interrupted", None, None)
    assert all(trial.silent for trial in found.running)
    for _ in range(2):
        ledger.release_lease(running_search.record.id)
    for trial in ledger.read(reads.trials, running_search.record.id):
        if trial.state == "running":
            ledger.write(writes.finish_trial, trial.id, "failed", failure_kind="bug", failure_text="x")
    assert status_of(ledger, running_search.record).state == "idle"


def test_the_recent_rate_gives_the_time_left(ledger):
    search = a_search(ledger, target=80)
    fill(ledger, search, 40, states="complete")
    ledger.acquire_lease(search.id, "a:1/m/0/x", 30)
    found = status_of(ledger, search)
    assert found.trials_per_hour > 0
    assert found.time_left.total_seconds() == pytest.approx(40 / found.trials_per_hour * 3600)


def test_the_command_prints_a_table_json_and_csv(running_search, url, capsys):
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
        (["other"], "search must be one of tiny; got 'other'"),
        (["--every", "0"], "--every must be more than 0 seconds; got 0"),
        (["--watch", "--format", "csv"], "--watch prints a table, or one JSON object a line"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(running_search, url, capsys, arguments, message):
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


def test_watching_ends_after_a_clean_shutdown_and_continues_after_an_outage(ledger, running_search, monkeypatch):
    looks = iter(
        [
            "idle",
            "running",
            LedgerAway("database d did not answer for 300 s"),
            "running",
            "interrupted",
            "running",
            "idle",
        ]
    )

    def look(ledger, search):
        seen = next(looks)
        if isinstance(seen, Exception):
            raise seen
        return replace(status_of(ledger, search), state=seen)

    monkeypatch.setattr("hybrid_search.analysis.status.status_of", look)
    said = []
    found = list(updates(ledger, ledger.search().name, 0.0, said.append))
    assert [one.state for one in found] == ["idle", "running", "running", "interrupted", "running", "idle"]
    assert said == ["database d did not answer for 300 s"]
    assert next(looks, None) is None
