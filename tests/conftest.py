"""Shared by all tests: nothing is written outside a temporary folder, and in CI nothing may be skipped."""

import os
from contextlib import suppress
from importlib import import_module

import pytest

pytest_plugins = ["support.page_client", "support.postgres"]

# Read when torch is imported, here and in what the tests start. Several test processes with as many threads each as
# there are cores wait for one another: small networks and Gaussian processes then take four times the CPU time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Triton reads this when it is imported, which torch does somewhere. From here on its own functions, and the kernels of
# this project, run as Python: there may be no GPU (tests/test_triton_kernel.py).
with pytest.MonkeyPatch.context() as environment, suppress(ImportError):
    environment.setenv("TRITON_INTERPRET", "1")
    import_module("triton.language")


# Files that wait longest for Ray, the browser or a server. Begun first, they do not leave one process to end alone.
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


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYBRID_SEARCH_DB", raising=False)
    monkeypatch.delenv("HYBRID_SEARCH_DB_RETRY_SECONDS", raising=False)
    monkeypatch.delenv("HYBRID_SEARCH_TOKEN", raising=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get("HYBRID_SEARCH_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped where nothing may be: {call.excinfo.value if call.excinfo else ''}"
        )
    return report
