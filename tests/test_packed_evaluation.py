"""An evaluation on its way to a worker: what can be called, what can be pickled, and where a worker imports from."""

import functools
import os
import pickle
import platform
import re
import sys
import sysconfig
import threading
from dataclasses import replace

import pytest

from hybrid_search import SettingsError, UserError
from hybrid_search.engines.worker import check_evaluation, takes_checkpoints
from hybrid_search.engines.worker.packed_evaluation import PackedEvaluation
from hybrid_search.engines.worker.unpicklable_part import unpicklable_part

LOCK = threading.Lock()
WORKER = f"worker {platform.node()}:{os.getpid()}"


def message(error):
    """Return the whole message as a pattern."""
    return f"^{re.escape(error)}$"


# -- what can be called --


class WithLock:
    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, architecture, settings):
        yield {"accuracy": 0.5}

    def method(self, architecture, settings):
        yield {"accuracy": 0.5}


class Unprintable:
    def __repr__(self):
        return "r" * 300


class WithoutSignature:
    """A callable object whose signature cannot be read."""

    __signature__ = "none"

    def __call__(self, architecture, settings):
        yield {"accuracy": 0.5}


async def coroutine(architecture, settings):
    return {"accuracy": 0.5}


async def async_generator(architecture, settings):
    yield {"accuracy": 0.5}


class AsyncCall:
    async def __call__(self, architecture, settings):
        yield {"accuracy": 0.5}


def with_one(model):
    yield {}


def with_three(architecture, settings, data):
    yield {}


def with_resume(architecture, settings, *, resume=None):
    yield {}


def with_both(architecture, settings, resume=None, keep=None):
    yield {}


CALL = "evaluate must be called with (architecture, settings), and with resume and keep by name if it takes both; got "
ASYNC = "evaluate must be a plain generator function; got the async function "


@pytest.mark.parametrize(
    ("evaluate", "text"),
    [
        (coroutine, f"{ASYNC}coroutine. Use def."),
        (functools.partial(functools.partial(async_generator)), f"{ASYNC}async_generator. Use def."),
        (AsyncCall(), f"{ASYNC}AsyncCall. Use def."),
        (with_one, f"{CALL}with_one(model): too many positional arguments."),
        (
            functools.partial(with_three),
            f"{CALL}with_three(architecture, settings, data): missing a required argument: 'data'.",
        ),
        (lambda a, s, *, resume, keep: iter([]), None),
        (lambda a, resume, keep: iter([]), f"{CALL}<lambda>(a, resume, keep): multiple values for argument 'resume'."),
        (3, "evaluate must be a function or a callable object; got 3."),
        (Unprintable(), f"evaluate must be a function or a callable object; got {'r' * 200}."),
    ],
    ids=range(9),
)
def test_what_cannot_be_called_is_refused_by_name(evaluate, text):
    if text is None:
        check_evaluation(evaluate)
        return
    text = text.replace("<lambda>", getattr(evaluate, "__qualname__", ""))
    with pytest.raises(SettingsError, match=message(text)):
        check_evaluation(evaluate)


def capturing(lock):
    def evaluate(architecture, settings):
        with lock:
            yield {"accuracy": 0.5}

    return evaluate


def with_argument(lock, architecture, settings):
    yield {"accuracy": 0.5}


@pytest.mark.parametrize(
    "evaluate",
    [
        capturing(None),
        functools.partial(with_argument, None),
        WithLock(),
        WithLock().method,
        WithoutSignature(),
        with_both,
        lambda *arguments, **more: iter([]),
        dict,
    ],
    ids=range(8),
)
def test_functions_partials_methods_objects_and_classes_can_be_called(evaluate):
    check_evaluation(evaluate)
    assert takes_checkpoints(evaluate) is (evaluate is with_both)


def test_an_evaluation_takes_checkpoints_if_it_has_both_arguments():
    assert not takes_checkpoints(with_resume)
    assert takes_checkpoints(functools.partial(with_both, keep=None))


# -- pickling --


def with_default(architecture, settings, lock=LOCK):
    yield {}


def with_global(architecture, settings):
    with LOCK:
        yield {}


class Refuses:
    def __reduce__(self):
        raise ValueError("two\nlines")


