"""Epochs until a search has found 98 % of the true hypervolume, with the pruner `moasha` and without, on a table.

    python benchmarks/moasha.py results/fashion-table.csv  # networks that were trained, each under two seeds
    python benchmarks/moasha.py --made-up 600              # a table made up on the space of the real one
    python benchmarks/moasha.py results/fashion-table.csv --workers 1 4 --seeds 10 --set confidence=0.9
    python benchmarks/moasha.py results/fashion-table.csv --knows ends --sampler random

Every network of the table was trained in full, with every epoch recorded. A search is replayed on it: the sampler
proposes, each worker takes the recorded epochs of its network one after the other, the pruner judges. What one seed of
the training measured is told; the mean of all seeds is the truth that is scored, from the worst of the true front and a
tenth of its range beyond. Seeds take turns in being told. A network counts from its last epoch on, and every epoch
counts, of stopped networks too.

With `--knows` the pruner is one that knows, after the first epoch, what there is to forecast: the limit of any.

`stopped` are members of the front that the pruner stopped, or never let begin (rung 0), as a share of those proposed:
of the front of the mean (true), and of the front that the told seed alone would show (told). Noise alone puts a member
of the one off the other: `noise` is the share of the true front that lies off the told front.

The made-up table follows what the first networks of the real one did: -log(1 - accuracy) at the end is 0.375 + 0.105
log FLOPs, an effect of 0.045 for each answer, 0.03 of the network's own and 0.03 of the seed. After each of the first
five epochs it is a line in the final one with a residual (LAG), of which a quarter is the seed's.
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
from hybrid_search.networks.costs import fitted, total_cost
from hybrid_search.pareto import hypervolume, pareto_front
from hybrid_search.pruners import Aims, DeferredDesigns, FrontProbabilityPruner, TrialView
from hybrid_search.pruners.encoding import encode_choices
from hybrid_search.pruners.surrogate import DesignSurrogate
from hybrid_search.samplers import PRUNED_VALUES, Facts, make_sampler
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.space import SearchSpace, load_space

AIMS = Aims(("maximize", "minimize"), (1,), (1.0, None))
DIRECTIONS = list(AIMS.directions)
SHARE = 0.98
CLASSES, SIZE = 10, (1, 14, 14)
PATIENCE = 10  # proposals in a row that are known, before a random one
LOSS = (0.08, 0.04, 0.03, 0.02, 0.02, 0.02)  # how far the logarithm of the training loss is off the network's quality
# after each epoch but the last: level, slope and residual of -log(1 - accuracy) against the final one
LAG = ((0.75, 0.55, 0.09), (1.19, 0.75, 0.10), (1.37, 0.95, 0.08), (1.57, 0.90, 0.03), (1.64, 0.97, 0.017))


@dataclass(frozen=True)
class Row:
    """One network of the table: its answers, its FLOPs, and by seed the accuracies and the losses after each epoch."""

    params: Mapping[str, Any]
    flops: float
    curves: tuple[tuple[float, ...], ...]
    signs: tuple[tuple[tuple[float, ...], ...], ...] = ()

    @property
    def true(self) -> list[float]:
        """Mean final accuracy over the seeds, and the cost."""
        return [statistics.mean(curve[-1] for curve in self.curves), self.flops]


class Table:
    """The designs of a space that were trained, their true front and its hypervolume."""

    def __init__(self, space: SearchSpace, input_size: tuple[int, int, int], rows: Mapping[str, Row]) -> None:
        self.space, self.size = space, input_size
        self.names, self.rows = list(rows), list(rows.values())
        self.by_digest = {digest: i for i, digest in enumerate(rows)}
        self.seeds = min(len(row.curves) for row in self.rows)
        values = np.array([row.true for row in self.rows])
        self.front = set(pareto_front(values, DIRECTIONS))
        self.told_fronts = [
            set(pareto_front([[row.curves[s][-1], row.flops] for row in self.rows], DIRECTIONS))
            for s in range(self.seeds)
        ]
        best = values[sorted(self.front)]
        low, high = best.min(axis=0), best.max(axis=0)
        self.reference = [float(low[0] - 0.1 * (high - low)[0]), float(high[1] + 0.1 * (high - low)[1])]
        self.volume = hypervolume(best, self.reference, DIRECTIONS)
        self._found: dict[tuple[tuple[str, Any], ...], tuple[str, float, float]] = {}

    def about(self, params: Mapping[str, Any]) -> tuple[str, float, float]:
        """Digest, FLOPs and parameters of a design, be it in the table or not."""
        key = tuple(params.items())
        if key not in self._found:
            architecture = fitted(self.space.choose(FixedChoices(params)), self.size)
            flops, weights = total_cost(architecture, self.size, CLASSES)
            self._found[key] = architecture.digest, float(flops), float(weights)
        return self._found[key]

    def front_probabilities(self, told: int, draws: int = 1000) -> list[float]:
        """For each design how probably it is on the front of the means of two seeds, where one seed's ends are known of
        all designs, and from them what each design is worth."""
        costs = np.log([[row.flops, self.about(row.params)[2]] for row in self.rows])
        costs = (costs - costs.min(axis=0)) / np.ptp(costs, axis=0)
        answers = encode_choices([row.params for row in self.rows])
        groups = np.append(answers.groups, answers.groups.max() + np.arange(1, 3))
        inputs = Inputs(np.column_stack([answers.rows, costs]), groups)
        ends = np.array([math.log(1.0 - row.curves[told][-1]) for row in self.rows])
        found = DesignSurrogate(inputs, ends).mean(inputs)
        luck = float((ends - found).std())
        dice, order = np.random.default_rng(0), np.argsort([row.flops for row in self.rows], kind="stable")
        means = (ends + found + luck * dice.normal(size=(draws, len(ends)))) / 2.0
        sorted_ = means[:, order]
        ahead = np.minimum.accumulate(np.hstack([np.full((draws, 1), math.inf), sorted_[:, :-1]]), axis=1)
        shares = np.empty(len(ends))
        shares[order] = (sorted_ < ahead).mean(axis=0)
        return [float(share) for share in shares]

    def sampler(self, name: str, seed: int) -> optuna.samplers.BaseSampler:
        """A sampler of the table: told the space, its costs, and that only the table's designs are allowed."""
        facts = Facts(
            known={1: lambda params: self.about(params)[1]},
            features=lambda params: [math.log(self.about(params)[2])],
            canonical=lambda params: self.about(params)[0],
            budget_budget_excess=lambda params: -1.0 if self.about(params)[0] in self.by_digest else 1.0,
            space=self.space.choose,
        )
        return make_sampler(name, seed, facts)


