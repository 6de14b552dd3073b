"""The effect of a factor at equal FLOPs, from a surrogate of the results.

A Gaussian process predicts the objective from the logarithm of FLOPs and the factors of a design; widths and depths are
not among its inputs. So it asks which operator a design of given FLOPs should have, whatever it spends the rest on:

    effect = mean over contexts i of  f(flops_i, others_i, choice b) - f(flops_i, others_i, choice a)

Each context is a trained design whose factor, with everything that belongs to it, is replaced by that of a random
design with choice a, and with choice b. The effect is a linear function of f, so its posterior is normal. The interval
holds under the model only: it does not cover what the model leaves out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_search.analysis.effects.factors import Factor
from hybrid_search.analysis.effects.trained_designs import ABSENT, TrainedDesigns
from hybrid_search.gaussian_process import MAX_FITTED, GaussianProcess, Inputs, fit, squared_distances

LEAST_TRIALS = 10  # of a model
MOST_TRIALS = 600  # of a model; more are drawn at random
CONTEXTS = 64
NORMAL_95 = 1.959964


@dataclass(frozen=True)
class ModelEffect:
    """Choice `b` of a factor against its choice `a` at equal FLOPs, by the model.

    Attributes:
        factor: The factor.
        a, b: The two choices.
        difference: Posterior mean of the effect.
        interval: 95 % interval of the posterior.
    """

    factor: Factor
    a: Any
    b: Any
    difference: float
    interval: tuple[float, float]


@dataclass(frozen=True, eq=False)
class _Model:
    """The fitted process, its rows (n, columns), the columns of every parameter, and mean and unit of its target."""

    process: GaussianProcess
    inputs: Inputs
    columns: dict[str, list[int]]
    unit: float


def model_effects(designs: TrainedDesigns, factors: Sequence[Factor], seed: int = 0) -> list[ModelEffect]:
    """Return the effect of every two choices of every factor.

    Args:
        designs: The trained designs.
        factors: The factors.
        seed: Seed of the random contexts.

    Returns:
        In the order of the factors, the later choice against the earlier one; empty with fewer than 10 designs or
        without factors.
    """
    if len(designs) < LEAST_TRIALS or not factors:
        return []
    rng = np.random.default_rng(seed)
    if len(designs) > MOST_TRIALS:
        designs = designs.take(np.sort(rng.choice(len(designs), MOST_TRIALS, replace=False)))
    model = _fitted(designs, factors, rng)
    found = []
    for factor in factors:
        if factor.name not in designs.parameters:
            continue  # the draw has no design with it
        code, levels = designs.column(factor.name), designs.levels[factor.name]
        donors = {level: np.flatnonzero(code == levels.index(level)) for level in factor.levels if level in levels}
        present = np.flatnonzero(code != ABSENT)
        for second, b in enumerate(factor.levels):
            for a in factor.levels[:second]:
                if a in donors and b in donors:
                    effect, deviation = _effect(model, factor, present, donors[a], donors[b], rng)
                    half = NORMAL_95 * deviation
                    found.append(ModelEffect(factor, a, b, effect, (effect - half, effect + half)))
    return found


def _fitted(designs: TrainedDesigns, factors: Sequence[Factor], rng: np.random.Generator) -> _Model:
    """Return the model of these designs."""
    log_flops = np.log(designs.flops)
    blocks = [(log_flops - log_flops.mean())[:, None] / (log_flops.std() or 1.0)]
    columns: dict[str, list[int]] = {}
    groups = [0]
    for factor in factors:
        code, count = designs.column(factor.name), len(designs.levels[factor.name])
        columns[factor.name] = list(range(len(groups), len(groups) + count))
        blocks.append((code[:, None] == np.arange(count)).astype(np.float64))
        groups += [len(columns)] * count
    inputs = Inputs(np.hstack(blocks), np.array(groups))
    unit = float(designs.values.std()) or 1.0
    target = (designs.values - designs.values.mean()) / unit
    few = np.sort(rng.choice(len(designs), min(MAX_FITTED, len(designs)), replace=False))
    some = inputs.take(few)
    parameters = fit(some, squared_distances(some), target[few], np.ones(len(few)))
    return _Model(GaussianProcess(inputs, target, np.ones(len(target)), parameters), inputs, columns, unit)


def _effect(
    model: _Model,
    factor: Factor,
    present: NDArray[np.intp],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return posterior mean and standard deviation of the mean difference, second minus first.

    Args:
        model: The model.
        factor: The factor.
        present: Rows that have the factor: the contexts.
        first, second: Rows that have the one choice and the other.
        rng: Draws contexts and donors.
    """
    count = min(CONTEXTS, len(present))
    contexts = model.inputs.rows[rng.choice(present, count, replace=False)]
    owned = [column for name in factor.owned for column in model.columns.get(name, [])]
    sides = []
    for donors in (first, second):
        side = contexts.copy()
        side[:, owned] = model.inputs.rows[rng.choice(donors, count)][:, owned]
        sides.append(side)
    mean, covariance = model.process.joint_posterior(Inputs(np.vstack(sides), model.inputs.groups))
    weights = np.repeat([-1.0 / count, 1.0 / count], count)
    variance = max(float(weights @ covariance @ weights), 0.0)
    return float(weights @ mean) * model.unit, float(np.sqrt(variance)) * model.unit
