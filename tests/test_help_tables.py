"""`run --help` lists objectives, settings and recipes, and stays quick."""

import re
import subprocess
import sys

import pytest

from hybrid_search import cli
from hybrid_search.cli.help_tables import objective_rows, setting_rows, space_rows
from hybrid_search.objectives import BUILT_IN
from hybrid_search.records import Settings
from hybrid_search.spaces.shipped import shipped_spaces
from hybrid_search.spaces.space import load_space

SECONDS = 0.8  # of processor time; about 0.3 on an idle machine


def test_the_help_of_run_shows_the_tables_and_that_of_other_commands_does_not(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert cli.run(["run", "--help"]) == 0
    shown = capsys.readouterr().out
    for heading in (
        "Objectives of --objectives",
        "Settings of --set, with their defaults",
        "Recipes of --recipe",
        "Settings of the shipped",
    ):
        assert heading in shown
    assert "accuracy           validation accuracy in %, maximized" in shown
    assert re.search(r"learning_rate=recipe +Peak of the schedule \(linear warm-up, then cosine\); 0 to 100\.", shown)
    assert cli.run(["confirm", "--help"]) == 0
    assert "Recipes" not in capsys.readouterr().out


def test_every_objective_has_its_unit_and_direction():
    rows = dict(objective_rows())
    assert list(rows)[: len(BUILT_IN)] == list(BUILT_IN)
    assert all(each.direction in rows[name] for name, each in BUILT_IN.items())
    assert rows["latency_ms"].endswith("in ms, minimized")
    assert rows["flops"].endswith("minimized; known before training")


def test_every_setting_has_a_default_that_can_be_typed_and_a_meaning():
    settings = Settings()
    for shown, meaning in setting_rows():
        name, _, default = shown.partition("=")
        assert len(meaning) > 10, name
        if getattr(settings, name) is not None:
            assert settings.with_(**{name: default}) == settings


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_recipe_gives_the_settings_of_its_space(name):
    pairs = dict(pair.split("=") for pair in dict(space_rows())[name].split(", "))
    assert Settings.from_dict(pairs) == load_space(name).settings


def test_the_help_imports_nothing_heavy_and_takes_little_time():
    code = (
        "import sys, time; from hybrid_search import cli; code = cli.run(['run', '--help']);"
        "heavy = {'torch', 'ray', 'optuna', 'numpy', 'yaml', 'sqlalchemy'} & set(sys.modules);"
        "print(code, sorted(heavy), time.process_time(), file=sys.stderr)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    results = [run.stderr.rsplit(" ", 1) for run in runs]
    assert {result for result, _ in results} == {"0 []"}
    assert min(float(seconds) for _, seconds in results) < SECONDS
