"""What an evaluation may return, yield and raise: accepted as it is meant, or refused by name."""

import asyncio
import signal
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from hybrid_search import Ledger, Report, Resources, Settings
from hybrid_search.engines.worker import TrialRunner
from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.references import reference
from hybrid_search.records import Failure

LOCAL = Resources(engine="local")
NETWORK = reference("resnet26")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def first_report(evaluate):
    return TrialRunner(evaluate, NETWORK, Settings()).advance()


def yielding(value):
    def evaluate(architecture, settings):
        yield value

    return evaluate


def returning(value):
    return lambda architecture, settings: value


# -- what it yields --


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (Fraction(1, 4), 0.25),
        (Decimal("0.25"), 0.25),
        (np.float32(0.25), 0.25),
        (np.int64(3), 3.0),
        (np.array(0.25), 0.25),
        (torch.tensor(0.25), 0.25),
        (torch.tensor(0.25, requires_grad=True), 0.25),
        (torch.tensor(3), 3.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_of_every_library_are_numbers(value, number):
    assert first_report(yielding({"accuracy": value})).measurements == {"accuracy": number}


class Unreadable:
    def __repr__(self):
        raise SystemExit("no text")


NUMBER = "TypeError: a measurement must be a number; got accuracy = "


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, f"{NUMBER}True."),
        (np.bool_(True), f"{NUMBER}True."),
        (torch.tensor(True), f"{NUMBER}True."),
        ("0.5", f"{NUMBER}'0.5', which is text. Use float(...)."),
        (b"0.5", f"{NUMBER}b'0.5', which is text. Use float(...)."),
        ("x" * 300, f"{NUMBER}'{'x' * 199}, which is text. Use float(...)."),
        (None, f"{NUMBER}None."),
        (1j, f"{NUMBER}1j."),
        (np.complex64(1j), f"{NUMBER}1j."),
        ({"top1": 0.5}, f"{NUMBER}{{'top1': 0.5}}."),
        ([0.5], f"{NUMBER}[0.5]."),
        (np.zeros(2), f"{NUMBER}a ndarray of shape (2,). Use one of its values, or its mean."),
        (torch.zeros(1), f"{NUMBER}a Tensor of shape (1,). Use one of its values, or its mean."),
        (10**400, f"ValueError: a measurement must fit a float; got accuracy = 1{'0' * 199}."),
        (10**5000, "ValueError: a measurement must fit a float; got accuracy = an int."),
        (object, f"{NUMBER}<class 'object'>."),
        (Unreadable(), f"{NUMBER}an Unreadable."),
    ],
    ids=range(17),
)
def test_a_value_that_is_no_number_is_refused_by_name(value, text):
    failure = first_report(yielding({"accuracy": value})).failure
    assert failure.kind == "bug"
    assert failure.text.splitlines()[-1] == text


ONE = {"accuracy": 0.5}
RUNG = "TypeError: an evaluation must yield a mapping of numbers per rung; got "
NAME = "ValueError: a measurement needs a name of 1 to 100 characters; got "
PRINTED = "ValueError: the name of a measurement must have characters that can be printed; got "
WHOLE = "TypeError: the rung of a report must be a whole number from 0 up; got "
FACTS = "TypeError: the facts of a report must map names to text; got "
KINDS = "pre-empted, lost, oom, timeout, nan, bug"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, f"{RUNG}None: None."),
        (0.5, f"{RUNG}a float: 0.5."),
        ((1, ONE), f"{RUNG}a tuple: (1, {{'accuracy': 0.5}})."),
        ("accuracy", f"{RUNG}a str: 'accuracy'."),
        ({}, "ValueError: a report must have at least one measurement; got an empty mapping."),
        ({1: 0.5}, f"{NAME}1."),
        ({"": 0.5}, f"{NAME}''."),
        ({"x" * 101: 0.5}, f"{NAME}'{'x' * 101}'."),
        ({"accu\0racy": 0.5}, f"{PRINTED}'accu\\x00racy'."),
        ({"accu\udcffracy": 0.5}, f"{PRINTED}'accu\\udcffracy'."),
        (
            Report(1, [("accuracy", 0.5)]),
            "TypeError: the measurements of a report must be a mapping of numbers; got [('accuracy', 0.5)].",
        ),
        (Report(-1, ONE), f"{WHOLE}-1."),
        (Report(2**31, ONE), f"{WHOLE}2147483648."),
        (Report(True, ONE), f"{WHOLE}True."),
        (Report(1.0, ONE), f"{WHOLE}1.0."),
        (Report(1, ONE, {"epochs": 3}), f"{FACTS}'epochs': 3."),
        (Report(1, ONE, {"": "a"}), f"{FACTS}'': 'a'."),
        (Report(1, ONE, {"x" * 101: "a"}), f"{FACTS}'{'x' * 101}': 'a'."),
        (Report(1, ONE, {"a\n": "a"}), f"{FACTS}'a\\n': 'a'."),
        (Report(1, ONE, ["a"]), "TypeError: the facts of a report must be a mapping of text; got a list."),
        (Report(1, ONE, weights={"w": 1}), "TypeError: the weights of a report must be bytes or None; got a dict."),
        (
            Report(1, {}, failure="bug"),
            "TypeError: the failure of a report must be a Failure with a text; got 'bug'.",
        ),
        (
            Report(1, {}, failure=Failure("bug", 3)),
            "TypeError: the failure of a report must be a Failure with a text; got Failure(kind='bug', text=3).",
        ),
        (
            Report(1, {}, failure=Failure("DataError", "x")),
            f"ValueError: a failure must be one of {KINDS}; got 'DataError'.",
        ),
    ],
    ids=range(24),
)
def test_a_report_that_is_none_is_refused_by_name(value, text):
    failure = first_report(yielding(value)).failure
    assert failure.kind == "bug"
    assert failure.text.splitlines()[-1] == text


