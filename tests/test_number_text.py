"""Numbers as people write them, in space files, `--set`, options and Python."""

import math

import numpy as np
import pytest

from hybrid_search import cli
from hybrid_search._internal.number_text import read_number, real_number, whole_number
from hybrid_search.cli.options import changed_settings
from hybrid_search.errors import SettingsError
from hybrid_search.records import Settings
from hybrid_search.spaces.space import SearchSpace

NUMBERS = {
    "7": 7, "-3": -3, "+5": 5, "0": 0, "1_000": 1000, "1e3": 1000, "1E3": 1000, "1e-3": 0.001, "1E-3": 0.001,
    "40M": 40_000_000, "0.5k": 500, "1.5G": 1_500_000_000, "2B": 2_000_000_000, "1T": 10**12, "40e6": 40_000_000,
    "3.41 M": 3_410_000, "1.5": 1.5, "2.0": 2.0, ".5": 0.5, "5.": 5.0, "1.5e-2": 0.015, "0x1F": 31, "0o17": 15,
    "0b11": 3, " 8 ": 8, "1e0": 1, "1e19": 1e19, "0.001k": 1, "1e-1k": 100,
}  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_is_read_as_it_is_meant(text):
    assert read_number(text) == NUMBERS[text]
    assert type(read_number(text)) is type(NUMBERS[text])


@pytest.mark.parametrize(
    "text",
    ["", " ", "x", "1,5", "1,000", "40m", "1g", "010", "00", "1:30", "1__0", "_1", "1_", "1e", "e3", "--1", "1 000",
     "٣", "½", "1e-400", "0x", "1k5", "kk", "k", "2024-01-01", "9" * 500],
)  # fmt: skip
def test_another_text_is_no_number(text):
    assert read_number(text) is None


@pytest.mark.parametrize(("text", "sign"), [("inf", 1), (".inf", 1), ("-inf", -1), ("1e400", 1), ("1e999999999", 1)])
def test_a_number_beyond_every_float_is_infinite(text, sign):
    assert read_number(text) == sign * math.inf


WHOLE = [
    ("many", "n must be a whole number from 1 up; got 'many'."),
    ("1.5", "n must be a whole number from 1 up; got '1.5'."),
    (1.5, "n must be a whole number from 1 up; got 1.5."),
    ("1,000", "n must be a whole number from 1 up; got '1,000'. Use 1000."),
    ("1 000", "n must be a whole number from 1 up; got '1 000'. Use 1000."),
    ("10m", "n must be a whole number from 1 up; got '10m'. Use 10M."),
    ("010", "n must be a whole number from 1 up; got '010'. Use 10: a number that begins with 0 is octal in some"),
    ("8x", "n must be a whole number from 1 up; got '8x'. Possible forms: 1000, 1_000, 1e3, 1k."),
    (0, "n must be a whole number from 1 up; got 0."),
    ("2M", "n must be a whole number from 1 to 1,000,000; got '2M'."),
    (10**30, "n must be a whole number from 1 to 1,000,000; got 1000000000000000000000000000000."),
    (10**5000, "n must be a whole number from 1 to 1,000,000; got a int."),
    (math.inf, "n must be a whole number from 1 up; got inf."),
    (math.nan, "n must be a whole number from 1 up; got nan."),
    (True, "n must be a whole number from 1 up; got True."),
    (None, "n must be a whole number from 1 up; got nothing."),
    ([1], r"n must be a whole number from 1 up; got [1]."),
]


@pytest.mark.parametrize(
    ("value", "message"), WHOLE, ids=lambda value: str(value)[:20] if value != 10**5000 else "huge"
)
def test_a_value_that_is_no_whole_number_is_refused(value, message):
    with pytest.raises(SettingsError, match="must be") as caught:
        whole_number("n", value, 1, 1_000_000)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("value", [100, 100.0, "100", "1e2", "0.1k", np.int64(100), np.float64(100)])
def test_a_whole_number_is_an_int_however_it_is_written(value):
    assert whole_number("n", value, 1, 100) == 100
    assert type(whole_number("n", value)) is int


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1,5", "x must be a number from 0 to 100; got '1,5'. Use 1.5."),
        ("nan", "x must be a finite number from 0 to 100; got 'nan'."),
        (math.inf, "x must be a finite number from 0 to 100; got inf."),
        (10**400, "x must be a number from 0 to 100; got 1000"),
        (-1, "x must be a number from 0 to 100; got -1."),
        ("1k", "x must be a number from 0 to 100; got '1k'."),
        (False, "x must be a number from 0 to 100; got False."),
        (None, "x must be a number from 0 to 100; got nothing."),
    ],
)
def test_a_value_that_is_no_number_is_refused(value, message):
    with pytest.raises(SettingsError, match="must be") as caught:
        real_number("x", value, 0, 100)
    assert str(caught.value).startswith(message)


