"""Time that ten readers of the page cost a running search: `python benchmarks/readers.py [--train]`.

A search runs on two Ray workers, in turns alone and beside a process with ten readers. A reader is the part of a page
that reads the database: a connection of its own, which reads all changes every two seconds. Ten readers stand for ten
people who each serve a page of their own (browsers of one page share one reader). Trials sleep, so the benchmark
measures waiting for the database and the driver. With --train they are trained; then readers and training share the
processors.

The output has the seconds from the start of the first trial to the end of the last one, and the number of errors.
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


def run_search(url: str, train: bool) -> float:
    """Run a search and return the seconds from the start of its first trial to the end of its last one."""
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
    """Read with ten readers until a file `stop` exists; print the number of reads, the last counts, and the errors."""

    def reader(_number: int) -> tuple[int, int, Counter[str]]:
        n_reads, seen, errors, snapshot = 0, 0, Counter[str](), Snapshot(url)
        while not (folder / STOP).exists():
            try:
                for search in snapshot.searches():
                    seen = snapshot.view(search).counts["complete"]
                    snapshot.hypervolume(search)
                n_reads += 1
            except Exception as error:
                errors[f"{type(error).__name__}: {error}"] += 1
            time.sleep(REFRESH_MS / 1000)
        snapshot.close()
        return n_reads, seen, errors

    with ThreadPoolExecutor(READERS) as pool:
        results = list(pool.map(reader, range(READERS)))
    errors = sum((more for _, _, more in results), Counter[str]())
    print(json.dumps({"reads": sum(n for n, _, _ in results), "seen": [n for _, n, _ in results], "errors": errors}))


def beside_readers(url: str, folder: Path, train: bool) -> tuple[float, dict[str, Any]]:
    """Run a search beside ten readers; return its seconds and the report of the readers."""
    Ledger(url).close()  # creates the database before the readers open it
    command = [sys.executable, __file__, "--read", url, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as readers:
        time.sleep(5)
        seconds = run_search(url, train)
        time.sleep(REFRESH_MS / 1000 + 0.5)  # every reader reads once after the end
        (folder / STOP).touch()
        output, _ = readers.communicate()
    return seconds, json.loads(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--read", nargs=2, metavar=("URL", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        read(args.read[0], Path(args.read[1]))
        return
    alone, beside, n_reads, errors = [], [], 0, Counter[str]()
    for turn in range(args.turns):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            alone.append(run_search(f"sqlite:///{folder}/alone.db", args.train))
            seconds, report = beside_readers(f"sqlite:///{folder}/beside.db", folder, args.train)
        beside.append(seconds)
        n_reads += report["reads"]
        errors += Counter(report["errors"])
        assert errors or report["seen"] == [TRIALS] * READERS, report
        print(f"turn {turn}: {alone[-1]:.2f} s alone, {seconds:.2f} s beside {READERS} readers", flush=True)
    ratio = statistics.median(beside) / statistics.median(alone)
    print(
        f"{ratio - 1:+.1%} (limit 2 %); {n_reads} reads, errors of readers: {dict(errors) or 'none'}; of the run: none"
    )


if __name__ == "__main__":
    main()
