"""Time and memory that a ledger of many trials takes: resume, ask, report, tell, front, peak of the driver.

python benchmarks/ledger.py sqlite:////tmp/l.db postgresql://me@host/d              # 100,000 trials in each
python benchmarks/ledger.py sqlite:////tmp/l.db --trials 10000 --sampler random

A database without the search is filled first, by bulk inserts. Each measurement is a process of its own. The table
results/ledger.md gives wall clock and, in brackets, CPU time of the process, which is more reliable on a busy machine.
"""

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.tables import MeasurementRow, ProposalRow, RungRow, TrialRow
from hybrid_search.ledger.urls import database_url, display_url
from hybrid_search.networks.costs import simplified_for, total_cost
from hybrid_search.records import Report
from hybrid_search.search.opening import open_search
from hybrid_search.search.search import Search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome
from hybrid_search.spaces.space import load_space

SPACE, EPOCHS = "sasa-resnet50", 5
BATCH = 2_000  # trials inserted at a time
MORE_TRIALS = 40  # trials that the measured process runs: ask, report, tell
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
OUT = Path(__file__).parent.parent / "results" / "ledger.md"


def search_spec(trials: int, sampler: str) -> SearchSpec:
    """Return the spec of the search: a space of 6.7 * 10^9 architectures, trained on digits."""
    space = load_space(SPACE)
    settings = load_space("digits").settings.with_(image_size=32, epochs=EPOCHS)
    return SearchSpec.create(
        space, trials=trials + MORE_TRIALS, settings=settings, sampler=sampler, name="many", known_designs=False
    )


