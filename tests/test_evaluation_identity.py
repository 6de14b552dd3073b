"""The identity of an evaluation: what it does, in every process; two evaluations never share a search."""

import functools
import heapq
import inspect
import os
import subprocess
import sys
import threading
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from support.fakes import tiny_space

import hybrid_search
from hybrid_search import Ledger, LedgerError, Resources, confirm, run
from hybrid_search._internal.installed_code import is_installed, is_own
from hybrid_search.ledger import reads
from hybrid_search.search.content_digest import content_digest as digest
from hybrid_search.search.content_digest import content_of
from hybrid_search.search.stored_names import (
    IDENTITY,
    evaluation_difference,
    evaluation_identity,
    evaluation_label,
    evaluation_name,
)

LOCAL = Resources(engine="local")
RATE = 0.25
CALLS = []
COUNT = 0


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def identity(evaluate):
    return evaluation_identity(evaluate)[0]


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
    assert digest(compiled(source, RATE=1.0, FACTOR=2, unused=3)) == base
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


@dataclass(frozen=True)
class Names:
    names: list


OTHERS = {
    "a number": (capturing(1), capturing(2)),
    "an integer and a float": (capturing(1), capturing(1.0)),
    "an integer and a truth value": (capturing(1), capturing(True)),
    "text and bytes": (capturing("a"), capturing(b"a")),
    "a number of numpy": (capturing(np.float32(1)), capturing(np.float32(2))),
    "a list and a tuple": (capturing([1]), capturing((1,))),
    "a tuple": (capturing((1, (2,))), capturing((1, (3,)))),
    "a path": (capturing(Path("a")), capturing(Path("b"))),
    "a data class": (capturing(Config(0.1)), capturing(Config(0.2))),
    "a function": (capturing(len), capturing(max)),
    "a module": (capturing(np), capturing(torch)),
    "a class": (capturing(Config), capturing(Scorer)),
    "an argument of a partial": (functools.partial(with_data, 1), functools.partial(with_data, 2)),
    "an attribute": (Scorer(0.5), Scorer(0.25)),
    "a method": (Scorer(0.5).method, Scorer(0.25).method),
    "lambdas": (lambda a, s: iter([{"accuracy": 0.1}]), lambda a, s: iter([{"accuracy": 0.2}])),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_captured_values_that_cannot_change_count(one, other):
    assert identity(one) != identity(other)
    assert identity(one) == identity(one)


CHANGED = {
    "list value": (capturing([1, [2]]), capturing([1, [3]])),
    "dict value": (capturing({"a": 1}), capturing({"a": 2})),
    "ndarray value": (capturing(np.zeros(3000)), capturing(np.eye(3000)[1])),
    "Tensor value": (capturing(torch.zeros(3)), capturing(torch.ones(3))),
    "Linear value": (capturing(torch.nn.Linear(2, 2)), capturing(torch.nn.Linear(2, 2))),
    "Generator value": (capturing(np.random.default_rng(1)), capturing(np.random.default_rng(2))),
    "list value.names": (capturing(Names([1])), capturing(Names([2]))),
    "ndarray argument": (functools.partial(with_data, np.zeros(9)), functools.partial(with_data, np.ones(9))),
    "list weights": (Scorer(0.5, [1]), Scorer(0.5, [2])),
}


@pytest.mark.parametrize("name", CHANGED)
def test_captured_values_that_can_change_have_a_digest_of_their_own(name):
    one, other = map(content_of, CHANGED[name])
    assert one.digest == other.digest
    assert {key for key in one.mutable if one.mutable[key] != other.mutable[key]} == {name}


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
def test_equal_values_have_one_content(one, other):
    assert content_of(one) == content_of(other)


def test_values_that_contain_themselves_or_are_deep_have_a_digest():
    one, other, deep = [1], [2], ()
    one.append(one)
    other.append(other)
    assert content_of(one).mutable != content_of(other).mutable
    for _ in range(2000):
        deep = (deep,)
    assert digest(deep) != digest((deep,))


def test_the_depth_of_the_stack_does_not_count():
    def below(levels):
        return content_of(Scorer(0.5)) if levels == 0 else below(levels - 1)

    free = sys.getrecursionlimit() - len(inspect.stack(0))
    assert below(free - 40) == content_of(Scorer(0.5))


def test_what_the_evaluation_changes_does_not_count():
    seen, heap, stats, total = [], [], Config.__new__(Config), 0

    class Odd(Scorer):
        @functools.cached_property
        def table(self):
            return (1, 2)

        def __call__(self, architecture, settings):
            setattr(self, "last", self.table)  # noqa: B010
            yield from super().__call__(architecture, settings)

    odd = Odd(0.5)

    def evaluate(architecture, settings, cache={}):  # noqa: B006
        nonlocal total
        global COUNT
        total += 1
        COUNT += 1
        seen.append(architecture)
        heapq.heappush(heap, total)
        cache[architecture] = stats
        evaluate.calls = total
        odd.more = total
        CALLS.append(1)
        yield from odd(architecture, settings)

    before = identity(evaluate), identity(odd)
    list(evaluate("an architecture", None))
    assert (identity(evaluate), identity(odd)) == before


def test_functions_of_the_own_module_that_is_used_count():
    module = types.ModuleType("helpers")
    exec("def score(x):\n    return x\n", vars(module))
    base = digest(compiled("def evaluate(a, s):\n    yield helpers.score(1)\n", helpers=module))
    exec("def score(x):\n    return x + 1\nother = 3\n", vars(module))
    assert digest(compiled("def evaluate(a, s):\n    yield helpers.score(1)\n", helpers=module)) != base


def test_a_package_in_the_folder_of_the_user_is_installed_and_a_folder_of_a_similar_name_is_not(monkeypatch):
    module = types.ModuleType("theirs")
    module.__version__ = "1.0"
    monkeypatch.setitem(sys.modules, "theirs", module)
    function = compiled("def evaluate(a, s):\n    yield 1\n", __name__="theirs")
    for folder, own in (("/home/me/.local/lib/python3.11/site-packages", False), ("/home/me/site-packages-2", True)):
        module.__file__ = f"{folder}/theirs.py"
        assert is_own("theirs") is own
        assert is_installed(folder) is not own
    own = digest(function)
    module.__file__ = "/home/me/.local/lib/python3.11/site-packages/theirs.py"
    first = digest(function)
    module.__version__ = "1.1"
    assert len({own, first, digest(function)}) == 3
    assert not is_own("json")
    assert not is_own("sys")


def test_what_cannot_be_compared_is_said(ledger):
    lock = threading.Lock()

    def evaluate(architecture, settings):
        with lock:
            yield {"accuracy": 0.5}

    assert evaluation_identity(evaluate)[1].unknown == ("_thread.lock",)
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
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7", "PYTHONNODEBUGRANGES": "1"}
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


def test_a_digest_of_an_earlier_version_is_replaced_and_said(ledger):
    more = {"trials": 1, "evaluate": scores(0.1), "resources": LOCAL, "ledger": ledger, "notice": (lines := []).append}
    search = run(tiny_space(), **more)
    now = search.record.evaluation
    with ledger.transaction() as db:
        db.exec_driver_sql("UPDATE search SET evaluation = ?", (IDENTITY.sub("#0123456789ab@3.11", now),))
    run(tiny_space(), **more)
    assert [line.partition(" in search")[0] for line in lines if "another version" in line] == [
        f"the digest of {evaluation_label(now)}"
    ]
    assert ledger.search(search.record.name).evaluation == now


def test_changed_captured_values_are_said_and_the_search_continues(ledger):
    seen, lines = [], []

    def evaluate(architecture, settings):
        heapq.heappush(seen, 1)
        yield {"accuracy": 0.5}

    more = {"resources": LOCAL, "ledger": ledger, "notice": lines.append}
    name = run(tiny_space(), trials=1, evaluate=evaluate, **more).record.name
    said = f"captured values of evaluate differ from those with which search {name!r} began: list seen. The search"
    assert not [line for line in lines if line.startswith(said)]
    run(tiny_space(), trials=1, evaluate=evaluate, **more)
    assert len([line for line in lines if line.startswith(said)]) == 1
    confirm(name, evaluate=evaluate, seeds=1, **more)
    assert len([line for line in lines if line.startswith(said)]) == 2


def test_differences_in_words():
    one = identity(with_rate)
    name, mark = IDENTITY.sub("", one), IDENTITY.search(one)[0]
    assert evaluation_difference(one, one) is None
    assert evaluation_difference(name, one) is None
    assert evaluation_difference(one.replace(mark, "#2:0123456789ab@2.7"), one) is None
    assert evaluation_difference(one.replace("#2:", "#"), one) is None
    assert "set evaluate.name = " in evaluation_difference(one.replace(mark[:15], "#2:0123456789ab"), one)
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
    assert digest(capturing(Strange())) == digest(capturing(Strange()))
    assert content_of(functools.partial(with_data, [Strange()])).unknown == (f"{__name__}.Strange",)
