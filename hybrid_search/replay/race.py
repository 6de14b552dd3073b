"""Samplers on one landscape: which share of the hypervolume each has found after how many evaluations.

A run of a sampler goes as a search does: it is asked for a design and told its numbers. Every run of a seed begins with
the same random designs, and is scored by what is true of the designs it evaluated, whatever it was told.
"""

import random
import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from multiprocessing import get_context
from typing import Any

import optuna
from threadpoolctl import threadpool_limits

from hybrid_search.errors import SettingsError, one_of, whole
from hybrid_search.front import hypervolume, pareto_front
from hybrid_search.replay.entrants import ENTRANTS
from hybrid_search.replay.landscape import Answering, Goal, Landscape, Scripted
from hybrid_search.replay.landscape import whole as whole_of
from hybrid_search.samplers.walks import Dice, walked

FIRST = 8  # random designs that every run of a seed begins with
PATIENCE = 10  # repeats in a row, before a run goes on with a random design, as a search does
Source = Callable[[], Landscape]  # makes a landscape, in another process if need be
Watch = Callable[[int, int], None]  # runs done, of how many


@dataclass(frozen=True)
class Rules:
    """How runs go. SettingsError where a number is out of range.

    A run ends after `evaluations`, or when it has found the share `until`. Its first designs are `first` random ones,
    the same for all samplers; with 0 each begins as it would. A design that is proposed again is answered from what is
    known and counts as no evaluation, unless `repeats`: then it is evaluated and counted again.
    """

    evaluations: int = 100
    first: int = FIRST
    repeats: bool = False
    until: float | None = None

    def __post_init__(self) -> None:
        whole("evaluations", self.evaluations, 1, SettingsError)
        whole("first", self.first, 0, SettingsError)


@dataclass(frozen=True)
class Curve:
    """One run: `shares[i]` is the share of the hypervolume found after i + 1 evaluations.

    `found` counts the points of the true front among its evaluations, of `front`; `repeats` are proposals that were
    known already, `seconds` the mean time of a proposal.
    """

    sampler: str
    seed: int
    shares: tuple[float, ...]
    found: int
    front: int
    repeats: int
    seconds: float

    def to(self, share: float) -> int | None:
        """Evaluations until this share was found, None where it was not."""
        return next((i for i, found in enumerate(self.shares, start=1) if found >= share), None)


def run_once(landscape: Landscape, goal: Goal, name: str, seed: int, rules: Rules) -> Curve:
    """One sampler with one seed."""
    run = _Run(landscape, name, seed, rules)
    directions = list(landscape.directions)
    rows: list[list[float]] = []
    shares: list[float] = []
    share, met = 0.0, set()
    for params in run.designs():
        true = landscape.truth(params)
        met.add(tuple(true))
        grown = [*rows, true]
        kept = pareto_front(grown, directions)
        if len(rows) in kept:
            rows = [grown[i] for i in kept]
            share = hypervolume(rows, goal.reference, directions) / goal.volume
        shares.append(share)
        if rules.until is not None and share >= rules.until:
            break
    found = len(met & goal.front)
    return Curve(name, seed, tuple(shares), found, len(goal.front), run.repeats, run.spent / max(1, run.asked))


