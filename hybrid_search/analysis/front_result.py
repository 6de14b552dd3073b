"""The front of a search as one value, and its rows as plain JSON: those of `front --format json`, report and API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_search.analysis.baseline_results import BaselineResult, read_baselines
from hybrid_search.analysis.confidence import TrialConfidence, confirmed_front, read_confidence
from hybrid_search.analysis.picks import front_knee
from hybrid_search.analysis.picks.knee import Knee
from hybrid_search.errors import UserError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.entries import TrainingRecord
from hybrid_search.ledger.trainings import trainings
from hybrid_search.networks.network import network_line, stored_network
from hybrid_search.networks.stored_architecture import readable_line
from hybrid_search.objectives import TEST, TESTED, Objective
from hybrid_search.records import SearchRecord, TrialRecord
from hybrid_search.spaces.known_designs import known_names

Row = dict[str, Any]


@dataclass(frozen=True)
class FrontResult:
    """The front of a search, with what is shown beside it.

    Attributes:
        search: The search.
        names: Names of the measurements of a row: the objectives, accuracy, FLOPs and parameters.
        numbers: Trials on the front, sorted by the first objective, the best first.
        not_retrained: Trials that would be on the front with their single seed, but were not retrained.
        values: Measurements of each trial on the front by number.
        confidences: The confidence by trial number; empty if no trial was retrained.
        trials: The records of the trials on the front by number.
        knee: The knee of the front; None without a front.
        known: Names of the known designs by digest.
        baselines: The results of the baselines.
        trainings: The full trainings, oldest first.
    """

    search: SearchRecord
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    not_retrained: tuple[int, ...]
    values: Mapping[int, Mapping[str, float]]
    confidences: Mapping[int, TrialConfidence]
    trials: Mapping[int, TrialRecord]
    knee: Knee | None
    known: Mapping[str, str]
    baselines: Sequence[BaselineResult]
    trainings: Sequence[TrainingRecord]


def read_front_result(ledger: Ledger, record: SearchRecord) -> FrontResult:
    """Read the front of a search from its ledger.

    Args:
        ledger: The ledger.
        record: The search.
    """
    names = tuple(dict.fromkeys([*record.objectives, "accuracy", "flops", "params"]))
    values = ledger.read(reads.front_candidates, record.id, sorted(names), record.objective_list)
    confidences = read_confidence(ledger, record)
    retrained = [number for number, confidence in confidences.items() if confidence.seeds]
    numbers, not_retrained = confirmed_front(values, retrained, record.objective_list)
    front = {number: values[number] for number in numbers}
    return FrontResult(
        record,
        names,
        tuple(numbers),
        tuple(not_retrained),
        front,
        confidences,
        {trial.number: trial for trial in ledger.read(reads.trials, record.id, numbers)},
        front_knee(front, record.objective_list) if numbers else None,
        known_names(record),
        read_baselines(ledger, record),
        ledger.read(trainings, record.id),
    )


def front_document(result: FrontResult) -> list[Row]:
    """Return the front as plain JSON, as `front --format json` prints it.

    Args:
        result: The front.
    """
    rows = with_other_networks(front_rows(result), result)
    return [{name: value for name, value in row.items() if name != "design"} for row in rows]


def front_rows(
    result: FrontResult, more: Mapping[int, Mapping[str, float | None]] | None = None, *, csv: bool = False
) -> list[Row]:
    """Return a row of plain values for each trial on the front.

    Args:
        result: The front.
        more: Further values of each trial by name, placed after the measurements.
        csv: Whether an interval has two columns instead of one list.
    """
    record, objectives = result.search, result.search.all_objectives()
    kinds = [objectives[name] for name in result.names]
    knee = result.knee
    rows = []
    for number in result.numbers:
        trial = result.trials[number]
        row: Row = {"trial": number, "knee": knee is not None and knee.exists and knee.number == number}
        row |= {name: result.values[number].get(name) for name in result.names}
        if result.confidences:
            row |= _confidence_columns(result.confidences.get(number), kinds, csv=csv)
        row |= dict((more or {}).get(number, {}))
        row |= {"image_size": trial.architecture.get("image_size")} if record.image_sizes else {}
        row |= {"digest": trial.digest, "design": readable_line(trial.architecture)}
        row |= {"architecture": dict(trial.architecture)}
        row |= {"known_as": result.known.get(trial.digest)} if record.known_designs else {}
        rows.append(row | {name: trial.settings[name] for name in record.tuned})
    return rows


def with_other_networks(rows: Sequence[Row], result: FrontResult, *, csv: bool = False) -> list[Row]:
    """Return the rows of a front with those of its baselines and full trainings, as soon as it has any of them.

    Args:
        rows: The rows of the trials; see `front_rows`.
        result: The front.
        csv: Whether an interval has two columns, and every row all columns.

    Returns:
        Rows with a `kind`: "trial", "baseline" or "training".
    """
    if not result.baselines and not result.trainings:
        return list(rows)
    found = [{"kind": "trial", "name": None, **row} for row in rows]
    found += [_baseline_row(each, result.names, csv=csv) for each in result.baselines]
    found += [_training_row(each, result.names) for each in result.trainings if each.failure_kind is None]
    return [dict.fromkeys(name for row in found for name in row) | row for row in found] if csv else found


def probability_text(probability: float | None) -> str:
    """Return a probability in whole per cent, `> 99 %` or `< 1 %` at the ends, and `-` if it is unknown.

    Args:
        probability: The probability; None: unknown.
    """
    if probability is None:
        return "-"
    return "> 99 %" if probability > 0.99 else "< 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def _other_tests(objectives: Sequence[Objective]) -> list[str]:
    """Return the measurements on the test split that are shown besides accuracy: those of the objectives.

    Args:
        objectives: The objectives of a table.
    """
    return [f"{TEST}{each.name}" for each in objectives if each.name in TESTED and each.name != "accuracy"]


def _confidence_columns(confidence: TrialConfidence | None, objectives: Sequence[Objective], *, csv: bool) -> Row:
    """Return the confidence columns of one trial.

    An interval is `[low, high]` in JSON and two columns in CSV; null if it is unknown. `seeds` counts fresh seeds.
    """
    columns: Row = {}
    for name in (objective.name for objective in objectives if not objective.known):
        interval = confidence.intervals.get(name) if confidence else None
        columns |= _interval_columns(name, interval, csv=csv)
    return columns | {
        "seeds": confidence.seeds if confidence else 0,
        "front_probability": confidence.probability if confidence else 0.0,
        "test_accuracy": confidence.test if confidence else None,
        **{name: confidence.tests.get(name) if confidence else None for name in _other_tests(objectives)},
    }


def _interval_columns(name: str, interval: tuple[float, float] | None, *, csv: bool) -> Row:
    if csv:
        low, high = interval or (None, None)
        return {f"{name}_low": low, f"{name}_high": high}
    return {f"{name}_interval": list(interval) if interval else None}


def _baseline_row(baseline: BaselineResult, names: Sequence[str], *, csv: bool) -> Row:
    """Return the row of a baseline; its `trial` is null."""
    row: Row = {"kind": "baseline", "name": baseline.name, "trial": None}
    row |= {name: baseline.values.get(name) for name in names}
    for name, interval in baseline.intervals.items():
        row |= _interval_columns(name, interval, csv=csv) if name in names else {}
    row |= {"seeds": baseline.seeds, "test_accuracy": baseline.test, "digest": stored_network(baseline.network).digest}
    return row | {"design": network_line(baseline.network), "architecture": dict(baseline.network)}


def _training_row(training: TrainingRecord, names: Sequence[str]) -> Row:
    """Return the row of a complete full training."""
    return {
        "kind": "training",
        "name": f"training {training.number}",
        "trial": training.trial,
        **{name: training.measurements.get(name) for name in names},
        "seeds": 1,
        "test_accuracy": training.measurements.get("test_accuracy"),
        "digest": _digest(training),
        "design": readable_line(training.architecture),
        "architecture": dict(training.architecture),
    }


def _digest(training: TrainingRecord) -> str | None:
    """Return the digest of the design; None if it needs a plugin that is not installed here."""
    try:
        return stored_network(training.architecture).digest
    except UserError:
        return None
