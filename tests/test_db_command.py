"""`hybrid-search db`: an older ledger is brought up to date with a backup, a broken one is found, a search copied."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from support.fakes import scored, tiny_space
from support.ledgers import a_search, fill, write_trial
from support.postgres import typed

from hybrid_search import cli
from hybrid_search.ledger import Ledger, Proposal, SplitUse, reads, writes
from hybrid_search.ledger.check import check_ledger
from hybrid_search.ledger.copy import SEARCH, SEARCH_TABLES, TRIAL, TRIAL_TABLES
from hybrid_search.ledger.schema import MIGRATIONS
from hybrid_search.ledger.tables import HEAD, Base
from hybrid_search.ledger.urls import database_url
from hybrid_search.ledger.weights import WeightsFolder
from hybrid_search.records import Resources
from hybrid_search.runs.run import run


def call(capsys, *words):
    """Return the exit code, the text on stdout, and the lines on stderr."""
    with typed(*words) as shown:
        code = cli.run(shown)
    said = capsys.readouterr()
    return code, said.out, said.err.splitlines()


def older(url, revision="0001"):
    """Write a ledger of an older version, with one search."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(database_url(url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(
            text(
                "INSERT INTO search (name, space, objectives, settings, sampler, seed, target, input_size, classes, "
                "evaluation, created) VALUES ('old', '{}', '[\"accuracy\"]', '{}', 'tpe', 0, 4, '[1, 16, 16]', 10, "
                "'trained', '2026-01-01 00:00:00')"
            )
        )
    engine.dispose()
    return url


# -- upgrade --


def test_an_older_file_is_backed_up_before_an_upgrade(tmp_path, capsys):
    url = older(f"sqlite:///{tmp_path}/l.db")
    code, _, said = call(capsys, "db", "upgrade", "--db", url)
    assert code == 0
    (backup,) = tmp_path.glob("l.db.0001.*.backup")
    assert said == [f"ledger {url} was upgraded from revision 0001 to {HEAD}; the backup is {backup}"]
    with sqlite3.connect(backup) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert db.execute("SELECT name FROM search").fetchone() == ("old",)
    db.close()
    with Ledger(url, read_only=True) as ledger:
        assert ledger.search().name == "old"
    assert list(tmp_path.glob("*.part*")) == []


def test_a_run_with_an_older_file_backs_it_up_and_prints_a_notice(tmp_path):
    url = older(f"sqlite:///{tmp_path}/l.db", "0002")
    said = []
    run(
        tiny_space(),
        trials=1,
        resources=Resources("local"),
        evaluate=scored(),
        name="new",
        ledger=url,
        notice=said.append,
    )
    assert len(list(tmp_path.glob("l.db.0002.*.backup"))) == 1
    assert len([line for line in said if "was upgraded from revision 0002" in line]) == 1


def test_a_failed_backup_leaves_the_ledger_unchanged(tmp_path, monkeypatch, capsys):
    url = older(f"sqlite:///{tmp_path}/l.db")
    monkeypatch.setattr("hybrid_search.ledger.sqlite.os.fsync", lambda file: (_ for _ in ()).throw(OSError("no space")))
    code, out, (line,) = call(capsys, "db", "upgrade", "--db", url)
    assert (code, out) == (2, "")
    assert "an older ledger is backed up before an upgrade" in line
    assert "cannot be written: no space" in line
    assert [path.name for path in tmp_path.iterdir()] == ["l.db"]
    with sqlite3.connect(tmp_path / "l.db") as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    db.close()


def test_upgrade_says_when_nothing_is_to_be_done_and_makes_no_ledger(database, capsys):
    code, _, (line,) = call(capsys, "db", "upgrade", "--db", database)
    assert code == 2
    assert "does not exist. Start a search first" in line or "must name a ledger; " in line
    Ledger(database).close()
    code, _, (line,) = call(capsys, "db", "upgrade", "--db", database)
    assert (code, f"is at revision {HEAD} already" in line) == (0, True)


@pytest.mark.server
def test_an_older_ledger_on_a_server_is_upgraded(server, capsys):
    url = older(server.database())
    code, _, said = call(capsys, "db", "upgrade", "--db", url)
    assert code == 0
    assert said[0].endswith(f"was upgraded from revision 0001 to {HEAD}")
    with Ledger(url, read_only=True) as ledger:
        assert ledger.search().name == "old"