class _Run:
    """The study of one run: gives the designs that are evaluated, one after the other, and tells their numbers."""

    def __init__(self, landscape: Landscape, name: str, seed: int, rules: Rules) -> None:
        self._landscape, self._rules, self._seed = landscape, rules, seed
        self._ranked = ENTRANTS[name].ranked
        self._told = landscape.teller(seed)
        self._dice = random.Random(f"{seed}/unseen")
        self.repeats = self.asked = 0
        self.spent = 0.0
        with _quiet():
            self._study = optuna.create_study(
                directions=list(landscape.directions), sampler=ENTRANTS[name].make(landscape, seed)
            )
        first = random.Random(seed)
        for _ in range(rules.first):
            self._enqueue(walked(landscape.ask, Dice(first)).params)

    def designs(self) -> Iterator[dict[str, Any]]:
        """The answers of each evaluated design; it is told when the next one is asked for."""
        seen: set[Hashable] = set()
        evaluated = in_a_row = 0
        while evaluated < self._rules.evaluations:
            trial, params = self._ask()
            key = self._landscape.canonical(params)
            again = key in seen
            self.repeats += again
            if not again or self._rules.repeats:
                seen.add(key)
                evaluated, in_a_row = evaluated + 1, 0
                yield params
            else:
                in_a_row += 1
            self._tell(trial, params)
            if in_a_row >= PATIENCE:
                unseen = [p for p in self._landscape.designs() if self._landscape.canonical(p) not in seen]
                if not unseen:
                    return
                self._enqueue(self._dice.choice(unseen))

    def _ask(self) -> tuple[optuna.trial.Trial, dict[str, Any]]:
        began = time.perf_counter()
        with _quiet():
            trial = self._study.ask()
            answering = Answering(trial, self._ranked)
            self._landscape.ask(answering)
        self.spent += time.perf_counter() - began
        self.asked += 1
        return trial, answering.params

    def _tell(self, trial: optuna.trial.Trial, params: dict[str, Any]) -> None:
        with _quiet():
            self._study.tell(trial, self._told(params))

    def _enqueue(self, params: Any) -> None:
        script = Scripted(params, self._ranked)
        self._landscape.ask(script)
        self._study.enqueue_trial(script.said)


class _quiet:
    """Without Optuna's news of studies in memory, and its warnings of what is experimental."""

    def __enter__(self) -> None:
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")
        self._loud = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    def __exit__(self, *what: Any) -> None:
        optuna.logging.set_verbosity(self._loud)
        self._warnings.__exit__(*what)


def replay(
    source: Source,
    samplers: Sequence[str],
    seeds: Sequence[int],
    rules: Rules,
    *,
    jobs: int = 1,
    watch: Watch | None = None,
) -> list[Curve]:
    """Every sampler with every seed on the landscape that `source` makes: a curve each, sampler by sampler.

    With `jobs` processes `source` must be picklable. `watch` is called after each run. UnknownName for a sampler that
    no table has, SettingsError for no seeds, no jobs, or more evaluations than there are designs.
    """
    for name in samplers:
        one_of("sampler", name, ENTRANTS)
    if not samplers or len(set(samplers)) < len(samplers) or not seeds:
        raise SettingsError(
            f"a replay needs one or more different samplers and a seed; got {', '.join(samplers) or 'no sampler'} and "
            f"{len(seeds)} seeds."
        )
    whole("jobs", jobs, 1, SettingsError)
    landscape = source()
    if not rules.repeats and landscape.listed is not None and rules.evaluations > len(landscape.listed()):
        raise SettingsError(
            f"evaluations must be at most the designs of {landscape.name}, {len(landscape.listed())}; got "
            f"{rules.evaluations}."
        )
    tasks = list(product(samplers, seeds))
    found: dict[tuple[str, int], Curve] = {}
    if jobs == 1:
        goal = whole_of(landscape)
        for task in tasks:
            found[task] = run_once(landscape, goal, *task, rules)
            if watch is not None:
                watch(len(found), len(tasks))
    else:
        here = get_context("spawn")
        with ProcessPoolExecutor(jobs, here, threadpool_limits, (1,)) as pool:
            futures = {pool.submit(_elsewhere, source, *task, rules): task for task in tasks}
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                if watch is not None:
                    watch(len(found), len(tasks))
    return [found[task] for task in tasks]


@lru_cache(maxsize=1)
def _made(source: Source) -> tuple[Landscape, Goal]:
    landscape = source()
    return landscape, whole_of(landscape)


def _elsewhere(source: Source, name: str, seed: int, rules: Rules) -> Curve:
    """A run in a process of its own, which keeps the landscape for the next one."""
    landscape, goal = _made(source)
    return run_once(landscape, goal, name, seed, rules)
