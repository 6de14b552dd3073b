"""Ledgers of synthetic trials: plausible numbers without any training."""

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from hybrid_search.ledger import Ledger, writes
from hybrid_search.ledger.tables import MeasurementRow, RungRow, TrialRow
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import cost
from hybrid_search.records import SearchRecord, Settings

INPUT, CLASSES, EPOCHS = (1, 16, 16), 10, 8
BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def a_search(ledger: Ledger, name: str = "digits", objectives: tuple[str, ...] = ("accuracy", "flops"), **more: Any):
    settings = Settings(epochs=EPOCHS)
    values = {"space": {}, "sampler": "known-cost", "seed": 0, "target": 80, "input_size": INPUT, "classes": CLASSES}
    return ledger.create_search(SearchRecord(0, name, objectives=objectives, settings=settings, **values | more))


def an_architecture(rng: random.Random) -> dict[str, Any]:
    """Return a random architecture of three stages, each of convolution or attention."""
    stages = []
    for i in range(3):
        width = rng.choice((8, 16, 24)) * (1 + i)
        stage: dict[str, Any] = {"depth": rng.randint(1, 3), "width": width, "stride": 1 if i == 0 else 2}
        if rng.random() < 0.25 + 0.2 * i:
            stage |= {"operator": "local_attention", "extent": rng.choice((3, 5, 7)), "heads": rng.choice((2, 4))}
        else:
            stage |= {"operator": "conv", "kernel_size": rng.choice((3, 5))}
        stages.append(stage)
    stem = {"kind": "conv3x3", "width": rng.choice((8, 16))}
    return Architecture.from_dict({"stem": stem, "stages": stages}).to_dict()


def made_up(architecture: Mapping[str, Any], rng: random.Random) -> dict[str, float]:
    """Return synthetic measurements: accuracy saturates with cost and is higher with attention in the last stage."""
    network_cost = cost(Architecture.from_dict(architecture), INPUT, CLASSES)
    late = architecture["stages"][-1]["operator"] == "local_attention"
    accuracy = 0.985 - 0.9 * math.exp(-0.34 * math.log(network_cost.flops / 2e4)) + 0.012 * late + rng.gauss(0, 0.008)
    accuracy = min(0.995, max(0.1, accuracy))
    seconds = network_cost.flops / 2e5 + rng.random()
    return {
        "accuracy": accuracy,
        "loss": -math.log(accuracy) + 0.05,
        "flops": float(network_cost.flops),
        "params": float(network_cost.params),
        "train_seconds": seconds,
        "latency_ms": 0.2 + network_cost.flops / 4e6,
    }


def curve_of(values: Mapping[str, float], rungs: int = EPOCHS) -> list[dict[str, float]]:
    """Return a learning curve that ends at these values."""
    shares = [1 - math.exp(-3.2 * rung / EPOCHS) for rung in range(1, rungs + 1)]
    return [{"accuracy": values["accuracy"] * share, "loss": values["loss"] + 1.5 * (1 - share)} for share in shares]


def state_of(number: int, trials: int) -> str:
    if number >= trials - 2 and trials > 4:
        return "running"
    return {7: "stopped", 13: "failed", 17: "stopped"}.get(number % 20, "complete")


def fill(ledger: Ledger, search: SearchRecord, trials: int, *, seed: int = 0, states: str | None = None) -> None:
    """Write many trials in one transaction; `states` gives all of them one state."""
    rng = random.Random(seed)
    kinds = [(plain := an_architecture(rng), made_up(plain, rng)) for _ in range(min(trials, 400))]
    rows, measured, rungs = [], [], []
    for number in range(trials):
        plain, values = kinds[number % len(kinds)]
        state = states or state_of(number, trials)
        if number >= len(kinds):
            values = values | {"accuracy": min(0.995, values["accuracy"] + rng.gauss(0, 0.01))}
            values |= {"flops": values["flops"] * rng.uniform(0.9, 1.3)}
        epochs = {"complete": EPOCHS, "stopped": 3, "running": 4, "failed": 2}[state]
        started = BEGAN + timedelta(seconds=9 * number)
        rows.append(
            {
                "id": search.id * 1_000_000 + number,
                "search_id": search.id,
                "number": number,
                "state": state,
                "digest": Architecture.from_dict(plain).digest if trials < 1000 else f"{number:016x}",
                "architecture": plain,
                "choices": {"depth": number % 3},
                "settings": search.settings.to_dict(),
                "seed": number,
                "rung": epochs,
                "started": started,
                "finished": None if state == "running" else started + timedelta(seconds=values["train_seconds"]),
                "changed": number + 1,
                "worker": "local-0",
                "facts": {"device": "cpu", "torch": "2.13.0"},
                "failure_kind": "oom" if state == "failed" else None,
                "failure_text": "RuntimeError: out of memory <b>at</b> stage 3" if state == "failed" else None,
            }
        )
        trial = rows[-1]["id"]
        if state == "complete":
            measured += [{"trial_id": trial, "name": k, "seed": number, "value": v} for k, v in values.items()]
        if trials < 1000:
            for rung, report in enumerate(curve_of(values, epochs), start=1):
                rungs += [{"trial_id": trial, "rung": rung, "name": k, "value": v} for k, v in report.items()]
    with ledger._engine.begin() as db:
        for table, values_of in ((TrialRow, rows), (MeasurementRow, measured), (RungRow, rungs)):
            if values_of:
                db.execute(insert(table), values_of)


def write_trial(ledger: Ledger, search: SearchRecord, number: int, **measurements: float) -> int:
    """Write one complete trial with the write functions of the ledger; return its id."""
    rng = random.Random(number)
    plain = an_architecture(rng)
    values = made_up(plain, rng) | measurements
    settings = search.settings.with_(seed=number)
    digest = Architecture.from_dict(plain).digest
    trial = ledger.write(
        writes.start_trial, search.id, number, digest=digest, architecture=plain, choices={}, settings=settings
    )
    for rung, report in enumerate(curve_of(values), start=1):
        ledger.write(writes.add_rung, trial, rung, report)
    ledger.write(writes.finish_trial, trial, "complete", values, seed=number)
    return trial
