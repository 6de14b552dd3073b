"""Shared by all tests: nothing is written outside a temporary folder, and in CI nothing may be skipped."""

import os
from contextlib import suppress
from importlib import import_module

import pytest

pytest_plugins = ["postgres"]

# Triton reads this when it is imported, which torch does somewhere. From here on its own functions, and the kernels of
# this project, run as Python: there may be no GPU (tests/test_triton_kernel.py).
with pytest.MonkeyPatch.context() as environment, suppress(ImportError):
    environment.setenv("TRITON_INTERPRET", "1")
    import_module("triton.language")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYBRID_SEARCH_DB", raising=False)
    monkeypatch.delenv("HYBRID_SEARCH_DB_PATIENCE", raising=False)
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
