"""Kill a search with one worker at random instants and resume it each time. Print, as JSON, how its table compares with
the table of an uninterrupted search.

    python killed_search.py FOLDER KILLS SEED TRIALS EPOCHS IMAGES

One process forks the searches, because loading torch for each of them would take most of the time. A search of engine
`local` is one process, so a kill ends all of it.
"""

import json
import os
import random
import signal
import sys
import time
import traceback

import alembic.command  # noqa: F401  # loaded here once, not in every fork
import torch

import hybrid_search.engines.local  # noqa: F401
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.run import run
from hybrid_search.spaces.space import load_space
from hybrid_search.training.evaluation import evaluate
from support.fakes import checkpoint_every_rung

CLOCKS = ("train_seconds", "latency_ms")


def forked(url, trials, settings):
    """Return the id of a process that runs the search to its end."""
    child = os.fork()
    if child == 0:
        try:
            run(
                "digits",
                trials=trials,
                resources=Resources("local"),
                ledger=url,
                settings=settings,
                watch=checkpoint_every_rung,
            )
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def exit_code(child):
    """Wait for a process and return its exit code."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def table(url):
    """Return the rows of all trials without times, and the number of trials resumed from a checkpoint."""

    def timeless(numbers):
        return {name: value for name, value in numbers.items() if name not in CLOCKS}

    with Ledger(url, read_only=True) as ledger:
        trials = ledger.read(reads.trials, ledger.search().id)
        rows = [
            (
                t.number,
                t.state,
                t.digest,
                t.seed,
                timeless(t.measurements),
                [timeless(row) for _, row in ledger.read(reads.curve, t.id)],
            )
            for t in trials
        ]
    return rows, sum("resumed" in trial.facts for trial in trials)


def main(folder, kills, seed, trials, epochs, images):
    torch.set_num_threads(1)  # threads do not survive a fork
    settings = Settings(epochs=epochs, train_images=images, validation_images=100, device="cpu")
    list(
        evaluate(load_space("digits").extreme(lambda design: 0.0)[0], settings.with_(epochs=1))
    )  # torch initialises lazily
    rng = random.Random(seed)
    whole, cut = f"sqlite:///{folder}/whole.db", f"sqlite:///{folder}/cut.db"
    begun = time.monotonic()
    assert exit_code(forked(whole, trials, settings)) == 0
    longest = (time.monotonic() - begun) / kills  # then the search still runs at the last kill
    killed = 0
    for _ in range(kills):
        child = forked(cut, trials, settings)
        time.sleep(rng.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        killed += exit_code(child) == -signal.SIGKILL
    assert exit_code(forked(cut, trials, settings)) == 0
    (expected, _), (rows, resumed) = table(whole), table(cut)
    print(json.dumps({"kills": killed, "same": rows == expected, "trials": len(rows), "resumed": resumed}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
