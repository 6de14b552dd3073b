"""Samplers on one landscape: which share of the hypervolume each has found after how many evaluations.

A run of a sampler goes as a search does: it is asked for a design and told its numbers. Every run of a seed begins with
the same random designs, and is scored by what is true of the designs it evaluated, whatever it was told.
"""

import random
import time
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from multiprocessing import get_context
from typing import Any

import optuna
from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from hybrid_search.analysis.replay.baselines import ENTRANTS
from hybrid_search.analysis.replay.objective_table import Answering, Goal, Landscape, Scripted
from hybrid_search.analysis.replay.objective_table import whole as whole_of
from hybrid_search.analysis.replay.recorded_training import Training
from hybrid_search.analysis.replay.table import Params
from hybrid_search.errors import SettingsError, one_of, whole
from hybrid_search.pareto import hypervolume, pareto_front
from hybrid_search.pruners import DEFAULT as DEFAULT_PRUNER
from hybrid_search.pruners import PRUNERS
from hybrid_search.samplers import PRUNED_VALUES
from hybrid_search.samplers.define_by_run import RandomSuggester, run_space

FIRST = 8  # random designs that every run of a seed begins with
PATIENCE = 10  # repeats in a row, before a run goes on with a random design, as a search does
Source = Callable[[], Landscape]  # makes a landscape, in another process if need be
Watch = Callable[[int, int], None]  # runs done, of how many


@dataclass(frozen=True)
class Rules:
    """How runs go. SettingsError where a number is out of range.

    A run ends after `evaluations`, or when it has found the share `until`. Its first designs are `first` random ones,
    the same for all samplers; with 0 each begins as it would. A design that is proposed again is answered from what is
    known and counts as no evaluation, unless `repeats`: then it is evaluated and counted again. `workers` designs are
    evaluated at a time: the oldest of them ends first, and the next is proposed before the others are told.
    """

    evaluations: int = 100
    first: int = FIRST
    repeats: bool = False
    until: float | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        whole("evaluations", self.evaluations, 1, SettingsError)
        whole("first", self.first, 0, SettingsError)
        whole("workers", self.workers, 1, SettingsError)


@dataclass(frozen=True)
class Curve:
    """One run: `shares[i]` is the share of the hypervolume found after i + 1 evaluations.

    `found` counts the points of the true front among its evaluations, of `front`; `repeats` are proposals that were
    known already, `seconds` the mean time of a proposal. `epochs[i]` are the epochs spent until then, empty where only
    the ends are known; `stopped` evaluations were ended by the pruner; of those, and of what never began for it, `lost`
    are members of the true front.
    """

    sampler: str
    seed: int
    shares: tuple[float, ...]
    found: int
    front: int
    repeats: int
    seconds: float
    pruner: str = "none"
    epochs: tuple[int, ...] = ()
    stopped: int = 0
    lost: int = 0

    def epochs_to(self, share: float) -> int | None:
        """Epochs until this share was found, None where it was not, or where only the ends are known."""
        at = self.to(share)
        return self.epochs[at - 1] if at is not None and self.epochs else None

    def to(self, share: float) -> int | None:
        """Evaluations until this share was found, None where it was not."""
        return next((i for i, found in enumerate(self.shares, start=1) if found >= share), None)


def run_once(
    landscape: Landscape, goal: Goal, name: str, seed: int, rules: Rules, pruner: str = DEFAULT_PRUNER
) -> Curve:
    """One sampler with one pruner and one seed."""
    run = _Run(landscape, name, seed, rules, pruner)
    directions = list(landscape.directions)
    rows: list[list[float]] = []
    shares: list[float] = []
    share, met = 0.0, set()
    epochs: list[int] = []
    stopped = lost = 0
    for params, complete in run.designs():
        true = landscape.truth(params)
        if landscape.showing is not None:
            epochs.append(run.epochs)
        if not complete:
            shares.append(share)
            stopped, lost = stopped + 1, lost + (tuple(true) in goal.front)
            continue
        met.add(tuple(true))
        grown = [*rows, true]
        kept = pareto_front(grown, directions)
        if len(rows) in kept:
            rows = [grown[i] for i in kept]
            share = hypervolume(rows, goal.reference, directions) / goal.volume
        shares.append(share)
        if rules.until is not None and share >= rules.until:
            break
    lost += sum(tuple(landscape.truth(params)) in goal.front for params in run.waiting())
    found = len(met & goal.front)
    seconds = run.spent / max(1, run.asked)
    return Curve(
        name, seed, tuple(shares), found, len(goal.front), run.repeats, seconds, pruner, tuple(epochs), stopped, lost
    )


