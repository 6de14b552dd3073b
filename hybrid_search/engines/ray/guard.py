"""Ends what a killed driver's own Ray session leaves behind: a small process that outlives the driver by seconds.

Ray's servers and workers end with their driver, but its two agents first try for a minute to tell a head that is gone.
The guard waits until its driver is gone, ends what writes into the logs of the sessions that this driver began, and
itself. A driver that ends in order takes its guard away. A cluster that was joined has none.

This file is the guard's program too, and imports the standard library alone: it starts in 30 ms and takes 10 MB.
"""

import os
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

CREDENTIALS = ("HYBRID_SEARCH_DB", "PGPASSWORD")  # what opens a database: neither the guard nor a worker needs it
GRACE_SECONDS = 2.0  # in which what can end by itself does
SWEEP_SECONDS = 20.0  # how long the guard looks again for what was just being started
DRIVEN = re.compile(r"/logs/python-core-driver-\w+_(\d+)\.log$")  # of a program that drives a session or joined it
PROCESSES = Path("/proc")
NAMED = "%Y-%m-%d_%H-%M-%S_%f"  # how Ray names a session by the time it began, before the id of its driver


@contextmanager
def guarded() -> Iterator[None]:
    """Have a guard for as long as this lasts, over the sessions that this process begins meanwhile."""
    if not PROCESSES.is_dir():  # elsewhere Ray starts a reaper of its own
        yield
        return
    environment = {name: value for name, value in os.environ.items() if name not in CREDENTIALS}
    nothing = subprocess.DEVNULL  # whoever reads this process's output is not kept waiting by its guard
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(os.getpid()), f"{datetime.now():{NAMED}}"],
        env=environment,
        cwd="/",
        stdin=subprocess.PIPE,  # which ends with this process, however that ends
        stdout=nothing,
        stderr=nothing,
        start_new_session=True,  # Ctrl-C is for the driver
    )
    try:
        yield
    finally:
        guard.kill()
        guard.communicate()


def sweep(driver: int, since: str) -> int:
    """Kill every process that writes into the logs of a session that this driver began since then; how many there were.

    Every process that Ray starts does, and what those start inherits it. Ray's agents cannot be known by their
    environment: the title that they give themselves lies over it. Another program that joined such a session is a
    driver of its own, and is spared.
    """
    session = re.compile(rf"/session_([\d_-]+)_{driver}/logs/")
    found = 0
    for folder in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is another user's
            files = list(_written(folder / "fd"))
            if any(driven[1] != str(driver) for driven in map(DRIVEN.search, files) if driven):
                continue
            if any(named[1] >= since for named in map(session.search, files) if named):
                os.kill(int(folder.name), signal.SIGKILL)
                found += 1
    return found


def _written(files: Path) -> Iterator[str]:
    """The files that a process has open for writing: who only reads a log is none of Ray's."""
    for file in files.iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            if file.lstat().st_mode & stat.S_IWUSR:
                yield os.readlink(file)


def main(driver: int, since: str) -> None:
    """Wait for the driver's end, then sweep until nothing is left."""
    # A process forked from the driver may hold the pipe open, so that its end is not the only sign.
    while os.getppid() == driver and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    time.sleep(GRACE_SECONDS)
    until = time.monotonic() + SWEEP_SECONDS
    while sweep(driver, since) and time.monotonic() < until:
        time.sleep(0.2)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
