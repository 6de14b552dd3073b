"""What ten readers of the page cost a search that is being run: `python benchmarks/readers.py [--train]`.

A search on two Ray workers, alone and beside a process that holds ten readers, in turns. A reader is what a page has
behind it: its own connection to the database, asked for what is new every two seconds, as ten people do who each serve
a page of their own (browsers of one page share one reader). Trials sleep, so that what is measured is waiting for the
database and the driver; with --train they are trained, and readers and training share the processors.

Prints the seconds from the first trial's begin to the last one's end, and how often a reader or the run met an error.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hybrid_search import Ledger, Search, load_space, run
from hybrid_search.dashboard.layout import REFRESH_MS
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.engines.driver import RunContext
from hybrid_search.ledger import reads
from hybrid_search.records import Resources

READERS, WORKERS, TRIALS, RUNGS, RUNG_SECONDS = 10, 2, 24, 20, 0.1
STOP = "stop"


def sleeping(architecture, settings):
    import time

    began = time.time()
    for rung in range(1, RUNGS + 1):
        time.sleep(max(0.0, began + RUNG_SECONDS * rung - time.time()))
        yield {"accuracy": int(architecture.digest[:4], 16) / 65536}


def searched(url: str, train: bool) -> float:
    """Seconds from the first trial's begin to the last one's end."""
    begins: list[float] = []
    ends: list[float] = []

    def watch(search: Search, context: RunContext) -> None:
        def event(kind: str, number: int) -> None:
            if kind == "started":
                begins.append(time.perf_counter())
            elif kind == "complete":
                ends.append(time.perf_counter())

        context.on_event = event

    more: dict[str, Any] = {} if train else {"evaluate": sleeping}
    with Ledger(url) as ledger:
        search = run(
            load_space("digits"),
            trials=TRIALS,
            resources=Resources(workers=WORKERS),
            ledger=ledger,
            watch=watch,
            **more,
        )
        states = Counter(row.state for row in ledger.read(reads.trials, search.record.id))
    assert states == {"complete": TRIALS}, states
    return max(ends) - min(begins)


def read(url: str, folder: Path) -> None:
    """Ten readers until there is a file `stop`; prints how often they read, what they saw last, and their errors."""

    def reader(_number: int) -> tuple[int, int, Counter[str]]:
        looks, seen, errors, snapshot = 0, 0, Counter[str](), Snapshot(url)
        while not (folder / STOP).exists():
            try:
                for search in snapshot.searches():
                    seen = snapshot.view(search).counts["complete"]
                    snapshot.hypervolume(search)
                looks += 1
            except Exception as error:
                errors[f"{type(error).__name__}: {error}"] += 1
            time.sleep(REFRESH_MS / 1000)
        snapshot.close()
        return looks, seen, errors

    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(reader, range(READERS)))
    errors = sum((more for _, _, more in found), Counter[str]())
    print(json.dumps({"looks": sum(n for n, _, _ in found), "seen": [n for _, n, _ in found], "errors": errors}))


def beside_readers(url: str, folder: Path, train: bool) -> tuple[float, dict[str, Any]]:
    Ledger(url).close()  # readers find a database there
    command = [sys.executable, __file__, "--read", url, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as readers:
        time.sleep(5)
        seconds = searched(url, train)
        time.sleep(REFRESH_MS / 1000 + 0.5)  # so that they see the end
        (folder / STOP).touch()
        said, _ = readers.communicate()
    return seconds, json.loads(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--read", nargs=2, metavar=("URL", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read:
        read(asked.read[0], Path(asked.read[1]))
        return
    alone, beside, looks, errors = [], [], 0, Counter[str]()
    for turn in range(asked.turns):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            alone.append(searched(f"sqlite:///{folder}/alone.db", asked.train))
            seconds, found = beside_readers(f"sqlite:///{folder}/beside.db", folder, asked.train)
        beside.append(seconds)
        looks += found["looks"]
        errors += Counter(found["errors"])
        assert errors or found["seen"] == [TRIALS] * READERS, found
        print(f"turn {turn}: {alone[-1]:.2f} s alone, {seconds:.2f} s beside {READERS} readers", flush=True)
    ratio = statistics.median(beside) / statistics.median(alone)
    print(f"{ratio - 1:+.1%} (bar 2 %); {looks} looks, errors of readers: {dict(errors) or 'none'}; of the run: none")


if __name__ == "__main__":
    main()
