"""Tables of names: a plugin never replaces another entry, and a broken plugin never ends the program."""

import logging

import pytest
from support.plugins import installed

from hybrid_search.errors import PluginError
from hybrid_search.plugins import TABLES, Table


@pytest.fixture
def table():
    yield Table("thing", "hybrid_search.things_of_a_test", {"own": 1})
    del TABLES["hybrid_search.things_of_a_test"]


def listed(table):
    return {(plugin.package, plugin.name): plugin.error for plugin in table.plugins()}


def test_a_plugin_with_the_name_of_a_built_in_entry_is_listed_and_not_used(tmp_path, monkeypatch, table):
    with installed(tmp_path, monkeypatch, table, "own", "Thing = 2"):
        assert listed(table) == {("other_package", "own"): "hidden by the built-in entry of this name"}
        assert table["own"] == 1
        assert table.names() == ["own"]


def test_of_two_packages_with_one_name_the_first_by_name_is_used_and_both_are_listed(tmp_path, monkeypatch, table):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    with (
        installed(tmp_path / "first", monkeypatch, table, "shared", "Thing = 'of a'", package="a_package"),
        installed(tmp_path / "second", monkeypatch, table, "shared", "Thing = 'of b'", package="b_package"),
    ):
        assert table["shared"] == "of a"
        assert table.names() == ["own", "shared"]
        assert listed(table) == {
            ("a_package", "shared"): None,
            ("b_package", "shared"): "hidden by the entry of this name of the package a_package",
        }


def test_a_plugin_that_exits_at_its_import_is_a_broken_plugin(tmp_path, monkeypatch, table):
    with installed(tmp_path, monkeypatch, table, "exiting", "import sys; sys.exit('no licence')"):
        with pytest.raises(PluginError, match=r"cannot be used \(SystemExit: no licence\)\. Repair or uninstall"):
            table["exiting"]
        assert table.usable() == {"own": 1}


def test_an_interrupt_during_the_import_of_a_plugin_passes(tmp_path, monkeypatch, table):
    with (
        installed(tmp_path, monkeypatch, table, "interrupted", "raise KeyboardInterrupt"),
        pytest.raises(KeyboardInterrupt),
    ):
        table["interrupted"]


def test_a_broken_plugin_is_reported_once(tmp_path, monkeypatch, table, caplog):
    # The logger of the package does not propagate once a log file has been opened.
    monkeypatch.setattr(logging.getLogger("hybrid_search"), "propagate", True)
    with installed(tmp_path, monkeypatch, table, "broken", "raise RuntimeError('damaged')"), caplog.at_level("WARNING"):
        assert table.usable() == table.usable() == {"own": 1}
    assert [record.getMessage().count("damaged") for record in caplog.records] == [1]
