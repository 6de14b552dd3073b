"""The contract of engines, for every built-in engine and for an engine that is an object."""

import types
from pathlib import Path

import pytest
from support.plugins import installed

from hybrid_search.engines import ENGINES, engine_of, local
from hybrid_search.errors import HybridSearchError, PluginError, SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.records import Report, Resources
from hybrid_search.runs.run import run
from hybrid_search.testing import EngineContract
from hybrid_search.testing.engines import scored, space

# Ray Tune needs ten times as long per trial as the others. These tests run in every suite, the others in `make faults`.
QUICK_FOR_TUNE = (
    "test_every_trial_ends_with_its_numbers_and_its_curve",
    "test_a_trial_that_the_pruner_stops_counts_and_frees_its_worker",
    "test_a_stopped_trial_resumes_from_its_checkpoint",
    "test_a_trial_whose_worker_is_killed_is_retried_and_counts_once",
)


@pytest.fixture(scope="module")
def ray_session():
    """Start Ray once for both engines that use it."""
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 * 2**20)
    yield
    ray.shutdown()


class TestLocal(EngineContract):
    engine, has_worker_processes = "local", False


@pytest.mark.usefixtures("ray_session")
class TestRay(EngineContract):
    engine = "ray"


@pytest.mark.usefixtures("ray_session")
class TestTune(EngineContract):
    engine = "tune"


def _long(function):
    """A copy of a test that only `make faults` runs."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.pytestmark = [*getattr(function, "pytestmark", []), pytest.mark.faults.mark]
    return copy


for _name, _test in vars(EngineContract).items():
    if _name.startswith("test_") and _name not in QUICK_FOR_TUNE:
        setattr(TestTune, _name, _long(_test))


class InThisProcess:
    """An engine as an object."""

    ready = staticmethod(local.ready)
    drive = staticmethod(local.drive)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def test_every_built_in_engine_has_its_class_of_tests():
    classes = [TestLocal, TestRay, TestTune]
    assert sorted(one.engine for one in classes) == sorted(name for name in ENGINES if ENGINES.is_built_in(name))


def test_an_object_is_an_engine(ledger):
    search = run(space(), trials=3, resources=Resources(InThisProcess()), ledger=ledger, evaluate=scored())
    assert search.progress().counts["complete"] == 3


def test_an_object_without_ready_and_drive_is_refused():
    with pytest.raises(SettingsError, match=r"or an object with ready and drive; got a int, which has no ready and no"):
        engine_of(3)


def test_a_plugin_without_ready_and_drive_is_named(tmp_path, monkeypatch):
    with (
        installed(tmp_path, monkeypatch, ENGINES, "slurm", "class Thing:\n    ready = print"),
        pytest.raises(PluginError, match="an engine must have the functions ready and drive; slurm has no drive"),
    ):
        engine_of("slurm")


def test_a_search_whose_first_trials_all_give_nan_stops_too(ledger):
    def evaluate(architecture, settings):
        yield {"accuracy": float("nan")}

    with pytest.raises(HybridSearchError, match=r"the first 4 trials all failed \(nan\)"):
        run(space(), trials=12, resources=Resources("local"), ledger=ledger, evaluate=evaluate)


def test_weights_that_cannot_be_written_cost_the_search_nothing_else(ledger):
    def evaluate(architecture, settings):
        yield Report(1, {"accuracy": 0.5}, last=True, weights=b"weights")

    lines = []
    Path(f"{ledger.url.database}.weights").write_text("in the way")
    more = {"resources": Resources("local"), "notice": lines.append}
    search = run(space(), trials=3, ledger=ledger, evaluate=evaluate, **more)
    assert search.progress().counts["complete"] == 3
    assert any(line.startswith("the weights of trial 0 are not kept: ") for line in lines)
