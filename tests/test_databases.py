"""SQLite and PostgreSQL: the same search has the same result on both, and a wrong URL is refused."""

import json
import signal
import sys
import time
from dataclasses import replace

import pytest
import typer
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.fakes import scored, tiny_space
from support.ledgers import a_search, write_trial
from support.postgres import typed

from hybrid_search import cli
from hybrid_search._internal.redaction import redact
from hybrid_search.cli.signals import stop_on_signals
from hybrid_search.dashboard.snapshot import MAX_AGE, Snapshot
from hybrid_search.errors import LedgerAway, LedgerError, LostLease
from hybrid_search.ledger import Ledger, leases, postgres, reads, writes
from hybrid_search.ledger.check import check_ledger
from hybrid_search.ledger.retry import is_outage
from hybrid_search.ledger.urls import database_url, display_url, path_beside, redact_url_secrets
from hybrid_search.records import Resources
from hybrid_search.runs.run import run


def searched(url, trials):
    with Ledger(url) as ledger:
        return run(
            tiny_space(), trials=trials, resources=Resources("local"), ledger=ledger, evaluate=scored(), name="mine"
        )


@pytest.mark.server
def test_a_resumed_search_has_the_same_result_on_both_databases(tmp_path, server, capsys):
    fronts = []
    for url in (f"sqlite:///{tmp_path}/l.db", server.database()):
        searched(url, 4)
        searched(url, 9)
        with typed("front", "mine", "--format", "json", "--db", url) as words:
            assert cli.run(words) == 0
        front = json.loads(capsys.readouterr().out)
        with Ledger(url, read_only=True) as ledger:
            points, _ = ledger.read(reads.points, 1, ["accuracy"])
            trials = [
                (t.number, t.state, t.digest, t.measurements, ledger.read(reads.curve, t.id))
                for t in ledger.read(reads.trials, 1)
            ]
        fronts.append((front, [point.values for point in points], trials))
    assert len(fronts[0][2]) == 9
    assert fronts[0] == fronts[1]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://u:p@ss@host/d",
            r"one @, between password and host; got postgresql://\*\*\*@host/d\. .* @ as %40",
        ),
        ("postgresql://u:geheim@host", r"must name a database, as in postgresql://USER@HOST/DATABASE; got .*\*\*\*"),
        ("postgresql+asyncpg://u:geheim@host/d", "must use psycopg for PostgreSQL; got postgresql.asyncpg"),
        ("postgresql://host:geheim/d", "must be a URL"),
        ("mysql://u@h/d?password=geheim", r"must be a sqlite or postgresql URL; got mysql://u@h/d\?password=%2A%2A%2A"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url, message):
    with pytest.raises(LedgerError, match=message) as raised:
        database_url(url)
    assert "geheim" not in str(raised.value)
    assert "ss@" not in str(raised.value)


@pytest.mark.server
def test_a_password_is_hidden_from_every_text_once_its_ledger_is_open(server):
    from support.postgres import PASSWORD

    with Ledger(server.database()):
        assert redact(f"the server said {PASSWORD} twice", environ={}) == "the server said *** twice"


def test_files_next_to_a_database_are_named_after_its_server():
    urls = ("postgresql://me@/lab?host=/run/one", "postgresql://me@/lab?host=/run/two&port=5433", "postgresql://h/lab")
    beside_them = [str(path_beside(database_url(url), ".log")) for url in urls]
    assert beside_them == ["results/run_one-lab.log", "results/run_two-5433-lab.log", "results/h-lab.log"]


@pytest.mark.parametrize(
    ("state", "passes"),
    [("25006", True), ("40001", True), ("40P01", True), ("57P01", True), ("08006", True), ("53100", True),
     ("42P01", False), ("28P01", False), ("22001", False)],
)  # fmt: skip
def test_only_transient_errors_are_retried(state, passes):
    """Retried: a standby that is not promoted yet, conflicting transactions, a server that stops, a full disk. Not
    retried: a missing table, a wrong password, a text that is too long."""
    said = type("Said", (Exception,), {"sqlstate": state})()
    assert is_outage(DBAPIError("update", {}, said)) == passes


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_all_names_of_postgresql_mean_psycopg(scheme):
    url = database_url(f"{scheme}://u@h/d?password=geheim&connect_timeout=3")
    assert (url.drivername, url.password, dict(url.query)) == ("postgresql+psycopg", "geheim", {"connect_timeout": "3"})
    assert display_url(url) == "postgresql://u:***@h/d?connect_timeout=3"


def test_a_driver_message_is_shown_without_the_secrets_of_the_url():
    url = database_url("postgresql://u:a%40b@h/d?sslpassword=other")
    assert redact_url_secrets("no a@b, no a%40b, no other", url) == "no ***, no ***, no ***"


