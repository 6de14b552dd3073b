"""Leases: one process writes a search, one attempt writes a trial, and late writes are refused."""

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from support.fakes import scored, tiny_space
from support.ledgers import a_search

from hybrid_search.engines.driver import RunContext
from hybrid_search.errors import LedgerError, LostLease
from hybrid_search.ledger import Ledger, leases, reads, writes
from hybrid_search.ledger.check import check_ledger
from hybrid_search.ledger.process_identity import ProcessIdentity, start_time
from hybrid_search.ledger.retry import run_transaction
from hybrid_search.records import Report, Resources, Settings
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS
from hybrid_search.runs.leadership import leading
from hybrid_search.runs.run import run
from hybrid_search.search.opening import open_search
from hybrid_search.search.retries import MAX_PREEMPTIONS, preemptions_without_progress
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome

SPACE = tiny_space()


@pytest.fixture
def url(database):
    return database


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        yield opened


def start(ledger, search, number=0):
    return ledger.write(
        writes.start_trial, search.id, number, digest="d", architecture={}, choices={}, settings=Settings()
    )


def test_a_process_that_lost_its_lease_writes_nothing(ledger, url):
    search = a_search(ledger, "taken over")
    with Ledger(url) as other:
        assert ledger.acquire_lease(search.id, "a:1/m/0/x", 30) is None
        trial = start(ledger, search)
        assert other.acquire_lease(search.id, "b:2/m/0/y", 30).holder == "a:1/m/0/x"
        ledger.renew_lease(search.id, 0.0)  # a lease that has expired
        assert other.acquire_lease(search.id, "b:2/m/0/y", 30) is None
        late = [
            lambda: ledger.write(writes.add_rung, trial, 1, {"accuracy": 0.5}),
            lambda: ledger.write(writes.finish_trial, trial, "complete", {"accuracy": 0.5}),
            lambda: ledger.write(writes.fail_attempt, trial, 1, "lost", ""),
            lambda: ledger.write(writes.set_target, search.id, 99),
            lambda: ledger.renew_lease(search.id, 30),
            lambda: start(ledger, search, 1),
        ]
        for write in late:
            with pytest.raises(LostLease, match=r"b:2 holds the lease, and this process is a:1"):
                write()
        found = other.read(reads.trial, search.id, 0)
        assert (found.state, found.rung, other.read(reads.counts, search.id)) == ("running", 0, {"running": 1})
        ledger.release_lease(search.id)  # it no longer has the lease
        assert other.lease(search.id).holder == "b:2/m/0/y"


def test_a_report_after_the_end_of_a_trial_changes_nothing(ledger):
    search = a_search(ledger)
    trial = start(ledger, search)
    ledger.write(writes.add_rung, trial, 1, {"accuracy": 0.5}, attempt=1)
    ledger.write(writes.finish_trial, trial, "complete", {"accuracy": 0.5}, attempt=1)
    with pytest.raises(LedgerError, match="only a running trial can report a rung; trial row 1 is complete"):
        ledger.write(writes.add_rung, trial, 1, {"accuracy": 0.9}, attempt=1)
    assert ledger.read(reads.curve, trial) == [(1, {"accuracy": 0.5})]
    assert all(finding.violations == 0 for finding in check_ledger(ledger) if "leased" in finding.rule)


def test_the_result_of_an_earlier_attempt_is_refused(ledger):
    search = a_search(ledger, "silent")
    trial = start(ledger, search)
    assert ledger.write(writes.fail_attempt, trial, 1, "lost", "no pulse") == 2
    message = "must come from the current attempt; trial row 1 is at attempt 2, got a result of attempt 1"
    with pytest.raises(LostLease, match=message):
        ledger.write(writes.add_rung, trial, 1, {"accuracy": 0.9}, attempt=1)
    with pytest.raises(LostLease, match=message):
        ledger.write(writes.finish_trial, trial, "complete", {"accuracy": 0.9}, attempt=1)
    ledger.write(writes.finish_trial, trial, "complete", {"accuracy": 0.8}, attempt=2)
    assert ledger.read(reads.trial, search.id, 0).measurements["accuracy"] == 0.8