def test_the_largest_rung_and_the_longest_name_are_stored_as_they_are():
    class Text(str):
        def __str__(self):
            return "other"

    name = Text("x" * 100)
    report = first_report(yielding(Report(2**31 - 1, {name: 0.5}, {name: Text("fact")}, last=1, weights=b"w")))
    assert (report.rung, report.measurements, report.weights) == (2**31 - 1, {"x" * 100: 0.5}, b"w")
    assert report.facts["x" * 100] == "fact"
    assert {type(each) for each in (*report.measurements, *report.facts.values())} == {str}
    assert report.last is True
    assert first_report(yielding(Report(0, {}))).last is False
    assert first_report(yielding(Report(0, {}, failure=Failure("nan", "text")))).last is True


def test_an_evaluation_may_return_a_list_of_reports():
    runner = TrialRunner(returning([{"accuracy": 0.1}, Report(5, {"accuracy": 0.2})]), NETWORK, Settings())
    assert [(report.rung, report.measurements) for report in (runner.advance(), runner.advance())] == [
        (1, {"accuracy": 0.1}),
        (5, {"accuracy": 0.2}),
    ]
    assert runner.advance().last


# -- what it returns --


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"accuracy": 0.5}, "a dict"),
        (Report(1, {"accuracy": 0.5}), "a Report"),
        (None, "None"),
        (0.5, "a float"),
        (5, "an int"),
        ("0.5", "a str"),
        (b"0.5", "a bytes"),
        ((0.5, 0.1), "a tuple"),
        ([{"accuracy": 0.5}, 0.1], "a list"),
        (np.zeros(3), "a ndarray"),
        (torch.zeros(3), "a Tensor"),
    ],
    ids=range(11),
)
def test_an_evaluation_that_returns_instead_of_yielding_is_named_as_such(value, name):
    failure = first_report(returning(value)).failure
    assert failure.text.splitlines()[-1] == (
        f"TypeError: evaluate must yield a mapping of numbers after each rung; it returned {name}. Write `yield` in "
        "the place of `return`."
    )


def test_what_an_async_function_returns_is_refused_by_name():
    async def coroutine(architecture, settings):
        return {"accuracy": 0.5}

    async def generator(architecture, settings):
        yield {"accuracy": 0.5}

    for evaluate in (coroutine, generator):
        wrapped = lambda architecture, settings, evaluate=evaluate: evaluate(architecture, settings)  # noqa: E731
        assert first_report(wrapped).failure.text.splitlines()[-1] == (
            "TypeError: evaluate must be a plain generator function; it is an async function. Use def and yield."
        )


# -- what it raises --


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Unpicklable(Exception):
    def __init__(self):
        super().__init__("has a lock")
        self.call = lambda: None


def in_a_circle():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    return one


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (GeneratorExit(), "GeneratorExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
        (StopIteration(), "generator raised StopIteration"),
        (Unprintable(), "Unprintable: <exception str() failed>"),
        (Unpicklable(), "Unpicklable: has a lock"),
        (ValueError("a\0b\udcff"), "a\N{REPLACEMENT CHARACTER}b?"),
        (BaseExceptionGroup("several", [SystemExit(1)]), "several"),
        (in_a_circle(), "ValueError: one"),
        (ArchitectureError("width must be even; got 3."), "width must be even"),
        (ConnectionError("reset"), "reset"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_of_any_class_is_one_failure_of_kind_bug_with_its_traceback(error, text):
    def evaluate(architecture, settings):
        yield {"accuracy": 0.5}
        raise error

    runner = TrialRunner(evaluate, NETWORK, Settings())
    assert runner.advance().failure is None
    failure = runner.advance().failure
    assert failure.kind == "bug"
    assert text in failure.text
    assert "in evaluate" in failure.text or isinstance(error, StopIteration)


def test_a_message_of_ten_megabytes_is_cut():
    def evaluate(architecture, settings):
        raise ValueError("begin" + "x" * 10_000_000 + "end")
        yield

    text = first_report(evaluate).failure.text
    assert len(text) < 30_000
    assert "ValueError: begin" in text
    assert text.endswith("end")
    assert "characters left out" in text


@pytest.mark.parametrize("again", [None, KeyboardInterrupt("again")], ids=["once", "raised again"])
def test_the_interrupt_of_a_person_is_no_failure(again):
    def evaluate(architecture, settings):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise again or KeyboardInterrupt  # noqa: B904
        yield {"accuracy": 0.5}

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process of parallel tests ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            first_report(evaluate)
    finally:
        signal.signal(signal.SIGINT, before)
