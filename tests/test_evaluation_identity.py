"""The identity of an evaluation: what it does, in every process; two evaluations never share a search."""

import functools
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from support.fakes import tiny_space

import hybrid_search
from hybrid_search import Ledger, LedgerError, Resources, confirm, run
from hybrid_search.ledger import reads
from hybrid_search.search.content_digest import ContentDigest
from hybrid_search.search.stored_names import IDENTITY, evaluation_difference, evaluation_identity, evaluation_name

LOCAL = Resources(engine="local")
RATE = 0.25
CALLS = []


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def identity(evaluate):
    return evaluation_identity(evaluate)[0]


def digest(value):
    return ContentDigest().of(value)


def compiled(source, name="evaluate", **variables):
    """Return a function of a module that a user wrote."""
    exec(compile(source, "mine.py", "exec"), variables := {"__name__": "mine", **variables})
    return variables[name]


# -- what counts --

BASE = "def evaluate(architecture, settings, rate=0.5):\n    yield {'accuracy': rate * 1.0}\n"
SAME = {
    "lines": "\n\n# a comment\n" + BASE,
    "a docstring": BASE.replace(":\n", ':\n    "Score a network."\n', 1),
}
OTHER = {
    "a constant": BASE.replace("1.0", "2.0"),
    "a default": BASE.replace("0.5", "0.25"),
    "an operation": BASE.replace("*", "+"),
    "a key": BASE.replace("accuracy", "loss"),
    "a function inside": BASE.replace("rate *", "(lambda x: x)(rate) *"),
    "an argument": BASE.replace("rate=0.5", "rate=0.5, more=1"),
    "a handler": BASE.replace("    yield", "    try:\n        pass\n    except ValueError:\n        pass\n    yield"),
}


@pytest.mark.parametrize("source", SAME.values(), ids=SAME)
def test_lines_and_comments_do_not_count(source):
    assert digest(compiled(source)) == digest(compiled(BASE))


@pytest.mark.parametrize("source", OTHER.values(), ids=OTHER)
def test_what_a_function_does_counts(source):
    assert digest(compiled(source)) != digest(compiled(BASE))


def test_global_variables_and_functions_that_it_uses_count():
    source = "def helper(x):\n    return x * FACTOR\n\ndef evaluate(a, s):\n    yield {'accuracy': helper(1) * RATE}\n"
    base = digest(compiled(source, RATE=1.0, FACTOR=2, unused=1))
    assert digest(compiled(source, RATE=1.0, FACTOR=2, unused=[2])) == base
    assert digest(compiled(source, RATE=0.5, FACTOR=2)) != base
    assert digest(compiled(source, RATE=1.0, FACTOR=3)) != base
    assert digest(compiled(source.replace("x *", "x +"), RATE=1.0, FACTOR=2)) != base


def capturing(value):
    def evaluate(architecture, settings):
        yield {"accuracy": value}

    return evaluate


class Scorer:
    def __init__(self, rate, weights=None):
        self.rate, self.weights = rate, weights
        self.calls, self.seen = 0, []

    def __call__(self, architecture, settings):
        self.calls += 1
        self.seen.append(architecture)
        yield {"accuracy": self.rate}

    def method(self, architecture, settings):
        yield {"accuracy": self.rate}


@dataclass(frozen=True)
class Config:
    rate: float
    names: frozenset = frozenset()


def with_data(data, architecture, settings):
    yield {"accuracy": 0.5}


PAIRS = {
    "a number": (capturing(1), capturing(2)),
    "an integer and a float": (capturing(1), capturing(1.0)),
    "an integer and a truth value": (capturing(1), capturing(True)),
    "text and bytes": (capturing("a"), capturing(b"a")),
    "a list": (capturing([1, [2]]), capturing([1, [3]])),
    "a list and a tuple": (capturing([1]), capturing((1,))),
    "a dictionary": (capturing({"a": 1}), capturing({"a": 2})),
    "an array": (capturing(np.zeros(3000)), capturing(np.eye(3000)[1])),
    "the type of an array": (capturing(np.zeros(2)), capturing(np.zeros(2, np.float32))),
    "a tensor": (capturing(torch.zeros(3)), capturing(torch.ones(3))),
    "a network": (capturing(torch.nn.Linear(2, 2)), capturing(torch.nn.Linear(2, 2))),
    "a path": (capturing(Path("a")), capturing(Path("b"))),
    "a data class": (capturing(Config(0.1)), capturing(Config(0.2))),
    "a function": (capturing(len), capturing(max)),
    "a module": (capturing(np), capturing(torch)),
    "a class": (capturing(Config), capturing(Scorer)),
    "an argument of a partial": (
        functools.partial(with_data, np.zeros(2000)),
        functools.partial(with_data, np.ones(2000)),
    ),
    "an object": (Scorer(0.5), Scorer(0.25)),
    "a method": (Scorer(0.5).method, Scorer(0.25).method),
    "lambdas": (lambda a, s: iter([{"accuracy": 0.1}]), lambda a, s: iter([{"accuracy": 0.2}])),
}


@pytest.mark.parametrize(("one", "other"), PAIRS.values(), ids=PAIRS)
def test_captured_values_count(one, other):
    assert identity(one) != identity(other)
    assert identity(one) == identity(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (capturing({"a": 1, "b": 2}), capturing({"b": 2, "a": 1})),
        (capturing({"x", "y", "z"}), capturing({"z", "y", "x"})),
        (capturing(np.arange(6).reshape(2, 3)), capturing(np.arange(6).reshape(3, 2).T.copy().T.reshape(2, 3))),
        (capturing(torch.arange(6)[::2]), capturing(torch.tensor([0, 2, 4]))),
        (Scorer(0.5, [1]), Scorer(0.5, [1])),
    ],
    ids=["order of a dictionary", "order of a set", "an array", "a view", "an object"],
)
def test_equal_values_have_one_identity(one, other):
    assert digest(one) == digest(other)