def test_a_write_with_a_lost_acknowledgement_can_be_retried(ledger, monkeypatch):
    search = a_search(ledger, "repeated")
    trial = start(ledger, search)
    assert ledger.write(writes.fail_attempt, trial, 1, "oom", "too large") == 2
    with pytest.raises(
        LostLease, match="at attempt 2, got a result of attempt 1"
    ):  # another write, so it is not a retry
        ledger.write(writes.fail_attempt, trial, 1, "oom", "too large")
    monkeypatch.setattr(
        "hybrid_search.ledger.ledger.run_transaction",
        lambda engine, work, *more: run_transaction(engine, lambda connection, _: work(connection, True), *more),
    )
    assert ledger.write(writes.fail_attempt, trial, 1, "oom", "too large") == 2
    for _ in range(2):
        ledger.write(writes.finish_trial, trial, "complete", {"accuracy": 0.8}, attempt=2)
    assert [(failed.attempt, failed.kind) for failed in ledger.read(reads.failures, search.id)] == [(1, "oom")]
    assert ledger.read(reads.trial, search.id, 0).attempt == 2


def test_a_running_trial_is_leased_until_its_worker_sends_no_heartbeat(ledger):
    search = a_search(ledger, "leased")
    ledger.acquire_lease(search.id, "a:1/m/0/x", 30)
    first, second = start(ledger, search, 0), start(ledger, search, 1)
    before = [trial.expires for trial in ledger.read(reads.trials, search.id)]
    assert all(abs(until - ledger.lease(search.id).now - timedelta(seconds=30)).seconds < 5 for until in before)
    ledger.renew_lease(search.id, 60, silent=[first])
    after = [trial.expires for trial in ledger.read(reads.trials, search.id)]
    assert after[0] == before[0]
    assert after[1] > before[1]
    ledger.write(writes.finish_trial, second, "complete", {})
    assert ledger.read(reads.trials, search.id)[1].expires is None


def test_the_facts_of_a_worker_are_stored_without_secrets(ledger, monkeypatch):
    monkeypatch.setenv("CLOUD_ACCESS_KEY", "AKIA-very-secret")
    search = open_search(SearchSpec.create(SPACE, trials=1), ledger)
    facts = {"worker": "w", "checkpoint": "s3://me:hunter22@bucket/x with AKIA-very-secret is away"}
    search.report(search.ask(), Report(1, {"accuracy": 0.5}, facts))
    kept = ledger.read(reads.trial, search.record.id, 0).facts
    assert kept == {"worker": "w", "checkpoint": "s3://me:***@bucket/x with *** is away"}


def test_every_failed_attempt_is_stored_with_its_message_without_secrets(ledger, monkeypatch):
    monkeypatch.setenv("CLOUD_ACCESS_KEY", "AKIA-very-secret")
    search = open_search(SearchSpec.create(SPACE, trials=1), ledger)
    trial = search.ask()
    said = "cannot reach postgresql://me:hunter22@host/db with AKIA-very-secret"
    again = search.fail(trial, "oom", said)
    assert again.attempt == 2
    assert search.fail(again, "oom", said) is None  # memory ran out: a second attempt, but no third
    found = ledger.read(reads.failures, search.record.id)
    assert [(failed.number, failed.attempt, failed.kind) for failed in found] == [(0, 1, "oom"), (0, 2, "oom")]
    assert {failed.text for failed in found} == {"cannot reach postgresql://me:***@host/db with ***"}
    assert ledger.read(reads.trial, search.record.id, 0).failure_text == found[1].text
    assert search.progress().retried == open_search(SearchSpec.create(SPACE, trials=1), ledger).progress().retried == 1


