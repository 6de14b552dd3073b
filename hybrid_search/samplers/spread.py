"""The first trials of a study: a spread along the known cost, both ends among them."""

import math
import random
from collections.abc import Sequence

import numpy as np

from hybrid_search.samplers.points import Encode, History, Point, cost_columns


def spread(
    first: int,
    open_: Sequence[Point],
    pool: Sequence[Point],
    history: History,
    encode: Encode,
    dice: random.Random,
) -> Point:
    """One of `first` trials: at a step of the known cost that is free yet, the point least like those before it."""
    near = list(open_)
    if open_[0].known:
        allowed = [point for point in pool if point.allowed]
        costs, positive = cost_columns([point.known for point in allowed])
        low, high = float(costs[:, 0].min()), float(costs[:, 0].max())
        spent = [point.known[0] for point in history.met if point.known[0] > 0 or not positive[0]]
        before = [math.log(cost) if positive[0] else cost for cost in spent]
        level = _next_level(first, [(cost - low) / (high - low or 1.0) for cost in before])
        place = dict(zip((point.name for point in allowed), costs[:, 0], strict=True))
        off = [abs(place.get(point.name, math.inf) - (low + level * (high - low))) for point in near]
        order = sorted(range(len(near)), key=lambda i: off[i])
        share = 1 if level in (0.0, 1.0) else max(8, len(near) // 30)
        near = [near[i] for i in order[:share]]
    near = dice.sample(near, min(len(near), 300))
    others = [point for point, _, _ in history.told] + history.pending
    if not others:
        return near[0]
    a, b = encode(near), encode(others)
    apart = ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1).min(1)
    return near[int(np.argmax(apart))]


def _levels(count: int) -> list[float]:
    """Steps from 0 to 1, each far from those before: the ends, the middle, the quarters."""
    if count == 1:
        return [0.5]
    grid = [i / (count - 1) for i in range(count)]
    found = [0.0, 1.0]
    while len(found) < count:
        found.append(max((x for x in grid if x not in found), key=lambda x: min(abs(x - y) for y in found)))
    return found


def _next_level(count: int, before: Sequence[float]) -> float:
    """The first step that is free. Each trial before took the one nearest to it, be it a proposal or a design that was
    asked for otherwise: what is known already is not spread over again. An end is taken only by what is next to it."""
    free: list[float] = []
    for place in before:
        free = free or _levels(count)
        reach = [step for step in free if 0.0 < step < 1.0 or abs(step - place) * (count - 1) <= 0.5]
        if reach:
            free.remove(min(reach, key=lambda step: abs(step - place)))
    return (free or _levels(count))[0]
