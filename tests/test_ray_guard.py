"""The guard of a Ray session: it ends what a killed driver leaves of its own session, and nothing else."""

import os
import signal
import subprocess
import sys
import time

import pytest
from killing import marked

from hybrid_search.engines.ray import guard
from hybrid_search.engines.ray.guard import MARK, guarded

pytestmark = pytest.mark.skipif(not guard.PROCESSES.is_dir(), reason="needs /proc, as on Linux")

DRIVER = """
import os, subprocess, sys, time
from hybrid_search.engines.ray.guard import MARK, guarded

sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
with guarded() as mark:
    own = subprocess.Popen(sleep, env={**os.environ, MARK: mark}, start_new_session=True)
    others = [subprocess.Popen(sleep, env={**os.environ, **more}) for more in ({}, {MARK: mark + "0"}, {"OTHER": mark})]
    print(own.pid, *(other.pid for other in others), flush=True)
    child = os.fork()  # holds the pipe to the guard open, and outlives the driver
    time.sleep(60)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def word(tmp_path, monkeypatch):
    """A mark in the environment of all that a test starts, to end it by."""
    monkeypatch.setenv("HYBRID_SEARCH_TEST_MARK", str(tmp_path))
    yield f"HYBRID_SEARCH_TEST_MARK={tmp_path}"
    for pid in marked(f"HYBRID_SEARCH_TEST_MARK={tmp_path}"):
        os.kill(pid, signal.SIGKILL)


def test_what_a_killed_driver_started_for_its_session_is_ended_and_the_guard_too(word):
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    own, *others = map(int, driver.stdout.readline().split())
    assert [line for line in marked(word).values() if "guard.py" in line]
    driver.kill()
    driver.wait()
    until = time.monotonic() + 10
    while (alive(own) or [line for line in marked(word).values() if "guard.py" in line]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(own)
    assert not [line for line in marked(word).values() if "guard.py" in line]
    assert all(alive(other) for other in others)
    driver.stdout.close()


def test_a_driver_that_ends_in_order_takes_its_guard_away(word):
    with guarded() as mark:
        own = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, MARK: mark, "X": "1"}
        )
        assert [line for line in marked(word).values() if "guard.py" in line]
    assert not [line for line in marked(word).values() if "guard.py" in line]
    assert own.poll() is None
    own.kill()
    own.wait()


def test_a_guard_holds_no_credentials_and_no_pipe_of_its_driver(word, monkeypatch):
    monkeypatch.setenv("HYBRID_SEARCH_DB", "postgresql://me:secret@host/d")
    monkeypatch.setenv("PGPASSWORD", "secret")
    with guarded():
        (pid,) = [pid for pid, line in marked(word).items() if "guard.py" in line]
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert b"secret" not in file.read()
        assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (1, 2)] == ["/dev/null"] * 2
        assert os.getsid(pid) == pid
