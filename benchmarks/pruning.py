"""Epochs until a search has found 98 % of the true hypervolume, with the pruner `front-probability` and without.

    python benchmarks/pruning.py results/fashion-table.csv  # trained networks, each under two seeds
    python benchmarks/pruning.py --synthetic 600            # a synthetic table on the same space
    python benchmarks/pruning.py results/fashion-table.csv --workers 1 4 --seeds 10 --set confidence=0.9
    python benchmarks/pruning.py results/fashion-table.csv --oracle finals --sampler random

Every network of the table was trained to the end, with every epoch recorded. A search is simulated on it: the sampler
proposes, each worker takes the recorded epochs of its network one after the other, and the pruner judges. The search
receives the measurements of one seed; the seeds are used in turn. It is scored by the mean of all seeds, from a
reference a tenth of the front's range beyond its worst. A network counts from its last epoch on. Every epoch counts,
also those of stopped networks.

With `--oracle` the pruner knows after the first epoch what others must forecast: the limit of any pruner.

`stopped` is the number of front members that were stopped, or never started (rung 0), among those proposed: of the true
front of the means, and of the front of the measured seed. Noise alone puts some members of one front off the other:
`noise` is the share of the true front that is not on the measured front.

The synthetic table follows the first networks of the real one. -log(1 - accuracy) at the end is 0.375 + 0.105 log
FLOPs, plus normal effects: 0.045 for each choice, 0.03 for the network and 0.03 for the seed. After each of the first
five epochs it is a line in the final value with a residual (LAG); a quarter of its variance comes from the seed.
"""

import argparse
import heapq
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from hybrid_search.analysis.replay import parse_objectives, read_table
from hybrid_search.gaussian_process import Inputs
from hybrid_search.networks.costs import simplified_for, total_cost
from hybrid_search.pareto import hypervolume, pareto_front
from hybrid_search.pruners import DeferredDesigns, FrontProbabilityPruner, PrunerObjectives, TrialView
from hybrid_search.pruners.encoding import encode_choices
from hybrid_search.pruners.surrogate import DesignSurrogate
from hybrid_search.samplers import PRUNED_VALUES, Facts, make_sampler
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.space import SearchSpace, load_space

AIMS = PrunerObjectives(("maximize", "minimize"), (1,), (1.0, None))
DIRECTIONS = list(AIMS.directions)
SHARE = 0.98
CLASSES, SIZE = 10, (1, 14, 14)
MAX_REPEATS = 10  # repeated proposals in a row before a random one
LOSS = (0.08, 0.04, 0.03, 0.02, 0.02, 0.02)  # standard deviation of the log training loss, given the quality
# after each epoch but the last: level, slope and residual of -log(1 - accuracy) against the final one
LAG = ((0.75, 0.55, 0.09), (1.19, 0.75, 0.10), (1.37, 0.95, 0.08), (1.57, 0.90, 0.03), (1.64, 0.97, 0.017))


@dataclass(frozen=True)
class Row:
    """One network: its choices, its FLOPs, and for each seed its accuracies and losses after each epoch."""

    params: Mapping[str, Any]
    flops: float
    curves: tuple[tuple[float, ...], ...]
    losses: tuple[tuple[tuple[float, ...], ...], ...] = ()

    @property
    def true(self) -> list[float]:
        """Mean final accuracy over the seeds, and the cost."""
        return [statistics.mean(curve[-1] for curve in self.curves), self.flops]


