"""How sure the numbers of a search are, once trials were retrained over fresh seeds.

    standings(repeats, values, objectives) -> {number: Standing}    pure
    read_standings(ledger, search) -> {number: Standing}            empty where nothing was retrained

The seed that a trial was searched with does not count once there are fresh ones: it was chosen for what that gave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hybrid_search.analysis.confidence.means import FINEST, Means, means, scale_of
from hybrid_search.analysis.confidence.membership import DOUBT, Belief, front_probability, in_doubt, next_seed, settled
from hybrid_search.ledger import Ledger, Repeats, reads
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.records import SearchRecord

__all__ = [
    "DOUBT",
    "TEST",
    "Belief",
    "Means",
    "Standing",
    "believed",
    "front_probability",
    "in_doubt",
    "means",
    "next_seed",
    "read_standings",
    "samples_of",
    "settled",
    "standings",
]

TEST = "test_accuracy"  # the measurement that only a retraining has; never an objective
Values = Mapping[str, float]


@dataclass(frozen=True)
class Standing:
    """What is known of one trial: `seeds` fresh ones, the 95 % `intervals` of its measured means by name, and the
    probability of being on the front. `test` is its mean accuracy on the test split, 0..1.

    Intervals are empty for a trial that was not retrained, and while no trial has two fresh seeds; the probability is
    None then.
    """

    number: int
    seeds: int
    intervals: Mapping[str, tuple[float, float]]
    probability: float | None
    test: float | None = None


def samples_of(repeats: Repeats, name: str) -> list[float]:
    """The values of one number that count: those of the fresh seeds, else that of the search's own seed."""
    fresh = [values[name] for _, values in sorted(repeats.fresh.items()) if name in values]
    return fresh or ([repeats.own[name]] if name in repeats.own else [])


def believed(repeats: Mapping[int, Repeats], values: Mapping[int, Values], objectives: Sequence[str]) -> Belief | None:
    """What is known of the trials of `values`, in their order; None where no number was measured under two fresh seeds.

    `values` holds the present value of every objective by trial; `repeats` may hold the retrained trials alone.
    """
    shape = (len(values), len(objectives))
    errors, degrees, noise = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for column, name in enumerate(objectives):
        if OBJECTIVES[name].known:
            continue
        found = _means(repeats, values, name)
        if not found.degrees.all():
            return None
        errors[:, column], degrees[:, column], noise[:, column] = found.error, found.degrees, found.noise
    rows = np.array([[row[name] for name in objectives] for row in values.values()]).reshape(shape)
    return Belief(rows, errors, degrees, noise, [OBJECTIVES[name].direction for name in objectives])


def _means(repeats: Mapping[int, Repeats], values: Mapping[int, Values], name: str) -> Means:
    samples = [samples_of(repeats[n], name) if n in repeats else [row[name]] for n, row in values.items()]
    return means(samples, partial(scale_of, share=_is_share(name)), _least(name))


def _least(name: str) -> float:
    return FINEST if _is_share(name) else 0.0


def _is_share(name: str) -> bool:
    return name == TEST or OBJECTIVES[name].unit == "share"


def standings(
    repeats: Mapping[int, Repeats], values: Mapping[int, Values], objectives: Sequence[str]
) -> dict[int, Standing]:
    """What is known of every trial that was retrained or may be on the front, by number.

    `values`: the present values by completed trial, at least every objective; `repeats`: the retrained trials.
    """
    belief = believed(repeats, values, objectives)
    chances = [None] * len(values) if belief is None else front_probability(belief).tolist()
    retrained = {number: found for number, found in repeats.items() if found.fresh and number in values}
    intervals: dict[int, dict[str, tuple[float, float]]] = {number: {} for number in retrained}
    for name in [*(name for name, kind in OBJECTIVES.usable().items() if not kind.known), TEST]:
        samples = {n: samples_of(found, name) for n, found in retrained.items()}
        samples = {n: row for n, row in samples.items() if row}
        made = means(list(samples.values()), partial(scale_of, share=_is_share(name)), _least(name))
        most = 1.0 if _is_share(name) else np.inf
        for index, number in enumerate(samples):
            if (reach := made.interval(index)) is not None:
                intervals[number][name] = (max(reach[0], 0.0), min(reach[1], most))  # no number here is below 0
    found = {}
    for number, chance in zip(values, chances, strict=True):
        if number in retrained:
            tests = samples_of(retrained[number], TEST)
            test = sum(tests) / len(tests) if tests else None
            found[number] = Standing(number, len(retrained[number].fresh), intervals[number], chance, test)
        elif chance is None or chance:
            found[number] = Standing(number, 0, {}, chance)
    return found


def read_standings(
    ledger: Ledger, search: SearchRecord, values: Mapping[int, Values] | None = None
) -> dict[int, Standing]:
    """The standings of a search; empty where nothing was retrained. `values` of its completed trials, where known."""
    repeats = ledger.read(reads.repeats, search.id, confirmed=True)
    if not repeats:
        return {}
    if values is None:
        values = ledger.read(reads.values, search.id, search.objectives)
    whole = {
        n: row for n, row in values.items() if all(np.isfinite(row.get(name, np.nan)) for name in search.objectives)
    }
    return standings(repeats, whole, search.objectives)
