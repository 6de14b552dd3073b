"""One simulated search: one sampler and one seed, with its Optuna study, parallel workers and pruning."""

import random
import time
import warnings
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from hybrid_search._internal.number_text import whole_number
from hybrid_search.analysis.replay.compared_samplers import BASELINES
from hybrid_search.analysis.replay.objective_table import ObjectiveTable, RankedParams, RankedTrial
from hybrid_search.analysis.replay.recorded_training import RecordedTraining
from hybrid_search.analysis.replay.results_table import Params
from hybrid_search.pruners import DEFAULT as NO_PRUNER
from hybrid_search.samplers import PRUNED_VALUES
from hybrid_search.samplers.define_by_run import RandomSuggester, run_space

N_RANDOM = 8  # random designs at the beginning of a run
MAX_REPEATS = 10  # repeated proposals in a row before a run continues with a random unseen design, as a search does


@dataclass(frozen=True)
class Rules:
    """The rules of a simulated run.

    Args:
        evaluations: evaluations of a run.
        n_random: random designs at the beginning, the same ones for every sampler. 0: the sampler's own start.
        count_repeats: whether a repeated proposal is evaluated and counted again. If not, its value is returned and
            does not count.
        stop_at: share of the hypervolume at which the run ends early.
        workers: designs that are evaluated at the same time. The oldest ends first, and the next design is proposed
            before the others have ended.

    Raises:
        SettingsError: a number is out of range.
    """

    evaluations: int = 100
    n_random: int = N_RANDOM
    count_repeats: bool = False
    stop_at: float | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        for name, least in (("evaluations", 1), ("n_random", 0), ("workers", 1)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))


class SimulatedSearch:
    """One simulated search.

    Args:
        table: the objective table.
        baseline: name of the sampler.
        seed: seed of the run.
        rules: the rules.
        pruner: name of the pruner.

    Attributes:
        repeats: number of repeated proposals.
        proposals: number of proposals.
        proposal_seconds: time of all proposals.
        epochs: number of epochs trained.
    """

    def __init__(self, table: ObjectiveTable, baseline: str, seed: int, rules: Rules, pruner: str) -> None:
        self._table, self._rules, self._seed = table, rules, seed
        self._ranked = BASELINES[baseline].ranked
        self._measure = table.measure(seed)
        self._rng = random.Random(f"{seed}/unseen")
        self._training = None
        if table.curves is not None and pruner != NO_PRUNER:
            self._training = RecordedTraining(table, table.curves, pruner, seed)
        self.repeats = self.proposals = self.epochs = 0
        self.proposal_seconds = 0.0
        with _Quiet():
            self._study = optuna.create_study(
                directions=list(table.directions), sampler=BASELINES[baseline].make(table, seed)
            )
        # Designs to enqueue before the sampler's own proposals.
        self._queue: deque[Params] = deque(random_designs(table, rules.n_random, seed))

    def designs(self) -> Iterator[tuple[Params, bool]]:
        """Yield each evaluated design, and whether it was trained to the end."""
        seen: set[Hashable] = set()
        running: deque[tuple[Trial, Params]] = deque()
        started = misses = 0
        while started < self._rules.evaluations:
            if len(running) == self._rules.workers:
                yield self._finish(*running.popleft())
            trial, params = self._propose()
            repeated = self._table.canonical(params) in seen
            self.repeats += repeated
            start = None
            if not repeated or self._rules.count_repeats:
                start = self._select(trial, params, required=misses + 1 >= MAX_REPEATS)
            elif any(self._table.canonical(other) == self._table.canonical(params) for _, other in running):
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._report(trial, params)
            if start is not None:
                seen.add(self._table.canonical(start[1]))
                running.append(start)
                started, misses = started + 1, 0
            else:
                misses += 1
            if misses >= MAX_REPEATS:
                unseen = [p for p in self._table.designs() if self._table.canonical(p) not in seen]
                if not unseen:
                    break
                self._queue.appendleft(self._rng.choice(unseen))
        while running:
            yield self._finish(*running.popleft())

    def deferred(self) -> list[Params]:
        """Return the designs that were proposed and never trained because of the pruner."""
        return [] if self._training is None else self._training.deferred()

    def _select(self, trial: Trial, params: Params, *, required: bool) -> tuple[Trial, Params] | None:
        """Return the trial to train: this one, a deferred design that is proposed again, or None."""
        chosen: Params | None = params
        if self._training is not None:
            chosen = self._training.next_design(params, required=required)
        if chosen is params:
            return trial, params
        self._study.tell(trial, state=TrialState.PRUNED)
        if chosen is None:
            return None
        self._queue.appendleft(chosen)
        return self._propose()

    def _propose(self) -> tuple[Trial, Params]:
        started = time.perf_counter()
        if self._queue:
            recorder = RankedParams(self._queue.popleft(), self._ranked)
            self._table.space(recorder)
            self._study.enqueue_trial(recorder.recorded)
        with _Quiet():
            trial = self._study.ask()
            ranked = RankedTrial(trial, self._ranked)
            self._table.space(ranked)
        self.proposal_seconds += time.perf_counter() - started
        self.proposals += 1
        return trial, ranked.params

    def _finish(self, trial: Trial, params: Params) -> tuple[Params, bool]:
        """Train a design and report its result. Return it, and whether it was trained to the end."""
        if self._training is not None:
            self.epochs += self._training.train(params)
        elif self._table.curves is not None:
            self.epochs += self._table.curves.rungs[-1]
        return params, self._report(trial, params)

    def _report(self, trial: Trial, params: Params) -> bool:
        """Report the result of a design to the study. Return whether it was trained to the end."""
        expected = None if self._training is None else self._training.stopped.get(self._table.canonical(params))
        with _Quiet():
            if expected is None:
                self._study.tell(trial, self._measure(params))
            else:
                trial.set_user_attr(PRUNED_VALUES, list(expected))
                self._study.tell(trial, state=TrialState.PRUNED)
        return expected is None


def random_designs(table: ObjectiveTable, count: int, seed: int) -> list[dict[str, Any]]:
    """Return different random designs; fewer than `count` if MAX_REPEATS draws for each do not give more."""
    rng = random.Random(seed)
    draws = (run_space(table.space, RandomSuggester(rng)).params for _ in range(MAX_REPEATS * count))
    designs: dict[Hashable, dict[str, Any]] = {}
    for params in draws:
        if len(designs) == count:
            break
        designs.setdefault(table.canonical(params), params)
    return list(designs.values())


class _Quiet:
    """A context without Optuna's log messages and warnings."""

    def __enter__(self) -> None:
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")
        self._verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    def __exit__(self, *what: Any) -> None:
        optuna.logging.set_verbosity(self._verbosity)
        self._warnings.__exit__(*what)
