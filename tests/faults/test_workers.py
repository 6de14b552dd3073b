"""Workers are killed and nodes removed at random instants: no trial is lost or counted twice, and the budget is exact.

`pytest -m faults tests/faults/test_workers.py -s` prints the numbers of kills and the times of recovery.
"""

import os
import random
import signal
import statistics
import threading
import time
from pathlib import Path

import pytest
from support.noted import RUNGS, check_nothing_lost, large_space

from hybrid_search.ledger import Ledger
from hybrid_search.records import Resources
from hybrid_search.runs.run import run

pytestmark = pytest.mark.faults

NODES = 5
RECOVERY_SECONDS = 10.0


def noting(folder, seconds):
    """Return an evaluation that records, in files of `folder`, when a design begins and which process trains it."""

    def evaluate(architecture, settings):
        import os
        import time
        from pathlib import Path

        begun = Path(folder) / f"begun-{os.getpid()}"
        with begun.open("a") as file:
            file.write(f"{architecture.digest} {time.time()}\n")
        at = Path(folder) / f"at-{os.getpid()}"
        at.write_text(architecture.digest)
        for rung in range(1, RUNGS + 1):
            time.sleep(seconds / RUNGS)
            yield {"accuracy": int(architecture.digest[:4], 16) / 65536 * rung / RUNGS}
        at.unlink()

    return evaluate


def begins(folder):
    """Return the times at which each design was begun, by digest, in order."""
    times_of = {}
    for path in Path(folder).glob("begun-*"):
        for line in path.read_text().splitlines():
            digest, when = line.split()
            times_of.setdefault(digest, []).append(float(when))
    return {digest: sorted(times) for digest, times in times_of.items()}


@pytest.mark.parametrize(("engine", "kills", "trials", "pause"), [("ray", 60, 150, 1.0), ("tune", 20, 100, 8.0)])
def test_worker_kills_lose_nothing(engine, kills, trials, pause, tmp_path):
    import ray

    rng, acknowledged, killed, over = random.Random(5), [], [], threading.Event()

    def kill():
        while len(killed) < kills and not over.is_set():
            time.sleep(rng.uniform(0.2, 0.2 + pause))
            alive = sorted(tmp_path.glob("at-*"))
            if not alive:
                continue
            chosen = rng.choice(alive)
            try:
                digest = chosen.read_text()
                os.kill(int(chosen.name.removeprefix("at-")), signal.SIGKILL)
            except OSError:  # the process has ended
                continue
            chosen.unlink(missing_ok=True)
            killed.append((digest, time.time()))

    def watch(search, context):
        context.on_event = lambda kind, number: acknowledged.append(number) if kind == "complete" else None
        threading.Thread(target=kill, daemon=True).start()

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 * 2**20)
    try:
        with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
            more = {
                "trials": trials,
                "sampler": "random",
                "ledger": ledger,
                "watch": watch,
                "resources": Resources(engine, workers=2),
            }
            run(large_space(), evaluate=noting(str(tmp_path), 1.2), known_designs=False, **more)
            over.set()
            rows = check_nothing_lost(ledger, acknowledged, trials)
    finally:
        ray.shutdown()
    again = begins(tmp_path)
    failed = {row.digest for row in rows if row.state == "failed"}
    waits = [next((t - when for t in again[digest] if t > when), None) for digest, when in killed]
    recovered = [wait for wait in waits if wait is not None]
    late = sum(wait > RECOVERY_SECONDS for wait in recovered)
    print(
        f"\n{engine}: survived {len(killed)} of {kills} worker kills over {trials} trials; recovery began after "
        f"{statistics.median(recovered):.1f} s (median), {max(recovered):.1f} s (longest), {late} after more than "
        f"{RECOVERY_SECONDS:g} s; {len(failed)} trials given up as lost"
    )
    assert len(killed) == kills
    assert engine == "tune" or late == 0


def test_five_removed_nodes_lose_nothing(tmp_path):
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **memory})
    rng, acknowledged, removed = random.Random(6), [], []
    nodes, next_at = [cluster.add_node(num_cpus=1, **memory)], [time.monotonic() + 5.0]

    def watch(search, context):
        def event(kind, number):
            if kind == "complete":
                acknowledged.append(number)
            if len(removed) < NODES and time.monotonic() > next_at[0]:
                cluster.remove_node(nodes.pop(), allow_graceful=False)
                removed.append(time.time())
                nodes.append(cluster.add_node(num_cpus=1, **memory))
                next_at[0] = time.monotonic() + rng.uniform(3.0, 6.0)

        context.on_event = event

    try:
        with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
            more = {"trials": 40, "sampler": "random", "ledger": ledger, "watch": watch}
            run(
                large_space(),
                resources=Resources("ray", workers=2, address=cluster.address),
                evaluate=noting(str(tmp_path), 2.0),
                known_designs=False,
                **more,
            )
            rows = check_nothing_lost(ledger, acknowledged, 40)
    finally:
        cluster.shutdown()
    again = sum(row.attempt > 1 for row in rows)
    print(f"\nsurvived {len(removed)} of {NODES} removed nodes over 40 trials; {again} trials were retried")
    assert len(removed) == NODES


def test_trials_continue_while_the_head_node_is_away(tmp_path):
    """Ray's head process is killed during a search; the trials complete while Ray waits for the head."""
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **memory})
    acknowledged, away = [], []

    def watch(search, context):
        def event(kind, number):
            if kind == "complete":
                acknowledged.append(number)
            if kind == "report" and not away:
                (head,) = cluster.head_node.all_processes["gcs_server"]
                head.process.kill()
                away.append(time.time())

        context.on_event = event

    try:
        with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
            more = {"trials": 4, "sampler": "random", "ledger": ledger, "watch": watch}
            run(
                large_space(),
                resources=Resources("ray", workers=1, address=cluster.address),
                evaluate=noting(str(tmp_path), 2.0),
                known_designs=False,
                **more,
            )
            rows = check_nothing_lost(ledger, acknowledged, 4)
    finally:
        cluster.shutdown()
    assert away
    assert [row.attempt for row in rows] == [1, 1, 1, 1]
