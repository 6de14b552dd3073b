"""The first trials of a study: a spread along the known cost, the dearest design among them."""

import math
import random
from collections.abc import Sequence

import numpy as np

from hybrid_search.samplers.known_cost.points import Encode, History, Point, cost_columns


def spread(
    first: int,
    open_: Sequence[Point],
    pool: Sequence[Point],
    history: History,
    encode: Encode,
    dice: random.Random,
) -> Point | None:
    """One of `first` trials: at a step of the known cost that is free yet, the point least like those before it.

    None where no step is free. Designs that were asked for otherwise, and lie close to each other, take few of the
    steps: up to as many trials again are spread over the others.
    """
    near, priced = list(open_), bool(open_[0].known)
    if history.count >= (2 * first if priced else first):
        return None
    if priced:
        allowed = [point for point in pool if point.allowed]
        costs, positive = cost_columns([point.known for point in allowed])
        low, high = float(costs[:, 0].min()), float(costs[:, 0].max())
        spent = [point.known[0] for point in history.met if point.known[0] > 0 or not positive[0]]
        before = [math.log(cost) if positive[0] else cost for cost in spent]
        level = _free_level(first, [(cost - low) / (high - low or 1.0) for cost in before])
        if level is None:
            return None
        place = dict(zip((point.name for point in allowed), costs[:, 0], strict=True))
        off = [abs(place.get(point.name, math.inf) - (low + level * (high - low))) for point in near]
        order = sorted(range(len(near)), key=lambda i: off[i])
        share = 1 if level == 1.0 else max(8, len(near) // 30)
        near = [near[i] for i in order[:share]]
    near = dice.sample(near, min(len(near), 300))
    others = [point for point, _, _ in history.told] + history.pending
    if not others:
        return near[0]
    a, b = encode(near), encode(others)
    apart = ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1).min(1)
    return near[int(np.argmax(apart))]


def _levels(count: int) -> list[float]:
    """Steps up to 1, the middle first: the cheapest designs, at 0, add least to a hypervolume."""
    steps = [i / count for i in range(1, count + 1)] if count > 1 else [0.5]
    return sorted(steps, key=lambda step: (abs(step - 0.5), step))


def _free_level(count: int, before: Sequence[float]) -> float | None:
    """The first step that is free. Each trial before took the one nearest to it, if it lies within a step of it and
    nobody took that: what is known already is not spread over again."""
    free = _levels(count)
    for place in before:
        nearest = min(free, key=lambda step: abs(step - place), default=None)
        if nearest is not None and abs(nearest - place) * count <= 1.0 + 1e-9:
            free.remove(nearest)
    return free[0] if free else None
