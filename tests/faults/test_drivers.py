"""Drivers are killed at random instants, alone or with all their processes. The same command continues each time.

`pytest -m faults tests/faults/test_drivers.py -s` prints a summary.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from support.killing import marked
from support.noted import check_nothing_lost

from hybrid_search.ledger import Ledger, reads

pytestmark = pytest.mark.faults

KILLS, TRIALS, SECONDS, WORKERS = 25, 240, 0.8, 2
PROGRAM = Path(__file__).parent.parent / "support" / "noted_search.py"
WORKERS_GONE_SECONDS = 10.0  # after which a killed driver has left no worker
AGENTS_GONE_SECONDS = 90.0  # after which it has left no process: Ray's own agents try to reach their head for a minute


def test_twenty_five_kills_of_the_driver_lose_nothing(tmp_path):
    rng, mark = random.Random(7), {"HYBRID_SEARCH_TEST_MARK": str(tmp_path)}
    word = f"HYBRID_SEARCH_TEST_MARK={tmp_path}"
    place = os.pathsep.join([str(PROGRAM.parent.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(PROGRAM), str(tmp_path), str(TRIALS), str(SECONDS)]
    kinds, gone, done, drivers = Counter(), [], [], []

    def start():
        with (tmp_path / "output").open("a") as output:
            return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": place, **mark}, stderr=output)

    def workers():
        return [line for line in marked(word, drivers).values() if "ray::TrialActor" in line]

    def acknowledged():
        path = tmp_path / "acknowledged"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    for _ in range(KILLS):
        driver = start()
        drivers.append(driver.pid)
        # From its first import to some seconds into the search: some drivers die before they hold the lease.
        with suppress(subprocess.TimeoutExpired):
            driver.wait(rng.uniform(0.5, 14.0))
        assert driver.poll() is None, (tmp_path / "output").read_text()
        kind = rng.choice(["driver", "everything"])
        for pid in marked(word, drivers) if kind == "everything" else [driver.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        driver.wait()
        kinds[kind] += 1
        if rng.random() < 0.5:  # otherwise the next driver starts while the workers of this one may still be alive
            killed = time.monotonic()
            while workers() and time.monotonic() < killed + 9 * WORKERS_GONE_SECONDS:
                time.sleep(0.1)
            gone.append(time.monotonic() - killed)
        done.append(len(acknowledged()))
        if (tmp_path / "l.db").exists():
            with Ledger(f"sqlite:///{tmp_path}/l.db", read_only=True) as ledger:
                states = {
                    row.number: row.state
                    for search in ledger.searches()
                    for row in ledger.read(reads.trials, search.id)
                }
            assert {states[number] for number in acknowledged()} <= {"complete"}

    killed = time.monotonic()
    while marked(word, drivers) and time.monotonic() < killed + AGENTS_GONE_SECONDS:
        time.sleep(0.5)
    assert marked(word, drivers) == {}
    assert start().wait(600) == 0, (tmp_path / "output").read_text()
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        # A driver that dies between its commit and its notice leaves a complete trial that was never acknowledged.
        complete = [row.number for row in ledger.read(reads.trials, ledger.search().id) if row.state == "complete"]
        unacknowledged = set(complete) - set(acknowledged())
        rows = check_nothing_lost(ledger, [*acknowledged(), *unacknowledged], TRIALS)
    paid = Counter(line for path in tmp_path.glob("paid-*") for line in path.read_text().splitlines())
    again = sum(paid.values()) - len(paid)
    events = [json.loads(line) for line in (tmp_path / "l.db.log").read_text().splitlines()]
    print(
        f"\nsurvived {sum(kinds.values())} of {KILLS} kills ({dict(kinds)}) over {TRIALS} trials, {done[-1]} of them "
        f"acknowledged before the last kill, {len(unacknowledged)} complete, not acknowledged; {again} rungs trained "
        f"twice; no worker left after {max(gone):.1f} s at most"
    )
    assert {row.state for row in rows} == {"complete"}
    assert len(unacknowledged) <= KILLS
    assert again <= KILLS * WORKERS  # one rung for each running trial of each kill
    assert max(gone) < WORKERS_GONE_SECONDS
    assert not [event for event in events if event["event"] == "waiting"], "a dead driver's lease blocked the next"
