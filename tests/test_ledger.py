"""The ledger: writes are read back, ended trials do not change, and errors of opening are one line."""

import errno
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import URL, text
from support.fakes import scored, tiny_space
from support.ledgers import a_search, fill, write_trial

from hybrid_search import cli
from hybrid_search.errors import HybridSearchError, LedgerError, SettingsError, UnknownName
from hybrid_search.ledger import Ledger, Proposal, SplitUse, leases, reads, writes
from hybrid_search.ledger.schema import MIGRATIONS
from hybrid_search.ledger.sqlite import _enable_write_ahead_log, network_file_system
from hybrid_search.ledger.tables import HEAD, Base
from hybrid_search.ledger.urls import database_url
from hybrid_search.pareto import front_rows
from hybrid_search.records import Report, Resources, SearchRecord, Settings
from hybrid_search.runs.run import run

RECORD = SearchRecord(0, "first", {"stem": {}}, ("accuracy", "flops"), Settings(epochs=3), "tpe", 5, 24, 1e6, None)


@pytest.fixture
def url(database):
    return database


@pytest.fixture
def file_url(tmp_path):
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        yield opened


def start(ledger, search, number=0):
    return ledger.write(
        writes.start_trial,
        search.id,
        number,
        digest=f"d{number}",
        architecture={"a": 1},
        choices={"q": 3},
        settings=Settings(seed=7),
    )


def test_a_search_is_read_back_as_it_was_written(ledger):
    made = ledger.create_search(RECORD)
    found = ledger.search("first")
    assert found == made
    assert (found.objectives, found.settings, found.max_flops) == (("accuracy", "flops"), Settings(epochs=3), 1e6)
    assert abs((datetime.now(UTC) - found.created).total_seconds()) < 60


def test_a_trial_is_read_back_with_its_curve_and_numbers(ledger):
    search = ledger.create_search(RECORD)
    trial = start(ledger, search)
    ledger.write(writes.add_rung, trial, 1, {"accuracy": 0.5, "loss": 2.0}, {"device": "cpu", "worker": "w1"})
    ledger.write(writes.add_rung, trial, 2, {"accuracy": 0.6, "loss": 1.0})
    ledger.write(writes.finish_trial, trial, "complete", {"accuracy": 0.6, "flops": 10.0}, seed=7)
    found = ledger.read(reads.trial, search.id, 0)
    assert (found.state, found.rung, found.seed, found.worker) == ("complete", 2, 7, "w1")
    assert (found.measurements, found.facts["device"]) == ({"accuracy": 0.6, "flops": 10.0}, "cpu")
    assert ledger.read(reads.curve, trial) == [(1, {"accuracy": 0.5, "loss": 2.0}), (2, {"accuracy": 0.6, "loss": 1.0})]
    assert found.seconds is not None


def test_a_trial_that_has_ended_stays_as_it_is(ledger):
    search = ledger.create_search(RECORD)
    trial = start(ledger, search)
    ledger.write(writes.finish_trial, trial, "failed", failure_kind="nan", failure_text="loss")
    with pytest.raises(LedgerError, match="only a running trial can end"):
        ledger.write(writes.finish_trial, trial, "complete", {"accuracy": 1.0})
    assert ledger.read(reads.trial, search.id, 0).measurements == {}


def test_a_retried_trial_keeps_its_number_and_rewrites_its_curve(ledger):
    search = ledger.create_search(RECORD)
    trial = start(ledger, search)
    for rung in (1, 2, 3):
        ledger.write(writes.add_rung, trial, rung, {"accuracy": rung / 10})
    assert ledger.write(writes.fail_attempt, trial, 1, "lost", "its worker died") == 2
    found = ledger.read(reads.trial, search.id, 0)
    assert (found.attempt, found.rung, len(ledger.read(reads.curve, trial))) == (
        2,
        0,
        3,
    )  # it may resume from a checkpoint
    ledger.write(writes.add_rung, trial, 2, {"accuracy": 0.25}, attempt=2)
    assert ledger.read(reads.curve, trial) == [(1, {"accuracy": 0.1}), (2, {"accuracy": 0.25})]


def test_two_trials_cannot_have_one_number(ledger):
    search = ledger.create_search(RECORD)
    trial = start(ledger, search)
    assert start(ledger, search) == trial  # the same trial, written again
    with pytest.raises(LedgerError, match="a trial needs a new number; got 0, which belongs to architecture d0"):
        ledger.write(writes.start_trial, search.id, 0, digest="d1", architecture={}, choices={}, settings=Settings())


