"""Kill a process that writes checkpoints as fast as it can, many times. Print, as JSON, how often the latest checkpoint
was complete.

    python killed_writer.py FOLDER KILLS SEED

One process forks the writers, because loading torch for each of them would take most of the time.
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


def checkpoint_of(rung):
    """Return a checkpoint of some 200 KB whose numbers are all the rung."""
    return Checkpoint(rung, {"weight": torch.full((50_000,), float(rung))}, {rung: {"accuracy": rung / 1e6}}, {})


def write_forever(checkpoints, rung, output):
    """Write a checkpoint for every rung after `rung`; write each finished rung to the pipe `output`."""
    while True:
        rung += 1
        checkpoints.write(checkpoint_of(rung))
        os.write(output, rung.to_bytes(8))


def main(folder, kills, seed):
    torch.set_num_threads(1)  # threads do not survive a fork
    checkpoints, rng = TrialCheckpoints(folder, Owner("ab" * 16, 0, "architecture", "settings"), 0), random.Random(seed)
    rung = survived = 0
    for _ in range(kills):
        input_, output = os.pipe()
        child = os.fork()
        if child == 0:
            write_forever(checkpoints, rung, output)
        os.close(output)
        first = os.read(input_, 8)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(input_, "rb") as pipe:
            acknowledged = int.from_bytes((first + pipe.read())[-8:])
        latest = checkpoints.latest().checkpoint
        assert latest is not None, "no checkpoint is left"
        assert latest.rung >= acknowledged, f"rung {acknowledged} was written and is lost"
        assert torch.equal(latest.state["weight"], checkpoint_of(latest.rung).state["weight"]), "not complete"
        rung, survived = latest.rung, survived + 1
    print(json.dumps({"kills": kills, "whole": survived}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