def fill(url: str, trials: int, sampler: str) -> None:
    """Write a search of `trials` finished trials, all of different networks, with realistic shares of states."""
    with Ledger(url) as ledger:
        search = ledger.create_search(search_spec(trials, sampler).record)
        made, began = designs(search), time.perf_counter()
        for first in range(0, trials, BATCH):
            numbers = range(first, min(first + BATCH, trials))
            rows = [trial_row(search, number, *next(made)) for number in numbers]
            with ledger._engine.begin() as db:
                db.execute(insert(TrialRow), [row for row, _ in rows])
                which = (TrialRow.search_id == search.id, TrialRow.number >= first)
                ids = dict(db.execute(select(TrialRow.number, TrialRow.id).where(*which)).all())
                measured, rungs = [], []
                for row, costs in rows:
                    own = {"trial_id": ids[row["number"]]}
                    final = curve(row)[-1] | costs | {"latency_ms": 1.0, "train_seconds": 60.0}
                    if row["state"] == "complete":
                        measured += [{**own, "seed": row["seed"], "name": k, "value": v} for k, v in final.items()]
                    for rung, numbers_of in enumerate(curve(row)[: row["rung"]], start=1):
                        rungs += [{**own, "rung": rung, "name": k, "value": v} for k, v in numbers_of.items()]
                db.execute(insert(MeasurementRow), measured)
                db.execute(insert(RungRow), rungs)
            print(f"  {numbers[-1] + 1:,} trials, {time.perf_counter() - began:.0f} s", flush=True)
        proposal = {"search_id": search.id, "reason": "duplicate", "choices": {}, "excess": 0.0, "created": BEGAN}
        with ledger._engine.begin() as db:
            some = db.execute(select(TrialRow.digest, TrialRow.choices).limit(trials // 50)).all()
            db.execute(insert(ProposalRow), [{**proposal, "digest": row[0], "choices": row[1]} for row in some])


def designs(search: Any) -> Iterator[tuple[dict[str, Any], Any, dict[str, float]]]:
    """Generate random designs of the space, each once: choices, architecture, costs."""
    space, rng, seen = load_space(SPACE), random.Random(0), set()
    while True:
        architecture, choices = space.random_choices(rng)
        architecture = simplified_for(architecture, search.input_size)
        if architecture.digest not in seen:
            seen.add(architecture.digest)
            flops, params = total_cost(architecture, search.input_size, search.classes)
            yield choices, architecture, {"flops": float(flops), "params": float(params)}


def trial_row(
    search: Any, number: int, choices: dict[str, Any], architecture: Any, costs: dict[str, float]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the row of a trial and its costs. Nine of ten trials are complete, the others stopped."""
    state = "stopped" if number % 10 == 9 else "complete"
    row = {
        "search_id": search.id,
        "number": number,
        "state": state,
        "digest": architecture.digest,
        "architecture": architecture.to_dict(),
        "choices": choices,
        "settings": search.settings.to_dict(),
        "seed": 0,
        "rung": EPOCHS if state == "complete" else 2,
        "started": BEGAN + timedelta(seconds=30 * number),
        "finished": BEGAN + timedelta(seconds=30 * number + 60),
        "changed": number + 1,
        "worker": "node-7:31337",
        "facts": {"device": "cpu", "torch": "2.13.0", "commit": "0" * 40, "data": "f" * 16, "expected accuracy": "0.8"},
    }
    return row, costs


def curve(row: dict[str, Any]) -> list[dict[str, float]]:
    """Return a learning curve that depends on the digest of the design only."""
    score = 0.5 + 0.5 * int(row["digest"][:6], 16) / 16**6
    return [
        {"accuracy": score * (1 - 0.5**e), "loss": 2.0 - score, "train_loss": 2.0 - score * e / EPOCHS}
        for e in range(1, EPOCHS + 1)
    ]


# -- measurements, each in a process of its own --


def resume(url: str, trials: int, sampler: str) -> dict[str, Any]:
    """Open the ledger, rebuild the search and run MORE_TRIALS more trials; return times and peak memory."""
    times: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, work: Callable[..., Any], *args: Any, **more: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work(*args, **more)
        times.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))
        return result

    with Ledger(url) as ledger:
        done = sum(ledger.read(reads.counts, ledger.search("many").id).values())
        search: Search = timed("resume", open_search, search_spec(done, sampler), ledger)
        for _ in range(MORE_TRIALS):
            trial = timed("ask", search.ask)
            for rung in range(1, EPOCHS + 1):
                values = {"accuracy": 0.1 * rung, "loss": 1.0, "train_loss": 1.0}
                timed("report", search.report, trial, Report(rung, values, {"worker": "w"}, last=rung == EPOCHS))
            score = int(trial.architecture.digest[:4], 16) / 65536
            timed("tell", search.tell, trial, Outcome("complete", {"accuracy": score}))
            timed("progress", search.progress)
    return {"times": times, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def front(url: str, trials: int, sampler: str) -> dict[str, Any]:
    """Time `hybrid-search front` in a fresh process, from its start to its last line."""
    code = "import sys; from hybrid_search.cli import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "front", "many", "--format", "json", "--db", url]
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"times": {"front": [(time.perf_counter() - wall, cpu)]}, "networks": len(json.loads(done.stdout))}


MEASURES = {"resume": resume, "front": front}


def measured(url: str, args: argparse.Namespace) -> dict[str, str]:
    """Return one row of the table."""
    results: dict[str, Any] = {"times": {}}
    for name in MEASURES:
        command = [
            sys.executable,
            __file__,
            url,
            "--trials",
            str(args.trials),
            "--sampler",
            args.sampler,
            "--only",
            name,
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
        result = json.loads(done.stdout.splitlines()[-1])
        results = {**results, **result, "times": results["times"] | result["times"]}
    times = {name: ([w for w, _ in each], [c for _, c in each]) for name, each in results["times"].items()}

    def quantile(name: str, share: float) -> str:
        walls, cpus = (sorted(each) for each in times[name])
        at = round(share * (len(walls) - 1))
        return f"{1000 * walls[at]:.1f} ({1000 * cpus[at]:.1f})"

    return {
        "database": display_url(database_url(url)).partition(":")[0],
        "resume s": f"{times['resume'][0][0]:.1f} ({times['resume'][1][0]:.1f})",
        "front s": f"{times['front'][0][0]:.2f} ({times['front'][1][0]:.2f})",
        "tell p50 ms": quantile("tell", 0.5),
        "tell p95 ms": quantile("tell", 0.95),
        "report p95 ms": quantile("report", 0.95),
        "progress p95 ms": quantile("progress", 0.95),
        "ask p50 ms": quantile("ask", 0.5),
        "ask p95 ms": quantile("ask", 0.95),
        "peak MB": f"{results['memory'] / 1e6:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--sampler", default="known-cost")
    parser.add_argument("--only", choices=sorted(MEASURES))
    args = parser.parse_args()
    if args.only:
        print(json.dumps(MEASURES[args.only](args.urls[0], args.trials, args.sampler)))
        return
    rows = []
    for url in args.urls:
        with Ledger(url) as ledger:
            existing = ledger.find_search("many")
        if existing is None:
            print(f"filling {display_url(database_url(url))}")
            fill(url, args.trials, args.sampler)
        rows.append(measured(url, args))
        print(rows[-1], flush=True)
    load = statistics.mean(os.getloadavg()[:2])
    lines = [
        f"# A ledger of {args.trials:,} trials",
        "",
        f"`python benchmarks/ledger.py`, sampler {args.sampler}, {EPOCHS} epochs of 3 numbers a trial, {MORE_TRIALS} "
        f"more trials; {platform.machine()}, {os.cpu_count()} CPUs at a load of {load:.1f}. Wall clock, and in "
        "brackets the process's own CPU time. `front` is the whole command.",
        "",
        "| " + " | ".join(rows[0]) + " |",
        "|" + "---|" * len(rows[0]),
        *("| " + " | ".join(row.values()) + " |" for row in rows),
    ]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
