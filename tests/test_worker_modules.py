"""Workers import what the driver imports: modules beside the script, and no file of the current folder."""

import os
import platform
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import ray
from support.fakes import tiny_space

from hybrid_search import HybridSearchError, Ledger, Resources, SettingsError, UserError, run
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.ray import session
from hybrid_search.errors import DataError
from hybrid_search.ledger import reads

ENGINES = ["ray", pytest.param("tune", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", autouse=True)
def ray_session():
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=128 * 2**20)
    yield
    ray.shutdown()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def searched(ledger, engine, evaluate, trials=1, **more):
    resources = Resources(engine=engine, workers=1)
    search = run(tiny_space(), trials=trials, evaluate=evaluate, resources=resources, ledger=ledger, **more)
    return ledger.read(reads.trials, search.record.id)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_imports_the_modules_beside_the_script(engine, ledger, tmp_path, monkeypatch):
    folder, name = tmp_path / "elsewhere", f"mine_{engine}"
    folder.mkdir()
    (folder / f"{name}_sibling.py").write_text("VALUE = 0.25\n")
    (folder / f"{name}.py").write_text(
        f"import {name}_sibling\n\n"
        "def evaluate(architecture, settings):\n"
        f"    yield {{'accuracy': {name}_sibling.VALUE}}\n"
    )
    monkeypatch.syspath_prepend(folder)
    module = __import__(name)
    (trial,) = searched(ledger, engine, module.evaluate)
    assert trial.measurements["accuracy"] == 0.25

    def by_value(architecture, settings):
        from importlib import import_module

        yield {"accuracy": 2 * import_module(f"{name}_sibling").VALUE}

    (trial,) = searched(ledger, engine, by_value, name="by value")
    assert trial.measurements["accuracy"] == 0.5


@pytest.mark.parametrize("engine", ENGINES)
def test_a_module_that_the_worker_lacks_ends_the_search_with_one_line(engine, ledger, tmp_path, monkeypatch):
    (tmp_path / "gone.py").write_text("def evaluate(architecture, settings):\n    yield {'accuracy': 0.5}\n")
    monkeypatch.syspath_prepend(tmp_path)
    evaluate = __import__("gone").evaluate
    (tmp_path / "gone.py").unlink()
    try:
        with pytest.raises(UserError, match=r"^evaluate must be importable in the workers; .*'gone'.* Put the module"):
            searched(ledger, engine, evaluate, trials=3)
    finally:
        del sys.modules["gone"]
    assert ledger.searches() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_mistake_and_a_missing_module_of_an_evaluation_cost_no_trial(engine, ledger, tmp_path):
    def broken_image(architecture, settings):
        yield {"accuracy": 0.1}
        raise DataError("cat.png cannot be read")

    def missing_module(architecture, settings):
        import no_such_module  # noqa: F401

        yield {"accuracy": 0.5}

    with pytest.raises(DataError, match=r"^cat.png cannot be read$"):
        searched(ledger, engine, broken_image, trials=3)
    with pytest.raises(UserError, match="the module 'no_such_module' cannot be imported in a worker"):
        searched(ledger, engine, missing_module, trials=3)
    assert ledger.searches() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_sys_exit_in_a_worker_is_one_failure_of_kind_bug(engine, ledger):
    def evaluate(architecture, settings):
        sys.exit(3)
        yield

    with pytest.raises(HybridSearchError, match=r"^the only trial failed \(bug\)[\s\S]*SystemExit: 3$"):
        searched(ledger, engine, evaluate)
    (trial,) = ledger.read(reads.trials, ledger.search().id)
    assert (trial.state, trial.failure_kind, trial.attempt) == ("failed", "bug", 1)


def test_the_end_of_a_worker_process_is_named(ledger):
    def evaluate(architecture, settings):
        os._exit(3)
        yield

    with pytest.raises(HybridSearchError, match=r"^the only trial failed \(lost\)[\s\S]*its worker died"):
        searched(ledger, "ray", evaluate)


def capturing(lock):
    def evaluate(architecture, settings):
        with lock:
            yield {"accuracy": 0.5}

    return evaluate


def test_a_part_that_cannot_be_pickled_is_named_before_anything_is_written(ledger):
    with pytest.raises(
        SettingsError, match=r"got the captured variable lock of evaluate \(of type lock\): cannot pickle"
    ):
        searched(ledger, "ray", capturing(threading.Lock()))
    assert ledger.searches() == []


def test_a_session_that_is_not_started_yet_checks_the_pickling_too(monkeypatch):
    monkeypatch.setattr(session, "has_session", lambda: False)
    context = RunContext(capturing(threading.Lock()), Resources(workers=1))
    with pytest.raises(SettingsError, match="all of it must be pickled"), session.ready(context):
        pass


# -- a whole program --

SCRIPT = """
import beside
from hybrid_search import Resources, run

if __name__ == "__main__":
    search = run("digits", trials=1, evaluate=beside.evaluate, resources=Resources(workers=1), ledger="sqlite:///l.db")
    print(search.trials()[0].measurements["accuracy"])
"""
BESIDE = """
import helper

def evaluate(architecture, settings):
    import random
    import numpy
    yield {"accuracy": helper.VALUE + 0 * random.random() + numpy.zeros(1)[0]}
"""


@pytest.mark.slow
def test_a_script_of_another_folder_is_not_disturbed_by_the_current_folder(tmp_path):
    scripts, current = tmp_path / "scripts", tmp_path / "current"
    scripts.mkdir()
    current.mkdir()
    (scripts / "script.py").write_text(SCRIPT)
    (scripts / "beside.py").write_text(textwrap.dedent(BESIDE))
    (scripts / "helper.py").write_text("VALUE = 0.75\n")
    for name in ("numpy", "random", "types", "torch", "logging", "helper"):
        (current / f"{name}.py").write_text("raise RuntimeError('the wrong file')\n")
    path = os.pathsep.join([str(Path(__import__("hybrid_search").__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, str(scripts / "script.py")],
        cwd=current,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "0.75", done.stderr
    assert platform.node()
