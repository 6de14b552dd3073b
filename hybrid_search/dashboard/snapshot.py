"""What the page knows of each search: the ledger's trials, read once and then only what has changed.

All browsers share one watch, so that ten readers cost the database what one does.
"""

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import NamedTuple, TypeVar

from hybrid_search.analysis.confidence import Standing, read_standings
from hybrid_search.charts.front import has_all
from hybrid_search.charts.hypervolume import HypervolumeNumbers, hypervolume_numbers
from hybrid_search.charts.mixes import operators_of
from hybrid_search.errors import UserError
from hybrid_search.ledger import Lease, Ledger, Point, reads
from hybrid_search.networks.architecture import Architecture
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.pareto import pareto_front
from hybrid_search.records import STATES, SearchRecord
from hybrid_search.spaces.budget import known_worst

T = TypeVar("T")
FRESH = 0.5  # seconds for which what was read counts as new


class View(NamedTuple):
    """A consistent copy of what is known of one search. `dominated` only ever grows at its end within an `epoch`;
    `versions` says at which version each trial last changed, `born` at which it was first seen."""

    search: SearchRecord
    epoch: str
    version: int
    points: dict[int, Point]
    operators: dict[int, tuple[str, ...]]
    front: tuple[int, ...]
    dominated: tuple[int, ...]
    versions: dict[int, int]
    born: dict[int, int]
    designs: dict[int, str]
    changed: datetime | None
    standings: dict[int, Standing]
    lease: Lease

    @property
    def counts(self) -> dict[str, int]:
        """How many trials are in each state."""
        counts: dict[str, int] = dict.fromkeys(map(str, STATES), 0)
        for point in self.points.values():
            counts[point.state] = counts.get(point.state, 0) + 1
        return counts

    @property
    def stages(self) -> int:
        """The greatest number of stages that a trial has."""
        return max((len(operators) for operators in self.operators.values()), default=0)


@dataclass
class _Known:
    search: SearchRecord
    epoch: str = field(default_factory=lambda: secrets.token_hex(4))
    version: int = 0
    newest: int = 0
    read: float = float("-inf")
    changed: datetime | None = None
    points: dict[int, Point] = field(default_factory=dict)
    operators: dict[int, tuple[str, ...]] = field(default_factory=dict)
    front: tuple[int, ...] = ()
    dominated: list[int] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)
    born: dict[int, int] = field(default_factory=dict)
    designs: dict[int, str] = field(default_factory=dict)
    hypervolume: tuple[int, HypervolumeNumbers] | None = None
    standings: dict[int, Standing] = field(default_factory=dict)


