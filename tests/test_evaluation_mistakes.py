"""A mistake of the user that a worker meets ends the search with one line, and costs no trial."""

import errno
import signal
import sys

import pytest
from support.fakes import tiny_space

from hybrid_search import Ledger, Objective, Resources, Settings, UserError, run
from hybrid_search.engines.worker import TrialRunner
from hybrid_search.engines.worker.failure_report import comes_from_outside, user_error
from hybrid_search.engines.worker.interrupts import interrupts_marked
from hybrid_search.errors import DataError, EvaluationError, HybridSearchError, SettingsError
from hybrid_search.ledger import reads
from hybrid_search.networks.costs import cost
from hybrid_search.networks.references import reference
from hybrid_search.objectives import OBJECTIVES
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


class NoWeights(DataError):
    """A class of the user, whose base is of this package."""


IMPORT = "the evaluation must be able to import what it uses; "
INSTALL = "Install it where the workers run, or put it beside your script."
WRITE = "an evaluation must be able to write its files; "
SPACE = "Free some space, or use another folder, and run the same command again."


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (DataError("cat.png cannot be read"), DataError, "cat.png cannot be read"),
        (SettingsError("two\nlines"), SettingsError, "two lines"),
        (NoWeights("mine"), DataError, "mine"),
        (
            ModuleNotFoundError("No module named 'mine'", name="mine"),
            UserError,
            f"{IMPORT}the module 'mine' cannot be imported in a worker: No module named 'mine'. {INSTALL}",
        ),
        (
            ImportError("libGL.so.1: cannot open"),
            UserError,
            f"{IMPORT}a module cannot be imported in a worker: libGL.so.1: cannot open. {INSTALL}",
        ),
        (
            OSError(errno.ENOSPC, "No space left", "/data/x"),
            UserError,
            f"{WRITE}the disk is full: [Errno 28] No space left: '/data/x'. {SPACE}",
        ),
        (
            OSError(errno.EDQUOT, "Quota"),
            UserError,
            f"{WRITE}the disk is full for this user: [Errno {errno.EDQUOT}] Quota. {SPACE}",
        ),
        (
            OSError(errno.EROFS, "Read-only"),
            UserError,
            f"{WRITE}the disk is read-only: [Errno 30] Read-only. {SPACE}",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_mistake_reaches_the_driver_as_an_error_of_the_user(error, kind, text):
    def evaluate(architecture, settings):
        raise error
        yield

    found = user_error(first_report(evaluate).failure)
    assert type(found) is kind
    assert str(found) == text


def test_other_errors_of_the_system_are_no_mistake():
    def evaluate(architecture, settings):
        raise OSError(errno.EIO, "Input/output error")
        yield

    failure = first_report(evaluate).failure
    assert failure.kind == "bug"
    assert user_error(failure) is None


@pytest.fixture
def usual_interrupts():
    """Handle SIGINT as a terminal does; a process in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_interrupts")
def test_only_an_exit_that_ray_raised_comes_from_outside():
    def raised_in(module, error):
        names = {"__name__": module, "error": error}
        with pytest.raises(type(error)) as caught:
            exec("def stop():\n    raise error\nstop()", names)
        return caught.value

    assert comes_from_outside(raised_in("ray._private.worker", SystemExit(1)))
    assert not comes_from_outside(raised_in("rayon", SystemExit(1)))
    assert not comes_from_outside(raised_in("ray.worker", ValueError("x")))
    assert not comes_from_outside(SystemExit(1))
    assert not comes_from_outside(KeyboardInterrupt())
    with interrupts_marked(), pytest.raises(KeyboardInterrupt) as caught:
        signal.raise_signal(signal.SIGINT)
    assert comes_from_outside(caught.value)
    assert not comes_from_outside(raised_in("ray.worker", KeyboardInterrupt()))


def test_a_failure_of_a_trial_is_no_mistake():
    for kind in ("bug", "oom", "nan", "pre-empted", "HybridSearchError", "TrialError", "nearest"):
        assert user_error(Failure(kind, "text")) is None


def test_a_mistake_ends_the_search_at_once_and_the_same_call_runs_it_after_the_mend(ledger):
    broken = [True]

    def evaluate(architecture, settings):
        yield {"accuracy": 0.25}
        if broken:
            raise DataError("cat.png cannot be read")
        yield {"accuracy": int(architecture.digest[:4], 16) / 65536}

    evaluate.name = "mended"
    with pytest.raises(DataError, match=r"^cat.png cannot be read$"):
        run(tiny_space(), trials=3, evaluate=evaluate, resources=LOCAL, ledger=ledger)
    assert ledger.searches() == []
    broken.clear()
    search = run(tiny_space(), trials=3, evaluate=evaluate, resources=LOCAL, ledger=ledger)
    with Ledger(f"{ledger.url}2") as other:
        expected = run(tiny_space(), trials=3, evaluate=evaluate, resources=LOCAL, ledger=other)
        numbers = [(t.digest, t.measurements) for t in other.read(reads.trials, expected.record.id)]
    assert [(t.digest, t.measurements) for t in ledger.read(reads.trials, search.record.id)] == numbers


def test_a_later_mistake_leaves_the_results_and_the_trial_is_retried_with_its_number(ledger):
    calls, broken = [], [True]

    def evaluate(architecture, settings):
        calls.append(architecture.digest)
        if len(calls) == 3 and broken:
            raise OSError(errno.ENOSPC, "No space left on device")
        yield {"accuracy": int(architecture.digest[:4], 16) / 65536}

    evaluate.name = "later"
    with pytest.raises(UserError, match="the disk is full"):
        run(tiny_space(), trials=4, evaluate=evaluate, resources=LOCAL, ledger=ledger)
    found = ledger.read(reads.trials, ledger.search().id)
    assert [trial.state for trial in found] == ["complete", "complete", "running"]
    broken.clear()
    search = run(tiny_space(), trials=4, evaluate=evaluate, resources=LOCAL, ledger=ledger)
    after = ledger.read(reads.trials, search.record.id)
    assert [trial.state for trial in after] == ["complete"] * 4
    assert [trial.digest for trial in after[:3]] == [trial.digest for trial in found]


# -- numbers that may not be reported --


@pytest.mark.parametrize("sampler", ["known-cost", "tpe"])
@pytest.mark.parametrize("name", ["flops", "params"])
def test_an_exact_cost_is_refused_by_name_and_nothing_is_stored(ledger, sampler, name):
    evaluate = yielding({"accuracy": 0.5, name: 1e6})
    for _ in range(2):
        with pytest.raises(EvaluationError, match=rf"^{name} must be left out .* got 1e\+06, .*such as own_{name}\.$"):
            run(tiny_space(), trials=3, evaluate=evaluate, sampler=sampler, resources=LOCAL, ledger=ledger, name="a")
        assert ledger.searches() == []


def test_the_exact_cost_itself_may_be_reported(ledger):
    def evaluate(architecture, settings):
        yield {"accuracy": 0.5, "flops": cost(architecture, (1, 16, 16), 10).flops}

    search = run(tiny_space(), trials=2, evaluate=evaluate, resources=LOCAL, ledger=ledger)
    assert search.progress().counts["complete"] == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (93.5, "accuracy must be 0 to 1; got 93.5. Divide a number in per cent by 100."),
        (-3, "accuracy must be 0 to 1; got -3. Report another quantity under a name of its own."),
    ],
)
def test_an_accuracy_outside_its_range_ends_the_search_and_nothing_is_stored(ledger, value, text):
    with pytest.raises(EvaluationError, match=f"^{text}$"):
        run(tiny_space(), trials=3, evaluate=yielding({"accuracy": value}), resources=LOCAL, ledger=ledger)
    assert ledger.searches() == []


def test_an_accuracy_that_is_no_objective_keeps_its_range_too(ledger):
    spread = Objective("spread", "maximize", best=2.0)
    evaluate = yielding({"spread": 1.0, "accuracy": 93.5})
    with pytest.raises(EvaluationError, match="accuracy must be 0 to 1"):
        run(tiny_space(), trials=1, objectives=(spread,), evaluate=evaluate, resources=LOCAL, ledger=ledger)
    with pytest.raises(EvaluationError, match=r"spread must be at most 2; got 2\.5"):
        run(
            tiny_space(),
            trials=1,
            objectives=(spread,),
            evaluate=yielding({"spread": 2.5}),
            resources=LOCAL,
            ledger=ledger,
        )


@pytest.mark.parametrize(
    ("objective", "good", "wrong"),
    [
        (OBJECTIVES["accuracy"], [0, 1, 1 + 1e-7, float("nan")], [1.01, -0.01, float(100)]),
        (OBJECTIVES["loss"], [0.0, 1e9], [-0.5]),
        (OBJECTIVES["latency_ms"], [0.5], [-1.0]),
        (OBJECTIVES["flops"], [-1.0, 1e30], []),
        (Objective("share", "minimize", unit="share"), [0.3], [30.0, -1.0]),
        (Objective("error", "minimize", worst=100.0, best=0.0), [0.0, 100.0], [100.1, -1.0]),
        (Objective("gain", "maximize", worst=-5.0), [-5.0, 1e6], [-6.0]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_an_objective_knows_its_range(objective, good, wrong):
    assert [objective.range_problem(value) for value in good] == [None] * len(good)
    assert all(objective.name in objective.range_problem(value) for value in wrong)


# -- a whole search --


@pytest.mark.parametrize("stop", [lambda: sys.exit(3), lambda: sys.exit("usage: mine.py")], ids=["number", "text"])
def test_sys_exit_fails_the_trial_and_not_the_process(ledger, stop):
    def evaluate(architecture, settings):
        if architecture.stages[0].operator != "conv":
            stop()
        yield {"accuracy": 0.5}

    search = run(tiny_space(), trials=4, evaluate=evaluate, sampler="grid", resources=LOCAL, ledger=ledger)
    failed = [trial for trial in ledger.read(reads.trials, search.record.id) if trial.state == "failed"]
    assert failed
    assert {(trial.failure_kind, trial.attempt) for trial in failed} == {("bug", 1)}
    assert all("SystemExit" in trial.failure_text for trial in failed)


def test_a_search_of_one_trial_that_fails_raises_with_its_traceback(ledger):
    def evaluate(architecture, settings):
        sys.exit(3)
        yield

    with pytest.raises(HybridSearchError, match=r"SystemExit: 3"):
        run(tiny_space(), trials=1, evaluate=evaluate, resources=LOCAL, ledger=ledger)
