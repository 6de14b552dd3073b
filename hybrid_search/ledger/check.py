"""Check a ledger: the integrity checks of its database, and the rules that every search in it must satisfy."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import Connection, and_, distinct, func, not_, or_, select, text
from sqlalchemy.exc import DBAPIError

from hybrid_search.errors import LedgerError
from hybrid_search.ledger.retry import first_line, is_outage
from hybrid_search.ledger.tables import Base, BaselineRow, FailureRow, MeasurementRow, SearchRow, TrainingRow, TrialRow
from hybrid_search.objectives import from_json
from hybrid_search.records import STATES

if TYPE_CHECKING:
    from hybrid_search.ledger import Ledger

T = TypeVar("T")

MAX_NAMED = 5  # violations that are named; the others are counted


class Finding(NamedTuple):
    """The result of one check.

    `rule` is the rule, `violations` how often it is violated, and `detail` names violations or says that it holds.
    """

    rule: str
    violations: int
    detail: str


def check_ledger(ledger: "Ledger") -> list[Finding]:
    """Check every rule of a ledger. Nothing is written.

    Args:
        ledger: The open ledger; read-only is enough.

    Returns:
        One finding per rule, and one with the number of rows.
    """
    rules: dict[str, Callable[[Connection], Sequence[str]]] = {}
    if ledger.url.get_backend_name() == "sqlite":
        rules |= {
            "the file is not damaged": _integrity,
            "every row refers to an existing row (foreign keys)": _foreign_keys,
        }
    return [*(_finding(ledger, rule, query) for rule, query in {**rules, **RULES}.items()), _counts(ledger)]


def _read(ledger: "Ledger", work: Callable[[Connection], T]) -> T | str:
    """Return what was read, or the reason why it cannot be read."""
    try:
        return ledger.read(work)
    except (DBAPIError, LedgerError) as error:
        if isinstance(error, DBAPIError) and is_outage(error):
            raise
        return ledger.retry_policy.redact(first_line(error.__cause__ or error))


def _finding(ledger: "Ledger", rule: str, query: Callable[[Connection], Sequence[str]]) -> Finding:
    found = _read(ledger, query)
    if isinstance(found, str):
        return Finding(rule, 1, found)
    more = f" and {len(found) - MAX_NAMED:,} more" if len(found) > MAX_NAMED else ""
    return Finding(rule, len(found), f"{', '.join(found[:MAX_NAMED])}{more}" if found else "holds")


def _integrity(db: Connection) -> list[str]:
    return [row for row in db.execute(text("PRAGMA integrity_check")).scalars() if row != "ok"]


def _foreign_keys(db: Connection) -> list[str]:
    return [f"row {row[1]} of {row[0]}" for row in db.execute(text("PRAGMA foreign_key_check"))]


def _orphans(db: Connection) -> list[str]:
    found = []
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            owner = key.column.table
            lost = (key.parent.is_not(None), key.column.is_(None))  # a training may have no search
            orphans = select(func.count()).select_from(table.outerjoin(owner)).where(*lost)
            if count := db.execute(orphans).scalar_one():
                found.append(f"{count:,} rows of {table.name} without a row of {owner.name}")
    return found


def _trials(*which: Any) -> Callable[[Connection], list[str]]:
    """Return a query for the trials, as SEARCH/NUMBER, that satisfy all conditions."""

    def violations(db: Connection) -> list[str]:
        query = select(SearchRow.name, TrialRow.number).join(TrialRow, TrialRow.search_id == SearchRow.id)
        return _named(db, query.where(*which))

    return violations


def _named(db: Connection, query: Any) -> list[str]:
    return [f"{name}/{number}" for name, number in db.execute(query.order_by(SearchRow.id, TrialRow.number))]


def _numbers(db: Connection) -> list[str]:
    number = TrialRow.number
    correct = and_(
        func.min(number) == 0, func.max(number) == func.count() - 1, func.count(distinct(number)) == func.count()
    )
    query = select(SearchRow.name).join(TrialRow, TrialRow.search_id == SearchRow.id).group_by(SearchRow.id)
    return list(db.execute(query.having(not_(correct)).order_by(SearchRow.id)).scalars())


def _objectives(db: Connection) -> list[str]:
    found: list[str] = []
    own = and_(MeasurementRow.trial_id == TrialRow.id, MeasurementRow.seed == TrialRow.seed)
    for search in db.execute(select(SearchRow.id, SearchRow.objectives)):
        for name in from_json(search.objectives)[0]:
            measured = select(MeasurementRow.trial_id).where(own, MeasurementRow.name == name).exists()
            query = select(SearchRow.name, TrialRow.number).join(TrialRow, TrialRow.search_id == SearchRow.id)
            complete = (TrialRow.search_id == search.id, TrialRow.state == "complete")
            found += [f"{trial} ({name})" for trial in _named(db, query.where(*complete, not_(measured)))]
    return found


def _finite(db: Connection) -> list[str]:
    value = MeasurementRow.value
    query = select(SearchRow.name, TrialRow.number).join(TrialRow, TrialRow.search_id == SearchRow.id)
    query = query.join(MeasurementRow, MeasurementRow.trial_id == TrialRow.id)
    # PostgreSQL orders NaN above infinity; SQLite cannot store NaN.
    return _named(db, query.where(not_(and_(value > -math.inf, value < math.inf))))


def _baselines(db: Connection) -> list[str]:
    """Return the trainings of baselines, as SEARCH/NAME, that have neither a result nor a failure, or both."""
    columns = (SearchRow.name, BaselineRow.name, BaselineRow.measurements, BaselineRow.failure_kind)
    query = select(*columns).join(BaselineRow, BaselineRow.search_id == SearchRow.id)
    rows = db.execute(query.order_by(BaselineRow.id))
    return [
        f"{search}/{name}"
        for search, name, measurements, failure in rows
        if bool(measurements) == bool(failure) or not all(math.isfinite(value) for value in measurements.values())
    ]


def _trainings(db: Connection) -> list[str]:
    """Return the numbers of full trainings that have neither a result nor a failure, or both."""
    row = TrainingRow
    rows = db.execute(select(row.id, row.measurements, row.failure_kind).order_by(row.id))
    return [
        f"training {number}"
        for number, measurements, failure in rows
        if bool(measurements) == bool(failure) or not all(math.isfinite(value) for value in measurements.values())
    ]


def _counts(ledger: "Ledger") -> Finding:
    def count(db: Connection) -> list[str]:
        tables = Base.metadata.sorted_tables
        rows = {table.name: db.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}
        by_state = select(TrialRow.state, func.count()).group_by(TrialRow.state).order_by(TrialRow.state)
        states = ", ".join(f"{count:,} {state}" for state, count in db.execute(by_state))
        return [f"{name} {n:,}{f' ({states})' if name == 'trial' and n else ''}" for name, n in rows.items()]

    found = _read(ledger, count)
    return Finding("rows", 1, found) if isinstance(found, str) else Finding("rows", 0, "; ".join(found))


_ENDED = TrialRow.state != "running"
_LAST_FAILURE = select(FailureRow.trial_id).where(
    FailureRow.trial_id == TrialRow.id, FailureRow.attempt == TrialRow.attempt
)

RULES: dict[str, Callable[[Connection], Sequence[str]]] = {
    "every row belongs to a search or trial": _orphans,
    f"a trial is {', '.join(STATES[:-1])} or {STATES[-1]}": _trials(TrialRow.state.not_in(STATES)),
    "the trials of a search are numbered from 0, each once": _numbers,
    "a complete trial has every objective under its own seed": _objectives,
    "every measurement is finite": _finite,
    "a trial has an end time if and only if it has ended": _trials(
        or_(and_(_ENDED, TrialRow.finished.is_(None)), and_(not_(_ENDED), TrialRow.finished.is_not(None)))
    ),
    "a failed trial has a failure kind and a failed attempt": _trials(
        TrialRow.state == "failed", or_(TrialRow.failure_kind.is_(None), not_(_LAST_FAILURE.exists()))
    ),
    "a training of a baseline has finite measurements or a failure": _baselines,
    "a full training has finite measurements or a failure": _trainings,
    "only a running trial has a lease": _trials(_ENDED, TrialRow.expires.is_not(None)),
    "only a complete trial has weights": _trials(TrialRow.state != "complete", TrialRow.weights.is_not(None)),
}
