"""The worker processes of both Ray engines without Ray: a dictionary is the object store, an object the mailbox."""

import os
import platform
import sys
import time
from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import RayError
from support.fakes import tiny_space

from hybrid_search import Report, Settings
from hybrid_search.engines.worker import actor
from hybrid_search.engines.worker.packed_evaluation import PackedEvaluation
from hybrid_search.engines.worker.trial_start import start_trial
from hybrid_search.engines.worker.tune_mailbox import TuneMailbox
from hybrid_search.engines.worker.tune_trainable import TrialTrainable
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.training.checkpoints import SearchCheckpoints

DESIGN = tiny_space().choose(FixedChoices({}))
ARCHITECTURE, SETTINGS = DESIGN.to_dict(), Settings(seed=3).to_dict()
WORKER = {"worker": f"{platform.node()}:{os.getpid()}"}


def three_rungs(architecture, settings):
    assert architecture == DESIGN
    for rung in (1, 2):
        yield Report(rung, {"accuracy": rung / 10, "seed": settings.seed}, weights=b"w" * rung)
    yield Report(3, {"accuracy": 0.3}, last=True)


@pytest.fixture
def objects(monkeypatch):
    """Return the object store: reference -> object."""
    stored = {}

    def put(value):
        stored[f"object {len(stored)}"] = value
        return f"object {len(stored) - 1}"

    def get(reference, timeout=None):
        if reference == "lost":
            raise RayError(f"lost within {timeout} s")
        return stored[reference] if isinstance(reference, str) else reference

    monkeypatch.setattr(ray, "put", put)
    monkeypatch.setattr(ray, "get", get)
    return stored


@pytest.fixture
def freed(monkeypatch):
    """Return the list of the calls that free GPU memory."""
    calls = []
    gpu = SimpleNamespace(is_initialized=lambda: True, empty_cache=lambda: calls.append("empty_cache"))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=gpu))
    return calls


# -- ray --


def test_an_actor_unpacks_the_evaluation_once_and_runs_one_rung_for_each_call(objects, monkeypatch):
    unpacked = []
    packed = SimpleNamespace(unpack=lambda: unpacked.append(1) or three_rungs)
    worker = actor.TrialActor([ray.put(packed)])
    freed = []
    monkeypatch.setattr(actor, "free_gpu_memory", lambda: freed.append(1))
    for trial in (1, 2):
        first = worker.start(ARCHITECTURE, SETTINGS)
        assert (first.rung, first.measurements, first.facts, first.last) == (
            1,
            {"accuracy": 0.1, "seed": 3},
            WORKER,
            False,
        )
        assert [objects[reference] for reference in first.weights] == [b"w"]
        assert len(freed) == 2 * trial - 1
        second = worker.advance()
        assert actor.fetch_weights(second.weights) == b"ww"
        last = worker.advance()
        assert (last.rung, last.last, last.weights, last.failure) == (3, True, None, None)
        assert len(freed) == 2 * trial
        with pytest.raises(AssertionError):
            worker.advance()
    assert unpacked == [1]
    assert worker.heartbeat() is None


def test_an_actor_continues_from_the_checkpoint_of_its_trial(objects, tmp_path):
    import torch

    resumed = []

    def evaluate(architecture, settings, resume=None, keep=None):
        resumed.append(resume)
        for rung in (1, 2) if resume is None else (2,):
            keep(rung, lambda rung=rung: {"rung": torch.tensor(rung)})
            yield Report(rung, {"accuracy": 0.5})

    settings = Settings(seed=3)
    checkpoints = SearchCheckpoints(str(tmp_path), "0f" * 16, interval=0.0).of(0, DESIGN, settings)
    worker = actor.TrialActor([ray.put(SimpleNamespace(unpack=lambda: evaluate))])
    worker.start(ARCHITECTURE, SETTINGS, checkpoints)
    report = worker.start(ARCHITECTURE, SETTINGS, checkpoints)
    assert report.facts == {**WORKER, "resumed": "rung 1"}
    assert resumed[0] is None
    assert resumed[1] == {"rung": torch.tensor(1)}


def test_a_trial_that_cannot_start_is_one_report_and_its_worker_takes_the_next_trial(objects):
    worker = actor.TrialActor([ray.put(SimpleNamespace(unpack=lambda: three_rungs))])
    report = worker.start({"stem": "none"}, SETTINGS)
    assert (report.rung, report.measurements, report.last) == (0, {}, True)
    assert report.failure.kind in ("bug", "SpaceError", "UserError")
    assert worker.start(ARCHITECTURE, SETTINGS).rung == 1


def test_ctrl_c_while_a_trial_starts_is_no_failure():
    def interrupted():
        os.kill(os.getpid(), 2)

    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_trial(interrupted, ARCHITECTURE, SETTINGS, None)
    finally:
        signal.signal(signal.SIGINT, before)