class _Run:
    """The study of one run: gives the designs that are evaluated, one after the other, and tells their numbers."""

    def __init__(self, landscape: Landscape, name: str, seed: int, rules: Rules, pruner: str) -> None:
        self._landscape, self._rules, self._seed = landscape, rules, seed
        self._ranked = ENTRANTS[name].ranked
        self._told = landscape.teller(seed)
        self._dice = random.Random(f"{seed}/unseen")
        self._training = None
        if landscape.showing is not None and pruner != DEFAULT_PRUNER:
            self._training = Training(landscape, landscape.showing, pruner, seed)
        self.repeats = self.asked = self.epochs = 0
        self.spent = 0.0
        with _quiet():
            self._study = optuna.create_study(
                directions=list(landscape.directions), sampler=ENTRANTS[name].make(landscape, seed)
            )
        self._next: deque[Params] = deque(first_designs(landscape, rules.first, seed))  # asked before the sampler's own

    def designs(self) -> Iterator[tuple[Params, bool]]:
        """The answers of each evaluated design, and whether it was trained to the end."""
        seen: set[Hashable] = set()
        running: deque[tuple[optuna.trial.Trial, Params]] = deque()
        begun = in_a_row = 0
        while begun < self._rules.evaluations:
            if len(running) == self._rules.workers:
                yield self._ended(*running.popleft())
            trial, params = self._ask()
            again = self._landscape.canonical(params) in seen
            self.repeats += again
            begins = None
            if not again or self._rules.repeats:
                begins = self._begun(trial, params, required=in_a_row + 1 >= PATIENCE)
            elif any(self._landscape.canonical(other) == self._landscape.canonical(params) for _, other in running):
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._tell(trial, params)
            if begins is not None:
                seen.add(self._landscape.canonical(begins[1]))
                running.append(begins)
                begun, in_a_row = begun + 1, 0
            else:
                in_a_row += 1
            if in_a_row >= PATIENCE:
                unseen = [p for p in self._landscape.designs() if self._landscape.canonical(p) not in seen]
                if not unseen:
                    break
                self._next.appendleft(self._dice.choice(unseen))
        while running:
            yield self._ended(*running.popleft())

    def waiting(self) -> list[Params]:
        """The designs that were proposed, and that the pruner did not let begin."""
        return [] if self._training is None else self._training.waiting()

    def _begun(
        self, trial: optuna.trial.Trial, params: Params, *, required: bool
    ) -> tuple[optuna.trial.Trial, Params] | None:
        """This proposal, or where the pruner lets it wait, one that waited, asked anew; None where nothing begins."""
        begins: Params | None = params if self._training is None else self._training.pick(params, required=required)
        if begins is params:
            return trial, params
        self._study.tell(trial, state=TrialState.PRUNED)
        if begins is None:
            return None
        self._next.appendleft(begins)
        return self._ask()

    def _ask(self) -> tuple[optuna.trial.Trial, Params]:
        began = time.perf_counter()
        if self._next:
            self._enqueue(self._next.popleft())
        with _quiet():
            trial = self._study.ask()
            answering = Answering(trial, self._ranked)
            self._landscape.ask(answering)
        self.spent += time.perf_counter() - began
        self.asked += 1
        return trial, answering.params

    def _ended(self, trial: optuna.trial.Trial, params: Params) -> tuple[Params, bool]:
        return params, self._evaluate(trial, params)

    def _evaluate(self, trial: optuna.trial.Trial, params: Params) -> bool:
        """Train a design and tell how it went; whether to the end."""
        if self._training is not None:
            self.epochs += self._training.run(params)
        elif self._landscape.showing is not None:
            self.epochs += self._landscape.showing.rungs[-1]
        return self._tell(trial, params)

    def _tell(self, trial: optuna.trial.Trial, params: Params) -> bool:
        """Tell what is known of a design; whether it was trained to the end."""
        expected = None if self._training is None else self._training.stopped.get(self._landscape.canonical(params))
        with _quiet():
            if expected is None:
                self._study.tell(trial, self._told(params))
            else:
                trial.set_user_attr(PRUNED_VALUES, list(expected))
                self._study.tell(trial, state=TrialState.PRUNED)
        return expected is None

    def _enqueue(self, params: Any) -> None:
        script = Scripted(params, self._ranked)
        self._landscape.ask(script)
        self._study.enqueue_trial(script.said)