class TrainedNetworks:
    """The trained designs of a space, their true front and its hypervolume."""

    def __init__(self, space: SearchSpace, input_size: tuple[int, int, int], rows: Mapping[str, Row]) -> None:
        self.space, self.size = space, input_size
        self.names, self.rows = list(rows), list(rows.values())
        self.by_digest = {digest: i for i, digest in enumerate(rows)}
        self.seeds = min(len(row.curves) for row in self.rows)
        values = np.array([row.true for row in self.rows])
        self.front = set(pareto_front(values, DIRECTIONS))
        self.measured_fronts = [
            set(pareto_front([[row.curves[s][-1], row.flops] for row in self.rows], DIRECTIONS))
            for s in range(self.seeds)
        ]
        best = values[sorted(self.front)]
        low, high = best.min(axis=0), best.max(axis=0)
        self.reference = [float(low[0] - 0.1 * (high - low)[0]), float(high[1] + 0.1 * (high - low)[1])]
        self.volume = hypervolume(best, self.reference, DIRECTIONS)
        self._found: dict[tuple[tuple[str, Any], ...], tuple[str, float, float]] = {}

    def facts_of(self, params: Mapping[str, Any]) -> tuple[str, float, float]:
        """Return digest, FLOPs and parameters of any design."""
        key = tuple(params.items())
        if key not in self._found:
            architecture = simplified_for(self.space.choose(FixedChoices(params)), self.size)
            flops, weights = total_cost(architecture, self.size, CLASSES)
            self._found[key] = architecture.digest, float(flops), float(weights)
        return self._found[key]

    def front_probabilities(self, seed_index: int, draws: int = 1000) -> list[float]:
        """Return for each design the probability of the front of the means, given the final values of one seed."""
        costs = np.log([[row.flops, self.facts_of(row.params)[2]] for row in self.rows])
        costs = (costs - costs.min(axis=0)) / np.ptp(costs, axis=0)
        encoded = encode_choices([row.params for row in self.rows])
        groups = np.append(encoded.groups, encoded.groups.max() + np.arange(1, 3))
        inputs = Inputs(np.column_stack([encoded.rows, costs]), groups)
        finals = np.array([math.log(1.0 - row.curves[seed_index][-1]) for row in self.rows])
        quality = DesignSurrogate(inputs, finals).mean(inputs)
        noise = float((finals - quality).std())
        rng, order = np.random.default_rng(0), np.argsort([row.flops for row in self.rows], kind="stable")
        means = (finals + quality + noise * rng.normal(size=(draws, len(finals)))) / 2.0
        sorted_ = means[:, order]
        ahead = np.minimum.accumulate(np.hstack([np.full((draws, 1), math.inf), sorted_[:, :-1]]), axis=1)
        shares = np.empty(len(finals))
        shares[order] = (sorted_ < ahead).mean(axis=0)
        return [float(share) for share in shares]

    def sampler(self, name: str, seed: int) -> optuna.samplers.BaseSampler:
        """Return a sampler that has the space and the costs; only designs of the table are within its budget."""
        facts = Facts(
            known={1: lambda params: self.facts_of(params)[1]},
            features=lambda params: [math.log(self.facts_of(params)[2])],
            canonical=lambda params: self.facts_of(params)[0],
            budget_excess=lambda params: -1.0 if self.facts_of(params)[0] in self.by_digest else 1.0,
            space=self.space.choose,
        )
        return make_sampler(name, seed, facts)


