"""A database that cannot be opened or written is one line with exit code 2 before anything is trained."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_search import cli
from hybrid_search.errors import LedgerError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.urls import database_url

WORDS = ["run", "digits", "--trials", "1", "--engine", "local"]


def refused(capsys, *words):
    """Return the only line of an error; no epoch ran and nothing was printed on stdout."""
    assert cli.run([*WORDS, *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


def test_a_folder_instead_of_a_file_is_named_as_such(tmp_path, capsys):
    assert f"sqlite:///{tmp_path} cannot be opened: it is a folder." in refused(capsys, "--db", f"sqlite:///{tmp_path}")


@pytest.mark.parametrize("place", ["/proc/a.db", "/dev/null/a.db", "/proc/none/a.db"])
def test_a_place_where_nothing_can_be_written_is_refused(place, capsys):
    assert f"sqlite:///{place} cannot be opened: " in refused(capsys, "--db", f"sqlite:///{place}")
    assert list(Path().iterdir()) == []


def test_a_folder_of_results_that_is_a_file_is_refused(capsys):
    Path("results").write_text("mine")
    refused(capsys)
    assert Path("results").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_named_with_the_reason():
    with pytest.raises(LedgerError, match=r"cannot be opened: /proc cannot be written \(No such file or directory\)"):
        Ledger("sqlite:////proc/a.db")


def test_a_name_that_is_too_long_is_named_as_such(tmp_path):
    with pytest.raises(LedgerError, match=r"cannot be opened: File name too long"):
        Ledger(f"sqlite:///{tmp_path}/{'x' * 300}.db")


@pytest.mark.parametrize("path", ["here.db", "in/here.sqlite", "here.v2.SQLITE3", "./my results.db"])
def test_text_with_the_ending_of_an_sqlite_file_is_its_path(path):
    Path("in").mkdir()
    with Ledger(path) as ledger:
        assert ledger.url == database_url(Path(path)) == database_url(f"sqlite:///{path}")
    assert Path(path).is_file()
    assert cli.run(["db", "check", "--db", path]) == 0


@pytest.mark.parametrize("text", ["hello", "mine.txt", ".db", "me:geheim@host.db", "password=geheim.db"])
def test_other_text_is_no_path_and_is_not_shown(text):
    with pytest.raises(LedgerError, match=r"A file is sqlite:///PATH, or a path that ends in \.db") as caught:
        Ledger(text)
    assert "geheim" not in str(caught.value)
    assert list(Path().iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["read-only", "full"])
def test_a_real_file_system_that_is_read_only_or_full_is_refused(kind, tmp_path):
    """It needs the right to mount a file system in a namespace of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    spoil = {"read-only": f"mount -o remount,ro {folder}", "full": f"dd if=/dev/zero of={folder}/fill 2>/dev/null"}
    mounted = f"mount -t tmpfs -o size=1m tmpfs {folder} || exit 77; {spoil[kind]}"
    main = [sys.executable, "-c", "from hybrid_search.cli import main; main()"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mounted}; "$@"', "sh", *main, *WORDS, "--db", f"sqlite:///{folder}/a.db"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if os.getuid() == 0 and done.returncode != 77:
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
        assert "cannot be opened" in done.stderr
