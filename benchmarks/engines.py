"""Measure the overhead of the engines on trials of realistic length: `python benchmarks/engines.py [ray|tune ...]`.

Twelve trials sleep ten seconds in five rungs, on two workers, with a ledger in a temporary folder. The ideal is sixty
seconds. There are two times for each engine: from the start of the first trial to the end of the last one, and the
complete call with the start of Ray, the imports of the workers and the shutdown. The limit applies to the first time.
"""

import sys
import tempfile
import time
from pathlib import Path

from hybrid_search import Ledger, Search, load_space, run
from hybrid_search.engines.driver import RunContext
from hybrid_search.ledger import reads
from hybrid_search.records import Resources

TRIALS, WORKERS, SECONDS, RUNGS = 12, 2, 10.0, 5
LIMITS = {"ray": 0.03, "tune": 0.05}


def sleeping(architecture, settings):
    import time

    start = time.time()
    for rung in range(1, RUNGS + 1):
        time.sleep(max(0.0, start + SECONDS * rung / RUNGS - time.time()))
        yield {"accuracy": int(architecture.digest[:4], 16) / 65536, "train_seconds": start}


def timed(engine: str, folder: Path) -> tuple[float, float]:
    """Return the seconds from the first start on a worker to the last end, and of the complete call."""
    ends: list[float] = []

    def watch(search: Search, context: RunContext) -> None:
        context.on_event = lambda kind, number: ends.append(time.time()) if kind == "complete" else None

    start = time.time()
    with Ledger(f"sqlite:///{folder}/{engine}.db") as ledger:
        more = {
            "trials": TRIALS,
            "resources": Resources(engine, workers=WORKERS),
            "ledger": ledger,
            "evaluate": sleeping,
            "watch": watch,
        }
        search = run(load_space("digits"), **more)
        rows = ledger.read(reads.trials, search.record.id)
    assert [row.state for row in rows] == ["complete"] * TRIALS
    return max(ends) - min(row.measurements["train_seconds"] for row in rows), time.time() - start


def main() -> None:
    ideal = TRIALS * SECONDS / WORKERS
    print("| engine | trials | overhead (limit) | complete call |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for engine in sys.argv[1:] or list(LIMITS):
            span, total = timed(engine, Path(scratch))
            print(
                f"| {engine} | {span:.2f} s | {span / ideal - 1:.1%} ({LIMITS[engine]:.0%}) | {total:.1f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
