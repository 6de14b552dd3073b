"""Several processes on this machine that train together over gloo, without Ray."""

import json
import multiprocessing
import os
from datetime import timedelta
from pathlib import Path

from hybrid_search.records import Settings

SECONDS = 60  # that a process waits for another one


def train_together(folder, cases, ranks=2):
    """Train each case in so many processes; return, for each rank, the reports and the final weights of each case.

    Args:
        folder: An empty folder.
        cases: Reference name, and changes of the settings.
        ranks: The number of processes.
    """
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work, args=(str(folder), cases, rank, ranks)) for rank in range(ranks)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * ranks
    return [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(ranks)]


def curve_of(name, changes, ranks=None):
    """Train a reference; return the measurements of each epoch, and the hexadecimal digits of the final weights."""
    from hybrid_search import reference
    from hybrid_search.training.full_training import FullTraining
    from hybrid_search.training.ranks import ALONE

    settings = Settings(**{"epochs": 2, "train_images": 90, "validation_images": 41, "batch_size": 16, **changes})
    reports = list(FullTraining(ranks=ranks or ALONE)(reference(name), settings))
    return [dict(report.measurements) for report in reports], reports[-1].weights.hex()


def _work(folder, cases, rank, ranks):
    import torch.distributed as dist

    from hybrid_search.training.ranks import Ranks

    store = f"file://{os.path.join(folder, 'store')}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=ranks, timeout=timedelta(seconds=SECONDS))
    found = [curve_of(*case, Ranks.of_process()) for case in cases]
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()
