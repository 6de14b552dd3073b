"""Run a search on two Ray workers. Files in a folder record each trained rung and each acknowledged trial. A test that
kills the search compares the ledger with them.

    python noted_search.py FOLDER TRIALS SECONDS
"""

import os
import sys
from pathlib import Path

from hybrid_search.records import Resources
from hybrid_search.runs.run import run
from support.fakes import checkpoint_every_rung
from support.noted import RUNGS, large_space


def noting(folder, seconds):
    """Return an evaluation that resumes from its checkpoints, and records design and rung after each trained rung."""

    def evaluate(architecture, settings, *, resume=None, keep=None):
        import time

        import torch

        begun = 0 if resume is None else int(resume["rung"])
        for rung in range(begun + 1, RUNGS + 1):
            time.sleep(seconds / RUNGS)
            with (Path(folder) / f"paid-{os.getpid()}").open("a") as file:
                file.write(f"{architecture.digest} {rung}\n")
            if keep is not None:
                keep(rung, lambda rung=rung: {"rung": torch.tensor(rung)})
            yield {"accuracy": int(architecture.digest[:4], 16) / 65536 * rung / RUNGS}

    return evaluate


def main(folder, trials, seconds):
    acknowledged = os.open(f"{folder}/acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def watch(search, context):
        checkpoint_every_rung(search, context)

        def event(kind, number):
            if kind == "complete":
                os.write(acknowledged, f"{number}\n".encode())

        context.on_event = event

    more = {
        "sampler": "random",
        "ledger": f"sqlite:///{folder}/l.db",
        "watch": watch,
        "resources": Resources("ray", workers=2),
    }
    run(large_space(), trials=trials, evaluate=noting(folder, seconds), known_designs=False, **more)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
