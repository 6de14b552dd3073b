"""Drivers killed at random instants, alone or with every process they started: the same command goes on, each time.

`pytest -m faults tests/faults/test_drivers.py -s` prints how many were survived.
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
GONE_SECONDS = 10.0  # after which no process may be left


def test_twenty_five_kills_of_the_driver_lose_nothing(tmp_path):
    dice, mark = random.Random(7), {"HYBRID_SEARCH_TEST_MARK": str(tmp_path)}
    word = f"HYBRID_SEARCH_TEST_MARK={tmp_path}"
    place = os.pathsep.join([str(PROGRAM.parent.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(PROGRAM), str(tmp_path), str(TRIALS), str(SECONDS)]
    kinds, gone, done, drivers = Counter(), [], [], []

    def start():
        with (tmp_path / "said").open("a") as said:
            return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": place, **mark}, stderr=said)

    def acknowledged():
        path = tmp_path / "acknowledged"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    for _ in range(KILLS):
        driver = start()
        drivers.append(driver.pid)
        # From its first import to some seconds into the search, so that some die before they lead it.
        with suppress(subprocess.TimeoutExpired):
            driver.wait(dice.uniform(0.5, 14.0))
        assert driver.poll() is None, (tmp_path / "said").read_text()
        kind = dice.choice(["driver", "everything"])
        for pid in marked(word, drivers) if kind == "everything" else [driver.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        driver.wait()
        kinds[kind] += 1
        if dice.random() < 0.5:  # else the next one begins while the workers of this one may still be there
            began = time.monotonic()
            while marked(word, drivers) and time.monotonic() < began + 9 * GONE_SECONDS:
                time.sleep(0.1)
            gone.append(time.monotonic() - began)
        done.append(len(acknowledged()))
        if (tmp_path / "l.db").exists():
            with Ledger(f"sqlite:///{tmp_path}/l.db", read_only=True) as ledger:
                states = {
                    row.number: row.state
                    for search in ledger.searches()
                    for row in ledger.read(reads.trials, search.id)
                }
            assert {states[number] for number in acknowledged()} <= {"complete"}

    assert start().wait(600) == 0, (tmp_path / "said").read_text()
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        # A driver that dies between its commit and the word to its user leaves a trial complete that none was told of.
        complete = [row.number for row in ledger.read(reads.trials, ledger.search().id) if row.state == "complete"]
        untold = set(complete) - set(acknowledged())
        rows = check_nothing_lost(ledger, [*acknowledged(), *untold], TRIALS)
    paid = Counter(line for path in tmp_path.glob("paid-*") for line in path.read_text().splitlines())
    again = sum(paid.values()) - len(paid)
    events = [json.loads(line) for line in (tmp_path / "l.db.log").read_text().splitlines()]
    print(
        f"\nsurvived {sum(kinds.values())} of {KILLS} kills ({dict(kinds)}) over {TRIALS} trials, {done[-1]} of them "
        f"acknowledged before the last kill, {len(untold)} complete and untold; {again} rungs paid for "
        f"twice; no process left after {max(gone):.1f} s at most"
    )
    assert {row.state for row in rows} == {"complete"}
    assert len(untold) <= KILLS
    assert again <= KILLS * WORKERS  # one rung for each running trial of each kill
    assert max(gone) < GONE_SECONDS
    assert not [event for event in events if event["event"] == "waiting"], "a dead driver's lease blocked the next"