class Watch:
    """The searches of the ledger at a URL, opened read-only and kept up to date on demand.

    One thread opens, reads and closes, whoever asks: an SQLite connection stays in the thread that made it, and what
    is known needs no lock. LedgerError where the ledger cannot be opened.
    """

    def __init__(self, url: str | None = None) -> None:
        self._known: dict[int, _Known] = {}
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self.ledger = self._reader.submit(Ledger, url, read_only=True).result()

    def close(self) -> None:
        """Stop reading and give the connection back."""
        self._reader.submit(self.ledger.close)
        self._reader.shutdown()

    def ask(self, question: Callable[[Ledger], T]) -> T:
        """The answer of the ledger to `question`."""
        return self._reader.submit(question, self.ledger).result()

    def searches(self) -> list[SearchRecord]:
        """Every search, the newest first."""
        return self.ask(Ledger.searches)

    def warm(self) -> None:
        """Begin to read the newest search, so that the first browser need not wait for it."""
        self._reader.submit(self._newest)

    def _newest(self) -> None:
        for search in self.ledger.searches()[:1]:
            self._hypervolume(search)

    def view(self, search: SearchRecord) -> View:
        """The search as it is now, at most FRESH seconds old."""
        return self._reader.submit(self._view, search).result()

    def hypervolume(self, search: SearchRecord) -> HypervolumeNumbers:
        """The hypervolume over the trials, computed again only when something changed."""
        return self._reader.submit(self._hypervolume, search).result()

    def _view(self, search: SearchRecord) -> View:
        known = self._known.get(search.id)
        if known is None or known.search.created != search.created:  # another database under the same address
            known = _Known(search)
        if monotonic() - known.read > FRESH:
            known = self._read(known)
        known.search = search
        self._known[search.id] = known
        return View(
            search,
            known.epoch,
            known.version,
            dict(known.points),
            dict(known.operators),
            known.front,
            tuple(known.dominated),
            dict(known.versions),
            dict(known.born),
            dict(known.designs),
            known.changed,
            dict(known.standings),
            self.ledger.lease(search.id),
        )

    def _hypervolume(self, search: SearchRecord) -> HypervolumeNumbers:
        view = self._view(search)
        known = self._known[search.id]
        if known.hypervolume is None or known.hypervolume[0] != known.version:
            points, worst = list(view.points.values()), known_worst(search)
            known.hypervolume = (known.version, hypervolume_numbers(points, search.objectives, worst))
        return known.hypervolume[1]

    def _read(self, known: _Known) -> _Known:
        fresh, newest = self.ledger.read(reads.points, known.search.id, list(OBJECTIVES), known.newest)
        known.read = monotonic()
        if not fresh:
            return known
        if _revised(known, fresh):
            return self._read(_Known(known.search))  # what was drawn no longer holds: a new epoch
        known.newest, known.version = newest, known.version + 1
        unknown = [point.number for point in fresh if point.number not in known.operators]
        wanted = None if not known.points else unknown
        if unknown:
            found = self.ledger.read(reads.architectures, known.search.id, wanted)
            known.operators |= {number: operators_of(plain) for number, plain in found.items()}
        known.points |= {point.number: point for point in fresh}
        known.born = {point.number: known.version for point in fresh} | known.born
        known.versions |= {point.number: known.version for point in fresh}
        ended = [point.finished for point in fresh if point.finished]
        first = known.changed is None
        known.changed = max(ended, default=None) if first and ended else datetime.now(UTC)
        self._place(known, fresh)
        self._judge(known)
        return known

    def _judge(self, known: _Known) -> None:
        """What confirmations say of the trials; those of whom they say something new have changed."""
        values = {number: point.values for number, point in known.points.items() if point.state == "complete"}
        found = read_standings(self.ledger, known.search, values)
        if found and not known.standings:  # the table gets more columns
            known.epoch = secrets.token_hex(4)
        before = known.standings
        changed = [number for number in found.keys() | before.keys() if found.get(number) != before.get(number)]
        known.versions |= dict.fromkeys(changed, known.version)
        known.standings = found

    def _place(self, known: _Known, fresh: Sequence[Point]) -> None:
        """Sort the new trials into front and dominated: a new front can only hold old members and new trials."""
        names = known.search.objectives
        rivals = [*known.front, *(point.number for point in fresh if has_all(point, names))]
        rows = [[known.points[number].values[name] for name in names] for number in rivals]
        kept = pareto_front(rows, [OBJECTIVES[name].direction for name in names]) if rows else []
        front = tuple(rivals[i] for i in kept)
        complete = {point.number for point in fresh if point.state == "complete"}
        members = set(front)
        known.dominated += sorted((complete | set(known.front)) - members)
        for number in members ^ set(known.front):
            known.versions[number] = known.version
        known.front = front
        missing = [number for number in front if number not in known.designs]
        for number, plain in self.ledger.read(reads.architectures, known.search.id, missing).items() if missing else ():
            known.designs[number] = one_line(plain)


def _revised(known: _Known, fresh: Sequence[Point]) -> bool:
    """Whether a number that is already drawn has changed, as confirming with more seeds does."""
    before = (known.points.get(point.number) for point in fresh)
    return any(
        old and old.state == "complete" and old.values != new.values for old, new in zip(before, fresh, strict=True)
    )


def one_line(plain: object) -> str:
    """The one-line architecture, or why it cannot be read (a plugin that is not installed here)."""
    try:
        return str(Architecture.from_dict(plain))  # type: ignore[arg-type]
    except UserError as error:
        return f"not readable here: {error}"
