"""Kills a process that writes checkpoints as fast as it can, again and again; prints as JSON how often the latest was
whole.

    python killed_writer.py FOLDER KILLS SEED

One process forks the writers: loading torch for each of them would take most of the time.
"""

import json
import os
import random
import signal
import sys
import time

import torch

from hybrid_search.training.checkpoints import Checkpoint, TrialCheckpoints
from hybrid_search.training.checkpoints.packing import Owner


def written(rung):
    """Some 200 KB that all say which rung they are of."""
    return Checkpoint(rung, {"weight": torch.full((50_000,), float(rung))}, {rung: {"accuracy": rung / 1e6}}, {})


def write_on(checkpoints, rung, done):
    while True:
        rung += 1
        checkpoints.write(written(rung))
        os.write(done, rung.to_bytes(8))


def main(folder, kills, seed):
    torch.set_num_threads(1)  # threads do not live through a fork
    checkpoints, rng = TrialCheckpoints(folder, Owner("ab" * 16, 0, "architecture", "settings"), 0), random.Random(seed)
    rung = survived = 0
    for _ in range(kills):
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            write_on(checkpoints, rung, tell)
        os.close(tell)
        first = os.read(told, 8)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(told, "rb") as left:
            promised = int.from_bytes((first + left.read())[-8:])
        found = checkpoints.latest().checkpoint
        assert found is not None, "nothing is left"
        assert found.rung >= promised, f"rung {promised} was written and is lost"
        assert torch.equal(found.state["weight"], written(found.rung).state["weight"]), "not whole"
        rung, survived = found.rung, survived + 1
    print(json.dumps({"kills": kills, "whole": survived}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
