"""The results database: the one truth of every search. SQLite by default, PostgreSQL by URL.

Only the driver writes. Every public write is one transaction, committed before it returns.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import uuid4
from weakref import finalize

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Row,
    Select,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from hybrid_search._internal.event_log import print_notice
from hybrid_search._internal.redaction import hide, redacted
from hybrid_search.errors import LedgerError, UnknownName, nearest
from hybrid_search.ledger import leases
from hybrid_search.ledger.connect import database_url, open_engine, patience_with, shown, without_password
from hybrid_search.ledger.process_identity import Driver
from hybrid_search.ledger.retry import patiently, repeated
from hybrid_search.ledger.rows import FailedAttempt, Kept, Lease, Opening, Point, Proposal, Repeats
from hybrid_search.ledger.tables import (
    FailureRow,
    MeasurementRow,
    OpeningRow,
    ProposalRow,
    RungRow,
    SearchRow,
    TrialRow,
)
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.records import SearchRecord, Settings, State, TrialRecord

__all__ = ["FailedAttempt", "Kept", "Lease", "Ledger", "Opening", "Point", "Proposal", "Repeats"]

LEASE_SECONDS = 30.0  # of a running trial that shows no sign of life, and of a driver

ASKED = 100  # trials that are looked at for a fact
MANY = 10_000  # trials that are asked for by their ids, at most
T = TypeVar("T")


class Ledger:
    """The results database at a URL (default: HYBRID_SEARCH_DB, else sqlite:///results/hybrid-search.db).

    Raises LedgerError where the database cannot be opened, or is not a ledger of this version. Read-only ledgers take
    no lock and create nothing. Writes to a search that another driver leads raise LostLease: see `take_lead`;
    LedgerAway where the database goes away for longer than patience lasts. `notice` is told of that, and of an
    upgraded ledger.
    """

    def __init__(
        self, url: str | None = None, *, read_only: bool = False, notice: Callable[[str], None] = print_notice
    ) -> None:
        self.url = database_url(url)
        if self.url.password:
            hide(str(self.url.password))  # from whatever this process shows or keeps
        self.read_only = read_only
        self.patience = replace(patience_with(self.url, read_only=read_only), notice=notice)
        self.lease_seconds = LEASE_SECONDS
        self._engine = open_engine(self.url, read_only=read_only, notice=notice)
        # A ledger that is forgotten gives its connections back too; not at exit, which forked children share.
        finalize(self, self._engine.dispose).atexit = False
        self._leads: dict[int, str] = {}  # search id -> this ledger's own driver of it

    @property
    def shown(self) -> str:
        """The URL as it may be printed: without its password."""
        return shown(self.url)

    @property
    def typed(self) -> str:
        """The URL as a command to type next names it: without its password, which PGPASSWORD or ~/.pgpass give."""
        return shown(without_password(self.url))

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do this work in one transaction, committed before its result is returned; again where the database went away
        meanwhile, as long as patience lasts. Such work may have been done already: see `repeated`."""
        return patiently(self._engine, work, self.patience, self.shown)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction, tried once and committed at its end, for who waits for more than this database."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def _rows(self, query: Executable) -> Sequence[Any]:
        return self.transact(lambda db: db.execute(query).all())

    # -- searches --

    def searches(self) -> list[SearchRecord]:
        """Every search, the newest first."""
        return [_search(row) for row in self._rows(select(SearchRow.__table__).order_by(SearchRow.id.desc()))]

    def search(self, name: str | None = None) -> SearchRecord:
        """The search of this name, or the newest; UnknownName lists those there are."""
        query = select(SearchRow.__table__).order_by(SearchRow.id.desc()).limit(1)
        for row in self._rows(query if name is None else query.where(SearchRow.name == name)):
            return _search(row)
        names = [row.name for row in self._rows(select(SearchRow.name).order_by(SearchRow.id))]
        if not names:
            raise UnknownName(f"{self.shown} holds no search yet. Start one with: hybrid-search run")
        raise UnknownName(f"search must be one of {', '.join(names)}; got {name!r}.{nearest(name, names)}")

    def find_search(self, name: str) -> SearchRecord | None:
        """The search of this name, or None."""
        rows = self._rows(select(SearchRow.__table__).where(SearchRow.name == name))
        return _search(rows[0]) if rows else None

    def create_search(self, search: SearchRecord) -> SearchRecord:
        """Write a new search; returned with its id, uid and time. LedgerError if the name is taken."""
        values = {
            "name": search.name,
            "space": dict(search.space),
            "objectives": list(search.objectives),
            "settings": search.settings.to_dict(),
            "sampler": search.sampler,
            "seed": search.seed,
            "target": search.target,
            "max_flops": search.max_flops,
            "max_params": search.max_params,
            "input_size": list(search.input_size),
            "classes": search.classes,
            "evaluation": search.evaluation,
            "pruner": search.pruner,
            "tuned": list(search.tuned),
            "warm_start": search.warm_start,
            "uid": uuid4().hex,
            "created": datetime.now(UTC),
        }

        def work(db: Connection) -> None:
            same = select(SearchRow.uid).where(SearchRow.name == search.name)
            if found := db.execute(same).scalar_one_or_none():
                if found == values["uid"]:
                    return  # written before, in a transaction whose answer was lost
                raise LedgerError(f"a new search needs a new name; {search.name!r} is taken in {self.shown}.")
            db.execute(insert(SearchRow), values)

        self.transact(work)
        return self.search(search.name)

    def set_target(self, search_id: int, target: int) -> None:
        """Write how many trials the search goes on to."""

        def work(db: Connection) -> None:
            self._own_search(db, search_id)
            db.execute(update(SearchRow).where(SearchRow.id == search_id).values(target=target))

        self.transact(work)

    # -- leases --

    def take_lead(
        self,
        search_id: int,
        driver: str,
        seconds: float,
        gone: Callable[[str], bool] = lambda driver: False,
        holding: Callable[[Lease], bool] = lambda lease: False,
    ) -> Lease | None:
        """Make this driver the one that may write a search, for so many seconds unless renewed; None when it is now.

        Else the lease of the driver that leads it. One whose lease ran out, unless it is `holding` it all the same, or
        which is `gone`, is replaced.
        """

        def work(db: Connection) -> Lease | None:
            lease = leases.held(db, search_id)
            another = lease.driver not in (None, driver) and not gone(lease.driver or "")
            if another and (lease.live or holding(lease)):
                return lease
            leases.set_driver(db, search_id, driver, lease.now + timedelta(seconds=seconds))
            return None

        lease = self.transact(work)
        if lease is None:
            self._leads[search_id] = driver
        return lease

    def renew_lead(self, search_id: int, seconds: float, silent: Iterable[int] = ()) -> None:
        """Put off the end of this ledger's lead, and of the leases of its running trials (ids) but the silent ones.

        LostLease where another driver leads the search by now.
        """
        driver, without = self._leads[search_id], set(silent)
        self.transact(lambda db: leases.renew(db, search_id, driver, seconds, without))

    def give_lead(self, search_id: int, *, in_order: bool = True) -> None:
        """Let another driver lead the search; nothing where this one lost it before. Not `in_order`, its name stays as
        that of one that died."""
        driver = self._leads.pop(search_id, None)

        def work(db: Connection) -> None:
            if driver is not None and leases.held(db, search_id).driver == driver:
                leases.set_driver(db, search_id, None if in_order else driver, None)

        self.transact(work)

    def lead(self, search_id: int) -> Lease:
        """Who drives a search at the moment; a driver of this machine that is gone holds no lease."""
        query = select(SearchRow.driver, SearchRow.driver_until).where(SearchRow.id == search_id)

        def work(db: Connection) -> Lease:
            return Lease(*db.execute(query).one(), leases.clock(db))

        lease = self.transact(work)
        gone = lease.live and Driver().is_gone(lease.driver or "")
        return lease._replace(until=None) if gone else lease

    def _own_search(self, db: Connection, search_id: int) -> None:
        leases.own_search(db, search_id, self._leads.get(search_id))

    def _own_trial(self, db: Connection, trial_id: int, attempt: int | None = None) -> Any:
        return leases.own_trial(db, trial_id, self._leads, attempt)

    def _expiry(self, db: Connection) -> datetime:
        return leases.clock(db) + timedelta(seconds=self.lease_seconds)

    # -- trials: writing --

    def start_trial(
        self,
        search_id: int,
        number: int,
        *,
        digest: str,
        architecture: Mapping[str, Any],
        choices: Mapping[str, Any],
        settings: Settings,
        worker: str = "",
    ) -> int:
        """Write a trial that is about to run; its id is returned. Written again, it is the same trial.

        LedgerError where another design has its number.
        """

        def work(db: Connection) -> int:
            self._own_search(db, search_id)
            numbered = (TrialRow.search_id == search_id, TrialRow.number == number)
            found = db.execute(select(TrialRow.id, TrialRow.digest, TrialRow.state).where(*numbered)).first()
            if found is not None:
                if (found.digest, found.state) == (digest, "running"):
                    return int(found.id)
                raise LedgerError(f"a trial needs a number of its own; {number} is taken by {found.digest}.")
            values = {
                "search_id": search_id,
                "number": number,
                "state": "running",
                "digest": digest,
                "architecture": dict(architecture),
                "choices": dict(choices),
                "settings": settings.to_dict(),
                "seed": settings.seed,
                "attempt": 1,
                "rung": 0,
                "started": datetime.now(UTC),
                "changed": _next_change(db),
                "worker": worker,
                "facts": {},
                "driver": self._leads.get(search_id),
                "expires": self._expiry(db),
            }
            return int(db.execute(insert(TrialRow).values(values).returning(TrialRow.id)).scalar_one())

        return self.transact(work)

    def fail_attempt(self, trial_id: int, attempt: int, kind: str, text: str) -> int:
        """Write that an attempt at a running trial failed; the number of the next attempt, which begins.

        Its curve stays: an attempt that goes on from a checkpoint adds to it, another one writes it again.
        """
        said = self._without_secrets(text)

        def work(db: Connection) -> int:
            written = select(FailureRow.kind).where(FailureRow.trial_id == trial_id, FailureRow.attempt == attempt)
            if repeated(db) and db.execute(written).scalar_one_or_none() is not None:
                return attempt + 1  # written before, in a transaction whose answer was lost
            row = self._own_trial(db, trial_id, attempt)
            if row.state != "running":
                raise LedgerError(f"only a running trial can begin again; trial row {trial_id} is {row.state}.")
            self._add_failure(db, trial_id, row, kind, said)
            values = {
                "attempt": attempt + 1,
                "rung": 0,
                "started": datetime.now(UTC),
                "changed": _next_change(db),
                "worker": "",
                "driver": self._leads.get(row.search_id),
                "expires": self._expiry(db),
            }
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(values))
            return attempt + 1

        return self.transact(work)

    def _add_failure(self, db: Connection, trial_id: int, row: Row[Any], kind: str, text: str) -> None:
        said = {"kind": kind, "text": text, "rung": row.rung, "worker": row.worker, "failed": datetime.now(UTC)}
        db.execute(insert(FailureRow).values(trial_id=trial_id, attempt=row.attempt, **said))

    def _without_secrets(self, text: str) -> str:
        """The text as it is kept: without secrets, and without the halves of characters that no database takes."""
        return redacted(text.replace("\0", "\N{REPLACEMENT CHARACTER}")).encode("utf-8", "replace").decode()

    def add_rung(
        self,
        trial_id: int,
        rung: int,
        measurements: Mapping[str, float],
        facts: Mapping[str, str] | None = None,
        *,
        attempt: int | None = None,
    ) -> None:
        """Write one point of a learning curve; the same rung and later ones, of an earlier attempt, are replaced."""

        def work(db: Connection) -> None:
            row = self._own_trial(db, trial_id, attempt)
            if row.state != "running":
                raise LedgerError(f"only a running trial has rungs; trial row {trial_id} is {row.state}.")
            db.execute(delete(RungRow).where(RungRow.trial_id == trial_id, RungRow.rung >= rung))
            rows = [{"trial_id": trial_id, "rung": rung, "name": k, "value": float(v)} for k, v in measurements.items()]
            if rows:
                db.execute(insert(RungRow), rows)
            values: dict[str, Any] = {"rung": rung, "changed": _next_change(db), "expires": self._expiry(db)}
            values["spared"] = case((TrialRow.spared >= rung, None), else_=TrialRow.spared)
            if facts:
                said = {name: self._without_secrets(value) for name, value in facts.items()}
                values |= {"facts": said, "worker": said.get("worker", "")}
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(**values))

        self.transact(work)

    def finish_trial(
        self,
        trial_id: int,
        state: State,
        measurements: Mapping[str, float] | None = None,
        *,
        seed: int = 0,
        failure_kind: str | None = None,
        failure_text: str | None = None,
        facts: Mapping[str, str] | None = None,
        attempt: int | None = None,
    ) -> None:
        """Write how a trial ended, with its final numbers, and more facts beside those it has.

        Once ended, a trial stays as it is: LedgerError. The same end of the same attempt, written again, changes
        nothing.
        """
        text = None if failure_text is None else self._without_secrets(failure_text)

        def work(db: Connection) -> None:
            row = self._own_trial(db, trial_id, attempt)
            if row.state == state and (attempt is not None or repeated(db)):
                return  # written before, in a transaction whose answer was lost
            if row.state != "running":
                raise LedgerError(f"only a running trial can end; trial row {trial_id} is {row.state}.")
            values: dict[str, Any] = {
                "state": state,
                "finished": datetime.now(UTC),
                "changed": _next_change(db),
                "failure_kind": failure_kind,
                "failure_text": text,
                "driver": None,
                "expires": None,
            }
            if facts:
                had = db.execute(select(TrialRow.facts).where(TrialRow.id == trial_id)).scalar_one()
                values["facts"] = {**had, **facts}
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(values))
            if state == "failed":
                self._add_failure(db, trial_id, row, failure_kind or "bug", text or "")
            rows = [
                {"trial_id": trial_id, "name": name, "seed": seed, "value": float(value)}
                for name, value in (measurements or {}).items()
            ]
            if rows:
                db.execute(insert(MeasurementRow), rows)

        self.transact(work)

    def spare_trial(self, trial_id: int, rung: int) -> None:
        """Write that a running trial would have been stopped after this rung, and goes on for the audit."""
        self._change_trial(trial_id, spared=rung)

    def set_weights(self, trial_id: int, path: str | None) -> None:
        """Write where a trial's weights are kept, or that they are kept no longer."""
        self._change_trial(trial_id, weights=path)

    def _change_trial(self, trial_id: int, **values: Any) -> None:
        def work(db: Connection) -> None:
            self._own_trial(db, trial_id)
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(changed=_next_change(db), **values))

        self.transact(work)

    def kept_weights(self, search_id: int) -> list[Kept]:
        """The trials of a search whose weights are kept."""
        which = (TrialRow.search_id == search_id, TrialRow.weights.is_not(None))
        return [Kept(*row) for row in self._rows(select(TrialRow.id, TrialRow.number).where(*which))]

    def add_proposal(self, search_id: int, proposal: Proposal) -> None:
        """Write a proposal that was not trained."""
        values = {**proposal._asdict(), "choices": dict(proposal.choices), "created": datetime.now(UTC)}

        def work(db: Connection) -> None:
            self._own_search(db, search_id)
            same = (ProposalRow.search_id == search_id, ProposalRow.created == values["created"])
            if not (repeated(db) and db.execute(select(ProposalRow.id).where(*same)).first()):
                db.execute(insert(ProposalRow), {"search_id": search_id, **values})

        self.transact(work)

    def add_measurements(self, trial_id: int, seed: int, measurements: Mapping[str, float]) -> None:
        """Write the final numbers of a completed trial under one more seed; the same seed again replaces them."""
        rows = [{"trial_id": trial_id, "name": k, "seed": seed, "value": float(v)} for k, v in measurements.items()]

        def work(db: Connection) -> None:
            self._own_trial(db, trial_id)
            same = (MeasurementRow.trial_id == trial_id, MeasurementRow.seed == seed)
            db.execute(delete(MeasurementRow).where(*same))
            db.execute(insert(MeasurementRow), rows)
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(changed=_next_change(db)))

        self.transact(work)

    def add_failed_retraining(self, trial_id: int, seed: int, kind: str, text: str) -> None:
        """Write that a completed trial could not be trained again under this seed; the trial stays as it is."""
        said = {"seed": seed, "kind": kind, "text": self._without_secrets(text), "failed": datetime.now(UTC)}

        def work(db: Connection) -> None:
            row = self._own_trial(db, trial_id)
            same = (FailureRow.trial_id == trial_id, FailureRow.seed == seed, FailureRow.failed == said["failed"])
            if repeated(db) and db.execute(select(FailureRow.attempt).where(*same)).first():
                return
            last = select(func.max(FailureRow.attempt)).where(FailureRow.trial_id == trial_id)
            attempt = max(row.attempt, db.execute(last).scalar_one() or 0) + 1
            where = {"trial_id": trial_id, "attempt": attempt, "rung": 0, "worker": ""}
            db.execute(insert(FailureRow).values(**where, **said))
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(changed=_next_change(db)))

        self.transact(work)

    def add_opening(self, search_id: int, opening: Opening) -> None:
        """Write that the test split was opened; before any network is scored on it."""
        values = {"search_id": search_id, **opening._asdict(), "opened": datetime.now(UTC)}

        def work(db: Connection) -> None:
            self._own_search(db, search_id)
            same = (OpeningRow.search_id == search_id, OpeningRow.opened == values["opened"])
            if not (repeated(db) and db.execute(select(OpeningRow.id).where(*same)).first()):
                db.execute(insert(OpeningRow), values)

        self.transact(work)

    # -- trials: reading --

    def trials(self, search_id: int, numbers: Iterable[int] | None = None) -> list[TrialRecord]:
        """The trials of a search by number, whole; `numbers` asks for some of them."""
        which = [TrialRow.search_id == search_id]
        if numbers is not None:
            which.append(TrialRow.number.in_(list(numbers)))
        query = select(TrialRow.__table__).where(*which).order_by(TrialRow.number)
        rows, values = self.transact(lambda db: (db.execute(query).all(), _measurements(db, *which)))
        return [_trial(row, values.get(row.id, {})) for row in rows]

    def trial(self, search_id: int, number: int) -> TrialRecord:
        """One trial by its number; UnknownName says which numbers there are."""
        found = self.trials(search_id, [number])
        if not found:
            count = sum(self.counts(search_id).values())
            if not count:
                raise UnknownName(f"trial {number} is not there: this search has no trial yet.")
            raise UnknownName(f"trial must be a number from 0 to {count - 1}; got {number}.")
        return found[0]

    def fact(self, search_id: int, name: str) -> str | None:
        """A fact of the first trial that has it, such as the fingerprint of its data; None where none has."""
        reported = or_(TrialRow.rung > 0, TrialRow.state == "complete")
        query = select(TrialRow.facts).where(TrialRow.search_id == search_id, reported).order_by(TrialRow.number)
        return next((row.facts[name] for row in self._rows(query.limit(ASKED)) if name in row.facts), None)

    def architectures(self, search_id: int, numbers: Iterable[int] | None = None) -> dict[int, Mapping[str, Any]]:
        """The architectures of a search by trial number, and nothing else; `numbers` asks for some of them."""
        query = select(TrialRow.number, TrialRow.architecture).where(TrialRow.search_id == search_id)
        if numbers is not None:
            query = query.where(TrialRow.number.in_(list(numbers)))
        return {row[0]: row[1] for row in self._rows(query)}

    def digests(self, search_id: int) -> dict[int, str]:
        """The networks of a search by trial number, as their digests."""
        query = (
            select(TrialRow.number, TrialRow.digest).where(TrialRow.search_id == search_id).order_by(TrialRow.number)
        )
        return {row.number: row.digest for row in self._rows(query)}

    def points(self, search_id: int, names: Sequence[str], after: int = 0) -> tuple[list[Point], int]:
        """The trials changed after `after` with their values of these names, and the newest change: for live charts."""
        table = TrialRow.__table__.c
        columns = (table.id, table.number, table.state, table.started, table.finished, table.changed)
        which = (table.search_id == search_id, table.changed > after)
        query = select(*columns).where(*which).order_by(table.number)

        def work(db: Connection) -> tuple[Sequence[Any], dict[int, dict[str, float]]]:
            rows = db.execute(query).all()
            return rows, _measurements(db, *which, MeasurementRow.name.in_(list(names))) if rows else {}

        rows, values = self.transact(work)
        points = [
            Point(
                row.id,
                row.number,
                row.state,
                (row.finished - row.started).total_seconds() if row.finished else None,
                row.finished,
                values.get(row.id, {}),
            )
            for row in rows
        ]
        return points, max((row.changed for row in rows), default=after)

    def values(self, search_id: int, names: Sequence[str]) -> dict[int, dict[str, float]]:
        """The present values of these names of the completed trials, by number: as in `points`, in a fraction of its
        time where there are many trials."""
        numbers = select(TrialRow.id, TrialRow.number).where(TrialRow.search_id == search_id).order_by(TrialRow.number)

        def work(db: Connection) -> dict[int, dict[str, float]]:
            found: dict[int, dict[str, float]] = {}
            several = []
            for trial, seeds, *row in db.execute(_pivot(search_id, names)).all():
                found[trial] = {name: value for name, value in zip(names, row, strict=True) if value is not None}
                if seeds:
                    several.append(trial)
            if several:  # measured under more than one seed: the mean counts
                found |= _measurements(db, TrialRow.id.in_(several), MeasurementRow.name.in_(names))
            return {number: found[trial] for trial, number in db.execute(numbers).all() if trial in found}

        return self.transact(work)

    def contenders(
        self, search_id: int, names: Sequence[str], objectives: Sequence[str]
    ) -> dict[int, dict[str, float]]:
        """Those of `values` that may be on the front of the objectives: all that are, and of two objectives hardly
        another, for the database itself sweeps over them."""
        if len(objectives) != 2:
            return self.values(search_id, names)
        each = _pivot(search_id, objectives).subquery()
        signs = [-1 if OBJECTIVES[name].direction == "maximize" else 1 for name in objectives]
        least = [each.c[f"value{i}"] * sign for i, sign in enumerate(signs)]
        counted = case((each.c.several, None), else_=least[1])  # what `_pivot` says of these is not their value
        before = func.min(counted).over(order_by=least, rows=(None, -1))  # of those no worse in the first
        swept = select(each, least[1].label("cost"), before.label("before")).subquery()
        stays = or_(swept.c.several, swept.c.before.is_(None), swept.c.cost <= swept.c.before)

        def work(db: Connection) -> dict[int, dict[str, float]]:
            ids = list(db.execute(select(swept.c.trial_id).where(stays)).scalars())
            which = (TrialRow.id.in_(ids[:MANY]),)
            found = _measurements(db, *which, MeasurementRow.name.in_(names))
            numbers = select(TrialRow.id, TrialRow.number).where(*which).order_by(TrialRow.number)
            return {row.number: found[row.id] for row in db.execute(numbers)} if len(ids) <= MANY else {}

        return self.transact(work) or self.values(search_id, names)

    def curve(self, trial_id: int) -> list[tuple[int, dict[str, float]]]:
        """The learning curve of a trial: (epoch, numbers by name), in order."""
        columns = (RungRow.rung, RungRow.name, RungRow.value)
        rungs: dict[int, dict[str, float]] = defaultdict(dict)
        for rung, name, value in self._rows(
            select(*columns).where(RungRow.trial_id == trial_id).order_by(RungRow.rung)
        ):
            rungs[rung][name] = value
        return list(rungs.items())

    def curves(
        self, search_id: int, names: Iterable[str], numbers: Iterable[int] | None = None
    ) -> dict[int, dict[int, dict[str, float]]]:
        """Every learning curve of a search: trial id -> epoch -> the numbers of these names; `numbers` asks for the
        curves of some trials."""
        columns = (RungRow.trial_id, RungRow.rung, RungRow.name, RungRow.value)
        query = select(*columns).join(TrialRow, TrialRow.id == RungRow.trial_id)
        query = query.where(TrialRow.search_id == search_id, RungRow.name.in_(list(names)))
        if numbers is not None:
            query = query.where(TrialRow.number.in_(list(numbers)))
        found: dict[int, dict[int, dict[str, float]]] = defaultdict(dict)
        for trial_id, rung, name, value in self._rows(query.order_by(RungRow.trial_id, RungRow.rung)):
            found[trial_id].setdefault(rung, {})[name] = value
        return dict(found)

    def proposals(self, search_id: int) -> list[Proposal]:
        """What was proposed and not trained, in order."""
        columns = (ProposalRow.reason, ProposalRow.digest, ProposalRow.choices, ProposalRow.excess)
        query = select(*columns).where(ProposalRow.search_id == search_id).order_by(ProposalRow.id)
        return [Proposal(*row) for row in self._rows(query)]

    def openings(self, search_id: int) -> list[Opening]:
        """Every opening of the test split for a search, in order."""
        columns = (OpeningRow.fingerprint, OpeningRow.images, OpeningRow.reason, OpeningRow.opened)
        query = select(*columns).where(OpeningRow.search_id == search_id).order_by(OpeningRow.id)
        return [Opening(*row) for row in self._rows(query)]

    def failures(self, search_id: int, number: int | None = None) -> list[FailedAttempt]:
        """Every attempt at a trial of a search that failed, by trial and attempt, retrainings last; `number` asks for
        one trial's."""
        row = FailureRow.__table__.c
        columns = (TrialRow.number, row.attempt, row.kind, row.text, row.rung, row.worker, row.failed, row.seed)
        query = select(*columns).join(TrialRow, TrialRow.id == row.trial_id).where(TrialRow.search_id == search_id)
        if number is not None:
            query = query.where(TrialRow.number == number)
        return [FailedAttempt(*found) for found in self._rows(query.order_by(TrialRow.number, row.attempt))]

    def repeats(self, search_id: int, *, confirmed: bool = False) -> dict[int, Repeats]:
        """The completed trials by number with their numbers under every seed; `confirmed` asks for those alone that
        were measured under more than one."""
        trial, row = TrialRow.__table__.c, MeasurementRow.__table__.c
        which = [trial.search_id == search_id, trial.state == "complete"]
        if confirmed:
            several = select(row.trial_id).group_by(row.trial_id).having(func.min(row.seed) < func.max(row.seed))
            which.append(trial.id.in_(several))  # of all searches: a walk over the index alone
        query = select(trial.number, trial.seed, row.seed, row.name, row.value).join(
            MeasurementRow, trial.id == row.trial_id
        )
        found: dict[int, Repeats] = {}
        for number, own, seed, name, value in self._rows(query.where(*which)):
            repeats = found.setdefault(number, Repeats({}, defaultdict(dict)))
            values: Any = repeats.own if seed == own else repeats.fresh[seed]
            values[name] = value
        return found

    def seeds(self, search_id: int) -> set[int]:
        """The seeds that the trials of a search were trained under, those of its confirmations left out."""
        query = select(TrialRow.seed).where(TrialRow.search_id == search_id).distinct()
        return {row.seed for row in self._rows(query)}

    def counts(self, search_id: int) -> dict[str, int]:
        """How many trials are in each state."""
        query = select(TrialRow.state, func.count()).where(TrialRow.search_id == search_id).group_by(TrialRow.state)
        return {row[0]: row[1] for row in self._rows(query)}