def first_designs(landscape: Landscape, count: int, seed: int) -> list[dict[str, Any]]:
    """Different random designs, the same for a seed; fewer where `PATIENCE` draws for each meet no more."""
    dice = random.Random(seed)
    drawn = (run_space(landscape.ask, RandomSuggester(dice)).params for _ in range(PATIENCE * count))
    found: dict[Hashable, dict[str, Any]] = {}
    for params in drawn:
        if len(found) == count:
            break
        found.setdefault(landscape.canonical(params), params)
    return list(found.values())


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
    pruners: Sequence[str] = (DEFAULT_PRUNER,),
    jobs: int = 1,
    watch: Watch | None = None,
) -> list[Curve]:
    """Every sampler with every pruner and seed on the landscape that `source` makes: a curve each, sampler by sampler.

    A pruner needs rungs. With `jobs` processes `source` must be picklable. `watch` is called after each run.
    UnknownName for a name that no table has, SettingsError for no seeds, no jobs, no rungs for a pruner, or more
    evaluations than there are designs.
    """
    for name in samplers:
        one_of("sampler", name, ENTRANTS)
    if not samplers or len(set(samplers)) < len(samplers) or not seeds:
        raise SettingsError(
            f"a replay needs one or more different samplers and a seed; got {', '.join(samplers) or 'no sampler'} and "
            f"{len(seeds)} seeds."
        )
    whole("jobs", jobs, 1, SettingsError)
    for name in pruners:
        one_of("pruner", name, PRUNERS)
    if not pruners or len(set(pruners)) < len(pruners):
        raise SettingsError(f"a replay needs one or more different pruners; got {', '.join(pruners) or 'none'}.")
    landscape = source()
    if landscape.showing is None and set(pruners) != {DEFAULT_PRUNER}:
        raise SettingsError(
            f"a pruner needs what training shows after each rung, such as accuracy#1, accuracy#2; {landscape.name} has "
            "only the ends."
        )
    if not rules.repeats and landscape.listed is not None and rules.evaluations > len(landscape.listed()):
        raise SettingsError(
            f"evaluations must be at most the designs of {landscape.name}, {len(landscape.listed())}; got "
            f"{rules.evaluations}."
        )
    tasks = [(name, seed, rules, pruner) for name, pruner, seed in product(samplers, pruners, seeds)]
    found: dict[tuple[str, int, Rules, str], Curve] = {}
    if jobs == 1:
        goal = whole_of(landscape)
        for task in tasks:
            found[task] = run_once(landscape, goal, *task)
            if watch is not None:
                watch(len(found), len(tasks))
    else:
        here = get_context("spawn")
        with ProcessPoolExecutor(jobs, here, threadpool_limits, (1,)) as pool:
            futures = {pool.submit(_elsewhere, source, *task): task for task in tasks}
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                if watch is not None:
                    watch(len(found), len(tasks))
    return [found[task] for task in tasks]


@lru_cache(maxsize=1)
def _made(source: Source) -> tuple[Landscape, Goal]:
    landscape = source()
    return landscape, whole_of(landscape)


def _elsewhere(source: Source, name: str, seed: int, rules: Rules, pruner: str) -> Curve:
    """A run in a process of its own, which keeps the landscape for the next one."""
    landscape, goal = _made(source)
    return run_once(landscape, goal, name, seed, rules, pruner)
