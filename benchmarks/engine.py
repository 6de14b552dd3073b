"""Measure the overhead of driver and ledger: `python benchmarks/engine.py`.

Both measurements use Ray and a new ledger in a temporary folder:
* wall-clock time of a trial whose evaluation does nothing, with two workers (propose, call, report, commit);
* trials of one second on two workers, compared with one worker.
"""

import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import ray

from hybrid_search import Ledger, Search, load_space, run
from hybrid_search.engines.driver import RunContext
from hybrid_search.records import Resources

NO_OPS = 120
SECONDS = 12


def instant(architecture, settings):
    yield {"accuracy": int(architecture.digest[:4], 16) / 65536}


def one_second(architecture, settings):
    time.sleep(1.0)
    yield {"accuracy": int(architecture.digest[:4], 16) / 65536}


def timed(folder: Path, name: str, trials: int, workers: int, evaluate) -> list[float]:
    """Return the end of each trial in seconds after every worker has ended its first trial, which includes imports."""
    ends: list[float] = []

    def watch(search: Search, context: RunContext) -> None:
        context.on_event = lambda kind, number: ends.append(time.perf_counter()) if kind == "complete" else None

    with Ledger(f"sqlite:///{folder}/{name}.db") as ledger:
        run(
            load_space("digits"),
            trials=trials,
            resources=Resources(workers=workers),
            ledger=ledger,
            evaluate=evaluate,
            watch=watch,
        )
    return [end - ends[workers - 1] for end in ends[workers - 1 :]]


def main() -> None:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 * 2**20)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ends = timed(folder, "instant", NO_OPS, 2, instant)
        steps = [1000 * (b - a) for a, b in pairwise(ends)]
        each = 1000 * ends[-1] / (len(ends) - 1)
        print(
            f"no-op trials, 2 workers: {each:.1f} ms a trial (median step {median(steps):.1f} ms, {len(steps)} steps)"
        )
        quarter = len(ends) // 4
        first, last = (1000 * seconds / quarter for seconds in (ends[quarter], ends[-1] - ends[3 * len(ends) // 4]))
        print(f"  first quarter {first:.1f} ms; last quarter, with more trials for the sampler, {last:.1f} ms")
        one = timed(folder, "one", SECONDS, 1, one_second)
        two = timed(folder, "two", 2 * SECONDS, 2, one_second)
        rates = [(len(ends) - 1) / ends[-1] for ends in (one, two)]
        speed_up = rates[1] / rates[0]
        print(f"one-second trials: {rates[0]:.2f} a second on one worker, {rates[1]:.2f} on two: x {speed_up:.2f}")
    ray.shutdown()


if __name__ == "__main__":
    main()
