"""Every read of the ledger, as a function of an open connection: `ledger.read(reads.trials, search.id)`.

`search_id` is the row id of a search, `SearchRecord.id`. The reads of measured values are in `measured_values.py`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select

from hybrid_search.errors import UnknownName
from hybrid_search.ledger.entries import FailedAttempt, Proposal, SplitUse, TrialKey
from hybrid_search.ledger.measured_values import (
    front_candidates,
    mean_measurements,
    measured_names,
    points,
    repeats,
    values,
)
from hybrid_search.ledger.registered_objects import registered_objects
from hybrid_search.ledger.search_notes import captured_values, data_notes, settings_of
from hybrid_search.ledger.tables import FailureRow, OpeningRow, ProposalRow, RungRow, SearchRow, TrialRow
from hybrid_search.objectives import from_json
from hybrid_search.records import SearchRecord, Settings, TrialRecord

__all__ = [
    "architectures",
    "captured_values",
    "choices",
    "counts",
    "curve",
    "curves",
    "data_notes",
    "digests",
    "fact",
    "fact_counts",
    "failures",
    "find_search",
    "fingerprints",
    "front_candidates",
    "measured_names",
    "newest_search",
    "openings",
    "points",
    "proposals",
    "registered_objects",
    "repeats",
    "searches",
    "seeds",
    "trial",
    "trials",
    "trials_with_weights",
    "values",
]

FACT_TRIALS = 100  # the first trials of a search, among which a fact is looked up

# -- searches --


def searches(connection: Connection) -> list[SearchRecord]:
    """Return every search, newest first."""
    return [_search_record(row) for row in connection.execute(_newest_first())]


def newest_search(connection: Connection) -> SearchRecord | None:
    """Return the newest search; None if there is no search."""
    row = connection.execute(_newest_first().limit(1)).first()
    return None if row is None else _search_record(row)


def find_search(connection: Connection, name: str) -> SearchRecord | None:
    """Return the search of a name, or None."""
    row = connection.execute(_newest_first().where(SearchRow.name == name)).first()
    return None if row is None else _search_record(row)


# -- trials --


def trials(connection: Connection, search_id: int, numbers: Iterable[int] | None = None) -> list[TrialRecord]:
    """Return complete records of trials.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
        numbers: Numbers of the trials to return; None for all.

    Returns:
        Records in the order of their numbers. A measurement is the mean over the confirmation seeds if there are any.
    """
    which = [TrialRow.search_id == search_id]
    if numbers is not None:
        which.append(TrialRow.number.in_(list(numbers)))
    rows = connection.execute(select(TrialRow.__table__).where(*which).order_by(TrialRow.number)).all()
    measurements = mean_measurements(connection, *which)
    return [_trial_record(row, measurements.get(row.id, {})) for row in rows]


def trial(connection: Connection, search_id: int, number: int) -> TrialRecord:
    """Return the complete record of one trial.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
        number: Number of the trial in its search, from 0.

    Returns:
        The record.

    Raises:
        UnknownName: The search has no such trial.
    """
    found = trials(connection, search_id, [number])
    if found:
        return found[0]
    count = sum(counts(connection, search_id).values())
    if not count:
        raise UnknownName(f"trial must be a number of this search, which has no trial yet; got {number}.")
    raise UnknownName(f"trial must be a number from 0 to {count - 1}; got {number}.")


def counts(connection: Connection, search_id: int) -> dict[str, int]:
    """Return the number of trials in each state that occurs."""
    query = select(TrialRow.state, func.count()).where(TrialRow.search_id == search_id).group_by(TrialRow.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def architectures(
    connection: Connection, search_id: int, numbers: Iterable[int] | None = None
) -> dict[int, Mapping[str, Any]]:
    """Return the architectures (plain JSON) by trial number; `numbers` selects trials."""
    query = select(TrialRow.number, TrialRow.architecture).where(TrialRow.search_id == search_id)
    if numbers is not None:
        query = query.where(TrialRow.number.in_(list(numbers)))
    return {row[0]: row[1] for row in connection.execute(query)}


def choices(connection: Connection, search_id: int) -> dict[int, Mapping[str, Any]]:
    """Return the choices (parameter name -> choice) by trial number."""
    query = select(TrialRow.number, TrialRow.choices).where(TrialRow.search_id == search_id).order_by(TrialRow.number)
    return {row.number: row.choices for row in connection.execute(query)}


def digests(connection: Connection, search_id: int) -> dict[int, str]:
    """Return the digests of the architectures by trial number."""
    query = select(TrialRow.number, TrialRow.digest).where(TrialRow.search_id == search_id).order_by(TrialRow.number)
    return {row.number: row.digest for row in connection.execute(query)}


def seeds(connection: Connection, search_id: int) -> set[int]:
    """Return the training seeds of the trials, without the seeds of their confirmations."""
    query = select(TrialRow.seed).where(TrialRow.search_id == search_id).distinct()
    return {row.seed for row in connection.execute(query)}


def fact(connection: Connection, search_id: int, name: str) -> str | None:
    """Return a fact of the first trial that reported it, such as `fingerprint`; None if no trial did."""
    reported = or_(TrialRow.rung > 0, TrialRow.state == "complete")
    query = select(TrialRow.facts).where(TrialRow.search_id == search_id, reported).order_by(TrialRow.number)
    rows = connection.execute(query.limit(FACT_TRIALS))
    return next((row.facts[name] for row in rows if name in row.facts), None)


def fact_counts(connection: Connection, search_id: int) -> dict[str, dict[str, int]]:
    """Return how many completed trials have each value of each fact: name -> value -> count, most frequent first."""
    query = select(TrialRow.facts).where(TrialRow.search_id == search_id, TrialRow.state == "complete")
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for facts in connection.execute(query).scalars():
        for name, value in facts.items():
            found[name][value] += 1
    return {name: dict(values.most_common()) for name, values in found.items()}


def fingerprints(connection: Connection, search_id: int) -> dict[int | None, str]:
    """Return the fingerprint of the data at each image size (None: as the data set has it) that a trial reported."""
    reported = or_(TrialRow.rung > 0, TrialRow.state == "complete")
    columns = select(TrialRow.settings, TrialRow.facts)
    query = columns.where(TrialRow.search_id == search_id, reported).order_by(TrialRow.number).limit(FACT_TRIALS)
    found: dict[int | None, str] = {}
    for row in connection.execute(query):
        if "fingerprint" in row.facts:
            found.setdefault(row.settings.get("image_size"), row.facts["fingerprint"])
    return found


def trials_with_weights(connection: Connection, search_id: int) -> list[TrialKey]:
    """Return the trials whose trained weights are stored."""
    which = (TrialRow.search_id == search_id, TrialRow.weights.is_not(None))
    return [TrialKey(*row) for row in connection.execute(select(TrialRow.id, TrialRow.number).where(*which))]


# -- learning curves --


def curve(connection: Connection, trial_id: int) -> list[tuple[int, dict[str, float]]]:
    """Return the learning curve of the trial with this row id: (epoch, measurements by name) in order."""
    columns = (RungRow.rung, RungRow.name, RungRow.value)
    rungs: dict[int, dict[str, float]] = defaultdict(dict)
    query = select(*columns).where(RungRow.trial_id == trial_id).order_by(RungRow.rung)
    for rung, name, value in connection.execute(query):
        rungs[rung][name] = value
    return list(rungs.items())


def curves(
    connection: Connection, search_id: int, names: Iterable[str], numbers: Iterable[int] | None = None
) -> dict[int, dict[int, dict[str, float]]]:
    """Return the learning curves of many trials.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
        names: Names of the measurements to return.
        numbers: Numbers of the trials to return; None for all.

    Returns:
        Trial row id -> epoch -> measurement by name.
    """
    columns = (RungRow.trial_id, RungRow.rung, RungRow.name, RungRow.value)
    query = select(*columns).join(TrialRow, TrialRow.id == RungRow.trial_id)
    query = query.where(TrialRow.search_id == search_id, RungRow.name.in_(list(names)))
    if numbers is not None:
        query = query.where(TrialRow.number.in_(list(numbers)))
    found: dict[int, dict[int, dict[str, float]]] = defaultdict(dict)
    for trial_id, rung, name, value in connection.execute(query.order_by(RungRow.trial_id, RungRow.rung)):
        found[trial_id].setdefault(rung, {})[name] = value
    return dict(found)


# -- proposals, failures, use of the test split --


def proposals(connection: Connection, search_id: int) -> list[Proposal]:
    """Return the proposals that were not trained, oldest first."""
    columns = (ProposalRow.reason, ProposalRow.digest, ProposalRow.choices, ProposalRow.budget_excess)
    query = select(*columns).where(ProposalRow.search_id == search_id).order_by(ProposalRow.id)
    return [Proposal(*row) for row in connection.execute(query)]


def failures(connection: Connection, search_id: int, number: int | None = None) -> list[FailedAttempt]:
    """Return the failed attempts by trial and attempt; `number` selects one trial. Failed retrainings come last."""
    row = FailureRow.__table__.c
    columns = (TrialRow.number, row.attempt, row.kind, row.text, row.rung, row.worker, row.failed, row.seed)
    query = select(*columns).join(TrialRow, TrialRow.id == row.trial_id).where(TrialRow.search_id == search_id)
    if number is not None:
        query = query.where(TrialRow.number == number)
    return [FailedAttempt(*each) for each in connection.execute(query.order_by(TrialRow.number, row.attempt))]


def openings(connection: Connection, search_id: int) -> list[SplitUse]:
    """Return every use of the test split, oldest first."""
    columns = (OpeningRow.fingerprint, OpeningRow.images, OpeningRow.reason, OpeningRow.opened)
    query = select(*columns).where(OpeningRow.search_id == search_id).order_by(OpeningRow.id)
    return [SplitUse(*row) for row in connection.execute(query)]


def _newest_first() -> Select[Any]:
    return select(SearchRow.__table__).order_by(SearchRow.id.desc())


def _search_record(row: Row[Any]) -> SearchRecord:
    fields = dict(row._mapping)
    for name in ("driver", "driver_until"):
        del fields[name]
    for name in ("input_size", "tuned"):
        fields[name] = tuple(fields[name])
    fields["objectives"], fields["own_objectives"] = from_json(fields["objectives"])
    fields["known_designs"] = fields.pop("warm_start")
    fields["settings"] = Settings.from_dict(settings_of(fields["settings"]))
    return SearchRecord(**fields)


def _trial_record(row: Row[Any], measurements: Mapping[str, float]) -> TrialRecord:
    fields = dict(row._mapping)
    for name in ("search_id", "changed", "driver"):
        del fields[name]
    fields["audit_rung"] = fields.pop("spared")
    return TrialRecord(**fields, measurements=measurements)
