"""What the engines cost on trials as long as real ones: `python benchmarks/engines.py [ray|tune ...]`.

Twelve trials that sleep ten seconds in five rungs, on two workers, with a ledger in a temporary folder; the ideal is
sixty seconds. Two figures for each engine: from the first trial's begin to the last one's end (asking, reports, ledger,
handing over), and the whole call with Ray's start, the workers' imports and the end. The bar is on the first.
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
BARS = {"ray": 0.03, "tune": 0.05}


def sleeping(architecture, settings):
    import time

    began = time.time()
    for rung in range(1, RUNGS + 1):
        time.sleep(max(0.0, began + SECONDS * rung / RUNGS - time.time()))
        yield {"accuracy": int(architecture.digest[:4], 16) / 65536, "train_seconds": began}


def timed(engine: str, folder: Path) -> tuple[float, float]:
    """Seconds from the first begin on a worker to the last end, and of the whole call."""
    ends: list[float] = []

    def watch(search: Search, context: RunContext) -> None:
        context.on_event = lambda kind, number: ends.append(time.time()) if kind == "complete" else None

    began = time.time()
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
    return max(ends) - min(row.measurements["train_seconds"] for row in rows), time.time() - began


def main() -> None:
    ideal = TRIALS * SECONDS / WORKERS
    print("| engine | trials' span | overhead (bar) | whole call |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for engine in sys.argv[1:] or list(BARS):
            span, whole = timed(engine, Path(scratch))
            print(
                f"| {engine} | {span:.2f} s | {span / ideal - 1:.1%} ({BARS[engine]:.0%}) | {whole:.1f} s |", flush=True
            )


if __name__ == "__main__":
    main()
