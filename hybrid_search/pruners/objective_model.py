"""ObjectiveModel: warp, encoded inputs and surrogate of one measured objective, from completed trials."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hybrid_search.gaussian_process import Array, Inputs
from hybrid_search.pruners.encoding import encode_choices
from hybrid_search.pruners.forecast import Warp
from hybrid_search.pruners.surrogate import DesignSurrogate
from hybrid_search.pruners.types import PrunerObjectives, TrialView


@dataclass(frozen=True, eq=False)
class ObjectiveModel:
    """One unknown objective.

    Args:
        warp: maps values to a scale where less is better.
        finals: (completed,) warped final values.
        inputs: rows of the completed trials, then of the trials to judge.
        surrogate: the model of `finals`; None if no parameter distinguishes the designs.
    """

    warp: Warp
    finals: Array
    inputs: Inputs
    surrogate: DesignSurrogate | None


def objective_models(
    aims: PrunerObjectives, trials: Sequence[TrialView], done: Sequence[TrialView]
) -> list[ObjectiveModel]:
    """Return the model of each unknown objective.

    Args:
        aims: the objectives.
        trials: the trials to judge.
        done: completed trials with finite final values.
    """
    every = [*done, *trials]
    encoded = encode_choices([other.choices for other in every])
    costs = _scaled(log_columns(np.array([[*other.known, *other.features] for other in every])), len(done))
    count = len(np.unique(encoded.groups))
    groups = np.append(encoded.groups, count + np.arange(costs.shape[1])).astype(np.intp)
    inputs = Inputs(np.column_stack([encoded.rows, costs]), groups)
    models = []
    for at, position in enumerate(aims.unknown):
        best = aims.best[position] if aims.best else None
        values = np.array([other.final[at] for other in done if other.final is not None])
        warp = Warp.of(values, aims.directions[position] == "maximize", best)
        finals = warp.to(values)
        surrogate = _fitted(_TrainingSet.of(inputs.take(np.arange(len(done))), finals)) if count else None
        models.append(ObjectiveModel(warp, finals, inputs, surrogate))
    return models


@dataclass(frozen=True)
class _TrainingSet:
    """Rows, groups and final values in hashable form: the key of the cache of surrogates."""

    rows: bytes
    shape: tuple[int, ...]
    groups: tuple[int, ...]
    finals: bytes

    @classmethod
    def of(cls, inputs: Inputs, finals: Array) -> "_TrainingSet":
        return cls(inputs.rows.tobytes(), inputs.rows.shape, tuple(inputs.groups.tolist()), finals.tobytes())


@lru_cache(maxsize=8)
def _fitted(training: _TrainingSet) -> DesignSurrogate:
    """Return the surrogate of a training set. Trials that are judged in turn share it."""
    rows = np.frombuffer(training.rows).reshape(training.shape)
    return DesignSurrogate(Inputs(rows, np.array(training.groups, dtype=np.intp)), np.frombuffer(training.finals))


def _scaled(values: Array, count: int) -> Array:
    """Scale columns to 0..1 over the first `count` rows and drop those that are constant there."""
    low, span = values[:count].min(axis=0), np.ptp(values[:count], axis=0)
    varies = span > 1e-12
    return np.asarray((values[:, varies] - low[varies]) / span[varies])


def log_columns(columns: Array) -> Array:
    """Return the columns with the logarithm taken of those whose values are all above 0."""
    positive = (columns > 0).all(axis=0)
    return np.asarray(np.where(positive, np.log(np.where(positive, columns, 1.0)), columns))
