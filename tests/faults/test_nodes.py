"""A training on the devices of two nodes, one of which dies: it continues on the other one."""

import csv
import threading
import time

import pytest

from hybrid_search.ledger import Ledger
from hybrid_search.ledger.trainings import trainings
from hybrid_search.runs.train import train

pytestmark = pytest.mark.faults
MEMORY = {"object_store_memory": 80 * 2**20}
DATA = {"data": "digits", "train_images": 1000, "validation_images": 80, "batch_size": 16}
EPOCHS = 12


def test_a_training_whose_node_dies_continues_on_the_devices_that_are_left(tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setattr("hybrid_search.runs.training_run.CHECKPOINT_SECONDS", 0.0)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **MEMORY})
    node, said = cluster.add_node(num_cpus=1, **MEMORY), []

    def epochs():
        return [row for file in (tmp_path / "logs").glob("*.csv") for row in csv.DictReader(file.open())]

    def remove():
        while len(epochs()) < 2:
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)

    try:
        cluster.wait_for_nodes()
        threading.Thread(target=remove, daemon=True).start()
        with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
            done = train(
                "resnet-basic-8", settings=DATA, epochs=EPOCHS, devices=2, address=cluster.address, ledger=ledger,
                checkpoints=tmp_path / "checkpoints", log_dir=tmp_path / "logs", notice=said.append,
            )  # fmt: skip
            assert ledger.read(trainings, None) == [done.record]
    finally:
        cluster.shutdown()
    assert any("started again from its last checkpoint, on 1 of 2 devices" in line for line in said)
    assert [row["epoch"] for row in done.record.curve] == list(range(1, EPOCHS + 1))
    assert done.record.facts["devices"] == "1"
    assert done.record.facts["resumed"].startswith("rung ")
