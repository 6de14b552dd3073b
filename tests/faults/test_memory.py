"""Memory that really runs out during a search: the trial fails as oom with the memory it used, the others continue.

`pytest -m faults tests/faults/test_memory.py -s` prints the failure texts.
"""

from pathlib import Path

import pytest
from support.noted import large_space

from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Resources
from hybrid_search.runs.run import run

pytestmark = pytest.mark.faults

ROOM = 2 * 2**30  # bytes between the memory in use and the threshold of Ray's monitor
MOST = 5 * 2**30  # bytes that a greedy trial takes at most if nothing stops it


def memory():
    """Return the bytes of memory of this machine, and those available to programs."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return tuple(1024 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))


def greedy(most):
    """Return an evaluation in which trials with attention in the first stage take up to `most` bytes."""

    def evaluate(architecture, settings):
        import time

        blocks = []
        yield {"accuracy": 0.1}
        if architecture.stages[0].operator == "local_attention":
            while sum(map(len, blocks)) < most:
                blocks.append(b"\1" * 100_000_000)
                time.sleep(0.05)
        time.sleep(0.5)
        yield {"accuracy": 0.5}

    return evaluate


@pytest.mark.parametrize("engine", ["ray", "tune"])
def test_a_worker_that_uses_all_memory_fails_only_its_own_trial_as_oom(tmp_path, engine):
    import ray

    whole, free = memory()
    assert free > MOST + 2**30, "this machine has too little memory left to run out of some"
    share = (whole - free + ROOM) / whole
    monitor = {"memory_usage_threshold": share, "memory_monitor_refresh_ms": 100}
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=128 * 2**20,
        _system_config=monitor,
    )
    try:
        with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
            more = {
                "sampler": "random",
                "ledger": ledger,
                "resources": Resources(engine, workers=2),
                "known_designs": False,
            }
            run(large_space(), trials=8, evaluate=greedy(MOST), **more)
            rows = ledger.read(reads.trials, ledger.search().id)
            texts = {row.number: row.failure_text for row in rows}
    finally:
        ray.shutdown()
    taking = {row.number for row in rows if row.architecture["stages"][0]["operator"] == "local_attention"}
    print(f"\n{engine}: {len(taking)} of 8 trials took all memory; text of the last one: {texts[max(taking)]}")
    assert taking
    assert {row.number for row in rows if row.state == "complete"} == set(range(8)) - taking
    assert {row.failure_kind for row in rows if row.number in taking} == {"oom"}
    assert all("ran low on memory" in texts[number] and "used" in texts[number] for number in taking)
