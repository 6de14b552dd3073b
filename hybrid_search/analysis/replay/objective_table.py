"""The objective function of a simulated search: a space, true values of its designs, and measurements."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hybrid_search.analysis.replay.choice_tree import ChoiceTree
from hybrid_search.analysis.replay.results_table import Array, Params, Result, ResultsTable
from hybrid_search.objectives import OBJECTIVES, Direction
from hybrid_search.pareto import hypervolume, pareto_front
from hybrid_search.pruners import PrunerObjectives
from hybrid_search.samplers import Facts
from hybrid_search.samplers.define_by_run import list_designs, params_key

MAX_DESIGNS = 10**6  # designs of the largest space whose true front is computed


@dataclass(frozen=True)
class LearningCurves:
    """The recorded learning curves of every design.

    Args:
        aims: the objectives, for a pruner.
        rungs: the epochs.
        measure: run seed -> function from parameters to the unknown objectives (rungs, objectives) and the indicators
            (rungs, indicators).
    """

    aims: PrunerObjectives
    rungs: tuple[int, ...]
    measure: Callable[[int], Callable[[Params], tuple[Array, Array]]]


@dataclass(frozen=True)
class ObjectiveTable:
    """A space, the true objectives of its designs, and a way to measure them.

    Args:
        name: name for messages.
        directions: direction of each objective.
        space: function that calls `suggest_...` on a trial.
        true_values: function from parameters to the true objectives.
        measure: run seed -> function from parameters to measured objectives, with or without noise.
        known: number of an objective -> function from parameters to its value, for those known before training.
        features: function from parameters to other such numbers.
        canonical: function from parameters to the identity of the design.
        listed: function that returns the parameters of every design; default: the space is enumerated.
        curves: the learning curves; None if only final numbers are known.
    """

    name: str
    directions: tuple[Direction, ...]
    space: Callable[[Any], object]
    true_values: Callable[[Params], list[float]]
    measure: Callable[[int], Callable[[Params], list[float]]]
    known: Mapping[int, Callable[[Params], float]] = field(default_factory=dict)
    features: Callable[[Params], Sequence[float]] | None = None
    canonical: Callable[[Params], Hashable] = params_key
    listed: Callable[[], Sequence[Params]] | None = None
    curves: LearningCurves | None = None

    @property
    def facts(self) -> Facts:
        """The facts that a sampler may use before the first evaluation."""
        return Facts(known=self.known, features=self.features, canonical=self.canonical, space=self.space)

    def designs(self) -> Sequence[Params]:
        """Return the parameters of every design."""
        if self.listed is not None:
            return self.listed()
        designs = list_designs(self.space, MAX_DESIGNS)
        assert designs is not None, f"{self.name} has more than {MAX_DESIGNS:,} designs"
        return [design.params for design in designs]


@dataclass(frozen=True)
class Target:
    """The true front and its hypervolume.

    Args:
        reference: the reference point.
        hypervolume: hypervolume of the true front.
        front: the points of the true front.
    """

    reference: tuple[float, ...]
    hypervolume: float
    front: frozenset[tuple[float, ...]]


def target_of_rows(rows: Array, directions: Sequence[Direction]) -> Target:
    """Return the target among these true rows, (designs, objectives).

    The reference is the worst value of each objective on the true front plus a tenth of the front's range. From the
    worst of all designs, the first good design would have nearly the whole hypervolume.
    """
    front = rows[pareto_front(rows, directions)]
    low, high = front.min(axis=0), front.max(axis=0)
    span = high - low
    margin = np.where(span > 0, 0.1 * span, np.where(high != 0, 0.1 * np.abs(high), 1.0))
    minimized = np.array([direction == "minimize" for direction in directions])
    worst = np.where(minimized, high + margin, low - margin)
    reference = tuple(float(value) for value in worst)
    return Target(reference, hypervolume(front, reference, directions), frozenset(map(tuple, front.tolist())))


def target_of(table: ObjectiveTable) -> Target:
    """Return the target among all designs of a table."""
    rows = np.array([table.true_values(params) for params in table.designs()])
    return target_of_rows(rows, table.directions)


def objective_table(table: ResultsTable, *, noisy: bool = True) -> ObjectiveTable:
    """Return the objective table of a results table.

    Args:
        table: the results.
        noisy: whether a simulated run receives the numbers of one seed. If not, it receives the means over seeds.
    """
    tree = ChoiceTree(table)
    means = table.means.tolist()

    def measure(seed: int) -> Callable[[Params], list[float]]:
        values: list[list[float]] = table.sample(seed).tolist() if noisy else means
        return lambda params: values[tree.find(params)]

    def exact(i: int) -> Callable[[Params], float]:
        return lambda params: float(means[tree.find(params)][i])

    features = np.column_stack([result.means for result in table.features]) if table.features else None
    if features is not None and (features > 0).all():
        features = np.log(features)  # as in a search

    def features_of(params: Params) -> list[float]:
        assert features is not None
        return [float(value) for value in features[tree.find(params)]]

    return ObjectiveTable(
        table.name,
        table.directions,
        tree.choose,
        lambda params: means[tree.find(params)],
        measure,
        {i: exact(i) for i, result in enumerate(table.objectives) if result.known},
        None if features is None else features_of,
        tree.find,
        lambda: tree.paths,
        _learning_curves(table, tree, noisy),
    )


def _learning_curves(table: ResultsTable, tree: ChoiceTree, noisy: bool) -> LearningCurves | None:
    """Return the learning curves if all unknown objectives have the same rungs."""
    unknown = [result for result in table.objectives if not result.known]
    if not unknown or not unknown[0].rungs or any(result.rungs != unknown[0].rungs for result in unknown):
        return None
    indicators = [result for result in table.indicators if result.rungs == unknown[0].rungs]
    best = [OBJECTIVES[r.name].best if r.name in OBJECTIVES else None for r in table.objectives]
    known = tuple(i for i, result in enumerate(table.objectives) if result.known)

    def measure(seed: int) -> Callable[[Params], tuple[Array, Array]]:
        picked = table.random_seeds(seed)

        def rows(results: Sequence[Result], i: int) -> Array:
            if not results:
                return np.zeros((len(unknown[0].rungs), 0))
            curves = [r.values[i, picked[i] if len(r.seeds) > 1 else 0] for r in results]
            return np.column_stack(curves if noisy else [r.values[i].mean(axis=0) for r in results])

        return lambda params: (rows(unknown, tree.find(params)), rows(indicators, tree.find(params)))

    return LearningCurves(PrunerObjectives(table.directions, known, tuple(best)), unknown[0].rungs, measure)


def normal_noise(
    true_values: Callable[[Params], list[float]], deviations: Callable[[Params], list[float]]
) -> Callable[[int], Callable[[Params], list[float]]]:
    """Return a `measure` function that adds independent normal noise of these standard deviations."""

    def measure(seed: int) -> Callable[[Params], list[float]]:
        rng = np.random.default_rng(seed)

        def measured(params: Params) -> list[float]:
            pairs = zip(true_values(params), deviations(params), strict=True)
            return [value + float(rng.normal()) * deviation if deviation else value for value, deviation in pairs]

        return measured

    return measure


def is_numeric(choices: Sequence[Any]) -> bool:
    """Return whether there are several choices, all finite numbers; they can be suggested by rank."""
    return len(choices) > 1 and all(
        isinstance(c, int | float) and not isinstance(c, bool) and math.isfinite(c) for c in choices
    )


@dataclass(frozen=True)
class RankedTrial:
    """An Optuna trial whose choices are recorded; numeric choices can be suggested by their rank.

    Args:
        trial: the trial.
        ranked: whether a numeric choice is suggested as the integer parameter `NAME#`, its rank.
        params: the recorded choices.
    """

    trial: Any
    ranked: bool
    params: dict[str, Any] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""
        if self.ranked and is_numeric(choices):
            self.params[name] = choices[self.trial.suggest_int(f"{name}#", 0, len(choices) - 1)]
        else:
            self.params[name] = self.trial.suggest_categorical(name, choices)
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int, **more: Any) -> int:
        """Return an integer of a range."""
        self.params[name] = self.trial.suggest_int(name, low, high, **more)
        return int(self.params[name])


@dataclass(frozen=True)
class RankedParams:
    """A chooser that reads `params` and records them in the form of `RankedTrial`, for `study.enqueue_trial`.

    Args:
        params: parameter name -> choice.
        ranked: as in `RankedTrial`.
        recorded: the parameters to enqueue.
    """

    params: Params
    ranked: bool
    recorded: dict[str, Any] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the given choice."""
        if self.ranked and is_numeric(choices):
            self.recorded[f"{name}#"] = list(choices).index(self.params[name])
        else:
            self.recorded[name] = self.params[name]
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int, **_: Any) -> int:
        """Return the given integer."""
        self.recorded[name] = self.params[name]
        return int(self.params[name])
