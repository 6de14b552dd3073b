"""Reads of final measurements: means over seeds, and the trials that may be on the Pareto front.

The work is done in SQL, so that a search of 100,000 trials is read in seconds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, or_, select

from hybrid_search.ledger.entries import Repeats, TrialPoint
from hybrid_search.ledger.tables import MeasurementRow, TrialRow
from hybrid_search.objectives import Objective
from hybrid_search.objectives import objectives as find_objectives

MAX_IDS = 10_000  # trials that one query selects by id


def points(
    connection: Connection, search_id: int, names: Sequence[str], after: int = 0
) -> tuple[list[TrialPoint], int]:
    """Return the trials that changed since an earlier read, for live charts.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
        names: Names of the measurements to return.
        after: The change counter that the earlier read returned; 0 for all trials.

    Returns:
        The points in the order of trial numbers, and the change counter of this read.
    """
    table = TrialRow.__table__.c
    columns = (table.id, table.number, table.state, table.started, table.finished, table.changed)
    which = (table.search_id == search_id, table.changed > after)
    rows = connection.execute(select(*columns).where(*which).order_by(table.number)).all()
    measured: Mapping[int, Mapping[str, float]] = {}
    if rows:
        measured = mean_measurements(connection, *which, MeasurementRow.name.in_(list(names)))
    found = [
        TrialPoint(
            row.id,
            row.number,
            row.state,
            (row.finished - row.started).total_seconds() if row.finished else None,
            row.finished,
            measured.get(row.id, {}),
        )
        for row in rows
    ]
    return found, max((row.changed for row in rows), default=after)


def values(connection: Connection, search_id: int, names: Sequence[str]) -> dict[int, dict[str, float]]:
    """Return the measurements of the completed trials. Faster than `points` for many trials.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
        names: Names of the measurements to return.

    Returns:
        Trial number -> measurement by name. It is the mean over the confirmation seeds if there are any.
    """
    by_id: dict[int, dict[str, float]] = {}
    repeated = []
    for trial_id, several_seeds, *row in connection.execute(_pivot(search_id, names)).all():
        by_id[trial_id] = {name: value for name, value in zip(names, row, strict=True) if value is not None}
        if several_seeds:
            repeated.append(trial_id)
    if repeated:
        by_id |= mean_measurements(connection, TrialRow.id.in_(repeated), MeasurementRow.name.in_(names))
    numbers = select(TrialRow.id, TrialRow.number).where(TrialRow.search_id == search_id).order_by(TrialRow.number)
    return {number: by_id[trial_id] for trial_id, number in connection.execute(numbers).all() if trial_id in by_id}


def measured_names(connection: Connection, search_id: int) -> list[str]:
    """Return the names of everything that the completed trials of a search measured, sorted."""
    row = MeasurementRow.__table__.c
    complete = select(TrialRow.id).where(TrialRow.search_id == search_id, TrialRow.state == "complete")
    query = select(row.name).where(row.trial_id.in_(complete)).distinct().order_by(row.name)
    return list(connection.execute(query).scalars())


def front_candidates(
    connection: Connection, search_id: int, names: Sequence[str], objectives: Sequence[str | Objective]
) -> dict[int, dict[str, float]]:
    """Return the measurements of the completed trials that may be on the Pareto front.

    For two objectives a window function in SQL removes nearly all dominated trials. Otherwise all trials are returned.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
        names: Names of the measurements to return.
        objectives: The objectives of the front, or their names in the table.

    Returns:
        Trial number -> measurement by name, as `values` returns them: every trial of the front and some others.
    """
    if len(objectives) != 2:
        return values(connection, search_id, names)
    kinds = find_objectives(objectives)
    pivot = _pivot(search_id, [kind.name for kind in kinds]).subquery()
    signs = [-1 if kind.direction == "maximize" else 1 for kind in kinds]
    costs = [pivot.c[f"value{i}"] * sign for i, sign in enumerate(signs)]
    # The pivot value of a trial with several seeds is not its mean, so it dominates no other trial here.
    second_cost = case((pivot.c.several_seeds, None), else_=costs[1])
    best_before = func.min(second_cost).over(order_by=costs, rows=(None, -1))
    sorted_trials = select(pivot, costs[1].label("second_cost"), best_before.label("best_before")).subquery()
    column = sorted_trials.c
    is_candidate = or_(column.several_seeds, column.best_before.is_(None), column.second_cost <= column.best_before)
    ids = list(connection.execute(select(column.trial_id).where(is_candidate)).scalars())
    if not ids or len(ids) > MAX_IDS:
        return values(connection, search_id, names)
    which = (TrialRow.id.in_(ids),)
    measured = mean_measurements(connection, *which, MeasurementRow.name.in_(names))
    numbers = select(TrialRow.id, TrialRow.number).where(*which).order_by(TrialRow.number)
    return {row.number: measured[row.id] for row in connection.execute(numbers)}


def repeats(connection: Connection, search_id: int, *, confirmed: bool = False) -> dict[int, Repeats]:
    """Return the measurements of the completed trials under every seed.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
        confirmed: Return only trials that were trained under more than one seed.

    Returns:
        Trial number -> measurements under the seed of the search and under each confirmation seed.
    """
    trial, row = TrialRow.__table__.c, MeasurementRow.__table__.c
    which = [trial.search_id == search_id, trial.state == "complete"]
    if confirmed:
        several = select(row.trial_id).group_by(row.trial_id).having(func.min(row.seed) < func.max(row.seed))
        which.append(trial.id.in_(several))  # over all searches: this query then reads the index alone
    query = select(trial.number, trial.seed, row.seed, row.name, row.value)
    query = query.join(MeasurementRow, trial.id == row.trial_id).where(*which)
    found: dict[int, Repeats] = {}
    for number, own, seed, name, value in connection.execute(query):
        trial_repeats = found.setdefault(number, Repeats({}, defaultdict(dict)))
        measured: Any = trial_repeats.own if seed == own else trial_repeats.fresh[seed]
        measured[name] = value
    return found


def mean_measurements(connection: Connection, *which: ColumnElement[bool]) -> dict[int, dict[str, float]]:
    """Return the final measurements of trials: the mean over the confirmation seeds, if there are any.

    The seed of the search is then left out. A trial was selected for its result under that seed, so the result is
    biased upwards (selection bias).

    Args:
        connection: The open connection.
        *which: Conditions on the columns of `TrialRow` and `MeasurementRow`.

    Returns:
        Trial row id -> mean by name.
    """
    row = MeasurementRow.__table__.c
    confirmed = func.avg(case((row.seed != TrialRow.seed, row.value)))
    query = (
        select(row.trial_id, row.name, func.coalesce(confirmed, func.avg(row.value)))
        .join(TrialRow, TrialRow.id == row.trial_id)
        .where(*which)
        .group_by(row.trial_id, row.name)
    )
    means: dict[int, dict[str, float]] = defaultdict(dict)
    for trial_id, name, mean in connection.execute(query):
        means[trial_id][name] = mean
    return means


def _pivot(search_id: int, names: Sequence[str]) -> Select[Any]:
    """Select one row per completed trial: its row id, whether it has several seeds, and one column per measurement."""
    row = MeasurementRow.__table__.c
    complete = select(TrialRow.id).where(TrialRow.search_id == search_id, TrialRow.state == "complete")
    columns = [func.max(case((row.name == name, row.value))).label(f"value{i}") for i, name in enumerate(names)]
    several_seeds = (func.min(row.seed) < func.max(row.seed)).label("several_seeds")
    query: Select[Any] = select(row.trial_id, several_seeds, *columns).group_by(row.trial_id)
    return query.where(row.name.in_(names), row.trial_id.in_(complete))