@dataclass(frozen=True)
class OraclePruner:
    """A pruner that knows after the first epoch what other pruners must forecast.

    `front`: it stops everything except the members of the true front. `finals`: it knows all final values under the
    measured seed, and stops designs whose front probability is below `chance`.
    """

    kept: frozenset[str]
    finals: Mapping[str, float]
    min_probability: float = 0.0

    @classmethod
    def of(cls, table: TrainedNetworks, seed_index: int, what: str, chance: float) -> "OraclePruner":
        """Return the oracle that knows `what` of this table."""
        finals = {name: row.curves[seed_index][-1] for name, row in zip(table.names, table.rows, strict=True)}
        kept = table.front
        if what == "finals":
            shares = table.front_probabilities(seed_index)
            kept = {i for i, share in enumerate(shares) if share >= chance}
        return cls(frozenset(table.names[i] for i in kept), finals)

    def judge(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> str:
        """Return "keep" or "stop"."""
        return "keep" if trial.digest in self.kept else "stop"

    def front_probabilities(self, waiting: Sequence[TrialView], others: Sequence[TrialView]) -> list[float]:
        """Return 1 for every design: the oracle judges after the first epoch."""
        return [1.0] * len(waiting)

    def expected_values(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> tuple[float, ...]:
        """Return the final value."""
        return (self.finals[trial.digest],)


@dataclass
class Run:
    """The result of a simulated search: epochs and trials to the share (None: never), proposed and stopped rows."""

    epochs: int | None = None
    trials: int | None = None
    spent: int = 0
    proposed: list[int] = field(default_factory=list)
    stopped: dict[int, int] = field(default_factory=dict)  # row -> rung
    spared: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class SimulationSettings:
    """The sampler, the number of workers, what stopped trials report, whether the pruner sees losses, and the limit."""

    sampler: str = "known-cost"
    workers: int = 1
    report: str = "expected"
    losses: bool = True
    limit: int = 600


def replay(
    table: TrainedNetworks,
    seed_index: int,
    seed: int,
    pruner: FrontProbabilityPruner | OraclePruner | None,
    settings: SimulationSettings,
) -> Run:
    """Simulate a search until it has the share, or has proposed every network or `limit` of them."""
    study = optuna.create_study(directions=DIRECTIONS, sampler=table.sampler(settings.sampler, seed))
    run = Run()
    seen: dict[int, TrialView] = {}
    waiting, passed = DeferredDesigns(), dict[int, TrialView]()
    running: dict[int, optuna.trial.Trial] = {}
    queue: list[tuple[float, int]] = []
    rows: list[list[float]] = []
    rng = random.Random(seed)

    def propose() -> tuple[optuna.trial.Trial, int]:
        """Return a trial with a design of the table that has not started."""
        for again in count(1):
            if again % MAX_REPEATS == 0:  # as in a search
                study.enqueue_trial(rng.choice([r.params for i, r in enumerate(table.rows) if i not in seen]))
            trial = study.ask()
            table.space.choose(trial)
            row = table.by_digest.get(table.facts_of(trial.params)[0], -1)
            if row >= 0 and row not in seen:
                return trial, row
            study.tell(trial, state=TrialState.FAIL)  # not in the table, or repeated
        raise AssertionError

    def start(now: float) -> None:
        for tries in count(1):
            if len(seen) == len(table.rows) or len(run.proposed) >= settings.limit:
                return
            trial, row = propose()
            params = table.rows[row].params
            if row not in passed:
                run.proposed.append(row)
            passed[row] = TrialView(
                table.names[row], (table.rows[row].flops,), {}, features=(table.facts_of(params)[2],), choices=params
            )
            begins = row
            if pruner is not None:
                waiting.add(row, passed[row])
                begins = waiting.next_design(pruner, list(seen.values()), required=tries >= MAX_REPEATS)
            if begins != row:
                study.tell(trial, state=TrialState.PRUNED)
            if begins is None:
                continue
            if begins != row:
                study.enqueue_trial(dict(table.rows[begins].params))
                trial = study.ask()
                table.space.choose(trial)
            seen[begins] = passed.pop(begins)
            running[begins] = trial
            heapq.heappush(queue, (now + 1.0 + 0.1 * rng.random(), begins))
            return

    for _ in range(settings.workers):
        start(0.0)
    while queue and run.epochs is None:
        now, row = heapq.heappop(queue)
        run.spent += 1
        curve = table.rows[row].curves[seed_index]
        rung = seen[row].last_epoch + 1
        seen[row] = replace(seen[row], curve={**seen[row].curve, rung: (curve[rung - 1],)})
        if settings.losses and table.rows[row].losses:
            shown = table.rows[row].losses[seed_index][rung - 1]
            seen[row] = replace(seen[row], indicators={**seen[row].indicators, rung: shown})
        if rung == len(curve):
            seen[row] = replace(seen[row], final=(curve[-1],))
            study.tell(running.pop(row), [curve[-1], table.rows[row].flops])
            rows.append(table.rows[row].true)
            if hypervolume(rows, table.reference, DIRECTIONS) >= SHARE * table.volume:
                run.epochs, run.trials = run.spent, len(run.proposed)
            start(now)
            continue
        if pruner is not None:
            others = [other for at, other in seen.items() if at != row]
            verdict = pruner.judge(seen[row], rung, others)
            if verdict == "stop":
                run.stopped[row], seen[row] = rung, replace(seen[row], stopped=True)
                trial = running.pop(row)
                if settings.report != "nothing":
                    value = seen[row].curve[rung]
                    if settings.report == "expected":
                        value = pruner.expected_values(seen[row], rung, others)
                    trial.set_user_attr(PRUNED_VALUES, list(value))
                study.tell(trial, state=TrialState.PRUNED)
                start(now)
                continue
            if verdict == "spare":
                run.spared.add(row)
                seen[row] = replace(seen[row], spared=rung)
        heapq.heappush(queue, (now + 1.0 + 0.1 * rng.random(), row))
    run.stopped |= dict.fromkeys(passed, 0)
    return run


def of_csv(path: Path) -> TrainedNetworks:
    """Read the networks of a table of the space `fashion-table`, each trained under several seeds."""
    table = read_table(path, parse_objectives("accuracy,flops"))
    accuracy, flops = table.objectives
    curves = accuracy.values.tolist()
    losses = np.stack([sign.values for sign in table.indicators], axis=-1).tolist()
    rows = {}
    for i, digest in enumerate(table.digests):
        shown = tuple(tuple(map(tuple, epochs)) for epochs in losses[i])
        rows[digest] = Row(table.designs[i], float(flops.means[i]), tuple(map(tuple, curves[i])), shown)
    return TrainedNetworks(load_space("fashion-table"), SIZE, rows)


def synthetic(count: int, seed: int = 0) -> TrainedNetworks:
    """Return synthetic learning curves on the space of the real table; see the top of this file."""
    space, size = load_space("fashion-table"), SIZE
    rng = np.random.default_rng(seed)
    effects: dict[tuple[str, Any], float] = {}
    rows: dict[str, Row] = {}
    designs = list(space.enumerate_choices())
    for architecture, params in [designs[i] for i in sorted(rng.permutation(len(designs))[:count])]:
        architecture = simplified_for(architecture, size)
        flops = float(total_cost(architecture, size, CLASSES)[0])
        for choice in params.items():
            effects.setdefault(choice, float(rng.normal(0.0, 0.045)))
        end = 0.375 + 0.105 * math.log(flops) + sum(effects[a] for a in params.items()) + rng.normal(0.0, 0.03)
        own = rng.normal(0.0, 1.0, len(LAG))
        curves, losses = [], []
        for _ in range(2):
            final = end + rng.normal(0.0, 0.03)
            noise = rng.normal(0.0, 1.0, len(LAG))
            early = [
                level + slope * (final - 1.67) + wide * (0.87 * o + 0.5 * x)
                for (level, slope, wide), o, x in zip(LAG, own, noise, strict=True)
            ]
            curves.append(tuple(1.0 - math.exp(-w) for w in [*early, final]))
            logarithms = [end + wide * x for wide, x in zip(LOSS, rng.normal(0.0, 1.0, len(LOSS)), strict=True)]
            losses.append(tuple((math.exp(-w),) for w in logarithms))
        rows[architecture.digest] = Row(params, flops, tuple(curves), tuple(losses))
    return TrainedNetworks(space, size, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--synthetic", type=int, default=600)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", nargs="*", default=[], help="settings of the pruner, NAME=NUMBER")
    parser.add_argument("--sampler", default="known-cost")
    parser.add_argument("--limit", type=int, default=600, help="trials after which a search counts as unsuccessful")
    parser.add_argument(
        "--losses", action=argparse.BooleanOptionalAction, default=True, help="whether the pruner sees the losses"
    )
    parser.add_argument("--oracle", choices=("finals", "front"), help="use a pruner that knows this")
    parser.add_argument(
        "--chance", type=float, default=0.01, help="front probability below which `--oracle finals` stops"
    )
    parser.add_argument("--report", default="expected", choices=("expected", "reached", "nothing"))
    parser.add_argument("--without", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = of_csv(args.table) if args.table else synthetic(args.synthetic)
    settings = {name: float(value) for name, value in (pair.split("=") for pair in args.set)}
    if "n_startup_trials" in settings:
        settings["n_startup_trials"] = int(settings["n_startup_trials"])
    noise = statistics.mean(len(table.front - front) / len(table.front) for front in table.measured_fronts)
    print(f"{len(table.rows)} networks, a front of {len(table.front)}, noise {100 * noise:.0f} %; {settings}")
    pairs = [(seed % table.seeds, seed) for seed in range(args.seeds)]
    judges: dict[str, list[FrontProbabilityPruner | OraclePruner | None]] = (
        {"without": [None for _ in pairs]} if args.without else {}
    )
    if args.oracle:
        oracles = [OraclePruner.of(table, seed_index, args.oracle, args.chance) for seed_index in range(table.seeds)]
        judges[f"oracle, {args.oracle}"] = [oracles[seed_index] for seed_index, _ in pairs]
    else:
        judges["front-probability"] = [FrontProbabilityPruner(AIMS, seed, **settings) for _, seed in pairs]
    for workers in args.workers:
        medians = {}
        for name, pruners in judges.items():
            simulation = SimulationSettings(args.sampler, workers, args.report, args.losses, args.limit)
            runs = [replay(table, *pair, pruner, simulation) for pair, pruner in zip(pairs, pruners, strict=True)]
            epochs = [run.epochs or math.inf for run in runs]
            trials = [run.trials or math.inf for run in runs]
            medians[name] = statistics.median(epochs)
            line = f"{args.sampler}, {workers} workers, {name}: {medians[name]:g} epochs "
            line += f"(mean {statistics.mean(epochs):.0f}, worst {max(epochs):g}), {statistics.median(trials):g} trials"
            if name != "without":
                true = [len(table.front & set(run.proposed)) for run in runs]
                lost = [len(table.front & set(run.stopped)) for run in runs]
                fronts = [table.measured_fronts[seed_index] for seed_index, _ in pairs]
                measured_lost = sum(len(front & set(run.stopped)) for front, run in zip(fronts, runs, strict=True))
                measured_all = sum(len(front & set(run.proposed)) for front, run in zip(fronts, runs, strict=True))
                line += f"; stopped {sum(lost)} of {sum(true)} true, {measured_lost} of {measured_all} "
                line += "measured front members"
                line += f"; stopped {statistics.mean(len(r.stopped) for r in runs):.0f} trials a run at rungs "
                rungs = [rung for run in runs for rung in run.stopped.values()]
                line += ", ".join(f"{r}: {rungs.count(r)}" for r in sorted(set(rungs)))
                if "without" in medians:
                    line += f"; ratio {medians['without'] / medians[name]:.2f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
