"""Whether a ledger is whole: what its database says of itself, and the laws that every search in it keeps."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import Connection, and_, distinct, func, not_, or_, select, text
from sqlalchemy.exc import DBAPIError

from hybrid_search.errors import LedgerError
from hybrid_search.ledger.retry import first_line, is_outage
from hybrid_search.ledger.tables import Base, FailureRow, MeasurementRow, SearchRow, TrialRow
from hybrid_search.objectives import from_json
from hybrid_search.records import STATES

if TYPE_CHECKING:
    from hybrid_search.ledger import Ledger

T = TypeVar("T")

SHOWN = 5  # that many offenders are named


class Finding(NamedTuple):
    """One law, how often it is broken, and by what; with 0, that it holds."""

    law: str
    broken: int
    found: str


def check(ledger: "Ledger") -> list[Finding]:
    """Every law of the ledger, and at the end how much it holds. Nothing is written."""
    laws: dict[str, Callable[[Connection], Sequence[str]]] = {}
    if ledger.url.get_backend_name() == "sqlite":
        laws |= {"the file is whole": _integrity, "every row has the row it belongs to (foreign keys)": _foreign_keys}
    return [*(_finding(ledger, law, broken) for law, broken in {**laws, **LAWS}.items()), _counts(ledger)]


def _read(ledger: "Ledger", work: Callable[[Connection], T]) -> T | str:
    """What was read, or why it cannot be."""
    try:
        return ledger.read(work)
    except (DBAPIError, LedgerError) as error:
        if isinstance(error, DBAPIError) and is_outage(error):
            raise
        return ledger.retry_policy.redact(first_line(error.__cause__ or error))


def _finding(ledger: "Ledger", law: str, broken: Callable[[Connection], Sequence[str]]) -> Finding:
    found = _read(ledger, broken)
    if isinstance(found, str):
        return Finding(law, 1, found)
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return Finding(law, len(found), f"{', '.join(found[:SHOWN])}{more}" if found else "holds")


def _integrity(db: Connection) -> list[str]:
    return [row for row in db.execute(text("PRAGMA integrity_check")).scalars() if row != "ok"]


def _foreign_keys(db: Connection) -> list[str]:
    return [f"row {row[1]} of {row[0]}" for row in db.execute(text("PRAGMA foreign_key_check"))]


def _orphans(db: Connection) -> list[str]:
    found = []
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            owner = key.column.table
            lost = select(func.count()).select_from(table.outerjoin(owner)).where(key.column.is_(None))
            if count := db.execute(lost).scalar_one():
                found.append(f"{count:,} rows of {table.name} without their {owner.name}")
    return found


def _trials(*which: Any) -> Callable[[Connection], list[str]]:
    """The trials, as SEARCH/NUMBER, for which all this is so."""

    def broken(db: Connection) -> list[str]:
        query = select(SearchRow.name, TrialRow.number).join(TrialRow, TrialRow.search_id == SearchRow.id)
        return _named(db, query.where(*which))

    return broken


def _named(db: Connection, query: Any) -> list[str]:
    return [f"{name}/{number}" for name, number in db.execute(query.order_by(SearchRow.id, TrialRow.number))]


def _numbers(db: Connection) -> list[str]:
    number = TrialRow.number
    right = and_(
        func.min(number) == 0, func.max(number) == func.count() - 1, func.count(distinct(number)) == func.count()
    )
    query = select(SearchRow.name).join(TrialRow, TrialRow.search_id == SearchRow.id).group_by(SearchRow.id)
    return list(db.execute(query.having(not_(right)).order_by(SearchRow.id)).scalars())


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
    # PostgreSQL holds NaN to be greater than infinity; SQLite cannot store it.
    return _named(db, query.where(not_(and_(value > -math.inf, value < math.inf))))


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

LAWS: dict[str, Callable[[Connection], Sequence[str]]] = {
    "no row is left without its search or trial": _orphans,
    f"a trial is {', '.join(STATES[:-1])} or {STATES[-1]}": _trials(TrialRow.state.not_in(STATES)),
    "the trials of a search are numbered from 0, each once": _numbers,
    "a complete trial has every objective under its own seed": _objectives,
    "no number is NaN or infinite": _finite,
    "a trial has the time of its end when it has ended, and not before": _trials(
        or_(and_(_ENDED, TrialRow.finished.is_(None)), and_(not_(_ENDED), TrialRow.finished.is_not(None)))
    ),
    "a failed trial says how, as do its failed attempts": _trials(
        TrialRow.state == "failed", or_(TrialRow.failure_kind.is_(None), not_(_LAST_FAILURE.exists()))
    ),
    "only a running trial is leased": _trials(_ENDED, TrialRow.expires.is_not(None)),
    "only a complete trial has weights": _trials(TrialRow.state != "complete", TrialRow.weights.is_not(None)),
}