# -- check --


def violations(capsys, url):
    code, out, _ = call(capsys, "db", "check", "--format", "json", "--db", url)
    return code, {row["rule"]: row["detail"] for row in json.loads(out) if row["violations"]}


def test_a_valid_ledger_passes_and_its_rows_are_counted(database, capsys):
    with Ledger(database) as ledger:
        run(tiny_space(), trials=4, resources=Resources("local"), ledger=ledger, evaluate=scored(), name="mine")
        rows = check_ledger(ledger)
    assert call(capsys, "db", "check", "--db", database)[0] == 0
    assert [row for row in rows if row.violations] == []
    assert len(rows) >= 10
    assert "trial 4 (4 complete)" in rows[-1].detail


BREAKS = {
    "UPDATE trial SET state = 'gone' WHERE number = 1": {
        "a trial is running, complete, stopped or failed": "mine/1",
        "only a complete trial has weights": None,
    },
    "UPDATE trial SET number = 9 WHERE number = 2": {"the trials of a search are numbered from 0, each once": "mine"},
    "DELETE FROM measurement WHERE name = 'flops'": {
        "a complete trial has every objective under its own seed": "mine/0 (flops), mine/1 (flops), mine/2 (flops)"
    },
    "UPDATE trial SET finished = NULL WHERE number = 0": {
        "a trial has an end time if and only if it has ended": "mine/0"
    },
    "UPDATE trial SET state = 'failed' WHERE number = 0": {
        "a failed trial has a failure kind and a failed attempt": "mine/0"
    },
    "UPDATE trial SET expires = finished": {"only a running trial has a lease": "mine/0, mine/1, mine/2"},
    "UPDATE measurement SET value = 9e999 WHERE name = 'loss'": {"every measurement is finite": None},
}


@pytest.mark.parametrize("wrong", sorted(BREAKS))
def test_each_violated_rule_is_named_with_its_violations(tmp_path, capsys, wrong):
    url = f"sqlite:///{tmp_path}/l.db"
    with Ledger(url) as ledger:
        search = a_search(ledger, "mine")
        for number in range(3):
            write_trial(ledger, search, number)
        with ledger._engine.begin() as db:
            db.execute(text(wrong))
    code, broken = violations(capsys, url)
    assert code == 1
    for rule, detail in BREAKS[wrong].items():
        if detail is not None:
            assert broken[rule] == detail
    assert broken
    assert set(broken) <= set(BREAKS[wrong])


@pytest.mark.server
def test_a_nan_measurement_is_reported_on_a_server(server, capsys):
    url = server.database()
    with Ledger(url) as ledger:
        write_trial(ledger, a_search(ledger, "mine"), 0)
        with ledger._engine.begin() as db:
            db.execute(text("UPDATE measurement SET value = 'NaN' WHERE name = 'loss'"))
    assert violations(capsys, url) == (1, {"every measurement is finite": "mine/0"})


def test_orphan_rows_and_a_damaged_file_are_reported(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/l.db"
    with Ledger(url) as ledger:
        fill(ledger, a_search(ledger, "mine"), 300, states="complete")
    with sqlite3.connect(tmp_path / "l.db") as db:
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("DELETE FROM trial WHERE number = 299")
    db.close()
    code, broken = violations(capsys, url)
    assert code == 1
    assert set(broken) == {
        "every row refers to an existing row (foreign keys)",
        "every row belongs to a search or trial",
    }
    with (tmp_path / "l.db").open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"\xff" * 4096)
    code, broken = violations(capsys, url)
    assert code == 1
    assert "the file is not damaged" in broken


# -- copy --


def everything(url, name):
    """Return everything of a search that a copy must have, without ids."""
    with Ledger(url, read_only=True) as ledger:
        search = ledger.search(name)
        trials = [
            (
                t.number,
                t.state,
                t.digest,
                t.settings,
                t.choices,
                t.measurements,
                t.attempt,
                t.finished,
                t.facts,
                t.weights,
            )
            for t in ledger.read(reads.trials, search.id)
        ]
        curves = [ledger.read(reads.curve, t.id) for t in ledger.read(reads.trials, search.id)]
        more = (
            ledger.read(reads.proposals, search.id),
            ledger.read(reads.openings, search.id),
            ledger.read(reads.failures, search.id),
        )
        return (
            search.settings,
            search.created,
            search.target,
            trials,
            curves,
            ledger.read(reads.repeats, search.id),
            more,
        )