@pytest.mark.parametrize(("kind", "attempts"), [("lost", 3), ("oom", 2), ("timeout", 2), ("nan", 1), ("bug", 1)])
def test_each_kind_of_failure_has_its_number_of_attempts(ledger, kind, attempts):
    search = open_search(SearchSpec.create(SPACE, trials=4), ledger)
    trial, tried = search.ask(), 0
    while trial is not None:
        search = (
            open_search(SearchSpec.create(SPACE, trials=4), ledger) if tried == 1 else search
        )  # the kinds of failures are stored beyond a driver
        trial = search.ask() if tried == 1 else trial
        tried += 1
        trial = search.fail(trial, kind, "again")
    assert tried == attempts
    assert ledger.read(reads.trial, search.record.id, 0).failure_kind == kind


def test_a_second_driver_waits_with_a_notice_and_trains_no_more_trials(url):
    begun, said = threading.Event(), []

    def slow(architecture, settings):
        begun.set()
        time.sleep(0.3)
        yield {"accuracy": 0.5}

    def first():
        with Ledger(url) as own:
            run(SPACE, trials=4, resources=Resources("local"), ledger=own, evaluate=slow)

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait(30)
    with Ledger(url) as second:
        run(SPACE, trials=4, resources=Resources("local"), ledger=second, evaluate=slow, notice=said.append)
        trials = second.read(reads.trials, second.search().id)
        lead = second.lease(second.search().id)
    thread.join()
    assert [(trial.number, trial.state, trial.attempt) for trial in trials] == [(n, "complete", 1) for n in range(4)]
    values = [line for line in said if "_thread.lock" in line or "Event begun" in line]  # that `slow` captures
    waits = [line for line in said if line not in (NO_CHECKPOINTS, *values)]
    assert len(waits) == 1
    assert f"'tiny' is being run by {ProcessIdentity().host}:{os.getpid()}; this command waits" in waits[0]
    assert (lead.holder, lead.active) == (None, False)


