"""A file or database that a user names as output is checked beforehand, and is complete or absent afterwards."""

import os
from pathlib import Path

import pytest

from hybrid_search import cli
from hybrid_search._internal.output_file import check_output_file, written_file
from hybrid_search._internal.paths import absolute_path, data_location
from hybrid_search.errors import LedgerError, SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.urls import database_url

LONG = "n" * 300


@pytest.fixture
def here(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link.html").symlink_to("folder/real.html")
    return tmp_path


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


REFUSED = {
    "": "--out must be a path; got an empty one",
    "folder": "--out must be a file; folder is a folder",
    "new.html/": "--out must be a file; new.html/ is a folder",
    "file/a.html": "--out must be a file that can be written; file/a.html cannot: Not a directory",
    "no/such/a.html": "--out must be in a folder that exists; got no/such/a.html",
    f"{LONG}.html": "cannot: File name too long",
    f"new/{LONG}.html": "cannot: File name too long",
    "~no-such-user/a.html": "There is no user 'no-such-user'",
    "/proc/a.html": "--out must be a file that can be written; /proc/a.html cannot",
    "a\0b": "NUL character",
}


@pytest.mark.parametrize("typed", REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_a_file_that_cannot_be_written_is_refused_beforehand(here, typed):
    before = contents(here)
    with pytest.raises(SettingsError, match=REFUSED[typed].replace("(", r"\(")) as error:
        check_output_file("--out", typed)
    assert "\n" not in str(error.value)
    assert contents(here) == before


def test_a_file_without_write_permission_is_refused_beforehand(here, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(SettingsError, match="file cannot: Permission denied"):
        check_output_file("--out", "file")


@pytest.mark.parametrize("typed", ["a.html", "folder/a.html", "new/a.html", "file", "link.html", "~/a.html"])
def test_a_file_that_can_be_written_is_complete_or_unchanged(here, monkeypatch, typed):
    monkeypatch.setenv("HOME", str(here / "folder"))
    path = check_output_file("--out", typed)
    before = contents(here)
    with pytest.raises(SettingsError, match=r"an output file must be writable; .* No space left on device"):
        write(path, "half", OSError(28, "No space left on device"))
    with pytest.raises(KeyboardInterrupt):
        write(path, "half", KeyboardInterrupt())
    assert contents(here) in (before, sorted([*before, "new"]))
    assert (here / "file").read_text() == "mine"
    write(path, "whole")
    assert path.read_text() == "whole"
    assert not any(".part" in name for name in contents(here))
    assert (here / "link.html").is_symlink()


def write(path, text, error=None):
    with written_file(path) as part:
        part.write_text(text)
        if error is not None:
            raise error


def test_replay_refuses_a_wrong_figure_before_it_opens_anything(here, capsys):
    for typed, message in (("folder/", "HTML file"), ("file/a.html", "Not a directory"), ("", "got an empty one")):
        assert cli.run(["replay", "--out", typed, "--db", "sqlite:///absent.db"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


# -- databases --


@pytest.mark.parametrize(
    "typed", ["sqlite:///l.db", "sqlite:///./l.db", "sqlite:///folder/../l.db", "sqlite:///~/l.db"]
)
def test_a_database_has_one_absolute_url_however_it_is_typed(here, monkeypatch, typed):
    monkeypatch.setenv("HOME", str(here))
    assert database_url(typed) == database_url(here / "l.db")
    assert database_url(typed).database == str(here / "l.db")
    assert not (here / "~").exists()


def test_a_ledger_keeps_its_place_when_the_current_folder_changes(here, monkeypatch):
    from hybrid_search.ledger.weights import WeightsFolder

    with Ledger("sqlite:///l.db") as ledger:
        monkeypatch.chdir("folder")
        assert ledger.searches() == []
        assert WeightsFolder(ledger.url, 1).path == here / "l.db.weights" / "1"
    assert contents(here / "folder") == []


def test_a_name_that_is_not_utf8_is_refused_for_a_database(here):
    with pytest.raises(LedgerError, match=r"the database URL must name a file with a name in UTF-8; got '\\udcff\.db'"):
        database_url("sqlite:///" + b"\xff.db".decode(errors="surrogateescape"))


@pytest.mark.parametrize("typed", ["x.txt", "sqlite:///folder", "sqlite:///file/x.db", "sqlite:///no/such/x.db"])
def test_a_target_of_db_copy_that_cannot_be_written_is_one_line_that_names_the_option(here, capsys, typed):
    from support.ledgers import a_search

    with Ledger("sqlite:///l.db") as ledger:
        a_search(ledger, "mine")
    assert cli.run(["db", "copy", "mine", "--to", typed, "--db", "sqlite:///l.db"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hybrid-search: --to must ")


# -- paths --


def test_a_path_behind_a_link_means_what_the_system_means(here):
    (here / "folder" / "deep").mkdir()
    (here / "jump").symlink_to("folder/deep")
    assert absolute_path("OUT", "jump/../x") == here / "folder" / "x"
    assert absolute_path("OUT", "jump/x") == here / "jump" / "x"


def test_a_url_of_another_data_set_stays_as_it_is(here):
    assert data_location("--data-dir", "s3://bucket/photos") == "s3://bucket/photos"
    assert data_location("--data-dir", Path("folder")) == str(here / "folder")
    (here / "~odd").mkdir()
    assert data_location("--data-dir", "~odd") == str(here / "~odd")
