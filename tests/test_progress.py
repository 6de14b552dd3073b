"""What a running command shows: the bar of a terminal, and plain lines elsewhere."""

import io
import re
import time

import pytest
from rich.console import Console
from support.fakes import graded, wide_space

from hybrid_search.records import Resources
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.progress import Terminal, duration_text
from hybrid_search.runs.run import run

SPACE = wide_space()
LOCAL = Resources(engine="local")


def terminal(*, is_terminal, width=80, quiet=False):
    return Terminal(Console(file=io.StringIO(), force_terminal=is_terminal, width=width, legacy_windows=False), quiet)


def text_of(shown):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.console.file.getvalue())


GRADED = graded()


def searched(ledger, shown, evaluate=GRADED, trials=6, **more):
    more = {"engine": "local", **more}
    return run(
        SPACE,
        trials=trials,
        evaluate=evaluate,
        resources=Resources(engine=more.pop("engine")),
        checkpoints="none",
        ledger=ledger,
        progress=shown,
        **more,
    )


@pytest.fixture
def ledger(tmp_path):
    return f"sqlite:///{tmp_path}/a.db"


def test_without_a_terminal_each_trial_has_a_line_with_values_seconds_design_and_time_left(ledger):
    shown = terminal(is_terminal=False)
    search = searched(ledger, shown)
    lines = [line for line in text_of(shown).splitlines() if line.startswith("trial ")]
    assert len(lines) == 6
    values = r"accuracy [\d.]+ %, [\d.]+ [kMG]?FLOPs, [\d.]+ s"
    form = rf"trial \d+ complete: {values}, .+\| .+ \[\d+/6(, about \d+:\d\d:\d\d left)?\]"
    assert all(re.fullmatch(form, line) for line in lines), lines
    assert "left" in lines[2]
    assert "left" not in lines[-1]
    search.ledger.close()


def test_a_terminal_of_80_columns_cuts_nothing(ledger):
    def in_half_a_second(architecture, settings):
        time.sleep(0.5)  # the bar is drawn four times a second
        yield from GRADED(architecture, settings)

    shown = terminal(is_terminal=True)
    search = searched(ledger, shown, in_half_a_second, trials=2)
    text = text_of(shown)
    assert "…" not in text
    assert "2/2" in text
    assert "running: trial" in text
    assert f"best accuracy {search.spec.objectives[0].text(search.progress().best)}" in " ".join(text.split())
    search.ledger.close()


def test_a_failed_trial_says_why(ledger):
    def broken_once(architecture, settings):
        if architecture.stages[0].width == 8:
            raise ValueError("no such width")
        yield {"accuracy": 0.5}

    shown = terminal(is_terminal=False)
    searched(ledger, shown, broken_once, trials=8).ledger.close()
    text = text_of(shown)
    assert re.search(r"trial \d+ failed \(bug: ValueError: no such width\)", text)


def test_a_quiet_run_prints_notices_only(ledger):
    shown = terminal(is_terminal=True, quiet=True)
    searched(ledger, shown).ledger.close()
    assert text_of(shown) == ""


def test_progress_true_prints_on_stderr(ledger, capsys):
    searched(ledger, True, trials=2).ledger.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert "trial 1 complete" in err


def test_by_default_a_python_call_prints_no_progress(ledger, capsys):
    searched(ledger, False, trials=2).ledger.close()
    assert "complete" not in capsys.readouterr().err


def test_a_confirmation_says_its_cost_before_and_the_time_left_while_it_runs(ledger):
    searched(ledger, False).ledger.close()
    shown = terminal(is_terminal=False)
    confirmation = confirm(
        ledger=ledger, evaluate=graded(), seeds=2, resources=LOCAL, checkpoints="none", progress=shown
    )
    text = text_of(shown)
    assert re.search(r"it takes \d+ retrainings? \(\d+:\d\d:\d\d one after the other\), at most \d+ \(", text)
    lines = [line for line in text.splitlines() if re.match(r"trial \d+ with seed \d+: accuracy", line)]
    assert len(lines) == confirmation.done
    assert any(re.search(r"\[\d+/\d+, \d+:\d\d:\d\d to \d+:\d\d:\d\d left\]", line) for line in lines)
    confirmation.ledger.close()


def test_a_notebook_without_ipywidgets_gets_the_lines_in_the_output_of_its_cell(ledger, monkeypatch):
    shown = []
    monkeypatch.setattr("rich.jupyter.display", lambda segments, text: shown.append(text))
    monkeypatch.setattr("hybrid_search.runs.progress.find_spec", lambda name: None)
    notebook = Terminal(Console(force_jupyter=True, width=80))
    searched(ledger, notebook, trials=2).ledger.close()
    assert any("trial 1 complete" in text for text in shown)


def test_a_long_epoch_prints_lines_without_a_terminal(ledger, monkeypatch):
    def slow(architecture, settings):
        time.sleep(0.3)
        yield {"accuracy": 0.5}

    monkeypatch.setattr("hybrid_search.runs.progress.SILENCE", 0.1)
    shown = terminal(is_terminal=False)
    searched(ledger, shown, slow, trials=1).ledger.close()
    assert re.search(r"running: trial 0 \(epoch 1 of \d+, 0:00:00\) \[0/1\]", text_of(shown))


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00:00"), (130, "0:02:10"), (3725, "1:02:05")])
def test_durations_are_hours_minutes_and_seconds(seconds, text):
    assert duration_text(seconds) == text
