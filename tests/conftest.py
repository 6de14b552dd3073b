"""Fixtures of all tests: every test runs in a temporary folder, and in CI no test may be skipped."""

import gc
import os
from contextlib import suppress
from importlib import import_module

import pytest
from support import new_ledgers

from hybrid_search._internal import redaction
from hybrid_search.ledger import sqlite

pytest_plugins = ["support.page_client", "support.postgres"]

# torch reads this at its import, here and in the processes that the tests start. If several test processes have one
# thread for each core, they wait for one another: small networks and Gaussian processes take four times the CPU time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Ray gives its workers a low priority: beside two other test processes a trial would take three times as long.
os.environ.setdefault("RAY_worker_niceness", "0")

# Triton reads this at its import, and torch imports Triton. From here on Triton's functions and the kernels of this
# project run as Python, because there may be no GPU (tests/test_triton_kernel.py).
with pytest.MonkeyPatch.context() as environment, suppress(ImportError):
    environment.setenv("TRITON_INTERPRET", "1")
    import_module("triton.language")


# Files that wait longest for Ray, the browser or a server. They begin first, so that no process runs
# one of them alone at the end.
SLOW = (
    "test_engines.py",
    "test_engine_tune.py",
    "test_engine_ray.py",
    "test_ray_address.py",
    "test_ray_cluster.py",
    "test_cli.py",
    "test_resume.py",
    "test_page_in_browser.py",
    "test_cpu_kernel.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: SLOW.index(item.path.name) if item.path.name in SLOW else len(SLOW))


def pytest_collection_finish():
    """Spare the garbage collector what lives until the end: some million objects of the imports and the tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def flushing():
    """Yield how SQLite flushes a commit to disk. In this process it does not: no test survives a power failure."""
    with pytest.MonkeyPatch.context() as patched:
        usual = sqlite.SYNCHRONOUS
        patched.setattr(sqlite, "SYNCHRONOUS", "OFF")
        patched.setattr("hybrid_search.ledger.connection.upgrade", new_ledgers.upgrade)
        yield usual


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYBRID_SEARCH_DB", raising=False)
    monkeypatch.delenv("HYBRID_SEARCH_DB_RETRY_SECONDS", raising=False)
    monkeypatch.delenv("HYBRID_SEARCH_TOKEN", raising=False)


@pytest.fixture
def _proof_in_this_process(monkeypatch):
    """Compute the proof of an export in this process; a new one imports torch first, which takes seconds."""
    from support.exports import prove_in_this_process

    monkeypatch.setattr("hybrid_search.export.network_export.prove", prove_in_this_process)


@pytest.fixture(autouse=True)
def _no_secret_of_another_test():
    """A secret is hidden for the rest of a process, so a word that one test used as a password must be forgotten."""
    before = set(redaction._registered)
    yield
    redaction._registered.clear()
    redaction._registered.update(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get("HYBRID_SEARCH_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped, but in CI no test may be skipped: {call.excinfo.value if call.excinfo else ''}"
        )
    return report
