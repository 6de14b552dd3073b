"""Engine `ray` on a cluster of several nodes on this machine: nodes join and leave, and declare resources."""

import pytest
from support.fakes import scored, tiny_space

from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Report, Resources
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS
from hybrid_search.runs.run import run

SPACE = tiny_space()
MEMORY = {"object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster():
    """Yield a cluster of one node with one CPU; the tests add and remove nodes."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **MEMORY})
    yield made
    made.shutdown()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def at_home(home, mark):
    """Yield three rungs on the node `home` once a trial runs elsewhere; a trial elsewhere stays at its first rung."""

    def evaluate(architecture, settings):
        import time

        import ray

        node = ray.get_runtime_context().get_node_id()
        if node != home:
            mark.touch()
        for rung in (1, 2, 3):
            yield Report(rung, {"accuracy": 0.5}, {"node": node}, last=rung == 3)
            until = time.monotonic() + 60
            while (node != home or not mark.exists()) and time.monotonic() < until:
                time.sleep(0.05)

    return evaluate


def test_a_search_follows_nodes_that_join_and_leave(ledger, cluster, tmp_path):
    nodes, seen, said, home = [], [], [], cluster.head_node.node_id

    def watch(search, context):
        def event(kind, number):
            seen.append((kind, number))
            if kind == "report" and not nodes:
                nodes.append(cluster.add_node(num_cpus=1, **MEMORY))
            elif kind == "report" and nodes[0] is not None:
                last = ledger.read(reads.trial, search.record.id, number)
                if last.facts["node"] == nodes[0].node_id:
                    cluster.remove_node(nodes[0], allow_graceful=False)
                    nodes[0] = None

        context.on_event = event

    more = {"resources": Resources("ray", workers=2, address=cluster.address), "trials": 6, "notice": said.append}
    search = run(SPACE, ledger=ledger, evaluate=at_home(home, tmp_path / "elsewhere"), watch=watch, **more)
    trials = ledger.read(reads.trials, search.record.id)
    assert nodes == [None], seen
    assert [trial.state for trial in trials] == ["complete"] * 6
    assert sorted(trial.attempt for trial in trials) == [1, 1, 1, 1, 1, 2]
    assert {trial.facts["node"] for trial in trials} == {home}
    assert [rung for trial in trials for rung, _ in ledger.read(reads.curve, trial.id)] == [1, 2, 3] * 6
    assert [failed.kind for failed in ledger.read(reads.failures, search.record.id)] == ["pre-empted"]
    assert [line for line in said if line != NO_CHECKPOINTS][:2] == [
        "the cluster has room for 1 of 2 workers (1 CPU each); more start as nodes join",
        "the cluster has room for all 2 workers",
    ]


def test_gpus_fractions_and_resources_choose_the_node(ledger, cluster, tmp_path):
    def evaluate(architecture, settings):
        import os
        import time

        import ray

        (tmp_path / f"worker-{os.getpid()}").touch()
        until = time.monotonic() + 30
        while len(list(tmp_path.glob("worker-*"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)  # so the other worker gets its place too
        yield Report(1, {"accuracy": 0.5}, {"node": ray.get_runtime_context().get_node_id()}, last=True)

    node = cluster.add_node(num_cpus=1, num_gpus=2, resources={"fast": 1}, **MEMORY)
    try:
        more = {
            "resources": Resources(
                "ray", cpus_per_trial=0.25, gpus_per_trial=0.5, address=cluster.address, custom={"fast": 0.5}
            )
        }
        run(SPACE, trials=4, ledger=ledger, evaluate=evaluate, **more)
        trials = ledger.read(reads.trials, ledger.search().id)
        assert [trial.state for trial in trials] == ["complete"] * 4
        assert {trial.facts["node"] for trial in trials} == {node.node_id}
        assert len(list(tmp_path.glob("worker-*"))) == 2  # half of `fast` for each
    finally:
        cluster.remove_node(node)


def test_a_trial_that_fits_no_node_is_refused_before_anything_is_written(cluster, tmp_path):
    resources = Resources("ray", custom={"fast": 1}, address=cluster.address)
    more = {"resources": resources, "ledger": f"sqlite:///{tmp_path}/none.db"}
    with pytest.raises(SettingsError, match="which has nodes of 1 CPU, 0 GPU; got 1 CPU, 1 fast a trial"):
        run(SPACE, trials=2, evaluate=scored(), **more)
    assert not (tmp_path / "none.db").exists()


def test_an_address_beside_another_session_is_refused_and_not_ignored(cluster, tmp_path):
    import ray

    ray.init(cluster.address, log_to_driver=False)
    try:
        more = {"resources": Resources("ray", address="127.0.0.1:1"), "ledger": f"sqlite:///{tmp_path}/none.db"}
        with pytest.raises(SettingsError, match=r"joined .*; got address 127.0.0.1:1 \(--address\). Omit"):
            run(SPACE, trials=2, evaluate=scored(), **more)
    finally:
        ray.shutdown()
