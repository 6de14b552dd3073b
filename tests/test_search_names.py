"""The name of a search: one rule for new searches, and every stored search can still be opened and continued."""

import sys
from dataclasses import replace
from pathlib import Path
from shlex import split

import pytest
from support.fakes import scored, tiny_space
from support.ledgers import a_search

from hybrid_search import cli
from hybrid_search._internal.search_names import search_name
from hybrid_search.cli.next_commands import command_line, print_commands
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.copy import copy_search
from hybrid_search.records import Resources
from hybrid_search.runs.run import run
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec

WRONG = [
    "", " ", "-x", "--db", "../evil", "a/b", "a\\b", "a,b", ".hidden", " mine", "mine ", "mine\n", "\tmine", "a\0b",
    "a\x1bb", "a\udc80b", "a\u202eb", "a\u2028b", "x" * 201,
]  # fmt: skip
STORED = "support.fakes.scored.<locals>.evaluate"  # the stored name of the evaluation
RIGHT = ["digits", "digits 2", "my-run_3.1", "Zürich", "写真", "x" * 200, "50% a+b=c (first)"]


@pytest.fixture
def ledger():
    with Ledger("sqlite:///mine.db") as opened:
        yield opened


def tried(name, ledger):
    return run(tiny_space(), trials=5, resources=Resources("local"), ledger=ledger, evaluate=scored(), name=name)


@pytest.mark.parametrize("name", RIGHT)
def test_a_printable_name_is_accepted(name):
    assert search_name(name) == name


@pytest.mark.parametrize("name", WRONG)
def test_a_new_search_with_a_wrong_name_is_refused_in_one_line_and_nothing_is_written(name):
    with pytest.raises(SettingsError, match="name") as refusal:
        tried(name, "sqlite:///new.db")
    assert len(str(refusal.value).splitlines()) == 1
    assert not Path("new.db").exists()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_name_is_refused_by_the_direct_interface_too(name, ledger):
    with pytest.raises(SettingsError, match="name"):
        open_search(SearchSpec.create(tiny_space(), trials=3, name=name), ledger)
    assert ledger.searches() == []


@pytest.mark.parametrize("name", ["", "../evil", "-x", " mine"])
def test_the_command_line_refuses_a_wrong_name_before_it_starts_the_engine(name, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it would fail
    assert cli.run(["run", "digits", f"--name={name}", "--db", "sqlite:///new.db"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "name" in printed.err
    assert not Path("new.db").exists()


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(SettingsError, match="name must be text; got 3"):
        SearchSpec.create(tiny_space(), trials=1, name=3)


@pytest.mark.parametrize("name", ["-x", "../evil", "a,b", " mine"])
def test_a_stored_search_with_an_older_name_is_opened_and_continued(name, ledger):
    ledger.create_search(replace(SearchSpec.create(tiny_space(), trials=5).record, name=name, evaluation=STORED))
    assert tried(name, ledger).record.name == name
    assert ledger.search(name).name == name


@pytest.mark.parametrize("name", ["a\udc80b", "a\0b", ""])
def test_a_name_that_no_database_can_hold_is_an_unknown_search(name, ledger, capsys):
    a_search(ledger, "mine")
    assert cli.run(["front", name, "--db", str(ledger.url)]) == 2
    assert "search must be one of mine" in capsys.readouterr().err


def test_the_name_of_a_copy_follows_the_rule(ledger, capsys):
    a_search(ledger, "mine")
    for name in ("", "../evil", "-x"):
        words = ["db", "copy", "mine", "--to", "sqlite:///copy.db", f"--as={name}", "--db", str(ledger.url)]
        assert cli.run(words) == 2
        assert "the name of a new search must be" in capsys.readouterr().err
        assert not Path("copy.db").exists()
        with pytest.raises(SettingsError, match="the name of a new search must be"):
            copy_search(ledger, ledger, "mine", name, lambda *_: 0)


def test_a_suggested_command_is_read_as_it_is_meant():
    def words(line):
        return split(line)[1:]

    assert words(command_line("export", ["two words", "out"], " --pick knee")) == [
        "export", "two words", "out", "--pick", "knee",
    ]  # fmt: skip
    assert words(command_line("front", ["-x"], " --db a.db")) == ["front", "--db", "a.db", "--", "-x"]


def test_the_comments_of_suggested_commands_are_below_each_other():
    lines = []
    print_commands([("front digits", "see it"), ("export digits my-network --pick knee", "take it")], lines.append)
    assert len({line.index("#") for line in lines}) == 1
