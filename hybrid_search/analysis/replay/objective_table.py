"""A landscape: questions, what is true of every answer, and what a sampler is told. Tables are one kind of it."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hybrid_search.analysis.replay.question_tree import Tree
from hybrid_search.analysis.replay.table import Array, Params, Result, Table
from hybrid_search.objectives import OBJECTIVES, Direction
from hybrid_search.pareto import hypervolume, pareto_front
from hybrid_search.pruners import Aims
from hybrid_search.samplers import Facts
from hybrid_search.samplers.define_by_run import list_designs, params_key

LISTED = 10**6  # designs of the largest landscape whose true front is looked for


@dataclass(frozen=True)
class Showing:
    """What training shows of a design, rung by rung: `teller(seed)` gives a function from its answers to the unknown
    objectives (rungs, objectives) and the signs (rungs, signs)."""

    aims: Aims
    rungs: tuple[int, ...]
    teller: Callable[[int], Callable[[Params], tuple[Array, Array]]]


@dataclass(frozen=True)
class Landscape:
    """A space, what is true of every design in it, and how it is told.

    `ask` asks the questions of a trial; `truth` gives a row of objectives from the answers, and `teller(seed)` a
    function that tells one, noisy or not. `known` are the objectives known before the trial, `features` other such
    numbers, and `canonical` says which answers are the same design. `listed` gives the answers of every design
    (default: a walk through all answers). `showing` is None where only the ends are known.
    """

    name: str
    directions: tuple[Direction, ...]
    ask: Callable[[Any], object]
    truth: Callable[[Params], list[float]]
    teller: Callable[[int], Callable[[Params], list[float]]]
    known: Mapping[int, Callable[[Params], float]] = field(default_factory=dict)
    features: Callable[[Params], Sequence[float]] | None = None
    canonical: Callable[[Params], Hashable] = params_key
    listed: Callable[[], Sequence[Params]] | None = None
    showing: Showing | None = None

    @property
    def facts(self) -> Facts:
        """What a sampler may be told beforehand."""
        return Facts(known=self.known, features=self.features, canonical=self.canonical, space=self.ask)

    def designs(self) -> Sequence[Params]:
        """The answers of every design."""
        if self.listed is not None:
            return self.listed()
        ways = list_designs(self.ask, LISTED)
        assert ways is not None, f"{self.name} has more than {LISTED:,} designs"
        return [chooser.params for chooser in ways]


@dataclass(frozen=True)
class Goal:
    """What there is to find: the hypervolume of the true front from `reference`, and the front's points."""

    reference: tuple[float, ...]
    volume: float
    front: frozenset[tuple[float, ...]]


def goal_of(rows: Array, directions: Sequence[Direction]) -> Goal:
    """The goal among the true rows (designs, objectives).

    The reference is the worst of every objective on the true front, and a tenth of the front's range worse than that:
    from the worst of all designs, the first good one would have nearly everything.
    """
    front = rows[pareto_front(rows, directions)]
    low, high = front.min(axis=0), front.max(axis=0)
    span = high - low
    beyond = np.where(span > 0, 0.1 * span, np.where(high != 0, 0.1 * np.abs(high), 1.0))
    least = np.array([direction == "minimize" for direction in directions])
    worst = np.where(least, high + beyond, low - beyond)
    reference = tuple(float(value) for value in worst)
    return Goal(reference, hypervolume(front, reference, directions), frozenset(map(tuple, front.tolist())))


def whole(landscape: Landscape) -> Goal:
    """The goal among all designs of a landscape."""
    rows = np.array([landscape.truth(params) for params in landscape.designs()])
    return goal_of(rows, landscape.directions)


