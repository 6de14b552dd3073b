"""The search for the best candidate: neighbours and crossings of the front, and a diverse batch of candidates."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_search.samplers.define_by_run import Params, RandomSuggester, Space
from hybrid_search.samplers.known_cost.acquisition import Acquisition
from hybrid_search.samplers.known_cost.candidates import N_NEIGHBOURS, Candidates
from hybrid_search.samplers.known_cost.history import History
from hybrid_search.samplers.known_cost.points import Array, Encode, Point
from hybrid_search.samplers.learned_space import LearnedSpace

N_PARENTS, N_ROUNDS = 10, 2  # points whose neighbours are evaluated in a round, and number of rounds


@dataclass(frozen=True)
class ProposalContext:
    """The inputs of one proposal.

    Args:
        space: the search space.
        learned: the same space, if it is inferred from trials.
        pool: its candidates.
        complete: whether the pool contains every design.
        history: the trials of the study.
        encode: encodes points as rows.
        open_points: candidates within the budget that were not seen.
        n_startup_trials: size of the initial design.
    """

    space: Space
    learned: LearnedSpace | None
    pool: list[Point]
    complete: bool
    history: History
    encode: Encode
    open_points: list[Point]
    n_startup_trials: int


def search_candidates(
    context: ProposalContext,
    open_points: Sequence[Point],
    acquisition: Acquisition,
    candidates: Candidates,
    rng: random.Random,
) -> tuple[list[Point], Array]:
    """Return candidates and their acquisition values.

    Of a small space these are the open points. Of a large one, neighbours of the front, crossings of front points and,
    in N_ROUNDS rounds, neighbours of the best candidates are added.
    """
    if context.complete:
        return list(open_points), acquisition.improvement(open_points)
    known = {point.variant_key for point in open_points}
    seen, space = context.history.seen, context.space

    def new(points: Sequence[Point | None]) -> list[Point]:
        chosen = []
        for point in points:
            if point is not None and point.allowed and point.key not in seen and point.variant_key not in known:
                known.add(point.variant_key)
                chosen.append(point)
        return chosen

    parents = acquisition.front
    if len(parents) > 2 * N_PARENTS:
        parents = rng.sample(parents, 2 * N_PARENTS)
    children: list[Point | None] = [child for parent in parents for child in candidates.neighbours(space, parent)]
    if len(parents) > 1:
        for _ in range(3 * N_NEIGHBOURS):
            one, other = rng.sample(parents, 2)
            mixed = {**other.params, **{name: value for name, value in one.params.items() if rng.random() < 0.5}}
            missing = {name: value for name, value in one.params.items() if name not in mixed}
            children.append(candidates.suggested(space, RandomSuggester(rng, {**missing, **mixed})))
    points = [*open_points, *new(children)]
    improvements = acquisition.improvement(points)
    for _ in range(N_ROUNDS):
        top = np.argsort(-improvements, kind="stable")[:N_PARENTS]
        more = new([child for i in top for child in candidates.neighbours(space, points[i])])
        if not more:
            break
        points += more
        improvements = np.append(improvements, acquisition.improvement(more))
    return points, improvements


def diverse_batch(points: Sequence[Point], improvements: Array, best: Point, size: int) -> list[Point]:
    """Return up to `size` points of the greatest improvement after `best`.

    No two of them, and none and `best`, differ in only one parameter: the result of one predicts its neighbours.
    """
    batch = [best]
    for i in sorted(range(len(points)), key=lambda i: (-improvements[i], points[i].name)):
        point = points[i]
        if len(batch) > size:
            break
        if all(_count_differences(point.params, other.params) > 1 and point.key != other.key for other in batch):
            batch.append(point)
    return batch[1:]


def _count_differences(one: Params, other: Params) -> int:
    return sum(one.get(name) != other.get(name) for name in one.keys() | other.keys())