def test_a_32_bit_seed_and_a_text_with_nul_are_stored(ledger):
    search = ledger.create_search(replace(RECORD, seed=2**32 - 1))
    trial = ledger.write(
        writes.start_trial, search.id, 0, digest="d", architecture={}, choices={}, settings=Settings(seed=2**32 - 1)
    )
    ledger.write(writes.finish_trial, trial, "complete", {"accuracy": 0.5}, seed=2**32 - 1)
    second = start(ledger, search, 1)
    ledger.write(writes.finish_trial, second, "failed", failure_kind="bug", failure_text="a\0b")
    assert (ledger.search().seed, ledger.read(reads.trial, search.id, 0).seed) == (2**32 - 1, 2**32 - 1)
    assert list(ledger.read(reads.repeats, search.id)[0].own) == ["accuracy"]
    assert ledger.read(reads.trial, search.id, 1).failure_text in ("a\0b", "a\N{REPLACEMENT CHARACTER}b")


def test_a_reader_gets_only_the_trials_that_changed(ledger):
    search = ledger.create_search(RECORD)
    first = start(ledger, search, 0)
    ledger.write(writes.finish_trial, first, "complete", {"accuracy": 0.5, "flops": 1.0})
    points, seen = ledger.read(reads.points, search.id, ["accuracy"])
    assert [(p.number, p.values) for p in points] == [(0, {"accuracy": 0.5})]
    start(ledger, search, 1)
    points, later = ledger.read(reads.points, search.id, ["accuracy"], after=seen)
    assert [(p.number, p.state) for p in points] == [(1, "running")]
    assert ledger.read(reads.points, search.id, ["accuracy"], after=later) == ([], later)


def test_the_values_of_completed_trials_are_those_of_their_points(ledger):
    search, other = a_search(ledger, "mine"), a_search(ledger, "other")
    fill(ledger, search, 40)
    fill(ledger, other, 5)
    points, _ = ledger.read(reads.points, search.id, ["accuracy", "flops", "nothing"])
    values = ledger.read(reads.values, search.id, ["accuracy", "flops", "nothing"])
    assert list(values.items()) == [(point.number, point.values) for point in points if point.state == "complete"]
    assert len(values) > 30


@pytest.mark.parametrize("objectives", [("accuracy", "flops"), ("flops", "accuracy"), ("accuracy", "flops", "params")])
def test_the_front_candidates_contain_the_whole_front(ledger, objectives):
    search, other = a_search(ledger, "mine", objectives), a_search(ledger, "other")
    fill(ledger, search, 300, states="complete")
    fill(ledger, other, 5, seed=1)
    for number in (3, 30):  # retrained: one has a better mean, one a worse mean
        trial = ledger.read(reads.trial, search.id, number)
        ledger.write(writes.add_measurements, trial.id, 5, {**trial.measurements, "accuracy": 0.9 + number / 400})
        ledger.write(writes.add_measurements, trial.id, 6, {**trial.measurements, "accuracy": 0.1})
    values = ledger.read(reads.values, search.id, ["params", *objectives])
    found = ledger.read(reads.front_candidates, search.id, ["params", *objectives], objectives)
    assert len(values) == 300
    assert found.items() <= values.items()
    front = front_rows(list(values.items()), objectives)
    assert front_rows(list(found.items()), objectives) == front
    assert len(found) <= (len(front) + 5 if len(objectives) == 2 else 300)


def test_proposals_that_were_not_trained_are_stored(ledger):
    search = ledger.create_search(RECORD)
    ledger.write(writes.add_proposal, search.id, Proposal("gated", "d", {"q": 1}, 0.25))
    assert ledger.read(reads.proposals, search.id) == [Proposal("gated", "d", {"q": 1}, 0.25)]


def test_an_unknown_search_lists_the_existing_names(ledger):
    with pytest.raises(UnknownName, match="holds no search yet"):
        ledger.search()
    ledger.create_search(RECORD)
    with pytest.raises(UnknownName, match=r"search must be one of first; got 'frist'. Did you mean 'first'\?"):
        ledger.search("frist")
    with pytest.raises(UnknownName, match="trial must be a number of this search, which has no trial yet; got 9"):
        ledger.read(reads.trial, ledger.search().id, 9)