def landscape_of(table: Table, *, noisy: bool = True) -> Landscape:
    """A table as a landscape. It scores means over seeds, and tells one seed's numbers, or the means unless `noisy`."""
    tree = Tree(table)
    scored = table.scored.tolist()

    def teller(seed: int) -> Callable[[Params], list[float]]:
        told: list[list[float]] = table.told(seed).tolist() if noisy else scored
        return lambda params: told[tree.find(params)]

    def exact(i: int) -> Callable[[Params], float]:
        return lambda params: float(scored[tree.find(params)][i])

    features = np.column_stack([result.scored for result in table.features]) if table.features else None
    if features is not None and (features > 0).all():
        features = np.log(features)  # as a search gives its prices

    def given(params: Params) -> list[float]:
        assert features is not None
        return [float(value) for value in features[tree.find(params)]]

    return Landscape(
        table.name,
        table.directions,
        tree.ask,
        lambda params: scored[tree.find(params)],
        teller,
        {i: exact(i) for i, result in enumerate(table.objectives) if result.known},
        None if features is None else given,
        tree.find,
        lambda: tree.paths,
        _showing(table, tree, noisy),
    )


def _showing(table: Table, tree: Tree, noisy: bool) -> Showing | None:
    """What training shows, where every objective that it shows has the same rungs."""
    unknown = [result for result in table.objectives if not result.known]
    if not unknown or not unknown[0].rungs or any(result.rungs != unknown[0].rungs for result in unknown):
        return None
    signs = [result for result in table.indicators if result.rungs == unknown[0].rungs]
    best = [OBJECTIVES[r.name].best if r.name in OBJECTIVES else None for r in table.objectives]
    places = tuple(i for i, result in enumerate(table.objectives) if result.known)

    def teller(seed: int) -> Callable[[Params], tuple[Array, Array]]:
        picked = table.picked(seed)

        def rows(results: Sequence[Result], i: int) -> Array:
            if not results:
                return np.zeros((len(unknown[0].rungs), 0))
            curves = [r.values[i, picked[i] if len(r.seeds) > 1 else 0] for r in results]
            return np.column_stack(curves if noisy else [r.values[i].mean(axis=0) for r in results])

        return lambda params: (rows(unknown, tree.find(params)), rows(signs, tree.find(params)))

    return Showing(Aims(table.directions, places, tuple(best)), unknown[0].rungs, teller)


def noisy_teller(
    truth: Callable[[Params], list[float]], noise: Callable[[Params], list[float]]
) -> Callable[[int], Callable[[Params], list[float]]]:
    """A teller that adds normal noise of these deviations, drawn anew at every evaluation."""

    def teller(seed: int) -> Callable[[Params], list[float]]:
        dice = np.random.default_rng(seed)

        def told(params: Params) -> list[float]:
            pairs = zip(truth(params), noise(params), strict=True)
            return [value + float(dice.normal()) * wide if wide else value for value, wide in pairs]

        return told

    return teller


def is_ranked(choices: Sequence[Any]) -> bool:
    """Whether choices are numbers, whose order a sampler may be told."""
    return len(choices) > 1 and all(
        isinstance(c, int | float) and not isinstance(c, bool) and math.isfinite(c) for c in choices
    )


@dataclass(frozen=True)
class Answering:
    """A trial and its answers. `ranked` asks it for the rank of a choice of numbers, a whole number, as `NAME#`."""

    trial: Any
    ranked: bool
    params: dict[str, Any] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""
        if self.ranked and is_ranked(choices):
            self.params[name] = choices[self.trial.suggest_int(f"{name}#", 0, len(choices) - 1)]
        else:
            self.params[name] = self.trial.suggest_categorical(name, choices)
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int, **more: Any) -> int:
        """A whole number."""
        self.params[name] = self.trial.suggest_int(name, low, high, **more)
        return int(self.params[name])


@dataclass(frozen=True)
class Scripted:
    """A chooser that gives the answers of `params`; `said` holds them as a trial with or without ranks does."""

    params: Params
    ranked: bool
    said: dict[str, Any] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The answer given."""
        if self.ranked and is_ranked(choices):
            self.said[f"{name}#"] = list(choices).index(self.params[name])
        else:
            self.said[name] = self.params[name]
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int, **_: Any) -> int:
        """The answer given."""
        self.said[name] = self.params[name]
        return int(self.params[name])