def test_weights_that_are_gone_with_their_worker_are_none(objects, monkeypatch):
    waited = []
    monkeypatch.setattr(ray, "get", lambda reference, timeout: waited.append((reference, timeout)) or bytearray(b"w"))
    assert actor.fetch_weights(["kept", "another"]) == b"w"
    assert waited == [("kept", 60.0)]
    monkeypatch.undo()
    monkeypatch.setattr(ray, "get", lambda reference, timeout: (_ for _ in ()).throw(RayError()))
    assert actor.fetch_weights(["lost"]) is None


def test_memory_of_a_gpu_is_freed_only_where_one_was_used(freed, monkeypatch):
    actor.free_gpu_memory()
    assert freed == ["empty_cache"]
    sys.modules["torch"].cuda.is_initialized = lambda: False
    actor.free_gpu_memory()
    monkeypatch.delitem(sys.modules, "torch")
    actor.free_gpu_memory()
    assert freed == ["empty_cache"]


# -- tune --


class Remote:
    """A handle of an actor: `handle.method.remote(...)` calls the method of an object."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        return SimpleNamespace(remote=getattr(self._target, name))


def trainable(evaluate, mailbox, period=60.0, key="a"):
    made = TrialTrainable.__new__(TrialTrainable)
    config = {"key": key, "architecture": ARCHITECTURE, "settings": SETTINGS}
    made.setup(config, PackedEvaluation.of(evaluate), Remote(mailbox), period)
    return made


def test_a_step_under_tune_returns_the_numbers_and_sends_the_report_to_the_mailbox(objects, monkeypatch):
    freed = []
    monkeypatch.setattr("hybrid_search.engines.worker.tune_trainable.free_gpu_memory", lambda: freed.append(1))
    mailbox = TuneMailbox()
    worker = trainable(three_rungs, mailbox)
    assert list(mailbox.heartbeats()) == ["a"]
    assert worker.config["key"] == "a"
    assert worker.step() == {"rung": 1, "accuracy": 0.1, "seed": 3}
    report = mailbox.take_report("a")
    assert (report.facts, [objects[each] for each in report.weights]) == (WORKER, [b"w"])
    assert worker._rung_start is None
    assert worker.step() == {"rung": 2, "accuracy": 0.2, "seed": 3}
    assert worker.reset_config({"key": "b", "architecture": {"stem": 1}, "settings": SETTINGS}) is True
    assert freed == [1, 1]
    assert worker.step() == {"rung": 0}
    assert mailbox.take_report("b").failure is not None
    assert worker.save_checkpoint("folder") == {}
    worker.cleanup()


def test_a_worker_under_tune_sends_heartbeats_with_the_seconds_of_its_rung_until_it_is_closed(objects):
    sent = []

    class Noting(TuneMailbox):
        def heartbeat(self, key, rung_seconds):
            sent.append((key, rung_seconds))

    def slow(architecture, settings):
        time.sleep(0.1)
        yield {"accuracy": 0.5}

    worker = trainable(slow, Noting(), period=0.01)
    worker.step()
    end = time.monotonic() + 5
    while len(sent) < 3 or sent[-1][1]:
        assert time.monotonic() < end
        time.sleep(0.01)
    worker.cleanup()
    assert {key for key, _ in sent} == {"a"}
    assert 0 < max(seconds for _, seconds in sent) < 5
    time.sleep(0.05)
    number = len(sent)
    time.sleep(0.05)
    assert len(sent) == number


def test_checkpoints_of_a_trial_under_tune_come_from_the_mailbox_once(objects, tmp_path):
    mailbox = TuneMailbox()
    checkpoints = SearchCheckpoints(str(tmp_path), "0f" * 16, interval=0.0).of(0, DESIGN, Settings(seed=3))
    mailbox.put_checkpoints("a", checkpoints)
    worker = trainable(three_rungs, mailbox)
    assert worker._started._checkpoints is None, "this evaluation takes none"
    assert mailbox.take_checkpoints("a") is None
    mailbox.put_checkpoints("b", checkpoints)
    assert mailbox.take_checkpoints("b") is checkpoints


def test_the_mailbox_counts_seconds_since_a_heartbeat_and_of_the_running_rung(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    mailbox = TuneMailbox()
    mailbox.heartbeat("running", 7.0)
    mailbox.heartbeat("waiting", 0.0)
    now[0] = 103.0
    report = Report(1, {})
    mailbox.put_report("done", report)
    mailbox.put_report("over", report)
    mailbox.put_checkpoints("over", "checkpoints")
    assert mailbox.heartbeats() == {
        "running": (3.0, 10.0),
        "waiting": (3.0, 0.0),
        "done": (0.0, 0.0),
        "over": (0.0, 0.0),
    }
    mailbox.forget("over")
    assert mailbox.take_checkpoints("over") is None
    with pytest.raises(KeyError):
        mailbox.take_report("over")
    assert mailbox.take_report("done") is report
    with pytest.raises(KeyError):
        mailbox.take_report("done")
