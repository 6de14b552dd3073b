"""Measure what Ray Train adds to an epoch: `python benchmarks/ray_train.py [--data digits --epochs 30 --repeats 3]`.

The same training runs in this process and with one worker of Ray Train, in turn, both with checkpoints. An epoch lasts
from one report to the next: training, validation, checkpoint and report. The first epoch is left out, because it has
the start, and the last one, because it has the test split. The overhead is the ratio of the medians over the repeats.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hybrid_search import reference
from hybrid_search.data import load
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.ray.session import ray_session
from hybrid_search.engines.train.group_training import GroupHooks, GroupTraining
from hybrid_search.engines.worker import TrialRunner
from hybrid_search.networks.network import Network
from hybrid_search.records import Resources, Settings
from hybrid_search.training.checkpoints import Owner, TrialCheckpoints
from hybrid_search.training.full_training import FullTraining

TARGET = 0.03  # the overhead that is aimed at


@contextmanager
def in_this_process(network: Network, settings: Settings, checkpoints: TrialCheckpoints) -> Iterator[Any]:
    yield TrialRunner(FullTraining(), network, settings, checkpoints)


@contextmanager
def with_ray_train(network: Network, settings: Settings, checkpoints: TrialCheckpoints) -> Iterator[Any]:
    gpus = 0.0 if settings.device == "cpu" else None
    context = RunContext(lambda *_: iter(()), Resources(workers=1, gpus_per_trial=gpus))
    hooks = GroupHooks(lambda step, steps: None, lambda: None)
    with GroupTraining(FullTraining(), network, settings, checkpoints, context, hooks) as group:
        yield group


def seconds_of_an_epoch(runner: Any, began: float) -> tuple[float, float]:
    """Return the mean seconds of an epoch between the first and the last one, and those up to the first report."""
    times = []
    while True:
        report = runner.advance()
        assert report.failure is None, report.failure
        times.append(time.perf_counter())
        if report.last:
            return (times[-2] - times[0]) / (len(times) - 2), times[0] - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--design", default="resnet-basic-16")
    parser.add_argument("--epochs", type=int, default=30, help="at least 3")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    network = reference(args.design)
    settings = Settings(
        data=args.data, data_dir=args.data_dir, epochs=args.epochs, train_images=args.train_images, device=args.device
    )
    load(settings)  # decoded before the clock runs
    sides = {"this process": in_this_process, "Ray Train": with_ray_train}
    found: dict[str, list[float]] = {name: [] for name in sides}
    with ray_session(RunContext(lambda *_: iter(()), Resources(workers=1))):  # one session for all repeats
        for repeat in range(args.repeats):
            for name, side in sides.items():
                with tempfile.TemporaryDirectory() as folder:
                    owner = Owner("benchmark", repeat, network.digest, settings.digest)
                    checkpoints = TrialCheckpoints(folder, owner, settings.seed, 1.0)
                    began = time.perf_counter()
                    with side(network, replace(settings, seed=repeat), checkpoints) as runner:
                        epoch, first = seconds_of_an_epoch(runner, began)
                found[name].append(epoch)
                print(f"{name:13} {epoch:8.4f} s an epoch, {first:6.1f} s up to the first report", flush=True)
    medians = {name: statistics.median(times) for name, times in found.items()}
    overhead = medians["Ray Train"] / medians["this process"] - 1
    print(
        f"{args.design} on {args.data}, {args.epochs} epochs, median of {args.repeats}: "
        f"{medians['this process']:.4f} s an epoch in this process, {medians['Ray Train']:.4f} s with one worker of "
        f"Ray Train: {overhead:+.1%} (aim: {TARGET:.0%} at most)"
    )


if __name__ == "__main__":
    main()