def _pivot(search_id: int, names: Sequence[str]) -> Select[Any]:
    """A row for every completed trial: its id, whether several seeds were measured, and its values of these names."""
    row = MeasurementRow.__table__.c
    complete = select(TrialRow.id).where(TrialRow.search_id == search_id, TrialRow.state == "complete")
    columns = [func.max(case((row.name == name, row.value))).label(f"value{i}") for i, name in enumerate(names)]
    several = (func.min(row.seed) < func.max(row.seed)).label("several")
    query: Select[Any] = select(row.trial_id, several, *columns).group_by(row.trial_id)
    return query.where(row.name.in_(names), row.trial_id.in_(complete))


def _measurements(db: Connection, *which: ColumnElement[bool]) -> dict[int, dict[str, float]]:
    """Every final number of the trials that fit, by trial: the mean over the fresh seeds, where there are any.

    The seed of the search is left out then: a trial was chosen for what it gave, which flatters it.
    """
    row = MeasurementRow.__table__.c
    fresh = func.avg(case((row.seed != TrialRow.seed, row.value)))
    query = (
        select(row.trial_id, row.name, func.coalesce(fresh, func.avg(row.value)))
        .join(TrialRow, TrialRow.id == row.trial_id)
        .where(*which)
        .group_by(row.trial_id, row.name)
    )
    values: dict[int, dict[str, float]] = defaultdict(dict)
    for trial_id, name, value in db.execute(query):
        values[trial_id][name] = value
    return values


def _next_change(db: Connection) -> int:
    """One more than any change so far: the writers of one search are serialised by the lock on its row."""
    return int(db.execute(select(func.coalesce(func.max(TrialRow.changed), 0))).scalar_one()) + 1


def _search(row: Row[Any]) -> SearchRecord:
    fields = dict(row._mapping)
    for name in ("driver", "driver_until"):
        del fields[name]
    for name in ("objectives", "input_size", "tuned"):
        fields[name] = tuple(fields[name])
    fields["settings"] = Settings.from_dict(fields["settings"])
    return SearchRecord(**fields)


def _trial(row: Row[Any], measurements: Mapping[str, float]) -> TrialRecord:
    fields = dict(row._mapping)
    for name in ("search_id", "changed", "driver"):
        del fields[name]
    return TrialRecord(**fields, measurements=measurements)