def test_the_lease_of_a_killed_driver_is_free_at_once_on_its_machine(ledger, url):
    search = a_search(ledger, "killed")
    code = (
        "import sys, os, signal; from hybrid_search.ledger import Ledger\n"
        "from hybrid_search.ledger.process_identity import ProcessIdentity\n"
        "assert Ledger(sys.argv[1]).acquire_lease(1, str(ProcessIdentity()), 3600) is None\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, url], check=False, timeout=60)
    assert done.returncode == -9
    lease = ledger.lease(search.id)
    assert lease.holder is not None
    assert not lease.active  # the process has ended on this machine
    begun = time.monotonic()
    with leading(ledger, search, RunContext(scored())) as taken_over:
        assert taken_over
    assert time.monotonic() - begun < 2.0
    with leading(ledger, search, RunContext(scored())) as taken_over:
        assert not taken_over


def test_a_driver_killed_after_its_last_commit_causes_no_repeated_trial(ledger):
    run(SPACE, trials=3, resources=Resources("local"), ledger=ledger, evaluate=scored())
    killed = str(ProcessIdentity(pid=2**22 + 1))
    assert ledger.acquire_lease(1, killed, 3600) is None
    del ledger._held_leases[1]
    run(SPACE, trials=3, resources=Resources("local"), ledger=ledger, evaluate=scored())
    assert ledger.read(reads.counts, 1) == {"complete": 3}
    run(
        SPACE, trials=3, resources=Resources("local"), ledger=ledger, evaluate=scored()
    )  # the next run adds three trials
    assert ledger.read(reads.counts, 1) == {"complete": 6}


def test_a_driver_that_lost_its_lease_ends_even_without_a_further_write(ledger, url):
    search, context = a_search(ledger, "lost"), RunContext(scored())

    def lose():
        with leading(ledger, search, context, seconds=0.6), Ledger(url) as thief:
            assert thief.acquire_lease(search.id, "thief:1/m/0/x", 30, has_ended=lambda holder: True) is None
            assert context.stop.wait(10)

    with pytest.raises(LostLease, match="thief:1 holds the lease"):
        lose()
    assert ledger.lease(search.id).holder == "thief:1/m/0/x"


@pytest.mark.parametrize(
    ("rungs", "count"), [([], 0), ([0], 1), ([2], 0), ([0, 0, 0], 3), ([0, 2, 2, 1], 2), ([1, 2, 3], 0), ([3, 1, 4], 0)]
)
def test_pre_emptions_without_a_further_rung_are_counted(rungs, count):
    assert preemptions_without_progress(rungs) == count


def test_a_trial_that_ran_at_every_crash_is_retried_last_and_fails_as_lost(ledger):
    first = open_search(SearchSpec.create(SPACE, trials=3), ledger)
    suspect = first.ask()
    for _ in range(3):
        search = open_search(SearchSpec.create(SPACE, trials=3), ledger)
        assert search.ask().number == suspect.number
    begun = []
    for attempt in range(5, 11):
        search = open_search(SearchSpec.create(SPACE, trials=3), ledger)
        while (trial := search.ask()) is not None and trial.number != suspect.number:
            begun.append(trial.number)
            search.tell(trial, Outcome("complete", {"accuracy": 0.5}))
        assert trial.attempt == attempt
    assert begun == [1, 2]
    assert open_search(SearchSpec.create(SPACE, trials=3), ledger).ask() is None
    found = ledger.read(reads.trial, 1, suspect.number)
    assert (found.state, found.failure_kind) == ("failed", "lost")
    assert found.failure_text.startswith("pre-empted 10 times without a further rung")


def test_clean_shutdowns_never_make_a_trial_fail(ledger):
    def stop(search, context):
        context.on_event = lambda kind, number: context.stop.set()

    for _ in range(MAX_PREEMPTIONS + 2):
        run(SPACE, trials=1, resources=Resources("local"), ledger=ledger, evaluate=scored(rungs=2), watch=stop)
        assert ledger.read(reads.trial, 1, 0).state == "running"
    run(SPACE, trials=1, resources=Resources("local"), ledger=ledger, evaluate=scored(rungs=2))
    assert ledger.read(reads.trial, 1, 0).state == "complete"
    assert {failed.text for failed in ledger.read(reads.failures, 1)} == {"its search was stopped"}


def test_a_trial_that_ends_its_driver_counts_as_a_cause_of_the_crash(ledger):
    class End(BaseException):
        """An end of the driver while a trial runs."""

    def ends_with_the_first_trial(search, context):
        def on_event(kind, number):
            if (kind, number) == ("started", 0):
                raise End

        context.on_event = on_event

    options = {"trials": 3, "resources": Resources("local"), "ledger": ledger, "evaluate": scored()}
    options["watch"] = ends_with_the_first_trial
    for _ in range(MAX_PREEMPTIONS):
        with pytest.raises(End):
            run(SPACE, **options)
        lease = ledger.lease(1)
        assert (lease.holder is not None, lease.active) == (True, False)
    run(SPACE, **options)
    assert [(trial.state, trial.failure_kind) for trial in ledger.read(reads.trials, 1)] == [
        ("failed", "lost"), ("complete", None), ("complete", None)
    ]  # fmt: skip


def test_a_trial_that_reaches_further_rungs_is_retried_without_limit(ledger):
    search = open_search(SearchSpec.create(SPACE, trials=1), ledger)
    trial = search.ask()
    for rung in range(1, 30):
        search.report(trial, Report(rung, {"accuracy": 0.1}))
        trial = search.fail(trial, "pre-empted", "the node of its worker went away")
        assert trial.attempt == rung + 1


def test_a_process_recognises_ended_processes_of_its_machine_only():
    here = ProcessIdentity()
    assert not here.has_ended(str(here))
    assert not here.has_ended(str(ProcessIdentity(token="another call of this process")))
    assert here.has_ended(str(ProcessIdentity(pid=2**22 + 1)))
    assert here.has_ended(str(ProcessIdentity(start="1")))  # another process has its process id now
    assert not here.has_ended(str(ProcessIdentity(machine="elsewhere", pid=2**22 + 1)))
    assert not here.has_ended("another text")
    assert here.is_alive(str(here))
    assert not here.is_alive(str(ProcessIdentity(pid=2**22 + 1)))
    assert not here.is_alive(str(ProcessIdentity(machine="elsewhere")))
    assert not here.is_alive("another text")


def test_a_zombie_process_has_ended():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = str(ProcessIdentity(pid=process.pid, start=start_time(process.pid)))
        assert not ProcessIdentity().has_ended(other)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert ProcessIdentity().has_ended(other)


def test_a_hidden_process_of_another_user_has_not_ended(monkeypatch):
    def refused(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)  # like a process of another user
    assert not ProcessIdentity().has_ended(str(ProcessIdentity(pid=2**22 + 1)))  # /proc shows no facts about it


def test_a_clock_set_forward_does_not_take_the_lease_of_a_running_process(ledger, url, monkeypatch):
    search, context = a_search(ledger), RunContext(scored())
    here = ProcessIdentity(token="the first")
    with Ledger(url) as first:
        assert first.acquire_lease(search.id, str(here), 4.0) is None
        monkeypatch.setattr(leases, "database_time", lambda connection: datetime.now(UTC) + timedelta(hours=1))
        renewed = threading.Timer(0.5, first.renew_lease, (search.id, 4.0))
        gives_back = threading.Timer(1.5, first.release_lease, (search.id,))
        renewed.start()
        gives_back.start()
        began = time.monotonic()
        with leading(ledger, search, context, seconds=4.0):
            assert time.monotonic() - began > 1.0
        gives_back.join()


def test_a_stopping_search_does_not_wait_for_its_database(ledger):
    search, context = a_search(ledger), RunContext(scored())
    before = ledger.retry_policy
    with leading(ledger, search, context):
        assert not ledger.retry_policy.cancelled()
        context.stop.set()
        assert ledger.retry_policy.cancelled()
    assert ledger.retry_policy is before


def test_a_frozen_process_loses_its_lease(ledger, url):
    search = a_search(ledger)
    with Ledger(url) as frozen:
        assert frozen.acquire_lease(search.id, str(ProcessIdentity(token="frozen")), 0.5) is None
        with leading(ledger, search, RunContext(scored()), seconds=1.0) as taken_over:
            assert taken_over
        with pytest.raises(LostLease):
            frozen.renew_lease(search.id, 30)


def test_a_driver_that_lost_its_lease_stops_with_a_message(ledger, url):
    def evaluate(architecture, settings):
        with Ledger(url) as thief:
            assert thief.acquire_lease(1, "thief:1/m/0/x", 30, has_ended=lambda holder: True) is None
        yield {"accuracy": 0.5}

    with pytest.raises(LostLease, match="thief:1 holds the lease, and this process is"):
        run(SPACE, trials=4, resources=Resources("local"), ledger=ledger, evaluate=evaluate)
    assert ledger.read(reads.counts, 1) == {"running": 1}
    assert ledger.lease(1).holder == "thief:1/m/0/x"


def test_a_lease_is_renewed_while_its_process_runs(ledger, url):
    search = a_search(ledger, "long")
    with leading(ledger, search, RunContext(scored()), seconds=1.5), Ledger(url) as other:
        for _ in range(8):
            time.sleep(0.3)
            assert other.acquire_lease(search.id, "b:2/m/0/y", 30) is not None
    assert other.acquire_lease(search.id, "b:2/m/0/y", 30) is None


def test_an_unfinished_trial_of_an_ended_driver_is_not_a_failed_trial(ledger):
    first = open_search(SearchSpec.create(SPACE, trials=2), ledger)
    trial = first.ask()
    second = open_search(SearchSpec.create(SPACE, trials=2), ledger)
    again = second.ask()
    assert (again.number, again.attempt) == (0, 2)
    assert [(failed.attempt, failed.kind) for failed in ledger.read(reads.failures, first.record.id)] == [
        (1, "pre-empted")
    ]
    with pytest.raises(LostLease, match="at attempt 2, got a result of attempt 1"):
        first.tell(trial, Outcome("complete", {"accuracy": 0.9}))
    second.tell(again, Outcome("complete", {"accuracy": 0.8}))
    assert ledger.read(reads.trial, first.record.id, 0).measurements["accuracy"] == 0.8
