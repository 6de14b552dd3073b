"""Outages: a ledger retries, prints two notices, and stores nothing twice."""

import re
import signal
import sqlite3
import threading
import time
from dataclasses import replace

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from support.fakes import scored, tiny_space
from support.ledgers import a_search

from hybrid_search.errors import LedgerAway
from hybrid_search.ledger import Ledger, Proposal, SplitUse, reads, writes
from hybrid_search.ledger.retry import RetryPolicy
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.run import run

pytestmark = pytest.mark.server


@pytest.fixture
def url(server):
    """Yield a database whose server is started again after the test."""
    yield server.database()
    server.start()


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        yield opened


def notices_of(ledger, **more):
    """Collect the notices of the ledger from now on."""
    said = []
    ledger.retry_policy = replace(ledger.retry_policy, notice=said.append, **more)
    return said


def start(ledger, search, number):
    return ledger.write(
        writes.start_trial, search.id, number, digest=f"d{number}", architecture={}, choices={}, settings=Settings()
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_a_restart_of_the_server_between_writes_has_no_effect(ledger, server, how):
    search, said = a_search(ledger), notices_of(ledger)
    trial = start(ledger, search, 0)
    server.stop(how)
    server.start()
    ledger.write(writes.finish_trial, trial, "complete", {"accuracy": 0.5, "flops": 1.0}, attempt=1)
    assert ledger.read(reads.trial, search.id, 0).state == "complete"
    assert said == []


def test_writes_continue_after_an_outage_with_two_notices(ledger, server):
    search, said = a_search(ledger), notices_of(ledger)
    server.stop(signal.SIGQUIT)
    back = threading.Timer(1.2, server.start)
    back.start()
    trials = [start(ledger, search, number) for number in range(3)]
    back.join()
    assert ledger.read(reads.counts, search.id) == {"running": 3}
    assert len(set(trials)) == 3
    began, ended = said
    assert re.fullmatch(
        r"database postgresql://hybrid:\*\*\*@\S+ does not answer \(.+\)\. Committed results are safe; "
        r"retrying for up to 300 s",
        began,
    )
    assert re.fullmatch(r"database postgresql://hybrid:\*\*\*@\S+ answers again after \d+\.\d s", ended)


def test_threads_report_the_same_outage_once(ledger, server):
    search, said = a_search(ledger), notices_of(ledger)
    server.stop(signal.SIGQUIT)
    readers = [threading.Thread(target=ledger.read, args=(reads.counts, search.id)) for _ in range(3)]
    for reader in readers:
        reader.start()
    time.sleep(0.5)
    server.start()
    for reader in readers:
        reader.join()
    assert len(said) == 2


def test_the_retry_limit_is_one_error_line_without_the_password_and_later_calls_fail_at_once(ledger, server):
    from support.postgres import PASSWORD

    search, said = a_search(ledger), notices_of(ledger, seconds=0.5)
    server.stop()
    with pytest.raises(LedgerAway, match=r"database postgresql://hybrid:\*\*\*@.* did not answer for") as raised:
        ledger.write(writes.set_target, search.id, 9)
    began = time.monotonic()
    with pytest.raises(LedgerAway, match="did not answer for"):
        ledger.read(reads.counts, search.id)
    assert time.monotonic() - began < 0.5
    assert "\n" not in str(raised.value)
    assert PASSWORD not in str(raised.value) + "".join(said)
    server.start()
    ledger.write(writes.set_target, search.id, 9)
    assert ledger.search().target == 9


def test_a_stopped_search_does_not_wait_for_its_database(ledger, server):
    search, stop = a_search(ledger), threading.Event()
    notices_of(ledger, cancelled=stop.is_set)
    server.stop()
    threading.Timer(0.4, stop.set).start()
    began = time.monotonic()
    with pytest.raises(LedgerAway, match="did not answer for"):
        ledger.write(writes.set_target, search.id, 9)
    assert time.monotonic() - began < 3


def test_writes_of_other_threads_do_not_extend_the_retry_limit():
    said, policy = [], RetryPolicy(0.5)
    policy = replace(policy, notice=said.append)
    full = OperationalError("insert", {}, sqlite3.OperationalError("database or disk is full"))
    over = threading.Event()

    def renew():
        while not over.wait(0.05):
            policy.call(lambda: None, lambda error: True, "a ledger")

    def write():
        raise full

    thread = threading.Thread(target=renew)
    thread.start()
    began = time.monotonic()
    with pytest.raises(LedgerAway, match="did not answer for"):
        policy.call(write, lambda error: True, "a ledger")
    over.set()
    thread.join()
    assert time.monotonic() - began < 5


WRITES = {
    "start_trial": lambda ledger, search, trial: start(ledger, search, 1),
    "add_rung": lambda ledger, search, trial: ledger.write(writes.add_rung, trial, 1, {"accuracy": 0.5}, attempt=1),
    "fail_attempt": lambda ledger, search, trial: ledger.write(writes.fail_attempt, trial, 1, "lost", "gone"),
    "finish_trial": lambda ledger, search, trial: ledger.write(
        writes.finish_trial, trial, "complete", {"accuracy": 0.5}
    ),
    "set_target": lambda ledger, search, trial: ledger.write(writes.set_target, search.id, 99),
    "set_weights": lambda ledger, search, trial: ledger.write(writes.set_weights, trial, "0.safetensors:0"),
    "set_audit_rung": lambda ledger, search, trial: ledger.write(writes.set_audit_rung, trial, 1),
    "add_measurements": lambda ledger, search, trial: ledger.write(
        writes.add_measurements, trial, 5, {"accuracy": 0.5}
    ),
    "add_failed_retraining": lambda ledger, search, trial: ledger.write(
        writes.add_failed_retraining, trial, 5, "oom", "gone"
    ),
    "add_proposal": lambda ledger, search, trial: ledger.write(
        writes.add_proposal, search.id, Proposal("gated", "d", {}, 0.1)
    ),
    "add_opening": lambda ledger, search, trial: ledger.write(writes.add_opening, search.id, SplitUse("f", 9, "why")),
    "create_search": lambda ledger, search, trial: a_search(ledger, f"beside {search.name}"),
    "acquire_lease": lambda ledger, search, trial: ledger.acquire_lease(search.id, "h:1/m/0/t", 30),
}


def contents(ledger, search):
    """Return everything of a search that a write may change, without times and change counters."""
    trials = [
        (t.number, t.state, t.attempt, t.rung, t.measurements, t.weights, t.audit_rung)
        for t in ledger.read(reads.trials, search.id)
    ]
    curves = [ledger.read(reads.curve, t.id) for t in ledger.read(reads.trials, search.id)]
    failures = [failed[:4] for failed in ledger.read(reads.failures, search.id)]
    openings = [opening[:3] for opening in ledger.read(reads.openings, search.id)]
    beside = ledger.find_search(f"beside {search.name}") is not None
    target, driver = ledger.search(search.name).target, ledger.lease(search.id).holder
    return trials, curves, failures, openings, beside, target, driver, ledger.read(reads.proposals, search.id)


@pytest.fixture(scope="module")
def lossy(server):
    """Yield a ledger and a switch: the server dies after the next commit, before it answers."""
    with Ledger(server.database()) as ledger:
        switch = threading.Event()

        @event.listens_for(ledger._engine, "commit")
        def commit_and_lose(connection):
            if switch.is_set():
                switch.clear()
                connection.connection.dbapi_connection.commit()
                connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

        yield ledger, switch


@pytest.mark.parametrize("write", sorted(WRITES))
def test_a_commit_with_a_lost_acknowledgement_is_not_repeated(lossy, write):
    ledger, switch = lossy
    seen = []
    for lost in (False, True):
        search, said = a_search(ledger, f"{write} {lost}"), notices_of(ledger)
        trial = start(ledger, search, 0)
        if lost:
            switch.set()
        WRITES[write](ledger, search, trial)
        seen.append(contents(ledger, search))
        assert len(said) == (2 if lost else 0)
    assert seen[0] == seen[1]


def test_a_search_with_a_server_that_is_killed_repeatedly_has_the_same_result(url, server):
    space, numbers = tiny_space(), {}
    with Ledger(server.database()) as quiet:
        run(space, trials=10, resources=Resources("local"), ledger=quiet, evaluate=scored())
        numbers["quiet"] = [(t.number, t.digest, t.state, t.measurements) for t in quiet.read(reads.trials, 1)]
    with Ledger(url) as ledger:

        def watch(search, context):
            def event(kind, number):
                if kind == "complete" and number in (2, 5, 7):
                    server.stop(signal.SIGQUIT)
                    threading.Timer(0.2, server.start).start()

            context.on_event, context.notice = event, lambda line: None

        run(space, trials=10, resources=Resources("local"), ledger=ledger, evaluate=scored(), watch=watch)
        numbers["killed"] = [(t.number, t.digest, t.state, t.measurements) for t in ledger.read(reads.trials, 1)]
    assert numbers["killed"] == numbers["quiet"]
