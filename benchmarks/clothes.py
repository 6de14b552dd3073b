"""Compare a searched front with baselines on Fashion-MNIST, in full: `python benchmarks/clothes.py DATABASE [SEEDS]`.

The search makes 24 trials within 20 MFLOPs with the images and epochs of the space. Basic, inverted residual and
metaformer baselines within the same budget are trained likewise. The three best designs and the two best baselines, by
validation accuracy, are then trained once on all training images for 10 epochs. The design that is best there, again by
validation accuracy, and the two baselines are trained with more seeds, and all are scored on the test split. DATABASE
is the path of a new file. An interrupted comparison continues: its trainings stand in DATABASE.jsonl.
"""

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from statistics import mean
from typing import Any

from photographs import shown_difference

from hybrid_search import Architecture, Ledger, Resources, Settings, baseline, reference, run
from hybrid_search.ledger import reads
from hybrid_search.ledger.baseline_rows import baseline_trainings
from hybrid_search.training.retraining import retrain

SPACE, TRIALS, MOST_FLOPS, WORKERS = "fashion-mnist", 24, 20e6, 2
BASELINES = ("resnet-basic-16", "resnet-basic-28", "mobilenet-28", "convnext-24")
FULL = {"train_images": None, "validation_images": None, "epochs": 10}


def chosen(database: Path) -> tuple[dict[str, Architecture], dict[str, Architecture]]:
    """Search, train the baselines; return the three best designs and the two best baselines by validation accuracy."""
    resources = Resources(workers=WORKERS)
    with Ledger(database) as ledger:
        done = ledger.read(reads.find_search, SPACE)
        complete = 0 if done is None else ledger.read(reads.counts, done.id).get("complete", 0)
    if complete < TRIALS:
        run(SPACE, trials=TRIALS, max_flops=MOST_FLOPS, resources=resources, ledger=database, progress=True)
    baseline(SPACE, BASELINES, resources=resources, ledger=database, progress=True)
    with Ledger(database, read_only=True) as ledger:
        record = ledger.search(SPACE)
        trials = [trial for trial in ledger.read(reads.trials, record.id) if trial.state == "complete"]
        rows = sorted(((trial.measurements["accuracy"], trial.number) for trial in trials), reverse=True)
        stored = {trial.number: trial.architecture for trial in trials}
        found = {training.name: training.measurements for training in ledger.read(baseline_trainings, record.id)}
    for accuracy, number in rows[:5]:
        print(f"trial {number}: {100 * accuracy:.2f} %, {Architecture.from_dict(stored[number])}")
    for name, measured in found.items():
        print(f"{name}: {100 * measured['accuracy']:.2f} %, {measured['flops'] / 1e6:.1f} MFLOPs")
    best = sorted(found, key=lambda name: found[name]["accuracy"], reverse=True)[:2]
    designs = {f"trial {number}": Architecture.from_dict(stored[number]) for _, number in rows[:3]}
    return designs, {name: reference(name) for name in best}


def trained(name: str, architecture: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Train a network in full; return its accuracies in % and its seconds."""
    start = time.perf_counter()
    *_, last = retrain(Architecture.from_dict(architecture), Settings.from_dict(settings))
    tested, valid = (100 * last.measurements[key] for key in ("test_accuracy", "accuracy"))
    seconds = time.perf_counter() - start
    return {"name": name, "seed": settings["seed"], "test": tested, "validation": valid, "seconds": seconds}


def full_trainings(
    networks: dict[str, Architecture], file: Path, settings: Settings, seeds: range
) -> Iterator[dict[str, Any]]:
    """Yield every full training of these networks, those of the file first; append new ones to the file."""
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    yield from (row for row in done if row["name"] in networks and row["seed"] in seeds)
    known = {(row["name"], row["seed"]) for row in done}
    jobs = [(name, seed) for seed, name in product(seeds, networks) if (name, seed) not in known]
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        running = [
            pool.submit(trained, name, networks[name].to_dict(), settings.with_(**FULL, seed=seed).to_dict())
            for name, seed in jobs
        ]
        for future in as_completed(running):
            row = future.result()
            with file.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            yield row


def shown(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print each full training when it is there; return them all."""
    kept = []
    for row in rows:
        accuracies = f"validation {row['validation']:.2f} %, test {row['test']:.2f} %"
        print(f"{row['name']}, seed {row['seed']}: {accuracies}, {row['seconds']:.0f} s", flush=True)
        kept.append(row)
    return kept


def main(database: Path, seeds: int = 3) -> None:
    """Search, train the best in full, and print the comparison."""
    designs, baselines = chosen(database)
    with Ledger(database, read_only=True) as ledger:
        settings = ledger.search(SPACE).settings
    file = database.with_name(f"{database.name}.jsonl")
    first = shown(full_trainings({**designs, **baselines}, file, settings, range(1, 2)))
    searched = max((row for row in first if row["name"] in designs), key=lambda row: row["validation"])["name"]
    finalists = {searched: designs[searched], **baselines}
    rows = [row for row in first if row["name"] in finalists]
    rows += shown(full_trainings(finalists, file, settings, range(2, seeds + 1)))
    tests = {
        name: [row["test"] for row in sorted(rows, key=itemgetter("seed")) if row["name"] == name] for name in finalists
    }
    for name in baselines:
        print(f"{searched} ({mean(tests[searched]):.2f} %) - {name} ({mean(tests[name]):.2f} %): ", end="")
        print(shown_difference(tests[searched], tests[name]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:]))
