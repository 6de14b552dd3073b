"""Ends what a killed driver's own Ray session leaves behind: a small process that outlives the driver by seconds.

Ray's servers and workers end with their driver, but its agents first try for a minute to tell a head that is gone. All
processes of a session that a driver starts for itself, and what they start, carry a mark in their environment, which no
other process has. The guard waits until its driver is gone, ends what carries the mark, and itself. A driver that ends
in order takes its guard away. A cluster that was joined has none.

This file is the guard's program too, and imports the standard library alone: it starts in 20 ms and takes 8 MB.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

MARK = "HYBRID_SEARCH_SESSION"
CREDENTIALS = ("HYBRID_SEARCH_DB", "PGPASSWORD")  # what opens a database: neither the guard nor a worker needs it
GRACE_SECONDS = 2.0  # in which what can end by itself does
SWEEP_SECONDS = 20.0  # how long the guard looks again for what was just being started
PROCESSES = Path("/proc")


@contextmanager
def guarded() -> Iterator[str]:
    """Have a guard for as long as this lasts; yields the mark that the session's environment is to have as MARK."""
    mark = uuid4().hex
    if not PROCESSES.is_dir():  # elsewhere Ray starts a reaper of its own
        yield mark
        return
    environment = {name: value for name, value in os.environ.items() if name not in CREDENTIALS}
    nothing = subprocess.DEVNULL  # whoever reads this process's output is not kept waiting by its guard
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, mark, str(os.getpid())],
        env=environment,
        cwd="/",
        stdin=subprocess.PIPE,  # which ends with this process, however that ends
        stdout=nothing,
        stderr=nothing,
        start_new_session=True,  # Ctrl-C is for the driver
    )
    try:
        yield mark
    finally:
        guard.kill()
        guard.communicate()


def sweep(mark: str) -> int:
    """Kill every process that carries the mark; how many there were."""
    word = f"{MARK}={mark}".encode()
    found = 0
    for folder in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is another user's
            if word in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
                found += 1
    return found


def main(mark: str, driver: int) -> None:
    """Wait for the driver's end, then sweep until nothing is left."""
    # A process forked from the driver may hold the pipe open, so that its end is not the only sign.
    while os.getppid() == driver and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    time.sleep(GRACE_SECONDS)
    until = time.monotonic() + SWEEP_SECONDS
    while sweep(mark) and time.monotonic() < until:
        time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
