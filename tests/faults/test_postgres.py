"""A PostgreSQL server that is killed during a search: no acknowledged trial is lost, and no row exists twice.

pytest -m faults tests/faults/test_postgres.py
"""

import random
import signal
import threading
import time
from dataclasses import dataclass, field

import pytest
import ray
from support.fakes import wide_space

from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Resources
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS
from hybrid_search.runs.run import run

pytestmark = [pytest.mark.faults, pytest.mark.server]
RUNGS = 4


def sleeping(seconds):
    """Return an evaluation that sleeps at every rung and scores a design by its digest."""

    def evaluate(architecture, settings):
        for rung in range(1, RUNGS + 1):
            time.sleep(seconds)
            yield {"accuracy": int(architecture.digest[:4], 16) / 65536 * rung / RUNGS}

    return evaluate


@pytest.fixture(scope="module")
def cluster():
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 * 2**20)
    yield
    ray.shutdown()


@dataclass
class Acknowledged:
    """Trials that the driver acknowledged as complete, and its notices."""

    complete: list = field(default_factory=list)
    notices: list = field(default_factory=list)

    def watch(self, search, context):
        context.on_event = lambda kind, number: self.complete.append(number) if kind == "complete" else None
        context.notice = self.notices.append


def check(search, trials, acknowledged):
    """Assert that every trial is complete once and acknowledged, with the numbers and curve of its design."""
    ledger = search.ledger
    rows = ledger.read(reads.trials, 1)
    assert [(trial.number, trial.state) for trial in rows] == [(n, "complete") for n in range(trials)]
    assert len({trial.digest for trial in rows}) == trials
    assert sorted(acknowledged.complete) == list(range(trials))
    for trial in rows:
        score = int(trial.digest[:4], 16) / 65536
        assert trial.measurements["accuracy"] == pytest.approx(score)
        assert trial.attempt == 1
        assert [(rung, v["accuracy"]) for rung, v in ledger.read(reads.curve, trial.id)] == [
            (rung, pytest.approx(score * rung / RUNGS)) for rung in range(1, RUNGS + 1)
        ]
    assert len(ledger.read(reads.proposals, 1)) == search.progress().duplicates


@pytest.mark.parametrize("seed", [0, 1])
def test_ten_kills_of_the_server_lose_nothing(cluster, server, seed):
    rng, acknowledged, over, kills = random.Random(seed), Acknowledged(), threading.Event(), []

    def kill():
        while len(kills) < 10 and not over.wait(rng.uniform(0.2, 1.5)):
            server.stop(rng.choice([signal.SIGKILL, signal.SIGQUIT]))
            time.sleep(rng.uniform(0.0, 1.0))
            server.start()
            kills.append(time.monotonic())

    with Ledger(server.database()) as ledger:
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            more = {
                "resources": Resources("ray", workers=2),
                "ledger": ledger,
                "sampler": "random",
                "watch": acknowledged.watch,
            }
            search = run(wide_space(), trials=26, evaluate=sleeping(0.3), **more)
        finally:
            over.set()
            killer.join()
        check(search, 26, acknowledged)
    print(f"{len(kills)} kills of the server survived; {len(acknowledged.notices)} notices")
    assert len(kills) == 10


def test_workers_continue_during_an_outage_of_thirty_seconds(cluster, server):
    acknowledged, began = Acknowledged(), time.monotonic()
    with Ledger(server.database()) as ledger:

        def cut():
            time.sleep(4)
            server.stop(signal.SIGKILL)
            time.sleep(30)
            server.start()

        outage = threading.Thread(target=cut)
        outage.start()
        more = {"resources": Resources("ray", workers=2), "ledger": ledger, "watch": acknowledged.watch}
        search = run(wide_space(), trials=10, evaluate=sleeping(0.5), **more)
        outage.join()
        check(search, 10, acknowledged)
    took = time.monotonic() - began
    print(f"took {took:.0f} s with an outage of 30 s: {acknowledged.notices}")
    notices = [line for line in acknowledged.notices if line != NO_CHECKPOINTS]
    assert [line.split(" does ")[0].split(" answers ")[0] for line in notices] == [f"database {ledger.display_url}"] * 2
    assert took < 90
