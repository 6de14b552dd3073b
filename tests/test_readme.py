"""The README: short, without names that collide, with figures of the results, and with commands that a shell finds."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "log.md")


def test_the_readme_has_at_most_900_words():
    assert len(FENCE.sub("", README).split()) <= 900


def test_no_two_examples_of_the_readme_use_one_name_for_a_search():
    names = re.findall(r"\bname=\"([^\"]+)\"", README) + re.findall(r"--name (\S+)", README)
    names += [title.removesuffix(".yaml") for title in re.findall(r"title=\"([^\"]+\.yaml)\"", README)]
    assert len(names) >= 3
    assert len(names) == len(set(names)), names


def test_the_table_of_samplers_has_the_figures_of_the_results():
    stored = {}
    text = (ROOT / "results" / "search-efficiency-fashion.md").read_text(encoding="utf-8")
    for row in text.split("## ")[1].splitlines():
        cells = [cell.strip() for cell in row.strip("| ").split("|")]
        if len(cells) == 7:
            stored.setdefault(cells[0], (cells[1], cells[3]))
    rows = {
        "known-cost (default)": "known-cost", "known-cost, random start": "known-cost, random start",
        "Optuna's GPSampler": "gp, ordered", "Optuna's TPE": "tpe", "Optuna's NSGA-II (populations of 20)": "nsga2 20",
        "random search": "random",
    }  # fmt: skip
    shown = {}
    for row in re.findall(r"^  \| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|$", README, re.MULTILINE):
        shown[row[0]] = row[1:]
    assert shown == {name: stored[source] for name, source in rows.items()}
    assert "median of 10 seeds" in README


def commands_of(text):
    blocks = re.findall(r"^```console\n(.*?)^```$|^    (hybrid-search .*)$", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in "\n".join(block).splitlines() if line.strip()]


def test_every_command_of_the_readme_is_typed_with_its_folder():
    commands = [line for line in commands_of(README) if "hybrid-search" in line]
    assert len(commands) >= 6
    assert all(line.startswith(".venv/bin/hybrid-search ") for line in commands)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_with_commands_says_how_a_shell_finds_them(path):
    text = path.read_text(encoding="utf-8")
    if any(line.startswith("hybrid-search ") for line in commands_of(text)):
        assert ".venv/bin/hybrid-search" in text
