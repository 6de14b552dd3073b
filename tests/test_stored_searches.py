"""`hybrid-search db delete` and `db rename`: a whole search or nothing, after a question, and never a running one."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from support.fakes import scored, tiny_space
from support.ledgers import a_search, fill
from support.postgres import typed

from hybrid_search import cli
from hybrid_search.errors import LedgerError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.process_identity import ProcessIdentity
from hybrid_search.ledger.tables import Base
from hybrid_search.ledger.weights import WeightsFolder
from hybrid_search.records import Resources
from hybrid_search.runs import stored_searches
from hybrid_search.runs.run import run

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)]


@pytest.fixture(params=DATABASES)
def url(request, tmp_path):
    """Return the URL of a database with two searches, `first` and `second`, of three trials each."""
    name = request.param
    found = f"sqlite:///{tmp_path}/l.db" if name == "sqlite" else request.getfixturevalue("server").database()
    for name in ("first", "second"):
        run(
            tiny_space(),
            trials=3,
            resources=Resources("local"),
            evaluate=scored(),
            name=name,
            ledger=found,
            checkpoints="none",
            notice=lambda line: None,
        )
    with Ledger(found) as ledger:
        for search in ledger.searches():
            WeightsFolder(ledger.url, search.id).write(0, b"weights")
    return found


def call(capsys, *words):
    with typed(*words) as shown:
        code = cli.run(shown)
    said = capsys.readouterr()
    assert said.out == ""
    return code, said.err.splitlines()


def names(url):
    with Ledger(url, read_only=True) as ledger:
        return sorted(search.name for search in ledger.searches())


def row_counts(ledger):
    with ledger.transaction() as connection:
        tables = Base.metadata.sorted_tables
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        }


def test_a_deleted_search_leaves_no_row_and_no_file_and_the_other_one_stays(url, capsys):
    with Ledger(url) as ledger:
        before = row_counts(ledger)
        first = ledger.search("first")
        kept = WeightsFolder(ledger.url, ledger.search("second").id).path
        removed = WeightsFolder(ledger.url, first.id).path
    code, said = call(capsys, "db", "delete", "first", "--yes", "--db", url)
    assert (code, len(said)) == (0, 1)
    assert said[0].startswith("deleted 'first' from ")
    assert said[0].endswith(": 3 trials, 1 file of weights, checkpoints of 0 trainings")
    assert names(url) == ["second"]
    assert not removed.exists()
    assert [path.name for path in kept.iterdir()] == ["0.safetensors"]
    with Ledger(url) as ledger:
        assert row_counts(ledger) == {table: count // 2 for table, count in before.items()}
        assert ledger.search("second").name == "second"


def test_the_checkpoints_of_a_deleted_search_are_deleted(tmp_path, capsys):
    url, folder = f"sqlite:///{tmp_path}/l.db", tmp_path / "l.db.checkpoints"
    with Ledger(url) as ledger:
        uids = {search.name: search.uid for search in (a_search(ledger, "first"), a_search(ledger, "second"))}
    for uid in uids.values():
        (folder / uid / "4-7").mkdir(parents=True)
        (folder / uid / "4-7" / "one").write_bytes(b"state")
    code, said = call(capsys, "db", "delete", "first", "-y", "--db", url)
    assert code == 0
    assert said[0].endswith("0 trials, 0 files of weights, checkpoints of 1 training")
    assert [path.name for path in folder.iterdir()] == [uids["second"]]


def test_a_search_of_another_folder_of_checkpoints_is_deleted_there(tmp_path, capsys):
    url, folder = f"sqlite:///{tmp_path}/l.db", tmp_path / "elsewhere"
    with Ledger(url) as ledger:
        uid = a_search(ledger, "first").uid
    (folder / uid / "0-0").mkdir(parents=True)
    (folder / uid / "0-0" / "one").write_bytes(b"state")
    assert call(capsys, "db", "delete", "first", "-y", "--db", url, "--checkpoints", str(folder))[0] == 0
    assert list(folder.iterdir()) == []


def test_a_renamed_search_keeps_everything_but_its_name(url, capsys):
    with Ledger(url) as ledger:
        before, rows = ledger.search("first"), row_counts(ledger)
    code, said = call(capsys, "db", "rename", "first", "third one", "--yes", "--db", url)
    assert (code, len(said)) == (0, 1)
    assert said[0].startswith("renamed 'first' to 'third one' in ")
    with Ledger(url) as ledger:
        after = ledger.search("third one")
        assert (after.id, after.uid, after.settings) == (before.id, before.uid, before.settings)
        assert row_counts(ledger) == rows
        assert ledger.lease(after.id).holder is None
    assert names(url) == ["second", "third one"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["rename", "first", "second"], "there is a search named 'second' already"),
        (["rename", "first", "first"], "there is a search named 'first' already"),
        (["rename", "first", "a/b"], "the name of a new search must be"),
        (["rename", "first", ""], "the name of a new search must be"),
        (["rename", "none", "other"], "search must be one of"),
        (["delete", "none"], "search must be one of"),
        (["delete", "firs"], "Did you mean 'first'"),
    ],
)
def test_a_wrong_name_is_an_error_of_one_line_and_nothing_changes(words, error, url, capsys):
    code, (line,) = call(capsys, "db", *words, "--yes", "--db", url)
    assert code == 2
    assert error in line
    assert names(url) == ["first", "second"]


@pytest.mark.parametrize("command", [["delete", "first"], ["rename", "first", "third"]])
def test_a_search_that_is_being_run_is_refused(command, url, capsys):
    holder = str(ProcessIdentity())
    with Ledger(url) as driver:
        search = driver.search("first")
        assert driver.acquire_lease(search.id, holder, 60) is None
        code, (line,) = call(capsys, "db", *command, "--yes", "--db", url)
        assert code == 2
        assert f"'first' is being run by {holder.partition('/')[0]}. Stop that process first" in line
        assert driver.lease(search.id).holder == holder
    assert names(url) == ["first", "second"]


def test_a_driver_that_starts_after_the_question_is_respected(url):
    with Ledger(url) as driver, Ledger(url) as ledger:
        search = ledger.search("first")
        stored_searches.check_not_running(ledger, search)
        driver.acquire_lease(search.id, str(ProcessIdentity()), 60)
        for change in (stored_searches.delete, lambda *these: stored_searches.rename(*these, "third")):
            with pytest.raises(LedgerError, match="must not be running; 'first' is being run by"):
                change(ledger, search)
    assert names(url) == ["first", "second"]


def test_a_search_whose_driver_was_killed_can_be_deleted(url, capsys):
    dead = str(ProcessIdentity(pid=2**22 - 1, start="1"))
    with Ledger(url) as driver:
        driver.acquire_lease(driver.search("first").id, dead, timedelta(days=1).total_seconds())
    assert call(capsys, "db", "delete", "first", "--yes", "--db", url)[0] == 0
    assert names(url) == ["second"]


@pytest.mark.parametrize("command", [["delete", "first"], ["rename", "first", "third"]])
def test_without_a_terminal_the_command_needs_yes(command, url, capsys):
    code, (line,) = call(capsys, "db", *command, "--db", url)
    assert code == 2
    assert line.endswith("Add --yes.")
    assert names(url) == ["first", "second"]


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y", 0, ["second"]), ("n", 1, ["first", "second"]), ("", 1, None)]
)
def test_on_a_terminal_the_answer_decides(answer, code, left, url, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, err: answer == "y")
    assert call(capsys, "db", "delete", "first", "--db", url)[0] == code
    assert names(url) == (left or ["first", "second"])


def test_a_database_that_does_not_exist_is_not_created(capsys):
    code, (line,) = call(capsys, "db", "delete", "first", "--yes", "--db", "sqlite:///none.db")
    assert code == 2
    assert "does not exist" in line
    assert list(Path().iterdir()) == []


def test_a_large_search_is_deleted_with_its_curves(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/l.db"
    with Ledger(url) as ledger:
        fill(ledger, a_search(ledger, "first"), 50)
        assert row_counts(ledger)["rung"] > 100
    assert call(capsys, "db", "delete", "first", "--yes", "--db", url)[0] == 0
    with Ledger(url) as ledger:
        assert set(row_counts(ledger).values()) <= {0, 1}


def test_a_search_that_gets_the_row_of_a_deleted_one_keeps_its_own_weights(tmp_path, monkeypatch):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        old = a_search(ledger, name="old")
        WeightsFolder(ledger.url, old.id).write(0, b"old")
        write = ledger.write

        def write_and_create_the_next(change, *arguments, **more):
            found = write(change, *arguments, **more)
            if change is not stored_searches.delete_search:
                return found
            new = a_search(ledger, name="new")
            assert new.id == old.id
            WeightsFolder(ledger.url, new.id).write(0, b"new")
            return found

        monkeypatch.setattr(ledger, "write", write_and_create_the_next)
        stored_searches.delete(ledger, old)
        assert [path.read_bytes() for path in WeightsFolder(ledger.url, old.id).path.iterdir()] == [b"new"]