@pytest.fixture
def original(tmp_path):
    """Write a search with trials of every state, fresh seeds, weights, proposals and an opening."""
    url = f"sqlite:///{tmp_path}/from.db"
    with Ledger(url) as ledger:
        a_search(ledger, "other")
        search = a_search(ledger, "mine")
        for number in range(4):
            write_trial(ledger, search, number)
        for number, state in ((4, "failed"), (5, "stopped"), (6, "running")):
            trial = ledger.write(
                writes.start_trial,
                search.id,
                number,
                digest=f"{number}",
                architecture={},
                choices={},
                settings=search.settings,
            )
            ledger.write(writes.add_rung, trial, 1, {"accuracy": 0.25})
            if state != "running":
                ledger.write(
                    writes.finish_trial, trial, state, failure_kind="nan" if state == "failed" else None, attempt=1
                )
        first = ledger.read(reads.trial, search.id, 0).id
        ledger.write(writes.add_measurements, first, 77, {"accuracy": 0.5, "test_accuracy": 0.25})
        ledger.write(writes.set_weights, first, WeightsFolder(ledger.url, search.id).write(0, b"the weights"))
        ledger.write(writes.add_proposal, search.id, Proposal("gated", "d", {"q": 1}, 0.25))
        ledger.write(writes.add_opening, search.id, SplitUse("f", 9, "why"))
    return url


def test_a_search_is_copied_with_all_its_rows_and_weights_and_again_only_what_changed(
    original, database, tmp_path, capsys
):
    target = database.replace("ledger.db", "to.db")
    words = ("db", "copy", "mine", "--db", original, "--to", target)
    code, _, (line,) = call(capsys, *words)
    assert code == 0
    assert line.endswith("7 trials written, 0 unchanged, 1 files of weights")
    assert everything(target, "mine") == everything(original, "mine")
    with Ledger(target, read_only=True) as ledger:
        copied = ledger.search("mine")
        folder = WeightsFolder(ledger.url, copied.id)
        assert folder.read(0, ledger.read(reads.trial, copied.id, 0).weights) == b"the weights"
        assert [row for row in check_ledger(ledger) if row.violations] == []
        seen = ledger.read(reads.points, copied.id, ["accuracy"])[1]

    assert call(capsys, *words)[2][0].endswith("0 trials written, 7 unchanged, 0 files of weights")
    with Ledger(original) as ledger:
        search = ledger.search("mine")
        ledger.write(
            writes.finish_trial,
            ledger.read(reads.trial, search.id, 6).id,
            "complete",
            {"accuracy": 0.5, "flops": 1.0},
            attempt=1,
        )
        write_trial(ledger, search, 7)
        ledger.write(writes.add_proposal, search.id, Proposal("gated", "e", {"q": 2}, 0.5))
    assert call(capsys, *words)[2][0].endswith("2 trials written, 6 unchanged, 0 files of weights")
    assert everything(target, "mine") == everything(original, "mine")
    with Ledger(target, read_only=True) as ledger:
        assert [point.number for point in ledger.read(reads.points, copied.id, ["accuracy"], seen)[0]] == [6, 7]


def test_another_search_of_that_name_is_refused_and_a_name_can_be_given(original, tmp_path, capsys):
    target = f"sqlite:///{tmp_path}/to.db"
    with Ledger(target) as ledger:
        a_search(ledger, "mine")
    words = ("db", "copy", "mine", "--db", original, "--to", target)
    code, _, (line,) = call(capsys, *words)
    assert code == 2
    assert "already has another search named 'mine'" in line
    assert call(capsys, *words, "--as", "ours")[0] == 0
    assert call(capsys, *words, "--as", "ours")[2][0].endswith("0 trials written, 7 unchanged, 0 files of weights")
    assert everything(target, "ours") == everything(original, "mine")


