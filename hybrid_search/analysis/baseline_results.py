"""The results of the baselines of a search, and how they compare with its front."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hybrid_search.analysis.confidence.measurement_noise import class_step, repeated_means
from hybrid_search.analysis.confidence.trial_confidence import seed_values
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.baseline_rows import baseline_trainings
from hybrid_search.objectives import Objective
from hybrid_search.records import SearchRecord

TEST_ACCURACY = "test_accuracy"
MAX_LISTED = 5  # trials that one line names


@dataclass(frozen=True)
class BaselineResult:
    """The results of all trainings of one baseline.

    Attributes:
        name: Name of the baseline.
        network: Its network as plain JSON.
        seeds: Number of complete trainings.
        values: Mean of each measurement over the seeds, by name.
        intervals: 95 % interval of each measured objective by name; empty while no network has two seeds.
        test: Mean accuracy on the test split, 0..1; None if no training was scored on it.
    """

    name: str
    network: Mapping[str, Any]
    seeds: int
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    test: float | None = None


def read_baselines(ledger: Ledger, search: SearchRecord) -> list[BaselineResult]:
    """Return the results of the baselines of a search, in the order of their first complete training.

    The variance of one seed is shared with the retrained trials of the search.

    Args:
        ledger: The open ledger.
        search: The search.
    """
    networks: dict[str, Mapping[str, Any]] = {}
    found: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for training in ledger.read(baseline_trainings, search.id):
        if training.measurements:
            networks.setdefault(training.name, training.network)
            found[training.name][training.seed] |= training.measurements
    if not found:
        return []
    repeats = ledger.read(reads.repeats, search.id, confirmed=True)
    step = class_step(ledger, search.id)
    intervals: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in found}
    for kind in (kind for kind in search.all_objectives().values() if not kind.known):
        of_baselines = {name: _values(seeds.values(), kind.name) for name, seeds in found.items()}
        present = [name for name, values in of_baselines.items() if values]
        samples = [of_baselines[name] for name in present]
        samples += [values for each in repeats.values() if (values := seed_values(each, kind.name))]
        means = repeated_means(samples, kind, step) if present else None
        for index, name in enumerate(present):
            if means is not None and (interval := means.interval(index)) is not None:
                share = kind.unit == "share"
                intervals[name][kind.name] = (max(interval[0], 0.0), min(interval[1], 1.0)) if share else interval
    results = []
    for name, seeds in found.items():
        names = {each for measured in seeds.values() for each in measured}
        means_of = {each: _mean(_values(seeds.values(), each)) for each in sorted(names)}
        test = means_of.get(TEST_ACCURACY)
        results.append(BaselineResult(name, networks[name], len(seeds), means_of, intervals[name], test))
    return results


def _values(seeds: Any, name: str) -> list[float]:
    return [measured[name] for measured in seeds if name in measured]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def dominates(a: Mapping[str, float], b: Mapping[str, float], objectives: Sequence[Objective]) -> bool:
    """Return whether values are at least as good as others in every objective, and better in one."""
    signs = [1.0 if each.direction == "maximize" else -1.0 for each in objectives]
    pairs = [
        (sign * a.get(each.name, math.nan), sign * b.get(each.name, math.nan))
        for sign, each in zip(signs, objectives, strict=True)
    ]
    return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)


def compare_with_front(
    baseline: BaselineResult, front: Mapping[int, Mapping[str, float]], objectives: Sequence[Objective]
) -> str:
    """Return one line that compares a baseline with the front of the search.

    Args:
        baseline: The baseline.
        front: The values of the trials on the front, by number.
        objectives: The objectives of the search.

    Example:
        >>> compare_with_front(baseline, front, search.spec.objectives)
        'resnet-basic-16 at 6.25 MFLOPs reaches 83.40 ± 0.80 %, above every searched design of at most its cost'
    """
    costs = [each for each in objectives if each.known]
    measured = [each for each in objectives if not each.known]
    reached = " and ".join(_text(each, baseline) for each in measured)
    at = " and ".join(each.text(baseline.values.get(each.name)) for each in costs)
    lead = f"{baseline.name}{f' at {at}' if at else ''} reaches {reached}"
    better = [number for number, values in front.items() if dominates(values, baseline.values, objectives)]
    if better:
        return (
            f"{lead}; {_trials(better)} reaches more" if len(better) == 1 else f"{lead}; {_trials(better)} reach more"
        )
    same = [
        n for n, values in front.items() if all(values.get(o.name) == baseline.values.get(o.name) for o in objectives)
    ]
    if same:
        return f"{lead}, as {_trials(same)}"
    cheaper = [values for values in front.values() if all(_at_most(each, values, baseline) for each in costs)]
    if not cheaper:
        return f"{lead}; no searched design costs as little"
    beaten = [number for number, values in front.items() if dominates(baseline.values, values, objectives)]
    tail = f". It dominates {_trials(beaten)}" if beaten else ""
    if len(measured) > 1:
        return f"{lead}; no searched design of at most its cost is better in all of them{tail}"
    return f"{lead}, above every searched design of at most its cost{tail}"


def _at_most(cost: Objective, values: Mapping[str, float], baseline: BaselineResult) -> bool:
    return values.get(cost.name, math.inf) <= baseline.values.get(cost.name, math.nan)


def _text(objective: Objective, baseline: BaselineResult) -> str:
    return value_with_interval(objective, baseline.values.get(objective.name), baseline.intervals.get(objective.name))


def value_with_interval(objective: Objective, value: float | None, interval: tuple[float, float] | None) -> str:
    """Return a value and the reach of its 95 % interval: `97.20 ± 0.31 %`.

    Args:
        objective: The objective, which knows its unit.
        value: The value; None: unknown.
        interval: The interval; None: unknown.
    """
    text = objective.text(value)
    if value is None or interval is None:
        return text
    reach = max(interval[1] - value, value - interval[0])
    if objective.unit == "share":
        return f"{text.removesuffix(' %')} ± {100 * reach:.2f} %"
    return f"{text} ± {reach:.2g}"


def _trials(numbers: Sequence[int]) -> str:
    listed = [str(number) for number in sorted(numbers)]
    if len(listed) == 1:
        return f"trial {listed[0]}"
    if len(listed) > MAX_LISTED:
        return f"{len(listed)} trials of the front"
    return f"trials {', '.join(listed[:-1])} and {listed[-1]}"
