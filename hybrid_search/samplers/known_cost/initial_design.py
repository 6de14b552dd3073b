"""The first trials of a study: designs spread along the known cost, the most expensive one among them."""

import math
import random
from collections.abc import Sequence

import numpy as np

from hybrid_search.samplers.known_cost.history import History
from hybrid_search.samplers.known_cost.points import Encode, Point, log_columns

MAX_COMPARED = 300  # points of a cost level among which the one farthest from earlier trials is searched


def initial_point(
    n_startup_trials: int,
    open_points: Sequence[Point],
    pool: Sequence[Point],
    history: History,
    encode: Encode,
    rng: random.Random,
) -> Point | None:
    """Return the next point of the initial design; None if the initial design is complete.

    The costs from the lowest to the highest are divided into `n_startup_trials` levels. The point is near the
    first level without a trial, and as different as possible from the trials so far. Trials that did not come from the
    sampler occupy levels too; up to `n_startup_trials` more trials are spread over the others.

    Args:
        n_startup_trials: number of levels.
        open_points: points that were not proposed yet.
        pool: all candidates.
        history: the trials of the study.
        encode: encodes points as rows.
        rng: the random generator.
    """
    near, has_cost = list(open_points), bool(open_points[0].known)
    if history.count >= (2 * n_startup_trials if has_cost else n_startup_trials):
        return None
    if has_cost:
        allowed = [point for point in pool if point.allowed]
        costs, positive = log_columns([point.known for point in allowed])
        low, high = float(costs[:, 0].min()), float(costs[:, 0].max())
        evaluated = [point.known[0] for point in history.points if point.known[0] > 0 or not positive[0]]
        scaled = [math.log(cost) if positive[0] else cost for cost in evaluated]
        level = _free_level(n_startup_trials, [(cost - low) / (high - low or 1.0) for cost in scaled])
        if level is None:
            return None
        cost_of = dict(zip((point.name for point in allowed), costs[:, 0], strict=True))
        distances = [abs(cost_of.get(point.name, math.inf) - (low + level * (high - low))) for point in near]
        order = sorted(range(len(near)), key=lambda i: distances[i])
        count = 1 if level == 1.0 else max(8, len(near) // 30)
        near = [near[i] for i in order[:count]]
    near = rng.sample(near, min(len(near), MAX_COMPARED))
    others = [observation.point for observation in history.observations] + history.pending
    if not others:
        return near[0]
    a, b = encode(near), encode(others)
    squared = ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1).min(1)
    return near[int(np.argmax(squared))]


def _cost_levels(count: int) -> list[float]:
    """Return `count` levels up to 1, the middle one first. Level 0 is left out: it adds least to a hypervolume."""
    levels = [i / count for i in range(1, count + 1)] if count > 1 else [0.5]
    return sorted(levels, key=lambda level: (abs(level - 0.5), level))


def _free_level(count: int, costs: Sequence[float]) -> float | None:
    """Return the first level without a trial. Each cost (0..1) occupies the nearest free level within one step."""
    free = _cost_levels(count)
    for cost in costs:
        nearest = min(free, key=lambda level: abs(level - cost), default=None)
        if nearest is not None and abs(nearest - cost) * count <= 1.0 + 1e-9:
            free.remove(nearest)
    return free[0] if free else None