@pytest.mark.parametrize(
    "further", ["a trial", "a retraining", "the same seed", "a failure", "an attempt", "an end", "a proposal"]
)
def test_a_copy_that_was_continued_is_not_overwritten(original, tmp_path, capsys, further):
    target = f"sqlite:///{tmp_path}/to.db"
    words = ("db", "copy", "mine", "--db", original, "--to", target)
    assert call(capsys, *words)[0] == 0
    with Ledger(target) as ledger:
        search = ledger.search("mine")
        if further == "a trial":
            write_trial(ledger, search, 7)
        elif further == "a retraining":
            ledger.write(writes.add_measurements, ledger.read(reads.trial, search.id, 1).id, 5, {"accuracy": 0.1})
        elif further == "the same seed":
            ledger.write(writes.add_measurements, ledger.read(reads.trial, search.id, 1).id, 7, {"accuracy": 0.1})
            with Ledger(original) as own:
                own.write(
                    writes.add_measurements, own.read(reads.trial, own.search("mine").id, 1).id, 7, {"accuracy": 0.9}
                )
        elif further == "a failure":
            ledger.write(writes.add_failed_retraining, ledger.read(reads.trial, search.id, 1).id, 5, "oom", "only here")
            with Ledger(original) as own:
                own.write(
                    writes.add_measurements, own.read(reads.trial, own.search("mine").id, 1).id, 7, {"accuracy": 0.9}
                )
        elif further == "an attempt":
            ledger.write(writes.fail_attempt, ledger.read(reads.trial, search.id, 6).id, 1, "lost", "only here")
        elif further == "an end":
            ledger.write(writes.finish_trial, ledger.read(reads.trial, search.id, 6).id, "stopped", attempt=1)
        else:
            ledger.write(writes.add_proposal, search.id, Proposal("duplicate", "e", {}, 0.0))
    before = everything(target, "mine")
    code, _, (line,) = call(capsys, *words)
    assert (code, "the copy was continued there" in line) == (2, True)
    assert everything(target, "mine") == before


def test_a_copy_that_runs_is_refused(original, tmp_path, capsys):
    target = f"sqlite:///{tmp_path}/to.db"
    words = ("db", "copy", "mine", "--db", original, "--to", target)
    assert call(capsys, *words)[0] == 0
    with Ledger(target) as ledger:
        ledger.acquire_lease(ledger.search("mine").id, "host:1/m/0/t", 30)
        code, _, (line,) = call(capsys, *words)
    assert (code, "is being run by host:1:" in line) == (2, True)


@pytest.mark.parametrize(("words", "message"), [((), "--to URL"), (("--to", "sqlite:///to.db"), "got 'nothing'")])
def test_a_copy_that_cannot_be_writes_nothing(original, capsys, words, message):
    code, _, (line,) = call(capsys, "db", "copy", "nothing", "--db", original, *words)
    assert (code, message in line) == (2, True)
    assert list(Path().glob("to.db*")) == []


@pytest.mark.server
def test_a_copy_is_whole_although_its_source_went_away_meanwhile(server, tmp_path):
    from hybrid_search.ledger.copy import copy_search

    url = server.database()
    with Ledger(url) as ledger:
        run(tiny_space(), trials=3, resources=Resources("local"), ledger=ledger, evaluate=scored(), name="mine")
    cuts = []

    def weights(here, there, kept):
        if not cuts:
            cuts.append(True)
            server.stop()
            server.start()
        return 0

    with Ledger(url, read_only=True) as source, Ledger(f"sqlite:///{tmp_path}/copy.db") as target:
        said = []
        target.retry_policy = replace(target.retry_policy, notice=said.append)
        copy_search(source, target, "mine", None, weights)
        assert target.read(reads.counts, target.search("mine").id) == {"complete": 3}
        assert [trial.measurements for trial in target.read(reads.trials, 1)] == [
            t.measurements for t in source.read(reads.trials, 1)
        ]
    assert cuts
    assert said[0].startswith(f"database {source.display_url} or {target.display_url} does not answer")


def test_every_table_belongs_to_a_search_or_a_trial_so_that_a_copy_has_it():
    assert {*TRIAL_TABLES, *SEARCH_TABLES, SEARCH, TRIAL} == set(Base.metadata.tables.values())