@pytest.mark.server
@pytest.mark.parametrize("wrong", ["password", "database", "port"])
def test_a_failed_connection_to_a_server_is_an_error_of_one_line(server, wrong):
    url = database_url(server.url("postgres"))
    change = {"password": {"password": "falsch"}, "database": {"database": "nowhere"}, "port": {"port": 1}}[wrong]
    reason = {"password": "authentication failed", "database": '"nowhere" does not exist', "port": "refused"}[wrong]
    with pytest.raises(LedgerError, match=reason) as raised:
        Ledger(url.set(**change).render_as_string(hide_password=False))
    assert "\n" not in str(raised.value)
    assert "falsch" not in str(raised.value)


@pytest.mark.server
def test_the_application_name_is_set_unless_the_url_sets_it(server):
    for query, name in (("", "hybrid-search"), ("?application_name=mine", "mine")):
        with Ledger(server.database() + query) as ledger, ledger._engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW application_name").scalar_one() == name
            assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "30s"


def test_a_missing_database_driver_is_named_with_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        LedgerError, match=r"needs a database driver that is not installed.*pip install 'psycopg\[binary\]'"
    ):
        Ledger("postgresql://u:geheim@127.0.0.1:1/d")


@pytest.mark.server
def test_the_page_follows_a_search_on_a_server(server):
    url = server.database()
    with Ledger(url) as ledger:
        search = a_search(ledger, "mine")
        write_trial(ledger, search, 0)
        snapshot = Snapshot(url)
        seen = [len(snapshot.view(search).points)]
        write_trial(ledger, search, 1)
        time.sleep(MAX_AGE)
        seen.append(len(snapshot.view(search).points))
        snapshot.close()
    assert seen == [1, 2]


def test_a_full_disk_is_retried_and_the_file_is_not_damaged(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        search, said = a_search(ledger), []

        def limit(pages):
            with ledger._engine.connect() as connection:
                return connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar_one()

        def make_room(line):
            said.append(line)
            limit(100_000)

        ledger.retry_policy = replace(ledger.retry_policy, notice=make_room)
        assert limit(1) > 1  # as many as there are
        for number in range(20):
            write_trial(ledger, search, number)
        assert ledger.read(reads.counts, search.id) == {"complete": 20}
        assert [row for row in check_ledger(ledger) if row.violations] == []
    assert f"sqlite:///{tmp_path}/l.db does not answer (database or disk is full)" in said[0]
    assert "answers again" in said[1]


@pytest.mark.parametrize("given", ["soon", "-1", "inf"])
def test_a_retry_limit_that_is_not_a_number_is_refused(tmp_path, monkeypatch, given):
    monkeypatch.setenv("HYBRID_SEARCH_DB_RETRY_SECONDS", given)
    with pytest.raises(LedgerError, match=f"must be a number of seconds from 0 up; got '{given}'"):
        Ledger(f"sqlite:///{tmp_path}/l.db")


def test_the_retry_limit_can_be_set(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRID_SEARCH_DB_RETRY_SECONDS", "7.5")
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        assert ledger.retry_policy.seconds == 7.5


def lose_the_database(number):
    with stop_on_signals() as stopped:
        stopped.signal = number
        raise LedgerAway("database d did not answer for 300 s.")


def test_a_search_stopped_during_an_outage_exits_as_stopped(capsys):
    with pytest.raises(typer.Exit) as ended:
        lose_the_database(signal.SIGTERM)
    assert ended.value.exit_code == 143
    assert capsys.readouterr().err == "hybrid-search: database d did not answer for 300 s.\n"
    with pytest.raises(LedgerAway, match="did not answer"):
        lose_the_database(None)


@pytest.mark.server
def test_a_process_frozen_in_a_transaction_does_not_block_the_next_one(server, monkeypatch):
    monkeypatch.setitem(postgres.SESSION, "idle_in_transaction_session_timeout", "1s")
    url = server.database()
    with Ledger(url) as frozen, Ledger(url) as other:
        search = a_search(frozen)
        assert frozen.acquire_lease(search.id, "a:1/m/0/x", 0.1) is None
        with frozen._engine.connect() as connection:
            leases.lock_search(connection, search.id)  # its row is locked, and no write follows
            time.sleep(0.2)
            began = time.monotonic()
            assert other.acquire_lease(search.id, "b:2/m/0/y", 30) is None
            assert 0.5 < time.monotonic() - began < 10
            with pytest.raises(DBAPIError) as ended:
                connection.execute(text("SELECT 1"))
        assert is_outage(ended.value)  # its write is retried when it wakes up, and refused
        with pytest.raises(LostLease):
            frozen.write(writes.set_target, search.id, 9)


def test_an_outage_exits_with_code_1(monkeypatch, capsys, tmp_path):
    def away(self, function, *args):
        raise LedgerAway("database d did not answer for 300 s.")

    Ledger(f"sqlite:///{tmp_path}/l.db").close()
    monkeypatch.setattr(Ledger, "read", away)
    assert cli.run(["front", "--db", f"sqlite:///{tmp_path}/l.db"]) == 1
    assert capsys.readouterr().err == "hybrid-search: database d did not answer for 300 s.\n"
