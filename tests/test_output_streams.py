"""The command line prints in every locale and width, and survives closed, full and broken streams."""

import os
import subprocess
import sys

import pytest
from support.fakes import scored, tiny_space

from hybrid_search.records import Resources
from hybrid_search.runs.run import run

MAIN = [sys.executable, "-c", "from hybrid_search.cli import main; main()"]


def shell(line, *words, **environment):
    """Run a command line of the shell in which "$@" is the command; return exit code, stdout and stderr."""
    done = subprocess.run(
        ["sh", "-c", line, "sh", *MAIN, *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("words", [["--help"], ["spaces"]])
def test_a_full_disk_behind_stdout_is_one_line(words):
    code, _, said = shell('"$@" >/dev/full', *words)
    assert (code, said) == (1, "hybrid-search: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize("words", [["--help"], ["spaces"], ["spaces", "--format", "json"]])
@pytest.mark.parametrize("streams", [">&-", ">&- 2>&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_runs_with_closed_streams(words, streams):
    code, _, said = shell(f'"$@" {streams}', *words)
    assert (code, said) == (0, "")


@pytest.mark.parametrize("words", [["run", "--help"], ["spaces"], ["spaces", "--format", "csv"]])
def test_a_reader_that_exits_causes_no_traceback(words):
    _, _, said = shell('"$@" | true', *words)
    assert said == ""


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"COLUMNS": "1"},
        {"NO_COLOR": "1", "TERM": "dumb"},
        pytest.param({"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.slow),
        pytest.param({"COLUMNS": "40"}, marks=pytest.mark.slow),
        pytest.param({"COLUMNS": "nonsense"}, marks=pytest.mark.slow),
        pytest.param({"TERM": "no-such-terminal"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_front_is_printed_in_every_locale_and_width(environment, tmp_path):
    run(
        tiny_space(),
        trials=2,
        resources=Resources("local"),
        evaluate=scored(),
        name="größer 中",
        ledger=f"sqlite:///{tmp_path}/l.db",
        checkpoints="none",
        notice=lambda line: None,
    )
    code, out, said = shell('"$@"', "front", "--db", f"sqlite:///{tmp_path}/l.db", **environment)
    assert code == 0, said
    assert "accuracy" in out
    assert "Traceback" not in said
    assert "\x1b" not in out
