"""Simulate searches on a table of results: all samplers and seeds, in parallel processes.

The sampler of a run proposes designs and receives measured numbers, as in a search. All runs of a seed start with the
same random designs. A run is scored by the true values of the designs it evaluated, not by the measured ones.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from multiprocessing import get_context

from threadpoolctl import threadpool_limits

from hybrid_search._internal.counted import counted
from hybrid_search._internal.number_text import whole_number
from hybrid_search.analysis.replay.compared_samplers import BASELINES
from hybrid_search.analysis.replay.objective_table import ObjectiveTable, Target, target_of
from hybrid_search.analysis.replay.simulated_search import N_RANDOM, Rules, SimulatedSearch
from hybrid_search.errors import SettingsError, one_of
from hybrid_search.pareto import hypervolume, pareto_front
from hybrid_search.pruners import DEFAULT as NO_PRUNER
from hybrid_search.pruners import PRUNERS, current_name

__all__ = ["N_RANDOM", "Rules", "SimulatedRun", "Source", "run_once", "simulate"]

Source = Callable[[], ObjectiveTable]  # creates an objective table, if necessary in another process
Progress = Callable[[int, int], None]  # number of completed runs, number of all runs


@dataclass(frozen=True)
class SimulatedRun:
    """The result of one simulated search.

    Args:
        sampler: name of the sampler.
        seed: seed of the run.
        shares: share of the hypervolume after each evaluation.
        front_found: how many points of the true front were evaluated.
        front_size: number of points of the true front.
        repeats: number of repeated proposals.
        proposal_seconds: mean time of a proposal.
        pruner: name of the pruner.
        epochs: epochs trained until each evaluation; empty if only final numbers are known.
        stopped: number of trainings that the pruner stopped.
        front_missed: how many points of the true front were stopped or deferred.
    """

    sampler: str
    seed: int
    shares: tuple[float, ...]
    front_found: int
    front_size: int
    repeats: int
    proposal_seconds: float
    pruner: str = NO_PRUNER
    epochs: tuple[int, ...] = ()
    stopped: int = 0
    front_missed: int = 0

    def evaluations_to(self, share: float) -> int | None:
        """Return the number of evaluations until this share was found; None if it was not."""
        return next((i for i, found in enumerate(self.shares, start=1) if found >= share), None)

    def epochs_to(self, share: float) -> int | None:
        """Return the number of epochs until this share was found; None if it was not, or if epochs are unknown."""
        at = self.evaluations_to(share)
        return self.epochs[at - 1] if at is not None and self.epochs else None


def run_once(
    table: ObjectiveTable, target: Target, sampler: str, seed: int, rules: Rules, pruner: str = NO_PRUNER
) -> SimulatedRun:
    """Simulate one search.

    Args:
        table: the objective table.
        target: its true front.
        sampler: name of a baseline.
        seed: seed of the run.
        rules: the rules.
        pruner: name of the pruner.
    """
    search = SimulatedSearch(table, sampler, seed, rules, pruner)
    directions = list(table.directions)
    rows: list[list[float]] = []
    shares: list[float] = []
    share, evaluated = 0.0, set()
    epochs: list[int] = []
    stopped = missed = 0
    for params, complete in search.designs():
        true = table.true_values(params)
        if table.curves is not None:
            epochs.append(search.epochs)
        if not complete:
            shares.append(share)
            stopped, missed = stopped + 1, missed + (tuple(true) in target.front)
            continue
        evaluated.add(tuple(true))
        grown = [*rows, true]
        kept = pareto_front(grown, directions)
        if len(rows) in kept:
            rows = [grown[i] for i in kept]
            share = hypervolume(rows, target.reference, directions) / target.hypervolume
        shares.append(share)
        if rules.stop_at is not None and share >= rules.stop_at:
            break
    missed += sum(tuple(table.true_values(params)) in target.front for params in search.deferred())
    return SimulatedRun(
        sampler,
        seed,
        tuple(shares),
        front_found=len(evaluated & target.front),
        front_size=len(target.front),
        repeats=search.repeats,
        proposal_seconds=search.proposal_seconds / max(1, search.proposals),
        pruner=pruner,
        epochs=tuple(epochs),
        stopped=stopped,
        front_missed=missed,
    )


def simulate(
    source: Source,
    samplers: Sequence[str],
    seeds: Sequence[int],
    rules: Rules,
    *,
    pruners: Sequence[str] = (NO_PRUNER,),
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[SimulatedRun]:
    """Simulate a search for every sampler, pruner and seed.

    Args:
        source: creates the objective table. With several jobs it must be picklable.
        samplers: names of baselines.
        seeds: seeds of the runs.
        rules: the rules.
        pruners: names of pruners. Pruners other than "none" need learning curves.
        jobs: number of processes.
        progress: called after each run.

    Returns:
        A run for each combination, one sampler after the other.

    Raises:
        UnknownName: a sampler or a pruner is unknown.
        SettingsError: there are no seeds, no jobs, no learning curves for a pruner, or more evaluations than designs.
    """
    pruners = [current_name(name) for name in pruners]
    for name in samplers:
        one_of("sampler", name, BASELINES)
    if not samplers or len(set(samplers)) < len(samplers) or not seeds:
        raise SettingsError(
            f"a replay needs one or more different samplers and a seed; got {', '.join(samplers) or 'no sampler'} and "
            f"{counted(len(seeds), 'seed')}."
        )
    jobs = whole_number("jobs", jobs, 1)
    for name in pruners:
        one_of("pruner", name, PRUNERS)
    if not pruners or len(set(pruners)) < len(pruners):
        raise SettingsError(f"a replay needs one or more different pruners; got {', '.join(pruners) or 'none'}.")
    table = source()
    if table.curves is None and set(pruners) != {NO_PRUNER}:
        raise SettingsError(
            f"a pruner needs the numbers of every rung, such as accuracy#1, accuracy#2; {table.name} has only final "
            "numbers."
        )
    if not rules.count_repeats and table.listed is not None and rules.evaluations > len(table.listed()):
        raise SettingsError(
            f"evaluations must be at most the designs of {table.name}, {len(table.listed())}; got {rules.evaluations}."
        )
    tasks = [(name, seed, rules, pruner) for name, pruner, seed in product(samplers, pruners, seeds)]
    runs: dict[tuple[str, int, Rules, str], SimulatedRun] = {}
    if jobs == 1:
        target = target_of(table)
        for task in tasks:
            runs[task] = run_once(table, target, *task)
            if progress is not None:
                progress(len(runs), len(tasks))
    else:
        context = get_context("spawn")
        with ProcessPoolExecutor(jobs, context, threadpool_limits, (1,)) as pool:
            futures = {pool.submit(_run_in_process, source, *task): task for task in tasks}
            for future in as_completed(futures):
                runs[futures[future]] = future.result()
                if progress is not None:
                    progress(len(runs), len(tasks))
    return [runs[task] for task in tasks]


@lru_cache(maxsize=1)
def _created(source: Source) -> tuple[ObjectiveTable, Target]:
    table = source()
    return table, target_of(table)


def _run_in_process(source: Source, sampler: str, seed: int, rules: Rules, pruner: str) -> SimulatedRun:
    """Simulate one search in a worker process, which keeps the objective table for the next one."""
    table, target = _created(source)
    return run_once(table, target, sampler, seed, rules, pruner)