def test_the_bounds_of_a_number_are_possible_values():
    assert [real_number("x", value, 0, 100) for value in (0, "100", 0.5)] == [0.0, 100.0, 0.5]
    assert [whole_number("x", value, 1, 1000) for value in (1, "1k")] == [1, 1000]
    for wrong in (0, 1001):
        with pytest.raises(SettingsError, match=f"x must be a whole number from 1 to 1,000; got {wrong}"):
            whole_number("x", wrong, 1, 1000)


SPELLINGS = {"learning_rate": ("1e-3", 0.001), "epochs": ("1e1", 10), "train_images": ("0.5k", 500),
             "batch_size": ("1_28", 128), "weight_decay": ("5E-2", 0.05), "seed": ("0", 0)}  # fmt: skip


def test_the_same_text_is_the_same_setting_in_a_space_on_the_command_line_and_in_python():
    texts = {name: text for name, (text, _) in SPELLINGS.items()}
    values = {name: value for name, (_, value) in SPELLINGS.items()}
    stages = [{"depth": 1, "width": 8, "operator": "conv"}]
    space = SearchSpace.from_dict({"name": "t", "stem": "conv3x3", "stages": stages, "settings": texts})
    options = changed_settings(Settings(), {}, [f"{name}={text}" for name, text in texts.items()])
    assert space.settings == options == Settings(**texts) == Settings(**values)
    assert Settings(**texts).digest == Settings(**values).digest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--trials", "1e2.5"], "--trials must be a whole number; got '1e2.5'. Possible forms:"),
        (["run", "--trials", "2.5"], "--trials must be a whole number; got '2.5'. See: hybrid-search run --help"),
        (["run", "--max-flops", "40m"], "max_flops (--max-flops) must be a number; got '40m'. Use 40M."),
        (["run", "--max-flops=0.1k"], "must allow at least one design of digits; got 100."),
        (["run", "--max-params", "-1k"], "max_params (--max-params) must be more than 0; got -1k"),
        (["run", "--hours", "inf"], "--hours must be a finite number; got 'inf'"),
        (["run", "--workers", "1,5"], "--workers must be a whole number; got '1,5'."),
        (["run", "--lease", "nan"], "--lease must be a finite number; got 'nan'"),
        (["space", "digits", "--max-flops", "x"], "max_flops (--max-flops) must be a number; got 'x'"),
        (["cost", "resnet50", "--classes", "1e400"], "--classes must be a whole number; got '1e400'"),
        (["dashboard", "--port", "http"], "--port must be a whole number; got 'http'"),
        (["replay", "x.csv", "--seeds", "1.2"], "--seeds must be a whole number; got '1.2'"),
        (["status", "--every", "soon"], "--every must be a number; got 'soon'"),
        (["confirm", "--seeds", "3x"], "--seeds must be a whole number; got '3x'"),
        (["run", "--set", "epochs=3", "--set", "epochs=4"], "--set must give a setting once; got epochs twice."),
        (["run", "--epochs", "3", "--set", "epochs=4"], "epochs must be given once; got --epochs and --set epochs."),
        (["run", "--resources", "a=1", "--resources", "a=2"], "--resources must give a resource once; got a twice."),
    ],
)
def test_every_number_of_the_command_line_has_one_form_of_error(capsys, tmp_path, words, message):
    assert cli.run(words) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_suffix_and_an_exponent_are_numbers_of_every_option(capsys):
    assert cli.run(["cost", "resnet26", "--input", "6.4e1", "--classes", "0.1k", "--format", "json"]) == 0
    first = capsys.readouterr().out
    assert cli.run(["cost", "resnet26", "--input", "64", "--classes", "100", "--format", "json"]) == 0
    assert capsys.readouterr().out == first


def test_a_choice_of_the_command_line_has_the_same_form_of_error(capsys):
    for word, hint in (("xml", ""), ("CSV", " Did you mean 'csv'?")):
        assert cli.run(["spaces", "--format", word]) == 2
        line = capsys.readouterr().err
        assert line.startswith(f"hybrid-search: --format must be one of table, json, csv; got '{word}'.{hint} See: ")