@dataclass(frozen=True)
class Knowing:
    """A pruner that knows after the first epoch what others can only forecast: the most that a forecast can reach.

    `front`: it stops all but the members of the true front. `ends`: it knows how every design of the table, proposed or
    not, ends under the told seed, and stops what is on the front of the means with a chance below `chance`.
    """

    kept: frozenset[str]
    ends: Mapping[str, float]
    min_probability: float = 0.0

    @classmethod
    def of(cls, table: Table, told: int, what: str, chance: float) -> "Knowing":
        """The one that knows `what` of this table."""
        ends = {name: row.curves[told][-1] for name, row in zip(table.names, table.rows, strict=True)}
        kept = table.front
        if what == "ends":
            shares = table.front_probabilities(told)
            kept = {i for i, share in enumerate(shares) if share >= chance}
        return cls(frozenset(table.names[i] for i in kept), ends)

    def judge(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> str:
        """Keep or stop."""
        return "keep" if trial.digest in self.kept else "stop"

    def front_probabilities(self, waiting: Sequence[TrialView], others: Sequence[TrialView]) -> list[float]:
        """It judges after the first epoch."""
        return [1.0] * len(waiting)

    def expected_values(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> tuple[float, ...]:
        """Its end."""
        return (self.ends[trial.digest],)


@dataclass
class Run:
    """How one replayed search went: epochs and trials to the share (None: never), what was proposed and stopped."""

    epochs: int | None = None
    trials: int | None = None
    spent: int = 0
    proposed: list[int] = field(default_factory=list)
    stopped: dict[int, int] = field(default_factory=dict)  # row -> rung
    spared: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Way:
    """How a table is replayed: who proposes, how many train at a time, what stopped trials teach, what is seen."""

    sampler: str = "known-cost"
    workers: int = 1
    teach: str = "expected"
    signs: bool = True
    limit: int = 600


def replay(table: Table, told: int, seed: int, pruner: FrontProbabilityPruner | Knowing | None, way: Way) -> Run:
    """A search on the table until it has the share, or has asked for every network or `limit` of them."""
    study = optuna.create_study(directions=DIRECTIONS, sampler=table.sampler(way.sampler, seed))
    run = Run()
    seen: dict[int, TrialView] = {}
    waiting, passed = DeferredDesigns(), dict[int, TrialView]()
    asked: dict[int, optuna.trial.Trial] = {}
    queue: list[tuple[float, int]] = []
    rows: list[list[float]] = []
    dice = random.Random(seed)

    def propose() -> tuple[optuna.trial.Trial, int]:
        """A design of the table that has not begun."""
        for again in count(1):
            if again % PATIENCE == 0:  # as a search does
                study.enqueue_trial(dice.choice([r.params for i, r in enumerate(table.rows) if i not in seen]))
            trial = study.ask()
            table.space.choose(trial)
            row = table.by_digest.get(table.about(trial.params)[0], -1)
            if row >= 0 and row not in seen:
                return trial, row
            study.tell(trial, state=TrialState.FAIL)  # not of the table, or known already
        raise AssertionError

    def start(now: float) -> None:
        for tries in count(1):
            if len(seen) == len(table.rows) or len(run.proposed) >= way.limit:
                return
            trial, row = propose()
            params = table.rows[row].params
            if row not in passed:
                run.proposed.append(row)
            passed[row] = TrialView(
                table.names[row], (table.rows[row].flops,), {}, features=(table.about(params)[2],), choices=params
            )
            begins = row
            if pruner is not None:
                waiting.add(row, passed[row])
                begins = waiting.next_design(pruner, list(seen.values()), required=tries >= PATIENCE)
            if begins != row:
                study.tell(trial, state=TrialState.PRUNED)
            if begins is None:
                continue
            if begins != row:
                study.enqueue_trial(dict(table.rows[begins].params))
                trial = study.ask()
                table.space.choose(trial)
            seen[begins] = passed.pop(begins)
            asked[begins] = trial
            heapq.heappush(queue, (now + 1.0 + 0.1 * dice.random(), begins))
            return

    for _ in range(way.workers):
        start(0.0)
    while queue and run.epochs is None:
        now, row = heapq.heappop(queue)
        run.spent += 1
        curve = table.rows[row].curves[told]
        rung = seen[row].last_epoch + 1
        seen[row] = replace(seen[row], curve={**seen[row].curve, rung: (curve[rung - 1],)})
        if way.signs and table.rows[row].signs:
            shown = table.rows[row].signs[told][rung - 1]
            seen[row] = replace(seen[row], indicators={**seen[row].indicators, rung: shown})
        if rung == len(curve):
            seen[row] = replace(seen[row], final=(curve[-1],))
            study.tell(asked.pop(row), [curve[-1], table.rows[row].flops])
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
                trial = asked.pop(row)
                if way.teach != "nothing":
                    value = seen[row].curve[rung]
                    if way.teach == "expected":
                        value = pruner.expected_values(seen[row], rung, others)
                    trial.set_user_attr(PRUNED_VALUES, list(value))
                study.tell(trial, state=TrialState.PRUNED)
                start(now)
                continue
            if verdict == "spare":
                run.spared.add(row)
                seen[row] = replace(seen[row], spared=rung)
        heapq.heappush(queue, (now + 1.0 + 0.1 * dice.random(), row))
    run.stopped |= dict.fromkeys(passed, 0)
    return run


def of_csv(path: Path) -> Table:
    """The networks of a table that was trained on the space `fashion-table`, each under several seeds."""
    table = read_table(path, parse_objectives("accuracy,flops"))
    accuracy, flops = table.objectives
    curves = accuracy.values.tolist()
    signs = np.stack([sign.values for sign in table.indicators], axis=-1).tolist()
    rows = {}
    for i, digest in enumerate(table.digests):
        shown = tuple(tuple(map(tuple, epochs)) for epochs in signs[i])
        rows[digest] = Row(table.designs[i], float(flops.means[i]), tuple(map(tuple, curves[i])), shown)
    return Table(load_space("fashion-table"), SIZE, rows)


def made_up(count: int, seed: int = 0) -> Table:
    """A table of made-up curves on the space of the real one: see the head of this file."""
    space, size = load_space("fashion-table"), SIZE
    dice = np.random.default_rng(seed)
    effects: dict[tuple[str, Any], float] = {}
    rows: dict[str, Row] = {}
    designs = list(space.enumerate_choices())
    for architecture, params in [designs[i] for i in sorted(dice.permutation(len(designs))[:count])]:
        architecture = fitted(architecture, size)
        flops = float(total_cost(architecture, size, CLASSES)[0])
        for answer in params.items():
            effects.setdefault(answer, float(dice.normal(0.0, 0.045)))
        end = 0.375 + 0.105 * math.log(flops) + sum(effects[a] for a in params.items()) + dice.normal(0.0, 0.03)
        own = dice.normal(0.0, 1.0, len(LAG))
        curves, signs = [], []
        for _ in range(2):
            final = end + dice.normal(0.0, 0.03)
            luck = dice.normal(0.0, 1.0, len(LAG))
            early = [
                level + slope * (final - 1.67) + wide * (0.87 * o + 0.5 * x)
                for (level, slope, wide), o, x in zip(LAG, own, luck, strict=True)
            ]
            curves.append(tuple(1.0 - math.exp(-w) for w in [*early, final]))
            losses = [end + wide * x for wide, x in zip(LOSS, dice.normal(0.0, 1.0, len(LOSS)), strict=True)]
            signs.append(tuple((math.exp(-w),) for w in losses))
        rows[architecture.digest] = Row(params, flops, tuple(curves), tuple(signs))
    return Table(space, size, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--made-up", type=int, default=600)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", nargs="*", default=[], help="settings of FrontProbabilityPruner, NAME=NUMBER")
    parser.add_argument("--sampler", default="known-cost")
    parser.add_argument("--limit", type=int, default=600, help="trials, after which a search counts as never there")
    parser.add_argument("--signs", action=argparse.BooleanOptionalAction, default=True, help="losses are seen")
    parser.add_argument("--knows", choices=("ends", "front"), help="replace the pruner by one that knows this")
    parser.add_argument("--chance", type=float, default=0.01, help="of the front, below which `--knows ends` stops")
    parser.add_argument("--teach", default="expected", choices=("expected", "reached", "nothing"))
    parser.add_argument("--without", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = of_csv(asked.table) if asked.table else made_up(asked.made_up)
    settings = {name: float(value) for name, value in (pair.split("=") for pair in asked.set)}
    if "first" in settings:
        settings["first"] = int(settings["first"])
    noise = statistics.mean(len(table.front - told) / len(table.front) for told in table.told_fronts)
    print(f"{len(table.rows)} networks, a front of {len(table.front)}, noise {100 * noise:.0f} %; {settings}")
    pairs = [(seed % table.seeds, seed) for seed in range(asked.seeds)]
    judges: dict[str, list[FrontProbabilityPruner | Knowing | None]] = (
        {"without": [None for _ in pairs]} if asked.without else {}
    )
    if asked.knows:
        knowing = [Knowing.of(table, told, asked.knows, asked.chance) for told in range(table.seeds)]
        judges[f"knowing the {asked.knows}"] = [knowing[told] for told, _ in pairs]
    else:
        judges["moasha"] = [FrontProbabilityPruner(AIMS, seed, **settings) for _, seed in pairs]
    for workers in asked.workers:
        medians = {}
        for name, pruners in judges.items():
            way = Way(asked.sampler, workers, asked.teach, asked.signs, asked.limit)
            runs = [replay(table, *pair, pruner, way) for pair, pruner in zip(pairs, pruners, strict=True)]
            epochs = [run.epochs or math.inf for run in runs]
            trials = [run.trials or math.inf for run in runs]
            medians[name] = statistics.median(epochs)
            line = f"{asked.sampler}, {workers} workers, {name}: {medians[name]:g} epochs "
            line += f"(mean {statistics.mean(epochs):.0f}, worst {max(epochs):g}), {statistics.median(trials):g} trials"
            if name != "without":
                true = [len(table.front & set(run.proposed)) for run in runs]
                lost = [len(table.front & set(run.stopped)) for run in runs]
                fronts = [table.told_fronts[told] for told, _ in pairs]
                told_lost = sum(len(front & set(run.stopped)) for front, run in zip(fronts, runs, strict=True))
                told_all = sum(len(front & set(run.proposed)) for front, run in zip(fronts, runs, strict=True))
                line += f"; stopped {sum(lost)} of {sum(true)} true, {told_lost} of {told_all} told front members"
                line += f"; stopped {statistics.mean(len(r.stopped) for r in runs):.0f} trials a run at rungs "
                rungs = [rung for run in runs for rung in run.stopped.values()]
                line += ", ".join(f"{r}: {rungs.count(r)}" for r in sorted(set(rungs)))
                if "without" in medians:
                    line += f"; ratio {medians['without'] / medians[name]:.2f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
