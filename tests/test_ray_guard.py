"""The guard of a Ray session: it ends what a killed driver leaves of its own sessions, and nothing else."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.killing import marked

from hybrid_search.engines.ray import guard
from hybrid_search.engines.ray.guard import guarded

pytestmark = pytest.mark.skipif(not guard.PROCESSES.is_dir(), reason="needs /proc, as on Linux")

# Stands for a driver with a session of its own, and beside it what must be left alone: an earlier session of the same
# process id, another driver's, somebody who reads the logs, a process of the driver's that is none of Ray's, and a
# program of somebody's that joined its session.
DRIVER = """
import os, subprocess, sys, time
from datetime import datetime
from pathlib import Path
from hybrid_search.engines.ray.guard import NAMED, guarded

def sleeper(session, log="raylet.out", **more):
    logs = Path(sys.argv[1], session, "logs")
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / log).open("a") as out, (logs / log).open() as read:
        files = {name: read if name == "stdin" else out for name in more}
        program = [sys.executable, "-c", "import time; time.sleep(60)"]
        passed = [out.fileno()] if not more else []
        return subprocess.Popen(program, start_new_session=True, pass_fds=passed, **files)

with guarded():
    now = f"{datetime.now():{NAMED}}"
    mine = f"session_{now}_{os.getpid()}"
    own = [sleeper(mine, stdout=True), sleeper(mine)]
    own.append(sleeper(mine, f"python-core-driver-01000000ffff_{os.getpid()}.log", stdout=True))
    others = [sleeper(f"session_2020-01-01_00-00-00_000000_{os.getpid()}", stdout=True)]
    others += [sleeper(f"session_{now}_{os.getpid()}0", stdout=True), sleeper(mine, stdin=True)]
    others.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
    others.append(sleeper(mine, "python-core-driver-02000000ffff_1.log", stdout=True))
    print(*(process.pid for process in own + others), flush=True)
    child = os.fork()  # holds the pipe to the guard open, and outlives the driver
    time.sleep(60)
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def guards(tmp_path, monkeypatch):
    """The guards of this test, by a mark in the environment, by which all that it starts is ended too."""
    monkeypatch.setenv("HYBRID_SEARCH_TEST_MARK", str(tmp_path))
    word = f"HYBRID_SEARCH_TEST_MARK={tmp_path}"
    yield lambda: [pid for pid, line in marked(word).items() if "guard.py" in line]
    for pid in marked(word):
        os.kill(pid, signal.SIGKILL)


def test_what_a_killed_driver_leaves_of_its_session_is_ended_and_the_guard_too(guards, tmp_path):
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as driver:
        own, others = (pids := [int(pid) for pid in driver.stdout.readline().split()])[:3], pids[3:]
        assert len(guards()) == 1
        assert len(others) == 5
        driver.kill()
        driver.wait()
        until = time.monotonic() + 10
        while (guards() or any(map(alive, own))) and time.monotonic() < until:
            time.sleep(0.05)
        assert guards() == []
        assert not any(map(alive, own))
        assert all(map(alive, others))


def test_a_driver_that_ends_in_order_takes_its_guard_away(guards):
    with guarded():
        assert len(guards()) == 1
    assert guards() == []


def test_a_guard_holds_no_credentials_and_no_output_of_its_driver(guards, monkeypatch):
    monkeypatch.setenv("HYBRID_SEARCH_DB", "postgresql://me:secret@host/d")
    monkeypatch.setenv("PGPASSWORD", "secret")
    with guarded():
        (pid,) = guards()
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert b"secret" not in file.read()
        assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (1, 2)] == ["/dev/null"] * 2
        assert os.getsid(pid) == pid
