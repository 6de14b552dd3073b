"""Printed tables: piped, one whole line for each row; in a terminal, one stage of a design on each line."""

import io
import re
import sys
from dataclasses import replace

import pytest
from rich.cells import cell_len
from support.fakes import scored, tiny_space

from hybrid_search import cli
from hybrid_search.cli.output import Format, print_rows
from hybrid_search.cli.text_table import table_lines
from hybrid_search.ledger import Ledger
from hybrid_search.records import Resources
from hybrid_search.runs.run import run
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec

DESIGN = "conv3x3 width=16 stride=2 | 1x8 local_attention extent=5 heads=2 | 1x64/2 conv kernel_size=5"
ROWS = [["3", "99.16 %", DESIGN], ["12", "9.10 %", "conv3x3 width=8 | 1x8 conv kernel_size=3"]]
NAMES, RIGHT = ("trial", "accuracy", "design"), (True, True, False)


class TerminalStream(io.StringIO):
    def isatty(self):
        return True


def in_a_terminal(monkeypatch, columns):
    """Make stdout a terminal without colours, with this many columns; return the stream."""
    stream = TerminalStream()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    return stream


def text_of(stream):
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def test_without_a_width_each_row_is_one_line_without_trailing_blanks():
    assert table_lines(NAMES, ROWS, RIGHT, None) == [
        "trial  accuracy  design",
        f"    3   99.16 %  {DESIGN}",
        "   12    9.10 %  conv3x3 width=8 | 1x8 conv kernel_size=3",
    ]


def test_a_table_that_fits_is_the_same_in_a_terminal():
    assert table_lines(NAMES, ROWS, RIGHT, 120) == table_lines(NAMES, ROWS, RIGHT, None)


def test_in_a_narrow_terminal_a_design_has_one_stage_on_each_line():
    assert table_lines(NAMES, ROWS, RIGHT, 80) == [
        "trial  accuracy  design",
        "    3   99.16 %  conv3x3 width=16 stride=2",
        "                 1x8 local_attention extent=5 heads=2",
        "                 1x64/2 conv kernel_size=5",
        "   12    9.10 %  conv3x3 width=8",
        "                 1x8 conv kernel_size=3",
    ]


def test_a_design_with_too_little_room_beside_the_numbers_is_below_them():
    assert table_lines(NAMES, ROWS[1:], RIGHT, 38) == [
        "trial  accuracy",
        "    design",
        "   12    9.10 %",
        "    conv3x3 width=8",
        "    1x8 conv kernel_size=3",
    ]


@pytest.mark.parametrize("width", [None, 20, 30, 40, 60, 80, 100, 200])
def test_no_cell_is_cut_and_no_line_is_wider_than_the_terminal(width):
    rows = [[*ROWS[0][:2], f"{DESIGN} | 2x128/2 very_long_operator_name_of_a_plugin option=日本語"], *ROWS]
    lines = table_lines(NAMES, rows, RIGHT, width)
    words = {word for row in rows for cell in row for word in cell.split() if word != "|"}
    assert words <= set(re.split(r"\s+", "\n".join(lines))) or width in (20, 30)
    assert "".join("".join(row) for row in rows).replace(" | ", "").replace(" ", "") == "".join(
        re.sub(r"\s+|\|", "", line) for line in lines if line.strip() not in ("design", "trial  accuracy")
    ).removeprefix("trialaccuracydesign")
    assert all(line == line.rstrip() for line in lines)
    if width is not None and width >= 40:
        assert max(map(cell_len, lines)) <= width


def test_columns_of_wide_characters_stay_below_each_other():
    header, *lines = table_lines(("class", "n"), [["猫", "1"], ["cat", "22"]], (False, True), None)
    assert [cell_len(line) for line in (header, *lines)] == [9, 9, 9]


@pytest.fixture
def searched(tmp_path):
    url = f"sqlite:///{tmp_path}/done.db"
    with Ledger(url) as ledger:
        first = run(tiny_space(), trials=5, resources=Resources("local"), ledger=ledger, evaluate=scored(), name="mine")
        more = open_search(replace(SearchSpec.from_record(first.record), trials=7), ledger)
        assert all(more.ask() for _ in range(2))  # two trials that run
    return url


@pytest.mark.parametrize("command", ["front", "status"])
def test_a_piped_table_has_whole_lines_of_any_length(searched, command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert cli.run([command, "mine", "--db", searched]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert [line for line in lines if re.search(r"conv3x3 width=\d+ \| 1x\d+ \w+ \S+=\d", line)]


@pytest.mark.parametrize("command", ["front", "status"])
def test_a_terminal_of_80_columns_shows_one_stage_on_each_line(searched, command, monkeypatch):
    stream = in_a_terminal(monkeypatch, 80)
    assert cli.run([command, "mine", "--db", searched]) == 0
    lines = text_of(stream).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if re.search(r"conv3x3 width=8$", line)]
    assert not [line for line in lines if " | " in line]


def test_the_status_counts_pruned_trials_with_the_word_of_the_field(searched, capsys):
    assert cli.run(["status", "mine", "--db", searched]) == 0
    printed = capsys.readouterr().out
    assert "2 to resume, 5 complete, 0 pruned, 0 failed" in printed
    assert "stopped" not in printed


def test_an_empty_table_prints_its_title_alone(capsys):
    print_rows([], Format.table, title="Nothing")
    assert capsys.readouterr().out == "Nothing\n"