def test_a_reader_writes_nothing_and_needs_a_ledger_that_exists(tmp_path, url):
    with pytest.raises(LedgerError, match=r"does not exist. Start a search|holds no ledger"):
        Ledger(url, read_only=True)
    assert list(tmp_path.iterdir()) == []
    with Ledger(url) as writer:
        writer.create_search(RECORD)
    with Ledger(url, read_only=True) as reader:
        assert reader.search().name == "first"
        with pytest.raises(Exception, match=r"readonly|read-only transaction"):
            reader.write(writes.set_target, 1, 99)


def test_a_reader_sees_what_is_written_while_it_is_open(ledger, url):
    search = ledger.create_search(RECORD)
    with Ledger(url, read_only=True) as reader:
        assert reader.read(reads.counts, search.id) == {}
        start(ledger, search)
        assert reader.read(reads.counts, search.id) == {"running": 1}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not a url", "the database URL must be a URL such as sqlite:///"),
        ("mysql://u:secret@h/d", "must be a sqlite or postgresql URL"),
        ("sqlite://", "must name a file"),
        ("sqlite:////proc/no/such/ledger.db", "must name a database that can be opened"),
    ],
)
def test_a_database_that_cannot_be_opened_says_why_in_one_line(url, message):
    with pytest.raises(LedgerError, match=message) as caught:
        Ledger(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_a_database_is_refused_and_unchanged(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes, which are longer than a database's header of a hundred bytes " * 4)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="file is not a database"):
        Ledger(f"sqlite:///{path}")
    assert path.read_bytes() == before


def damage(path):
    """Overwrite a page of every table of a ledger's file, but not its header."""
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    path.write_bytes(data)


def test_a_damaged_file_is_an_error_of_one_line_and_check_continues(tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'l.db'}"
    with Ledger(url) as ledger:
        a_search(ledger)
        with ledger.transaction() as db:
            db.exec_driver_sql("SELECT 1")
    with sqlite3.connect(tmp_path / "l.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(tmp_path / "l.db")
    for command in (["front"], ["status"], ["db", "check"]):
        assert cli.run([*command, "--db", url]) in (1, 2)
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert "malformed" in said.out + said.err
        assert len(said.err.splitlines()) <= 1


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_search_stops_if_its_file_is_removed_moved_or_replaced(tmp_path, how):
    path = tmp_path / "l.db"
    begun = []

    def evaluate(architecture, settings):
        begun.append(architecture)
        if len(begun) == 3:
            if how != "removed":
                path.rename(tmp_path / "moved.db")
            else:
                path.unlink()
            if how == "replaced":
                path.write_bytes(b"")
        yield {"accuracy": 0.5}

    said = []
    options = {
        "evaluate": evaluate,
        "resources": Resources("local"),
        "ledger": f"sqlite:///{path}",
        "notice": said.append,
    }
    with pytest.raises(LedgerError, match=r"l\.db was moved, removed or replaced. Nothing more was written"):
        run(tiny_space(), trials=8, **options)
    assert len(begun) == 3
    assert said == []
    assert path.exists() == (how == "replaced")
    if how == "moved":
        (tmp_path / "moved.db").rename(path)
        with Ledger(f"sqlite:///{path}") as ledger:
            ledger.write(leases.release, 1, ledger.lease(1).holder, True)  # instead of waiting until it expires
        run(tiny_space(), trials=8, evaluate=evaluate, resources=Resources("local"), ledger=f"sqlite:///{path}")


def test_a_ledger_in_a_read_only_folder_is_readable(tmp_path, monkeypatch):
    with Ledger(f"sqlite:///{tmp_path / 'l.db'}") as ledger:
        a_search(ledger)
    assert [path.name for path in tmp_path.iterdir()] == ["l.db"]
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # like on a read-only medium
    with Ledger(f"sqlite:///{tmp_path / 'l.db'}", read_only=True) as ledger:
        assert ledger.search().name == "digits"
        assert [path.name for path in tmp_path.iterdir()] == ["l.db"]  # no file beside the ledger


def test_a_ledger_stays_the_same_file_if_the_working_directory_changes(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with Ledger("sqlite:///l.db") as ledger:
        monkeypatch.chdir(tmp_path / "elsewhere")
        a_search(ledger)
        ledger.close()  # and opens a new connection
        assert ledger.search().name == "digits"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_search_with_a_nul_in_a_fact_can_be_resumed(ledger):
    def evaluate(architecture, settings):
        yield Report(1, {"accuracy": 0.5}, {"file": "a\x00b", "fingerprint": "aaaa"}, last=True)

    for _ in range(2):
        run(tiny_space(), trials=1, evaluate=evaluate, resources=Resources("local"), ledger=ledger)
    assert ledger.read(reads.fact, 1, "fingerprint") == "aaaa"
    assert ledger.read(reads.fact, 1, "none") is None


def test_a_temporary_error_of_the_file_system_is_not_a_removed_file(tmp_path, monkeypatch):
    with Ledger(f"sqlite:///{tmp_path / 'l.db'}") as ledger:
        search = a_search(ledger)

        def stale(path, **more):
            raise OSError(errno.ESTALE, "Stale file handle")

        with monkeypatch.context() as patched:
            patched.setattr(os, "stat", stale)
            ledger.write(writes.set_target, search.id, 9)
        assert ledger.search().target == 9


def test_a_new_connection_does_not_recreate_a_removed_file(tmp_path):
    with Ledger(f"sqlite:///{tmp_path / 'l.db'}") as ledger:
        a_search(ledger)
        ledger.close()  # every connection of its pool
        (tmp_path / "l.db").unlink()
        with pytest.raises(LedgerError, match="was moved, removed or replaced"):
            ledger.searches()
    assert not (tmp_path / "l.db").exists()


def test_opening_waits_while_another_process_creates_the_file():
    class Preparing:
        tries = 0

        def execute(self, statement):
            self.tries += 1
            if self.tries < 3:
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorname = "SQLITE_BUSY"
                raise error

    connection = Preparing()
    _enable_write_ahead_log(connection)
    assert connection.tries == 3


def test_a_commit_is_flushed_to_disk_before_it_returns(tmp_path, monkeypatch, flushing):
    monkeypatch.setattr("hybrid_search.ledger.sqlite.SYNCHRONOUS", flushing)
    with Ledger(f"sqlite:///{tmp_path / 'l.db'}") as ledger, ledger.transaction() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_text_with_lone_surrogates_is_stored_on_both_databases(ledger):
    search = a_search(ledger)
    trial = ledger.write(writes.start_trial, search.id, 0, digest="d", architecture={}, choices={}, settings=Settings())
    ledger.write(writes.finish_trial, trial, "failed", failure_kind="bug", failure_text="cannot read images/\udcff.png")
    assert ledger.read(reads.trial, search.id, 0).failure_text == "cannot read images/?.png"


def test_names_that_are_too_long_are_refused_on_both_databases(ledger):
    with pytest.raises(SettingsError, match=r"must be 1 to 200 printable characters, .*; got 'xxxx.*\(201 char"):
        run(tiny_space(), trials=1, evaluate=scored(), resources=Resources("local"), ledger=ledger, name="x" * 201)
    assert ledger.searches() == []

    def evaluate(architecture, settings):
        yield {"accuracy": 0.5, "y" * 101: 1.0}

    with pytest.raises(HybridSearchError, match="the only trial failed"):
        run(tiny_space(), trials=1, evaluate=evaluate, resources=Resources("local"), ledger=ledger)
    assert "a measurement needs a name of 1 to 100 characters" in ledger.read(reads.trial, 1, 0).failure_text

    def evaluated(architecture, settings):
        yield Report(1, {"accuracy": 0.5, "y" * 101: 1.0}, last=True)

    with pytest.raises(HybridSearchError, match="the only trial failed"):
        run(tiny_space(), trials=1, evaluate=evaluated, resources=Resources("local"), ledger=ledger, name="another")
    assert "a measurement needs a name of 1 to 100 characters" in ledger.read(reads.trial, 2, 0).failure_text


def test_a_database_of_another_program_is_not_called_newer(url):
    with Ledger(url) as ledger, ledger._engine.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = 'a1b2c3d4e5f6'"))
    with pytest.raises(LedgerError, match=r"belongs to another program \(a1b2c3d4e5f6\)"):
        Ledger(url)


def test_a_file_on_a_network_file_system_gets_a_notice(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"disk / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\n")
    assert network_file_system(tmp_path / "l.db", mounts) == "nfs4"
    assert network_file_system(Path("/l.db"), mounts) is None
    assert network_file_system(tmp_path / "l.db", tmp_path / "no such file") is None
    monkeypatch.setattr("hybrid_search.ledger.connection.network_file_system", lambda path: "nfs4")
    said = []
    Ledger(f"sqlite:///{tmp_path}/l.db", notice=said.append).close()
    assert len(said) == 1
    assert "is on a network file system (nfs4)" in said[0]
    Ledger(f"sqlite:///{tmp_path}/l.db", read_only=True, notice=said.append).close()
    assert len(said) == 1


def test_a_newer_schema_is_refused(url):
    with Ledger(url) as ledger, ledger._engine.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=r"holds revision 9999, newer than \d+\. Upgrade hybrid-search\.$"):
            Ledger(url, read_only=read_only)


def test_the_revisions_build_exactly_the_models(url, ledger):
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
    with ledger._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_ledger_of_the_first_schema_is_upgraded_and_keeps_its_searches(url, tmp_path):
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(database_url(url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO search (name, space, objectives, settings, sampler, seed, target, input_size, classes, "
                "evaluation, created) VALUES ('old', '{}', '[\"accuracy\"]', '{}', 'tpe', 0, 4, '[1, 16, 16]', 10, "
                "'trained', '2026-01-01 00:00:00')"
            )
        )
    engine.dispose()
    with Ledger(url) as ledger:
        found = ledger.search("old")
    assert (found.target, found.pruner, found.tuned, found.known_designs) == (4, "none", (), False)


def test_two_processes_can_create_a_ledger_at_the_same_time(url):
    code = "import sys; from hybrid_search import Ledger; input(); Ledger(sys.argv[1]).close()"
    command = [sys.executable, "-c", code, url]
    together = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    time.sleep(1.0)  # all processes have finished their imports
    for process in together:
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60)[1] for process in together]
    assert [process.returncode for process in together] == [0, 0], ends


def test_the_url_comes_from_the_flag_then_the_environment_then_the_default(monkeypatch):
    assert str(database_url()) == f"sqlite:///{Path.cwd()}/results/hybrid-search.db"
    monkeypatch.setenv("HYBRID_SEARCH_DB", "sqlite:///e.db")
    assert str(database_url()) == f"sqlite:///{Path.cwd()}/e.db"
    assert str(database_url("sqlite:///f.db")) == f"sqlite:///{Path.cwd()}/f.db"


def test_a_database_with_other_tables_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE foo (id INTEGER)")
    db.close()
    with pytest.raises(LedgerError, match="must name a ledger or an empty database"):
        Ledger(f"sqlite:///{tmp_path}/other.db")


def test_a_folder_with_special_characters_works(tmp_path):
    folder = tmp_path / "a#b %41?c"
    folder.mkdir()
    url = URL.create("sqlite", database=str(folder / "l.db")).render_as_string()
    with Ledger(url) as writer:
        writer.create_search(RECORD)
    with Ledger(url, read_only=True) as reader:
        assert reader.search().name == "first"


def test_a_use_of_the_test_split_is_stored_with_reason_and_time(ledger):
    search = a_search(ledger, "opened")
    ledger.write(writes.add_opening, search.id, SplitUse("0123456789abcdef", 359, "this test"))
    (opening,) = ledger.read(reads.openings, search.id)
    assert opening[:3] == ("0123456789abcdef", 359, "this test")
    assert opening.opened.tzinfo is not None


def test_fresh_seeds_replace_the_seed_of_the_search(ledger):
    search = a_search(ledger, "repeated")
    trial = write_trial(ledger, search, 5, accuracy=0.9)
    before = ledger.read(reads.points, search.id, ["accuracy"])[1]
    for seed, accuracy in ((1, 0.7), (2, 0.8), (2, 0.9)):  # the same seed again replaces its numbers
        ledger.write(writes.add_measurements, trial, seed, {"accuracy": accuracy, "test_accuracy": 0.6})
    found = ledger.read(reads.trial, search.id, 5).measurements
    assert (found["accuracy"], found["test_accuracy"]) == (pytest.approx(0.8), pytest.approx(0.6))
    assert found["flops"] > 0  # measured only with the trial's own seed
    (changed,), newest = ledger.read(reads.points, search.id, ["accuracy"], before)
    assert (changed.number, newest > before) == (5, True)
    assert ledger.read(reads.values, search.id, ["accuracy", "flops"])[5] == {
        "accuracy": found["accuracy"],
        "flops": found["flops"],
    }
    repeats = ledger.read(reads.repeats, search.id, confirmed=True)[5]
    assert (repeats.own["accuracy"], sorted(repeats.fresh)) == (0.9, [1, 2])
    write_trial(ledger, search, 6)
    assert list(ledger.read(reads.repeats, search.id, confirmed=True)) == [5]
    assert list(ledger.read(reads.repeats, search.id)) == [5, 6]
