"""Once trials were retrained, means are compared with means only: on the terminal, the page and in exports."""

import json

import pytest
from support.fakes import wide_space

from hybrid_search import cli
from hybrid_search.analysis.confidence import confirmed_front
from hybrid_search.analysis.picks import pick_trial
from hybrid_search.analysis.status import status_of
from hybrid_search.charts.front import read_front
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.ledger.leases import purpose_of
from hybrid_search.records import Resources
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run

VALUES = {
    0: {"accuracy": 0.80, "flops": 1.0},
    1: {"accuracy": 0.85, "flops": 1.0},
    2: {"accuracy": 0.90, "flops": 2.0},
    3: {"accuracy": 0.70, "flops": 0.5},
}


def test_without_a_retraining_all_trials_are_compared():
    assert confirmed_front(VALUES, (), ("accuracy", "flops")) == ([2, 1, 3], [])


def test_a_high_value_of_a_single_seed_does_not_displace_a_mean():
    assert confirmed_front(VALUES, {0, 2}, ("accuracy", "flops")) == ([2, 0], [1, 3])


def by_digest(architecture, settings):
    yield {"accuracy": int(architecture.digest[:4], 16) / 65536}


@pytest.fixture(scope="module")
def half_confirmed(tmp_path_factory):
    """A search of ten trials in which one trial of the front was retrained, with a lower mean."""
    url = f"sqlite:///{tmp_path_factory.mktemp('half')}/a.db"
    search = run(
        wide_space(), trials=10, evaluate=by_digest, resources=Resources("local"), checkpoints="none", ledger=url
    )
    numbers = search.front()
    best = max(numbers, key=lambda n: search.ledger.read(reads.trial, search.record.id, n).measurements["accuracy"])
    trial = search.ledger.read(reads.trial, search.record.id, best)
    values = {**trial.measurements, "accuracy": trial.measurements["accuracy"] / 2}
    search.ledger.write(writes.add_measurements, trial.id, 99, values)
    search.ledger.close()
    return url, best, set(numbers) - {best}


def test_terminal_page_chart_status_and_export_agree(half_confirmed, capsys):
    url, best, others = half_confirmed
    assert cli.run(["front", "--format", "json", "--db", url]) == 0
    printed = capsys.readouterr()
    assert [row["trial"] for row in json.loads(printed.out)] == [best]
    assert "were not retrained yet" in printed.err
    assert all(str(number) in printed.err for number in others)
    with Ledger(url, read_only=True) as ledger:
        record = ledger.search(None)
        assert {point.number for point in read_front(ledger, record).front} == {best}
        assert pick_trial(ledger, record, "best").trial.number == best
        assert status_of(ledger, record).front == 1
    snapshot = Snapshot(url)
    assert snapshot.view(record).front == (best,)
    snapshot.close()


def test_the_confirmation_goes_to_the_trials_that_were_not_retrained(half_confirmed, capsys):
    url, _, others = half_confirmed
    quiet = Resources("local")
    confirmation = confirm(ledger=url, evaluate=by_digest, seeds=1, resources=quiet, checkpoints="none")
    retrained = confirmation.ledger.read(reads.repeats, confirmation.record.id, confirmed=True)
    confirmation.ledger.close()
    assert others <= retrained.keys()
    cli.run(["front", "--format", "json", "--db", url])
    assert "were not retrained yet" not in capsys.readouterr().err


def test_status_says_that_a_search_is_being_confirmed(half_confirmed, monkeypatch):
    url, *_ = half_confirmed
    seen = []

    def evaluate(architecture, settings):
        with Ledger(url, read_only=True) as ledger:
            record = ledger.search(None)
            seen.append((status_of(ledger, record).state, purpose_of(ledger.lease(record.id).holder)))
        yield {"accuracy": 0.5}

    monkeypatch.setattr("hybrid_search.runs.confirm.check_same_evaluation", lambda record, evaluate: None)
    with Ledger(url) as ledger:
        confirm(ledger=ledger, evaluate=evaluate, seeds=3, trials=40, resources=Resources("local"), checkpoints="none")
    assert set(seen) == {("confirming", "confirm")}


def test_a_run_is_no_confirmation():
    assert purpose_of("host:1/m/2/abc") == "run"
    assert purpose_of("host:1/m/2/confirm-abc") == "confirm"
    assert purpose_of(None) == "run"
