"""The results database: the one truth of every search. SQLite by default, PostgreSQL by URL.

Only the driver writes. Every public write is one transaction, committed before it returns.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import ColumnElement, Connection, Row, case, delete, func, insert, select, update

from hybrid_search.errors import LedgerError, UnknownName, nearest
from hybrid_search.ledger.connect import database_url, open_engine, patience_with, shown
from hybrid_search.ledger.tables import MeasurementRow, OpeningRow, ProposalRow, RungRow, SearchRow, TrialRow
from hybrid_search.record import SearchRecord, Settings, State, TrialRecord

__all__ = ["Ledger", "Opening", "Point", "Proposal", "Repeats"]


class Proposal(NamedTuple):
    """A proposal that was not trained, and why."""

    reason: str
    digest: str
    choices: Mapping[str, Any]
    excess: float


class Kept(NamedTuple):
    """A trial whose weights are kept."""

    id: int
    number: int


class Point(NamedTuple):
    """The little of a trial that a chart needs: its final values by name, without architecture or curve."""

    id: int
    number: int
    state: str
    seconds: float | None
    finished: datetime | None
    values: Mapping[str, float]


class Opening(NamedTuple):
    """One opening of the test split: the fingerprint of its images, how many there are, and why."""

    fingerprint: str
    images: int
    reason: str
    opened: datetime | None = None


class Repeats(NamedTuple):
    """The final numbers of one completed trial: under the seed it was searched with, and by fresh seed."""

    own: Mapping[str, float]
    fresh: Mapping[int, Mapping[str, float]]


class Ledger:
    """The results database at a URL (default: HYBRID_SEARCH_DB, else sqlite:///results/hybrid-search.db).

    Raises LedgerError where the database cannot be opened, or is not a ledger of this version. Read-only ledgers take
    no lock and create nothing.
    """

    def __init__(self, url: str | None = None, *, read_only: bool = False) -> None:
        self.url = database_url(url)
        self.read_only = read_only
        self.patience = patience_with(self.url, read_only=read_only)
        self._engine = open_engine(self.url, read_only=read_only)

    @property
    def shown(self) -> str:
        """The URL as it may be printed: without its password."""
        return shown(self.url)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- searches --

    def searches(self) -> list[SearchRecord]:
        """Every search, the newest first."""
        with self._engine.begin() as db:
            rows = db.execute(select(SearchRow.__table__).order_by(SearchRow.id.desc())).all()
        return [_search(row) for row in rows]

    def search(self, name: str | None = None) -> SearchRecord:
        """The search of this name, or the newest; UnknownName lists those there are."""
        query = select(SearchRow.__table__).order_by(SearchRow.id.desc()).limit(1)
        with self._engine.begin() as db:
            row = db.execute(query if name is None else query.where(SearchRow.name == name)).first()
            names = [] if row else list(db.execute(select(SearchRow.name).order_by(SearchRow.id)).scalars())
        if row is None and not names:
            raise UnknownName(f"{self.shown} holds no search yet. Start one with: hybrid-search run")
        if row is None:
            raise UnknownName(f"search must be one of {', '.join(names)}; got {name!r}.{nearest(name, names)}")
        return _search(row)

    def find_search(self, name: str) -> SearchRecord | None:
        """The search of this name, or None."""
        with self._engine.begin() as db:
            row = db.execute(select(SearchRow.__table__).where(SearchRow.name == name)).first()
        return _search(row) if row else None

    def create_search(self, search: SearchRecord) -> SearchRecord:
        """Write a new search; returned with its id and time. LedgerError if the name is taken."""
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
            "created": datetime.now(UTC),
        }
        with self._engine.begin() as db:
            if db.execute(select(SearchRow.id).where(SearchRow.name == search.name)).first():
                raise LedgerError(f"a new search needs a new name; {search.name!r} is taken in {self.shown}.")
            db.execute(insert(SearchRow), values)
        return self.search(search.name)

    def set_target(self, search_id: int, target: int) -> None:
        """Write how many trials the search goes on to."""
        with self._engine.begin() as db:
            db.execute(update(SearchRow).where(SearchRow.id == search_id).values(target=target))

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
        """Write a trial that is about to run; its id is returned."""
        with self._engine.begin() as db:
            row = db.execute(
                insert(TrialRow)
                .values(
                    search_id=search_id,
                    number=number,
                    state="running",
                    digest=digest,
                    architecture=dict(architecture),
                    choices=dict(choices),
                    settings=settings.to_dict(),
                    seed=settings.seed,
                    attempt=1,
                    rung=0,
                    started=datetime.now(UTC),
                    changed=_next_change(db),
                    worker=worker,
                    facts={},
                )
                .returning(TrialRow.id)
            ).scalar_one()
        return int(row)

    def restart_trial(self, trial_id: int) -> None:
        """Start a trial again whose worker or driver went away: its curve is dropped, its number kept."""
        with self._engine.begin() as db:
            db.execute(delete(RungRow).where(RungRow.trial_id == trial_id))
            db.execute(
                update(TrialRow)
                .where(TrialRow.id == trial_id)
                .values(
                    attempt=TrialRow.attempt + 1,
                    rung=0,
                    spared=None,
                    started=datetime.now(UTC),
                    changed=_next_change(db),
                    worker="",
                )
            )

    def add_rung(
        self, trial_id: int, rung: int, measurements: Mapping[str, float], facts: Mapping[str, str] | None = None
    ) -> None:
        """Write one point of a learning curve; writing the same rung again replaces it."""
        with self._engine.begin() as db:
            db.execute(delete(RungRow).where(RungRow.trial_id == trial_id, RungRow.rung == rung))
            rows = [{"trial_id": trial_id, "rung": rung, "name": k, "value": float(v)} for k, v in measurements.items()]
            if rows:
                db.execute(insert(RungRow), rows)
            values: dict[str, Any] = {"rung": rung, "changed": _next_change(db)}
            if facts:
                values |= {"facts": dict(facts), "worker": facts.get("worker", "")}
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(**values))

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
    ) -> None:
        """Write how a trial ended, with its final numbers, and more facts beside those it has.

        Once ended, a trial stays as it is: LedgerError.
        """
        with self._engine.begin() as db:
            changed = db.execute(
                update(TrialRow)
                .where(TrialRow.id == trial_id, TrialRow.state == "running")
                .values(
                    state=state,
                    finished=datetime.now(UTC),
                    changed=_next_change(db),
                    failure_kind=failure_kind,
                    failure_text=failure_text,
                )
            ).rowcount
            if not changed:
                raise LedgerError(f"only a running trial can end; trial row {trial_id} is not running.")
            rows = [
                {"trial_id": trial_id, "name": name, "seed": seed, "value": float(value)}
                for name, value in (measurements or {}).items()
            ]
            if rows:
                db.execute(insert(MeasurementRow), rows)
            if facts:
                had = db.execute(select(TrialRow.facts).where(TrialRow.id == trial_id)).scalar_one()
                db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(facts={**had, **facts}))

    def spare_trial(self, trial_id: int, rung: int) -> None:
        """Write that a running trial would have been stopped after this rung, and goes on for the audit."""
        with self._engine.begin() as db:
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(spared=rung, changed=_next_change(db)))

    def set_weights(self, trial_id: int, path: str | None) -> None:
        """Write where a trial's weights are kept, or that they are kept no longer."""
        with self._engine.begin() as db:
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(weights=path, changed=_next_change(db)))

    def kept_weights(self, search_id: int) -> list[Kept]:
        """The trials of a search whose weights are kept."""
        query = select(TrialRow.id, TrialRow.number).where(
            TrialRow.search_id == search_id, TrialRow.weights.is_not(None)
        )
        with self._engine.begin() as db:
            return [Kept(*row) for row in db.execute(query)]

    def add_proposal(self, search_id: int, proposal: Proposal) -> None:
        """Write a proposal that was not trained."""
        with self._engine.begin() as db:
            values = {**proposal._asdict(), "choices": dict(proposal.choices)}
            db.execute(insert(ProposalRow), {"search_id": search_id, "created": datetime.now(UTC), **values})

    def add_measurements(self, trial_id: int, seed: int, measurements: Mapping[str, float]) -> None:
        """Write the final numbers of a completed trial under one more seed; the same seed again replaces them."""
        rows = [{"trial_id": trial_id, "name": k, "seed": seed, "value": float(v)} for k, v in measurements.items()]
        with self._engine.begin() as db:
            db.execute(delete(MeasurementRow).where(MeasurementRow.trial_id == trial_id, MeasurementRow.seed == seed))
            db.execute(insert(MeasurementRow), rows)
            db.execute(update(TrialRow).where(TrialRow.id == trial_id).values(changed=_next_change(db)))

    def add_opening(self, search_id: int, opening: Opening) -> None:
        """Write that the test split was opened; before any network is scored on it."""
        with self._engine.begin() as db:
            db.execute(insert(OpeningRow), {"search_id": search_id, **opening._asdict(), "opened": datetime.now(UTC)})

    # -- trials: reading --

    def trials(self, search_id: int, numbers: Iterable[int] | None = None) -> list[TrialRecord]:
        """The trials of a search by number, whole; `numbers` asks for some of them."""
        which = [TrialRow.search_id == search_id]
        if numbers is not None:
            which.append(TrialRow.number.in_(list(numbers)))
        with self._engine.begin() as db:
            rows = db.execute(select(TrialRow.__table__).where(*which).order_by(TrialRow.number)).all()
            values = self._measurements(db, *which)
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

    def architectures(self, search_id: int, numbers: Iterable[int] | None = None) -> dict[int, Mapping[str, Any]]:
        """The architectures of a search by trial number, and nothing else; `numbers` asks for some of them."""
        query = select(TrialRow.number, TrialRow.architecture).where(TrialRow.search_id == search_id)
        if numbers is not None:
            query = query.where(TrialRow.number.in_(list(numbers)))
        with self._engine.begin() as db:
            return {row[0]: row[1] for row in db.execute(query)}

    def points(self, search_id: int, names: Sequence[str], after: int = 0) -> tuple[list[Point], int]:
        """The trials changed after `after` with their values of these names, and the newest change: for live charts."""
        table = TrialRow.__table__.c
        columns = (table.id, table.number, table.state, table.started, table.finished, table.changed)
        which = (table.search_id == search_id, table.changed > after)
        with self._engine.begin() as db:
            rows = db.execute(select(*columns).where(*which).order_by(table.number)).all()
            values = self._measurements(db, *which, MeasurementRow.name.in_(list(names))) if rows else {}
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

    def curve(self, trial_id: int) -> list[tuple[int, dict[str, float]]]:
        """The learning curve of a trial: (epoch, numbers by name), in order."""
        columns = (RungRow.rung, RungRow.name, RungRow.value)
        query = select(*columns).where(RungRow.trial_id == trial_id).order_by(RungRow.rung)
        rungs: dict[int, dict[str, float]] = defaultdict(dict)
        with self._engine.begin() as db:
            for rung, name, value in db.execute(query):
                rungs[rung][name] = value
        return list(rungs.items())

    def curves(self, search_id: int, names: Iterable[str]) -> dict[int, dict[int, dict[str, float]]]:
        """Every learning curve of a search: trial id -> epoch -> the numbers of these names."""
        columns = (RungRow.trial_id, RungRow.rung, RungRow.name, RungRow.value)
        query = select(*columns).join(TrialRow, TrialRow.id == RungRow.trial_id)
        query = query.where(TrialRow.search_id == search_id, RungRow.name.in_(list(names)))
        found: dict[int, dict[int, dict[str, float]]] = defaultdict(dict)
        with self._engine.begin() as db:
            for trial_id, rung, name, value in db.execute(query.order_by(RungRow.trial_id, RungRow.rung)):
                found[trial_id].setdefault(rung, {})[name] = value
        return dict(found)

    def proposals(self, search_id: int) -> list[Proposal]:
        """What was proposed and not trained, in order."""
        columns = (ProposalRow.reason, ProposalRow.digest, ProposalRow.choices, ProposalRow.excess)
        query = select(*columns).where(ProposalRow.search_id == search_id).order_by(ProposalRow.id)
        with self._engine.begin() as db:
            return [Proposal(*row) for row in db.execute(query)]

    def openings(self, search_id: int) -> list[Opening]:
        """Every opening of the test split for a search, in order."""
        columns = (OpeningRow.fingerprint, OpeningRow.images, OpeningRow.reason, OpeningRow.opened)
        query = select(*columns).where(OpeningRow.search_id == search_id).order_by(OpeningRow.id)
        with self._engine.begin() as db:
            return [Opening(*row) for row in db.execute(query)]

    def repeats(self, search_id: int, *, confirmed: bool = False) -> dict[int, Repeats]:
        """The completed trials by number with their numbers under every seed; `confirmed` asks for those alone that
        were measured under more than one."""
        trial, row = TrialRow.__table__.c, MeasurementRow.__table__.c
        which = [trial.search_id == search_id, trial.state == "complete"]
        if confirmed:
            several = select(row.trial_id).join(TrialRow, trial.id == row.trial_id).where(*which)
            which.append(trial.id.in_(several.group_by(row.trial_id).having(func.min(row.seed) < func.max(row.seed))))
        query = select(trial.number, trial.seed, row.seed, row.name, row.value).join(
            MeasurementRow, trial.id == row.trial_id
        )
        found: dict[int, Repeats] = {}
        with self._engine.begin() as db:
            for number, own, seed, name, value in db.execute(query.where(*which)):
                repeats = found.setdefault(number, Repeats({}, defaultdict(dict)))
                values: Any = repeats.own if seed == own else repeats.fresh[seed]
                values[name] = value
        return found

    def seeds(self, search_id: int) -> set[int]:
        """The seeds that the trials of a search were trained under, those of its confirmations left out."""
        with self._engine.begin() as db:
            return set(db.execute(select(TrialRow.seed).where(TrialRow.search_id == search_id).distinct()).scalars())

    def counts(self, search_id: int) -> dict[str, int]:
        """How many trials are in each state."""
        query = select(TrialRow.state, func.count()).where(TrialRow.search_id == search_id).group_by(TrialRow.state)
        with self._engine.begin() as db:
            return {row[0]: row[1] for row in db.execute(query)}

    def _measurements(self, db: Connection, *which: ColumnElement[bool]) -> dict[int, dict[str, float]]:
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
    """One more than any change so far: writers are serialised by their transaction."""
    return int(db.execute(select(func.coalesce(func.max(TrialRow.changed), 0))).scalar_one()) + 1


def _search(row: Row[Any]) -> SearchRecord:
    fields = dict(row._mapping)
    fields["objectives"] = tuple(fields["objectives"])
    fields["input_size"] = tuple(fields["input_size"])
    fields["tuned"] = tuple(fields["tuned"])
    fields["settings"] = Settings.from_dict(fields["settings"])
    return SearchRecord(**fields)


def _trial(row: Row[Any], measurements: Mapping[str, float]) -> TrialRecord:
    fields = dict(row._mapping)
    for name in ("search_id", "changed"):
        del fields[name]
    return TrialRecord(**fields, measurements=measurements)