@pytest.mark.parametrize(
    ("evaluate", "part"),
    [
        (capturing(LOCK), "the captured variable lock of evaluate"),
        (
            capturing({"b": 1, "a": [0, (1, LOCK)]}),
            "element 1 of element 1 of entry 'a' of the captured variable lock of evaluate",
        ),
        (capturing([[[[LOCK]]]]), None),
        (functools.partial(with_argument, LOCK), "argument 0 of evaluate"),
        (functools.partial(with_argument, 1, lock=LOCK), "argument lock of evaluate"),
        (functools.partial(capturing(LOCK)), "the captured variable lock of the function of evaluate"),
        (WithLock(), "the attribute lock of evaluate"),
        (WithLock().method, "the attribute lock of the object of evaluate"),
        (capturing(Refuses()), "the captured variable lock of evaluate"),
    ],
    ids=range(9),
)
def test_the_innermost_part_that_cannot_be_pickled_is_named(evaluate, part):
    kind, why = "lock", "cannot pickle '_thread.lock' object"
    if part is None:
        kind, part = "list", "element 0 of element 0 of element 0 of the captured variable lock of evaluate"
    elif isinstance(getattr(evaluate, "__closure__", None) and evaluate.__closure__[0].cell_contents, Refuses):
        kind, why = "Refuses", "two lines"
    text = (
        f"evaluate must be sent to worker processes, so all of it must be pickled; got {part} (of type {kind}): {why}. "
    )
    with pytest.raises(SettingsError, match=message(f"{text}Create it inside evaluate, or use engine local.")):
        PackedEvaluation.of(evaluate)


def test_a_default_and_a_global_variable_are_named_too():
    error = TypeError("cannot pickle")
    reason = "cannot pickle '_thread.lock' object"
    assert unpicklable_part(with_default, error) == ("the default of lock of evaluate (of type lock)", reason)
    assert unpicklable_part(with_global, error) == ("the global variable LOCK of evaluate (of type lock)", reason)
    assert unpicklable_part(3, error) == ("evaluate (of type int)", "cannot pickle")


def test_an_evaluation_is_unpacked_as_it_was():
    packed = PackedEvaluation.of(functools.partial(with_both, keep=3))
    again = pickle.loads(pickle.dumps(packed)).unpack()  # noqa: S301
    assert (again.func.__name__, again.keywords) == ("with_both", {"keep": 3})


class Missing:
    def __reduce__(self):
        return __import__, ("no_such_module",)


class Exits:
    def __reduce__(self):
        return sys.exit, (3,)


class Fails:
    def __reduce__(self):
        return float, ("x",)


IMPORTABLE = f"evaluate must be importable in the workers; {WORKER} cannot: "
HINT = "Put the module beside your script, or install it where the workers run."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (Missing, f"{IMPORTABLE}No module named 'no_such_module'. {HINT}"),
        (Exits, f"{IMPORTABLE}SystemExit: 3."),
        (Fails, f"{IMPORTABLE}ValueError: could not convert string to float: 'x'."),
    ],
)
def test_a_worker_that_cannot_unpack_an_evaluation_says_why(monkeypatch, content, text):
    monkeypatch.setattr(sys, "path", list(sys.path))
    packed = replace(PackedEvaluation.of(with_both), content=pickle.dumps(content()))
    with pytest.raises(UserError, match=message(text)):
        packed.unpack()


# -- the folders of a worker --


STANDARD = [folder for folder in sys.path if folder.endswith(("lib-dynload", ".zip", sysconfig.get_path("stdlib")))]


def test_an_evaluation_knows_the_folders_and_the_machine_of_the_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "beside", "/x", str(tmp_path), "/x", tmp_path, *STANDARD])
    packed = PackedEvaluation.of(with_both)
    assert packed.folders == (str(tmp_path), str(tmp_path / "beside"), "/x", *STANDARD)
    assert (packed.current, packed.machine) == (str(tmp_path), platform.node())


def test_a_worker_looks_in_the_folders_of_the_driver_after_those_of_python(tmp_path, monkeypatch):
    here, theirs = tmp_path / "here", tmp_path / "theirs"
    here.mkdir()
    theirs.mkdir()
    monkeypatch.chdir(here)
    driver = PackedEvaluation(b"", (str(theirs), "/gone", *STANDARD), str(here), platform.node())
    assert len(STANDARD) >= 2
    monkeypatch.setattr(sys, "path", [str(here), "", "/ray/workers", str(theirs), *STANDARD])
    driver.use_folders()
    assert sys.path == [*STANDARD, str(theirs), "/ray/workers"]


def test_on_another_machine_its_own_packages_come_first(tmp_path, monkeypatch):
    folders = [tmp_path / name for name in ("theirs", "site-packages", "dist-packages")]
    for folder in folders:
        folder.mkdir()
    inside_python = os.path.join(sysconfig.get_path("stdlib"), "json")
    driver = PackedEvaluation(b"", (*map(str, folders), inside_python), str(tmp_path), "another")
    monkeypatch.setattr(sys, "path", ["/mine/site-packages", *STANDARD])
    driver.use_folders()
    assert sys.path == [*STANDARD, "/mine/site-packages", str(tmp_path / "theirs")]


def test_the_current_folder_is_used_where_the_driver_uses_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    packed = PackedEvaluation.of(lambda architecture, settings: iter([]))
    packed.use_folders()
    assert str(tmp_path) in sys.path