def test_values_that_contain_themselves_have_a_digest():
    one, other = [1], [2]
    one.append(one)
    other.append(other)
    assert digest(one) != digest(other)
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert digest(deep)


def test_a_record_that_the_evaluation_writes_does_not_count():
    seen, counts, total = [], {}, 0

    def evaluate(architecture, settings):
        nonlocal total
        total += 1
        seen.append(architecture.digest)
        counts[architecture.digest] = counts.get(architecture.digest, 0) + 1
        CALLS.append(1)
        yield {"accuracy": RATE}

    scorer = Scorer(0.5)
    before = identity(evaluate), identity(scorer)
    seen.append("x")
    counts["x"] = 1
    CALLS.append(2)
    scorer.calls += 1
    scorer.seen.append("x")
    total += 1
    assert (identity(evaluate), identity(scorer)) == before


def test_what_cannot_be_compared_is_said(ledger):
    lock = threading.Lock()

    def evaluate(architecture, settings):
        with lock:
            yield {"accuracy": 0.5}

    assert evaluation_identity(evaluate)[1] == ("_thread.lock",)
    lines = []
    run(tiny_space(), trials=1, evaluate=evaluate, resources=LOCAL, ledger=ledger, notice=lines.append)
    assert "evaluate uses objects whose content cannot be compared when the search continues: _thread.lock" in lines


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import test_evaluation_identity as here
print(here.identity(here.capturing({{"a", "b", "c"}})), here.identity(here.Scorer(0.5)), here.identity(here.with_rate))
"""


def with_rate(architecture, settings, names=frozenset({"a", "b", "c"})):
    if settings.data in {"digits", "cifar", "mnist"}:
        yield {"accuracy": RATE}


def test_another_process_has_the_same_digests():
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    path = os.pathsep.join([str(Path(hybrid_search.__file__).parents[1]), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    here = [capturing({"a", "b", "c"}), Scorer(0.5), with_rate]
    assert [text.rpartition("#")[2] for text in done.stdout.split()] == [
        identity(one).rpartition("#")[2] for one in here
    ]


# -- the ledger --


def scores(value):
    return lambda architecture, settings: iter([{"accuracy": value}])


def test_two_lambdas_never_share_a_search(ledger):
    more = {"resources": LOCAL, "ledger": ledger}
    first = run(tiny_space(), trials=2, evaluate=scores(0.1), **more)
    with pytest.raises(LedgerError, match=r"evaluation is .*<lambda>#.* \(got .*: its code, or a value"):
        run(tiny_space(), trials=2, evaluate=scores(0.2), **more)
    with pytest.raises(LedgerError, match=r"a search is confirmed by the evaluation that scored it; .*is another"):
        confirm(first.record.name, evaluate=scores(0.2), **more)
    again = run(tiny_space(), trials=2, evaluate=scores(0.1), **more)
    assert again.progress().counts["complete"] == 4


def test_the_message_says_how_to_continue_with_changed_code(ledger):
    search = run(tiny_space(), trials=1, evaluate=scores(0.1), resources=LOCAL, ledger=ledger)
    changed = scores(0.2)
    changed.name = search.record.evaluation
    assert (
        run(tiny_space(), trials=1, evaluate=changed, resources=LOCAL, ledger=ledger).progress().counts["complete"] == 2
    )


def test_a_search_of_an_earlier_version_continues_with_its_name(ledger):
    search = run(tiny_space(), trials=1, evaluate=with_rate, resources=LOCAL, ledger=ledger)
    with ledger.transaction() as db:
        db.exec_driver_sql("UPDATE search SET evaluation = ?", (evaluation_name(with_rate),))
    run(tiny_space(), trials=1, evaluate=with_rate, resources=LOCAL, ledger=ledger)
    assert len(ledger.read(reads.trials, search.record.id)) == 2
    with pytest.raises(LedgerError, match=r"evaluation is .*with_rate .got .*with_data"):
        run(tiny_space(), trials=1, evaluate=functools.partial(with_data, 1), resources=LOCAL, ledger=ledger)


def test_differences_in_words():
    one = identity(with_rate)
    name, mark = IDENTITY.sub("", one), IDENTITY.search(one)[0]
    assert evaluation_difference(one, one) is None
    assert evaluation_difference(name, one) is None
    assert evaluation_difference(one.replace(mark, "#0123456789ab@2.7"), one) is None
    assert "set evaluate.name = " in evaluation_difference(one.replace(mark[:13], "#0123456789ab"), one)
    assert evaluation_difference("trained", one) == f"evaluation is trained (got {name})"
    long = functools.partial(with_data, "x" * 500)
    assert len(identity(long)) == 200
    assert evaluation_difference(evaluation_name(long), identity(long)) is None
    assert evaluation_difference(evaluation_name(functools.partial(with_rate, "x" * 500)), identity(long)) is not None


class Strange:
    def __getattr__(self, name):
        raise RuntimeError("no attributes")

    def __reduce_ex__(self, protocol):
        raise RuntimeError("no state")


def test_an_object_that_raises_counts_by_its_class():
    walk = ContentDigest()
    assert walk.of(capturing(Strange())) == ContentDigest().of(capturing(Strange()))
    assert walk.unknown == {f"{__name__}.Strange"}
