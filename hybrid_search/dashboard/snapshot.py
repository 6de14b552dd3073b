"""The page's copy of a ledger: every trial is read once, and afterwards only the trials that changed.

All browsers share one copy, so that ten readers load the database as little as one.
"""

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from hybrid_search.analysis.baseline_results import BaselineResult, read_baselines
from hybrid_search.analysis.confidence import TrialConfidence, read_confidence
from hybrid_search.charts import Chart
from hybrid_search.charts.axes import axes_of, objectives_of
from hybrid_search.charts.front import front_of, has_all, retrained_numbers
from hybrid_search.charts.hypervolume import HypervolumeNumbers, hypervolume_of
from hybrid_search.charts.network_kinds import image_sizes_of, operators_of
from hybrid_search.ledger import Lease, Ledger, TrialPoint, reads
from hybrid_search.ledger.baseline_rows import baseline_trainings
from hybrid_search.ledger.trainings import count_trainings
from hybrid_search.networks.stored_architecture import readable_line
from hybrid_search.objectives import Objective
from hybrid_search.records import STATES, SearchRecord

T = TypeVar("T")
MAX_AGE = 0.5  # seconds for which a search is not read again
SLOW, REST = 0.5, 20.0  # a chart that takes more seconds to read rests so many times as long


class SearchView(NamedTuple):
    """A consistent copy of one search.

    Within one `generation` the copy only grows: `dominated` gets longer at its end, and no drawn number changes.
    `changed_in` and `first_in` are the versions in which each trial last changed and first appeared.
    """

    search: SearchRecord
    generation: str
    version: int
    points: dict[int, TrialPoint]
    operators: dict[int, tuple[str, ...]]
    image_sizes: dict[int, int]
    front: tuple[int, ...]
    dominated: tuple[int, ...]
    changed_in: dict[int, int]
    first_in: dict[int, int]
    designs: dict[int, str]
    last_change: datetime | None
    standings: dict[int, TrialConfidence]
    lease: Lease
    baselines: tuple[BaselineResult, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials in each state."""
        counts: dict[str, int] = dict.fromkeys(map(str, STATES), 0)
        for point in self.points.values():
            counts[point.state] = counts.get(point.state, 0) + 1
        return counts

    @property
    def stages(self) -> int:
        """The greatest number of stages of a trial."""
        return max((len(operators) for operators in self.operators.values()), default=0)

    @property
    def axes(self) -> dict[str, Objective]:
        """Everything that can be an axis, by name."""
        return axes_of(self.search)


@dataclass
class _SearchView:
    search: SearchRecord
    generation: str = field(default_factory=lambda: secrets.token_hex(4))
    version: int = 0
    newest: int = 0
    read_at: float = float("-inf")
    last_change: datetime | None = None
    points: dict[int, TrialPoint] = field(default_factory=dict)
    operators: dict[int, tuple[str, ...]] = field(default_factory=dict)
    image_sizes: dict[int, int] = field(default_factory=dict)
    front: tuple[int, ...] = ()
    dominated: list[int] = field(default_factory=list)
    changed_in: dict[int, int] = field(default_factory=dict)
    first_in: dict[int, int] = field(default_factory=dict)
    designs: dict[int, str] = field(default_factory=dict)
    hypervolume: tuple[int, HypervolumeNumbers] | None = None
    standings: dict[int, TrialConfidence] = field(default_factory=dict)
    trainings: int = 0  # of baselines, complete or failed
    baselines: tuple[BaselineResult, ...] = ()
    full_trainings: int = 0  # complete or failed


@dataclass(frozen=True)
class _ChartNumbers:
    """The numbers of a chart, the generation and version of the search, and until when they are shown anyway."""

    generation: str
    version: int
    keep_until: float
    numbers: Any


class Snapshot:
    """The searches of a ledger, opened read-only and brought up to date on demand.

    One thread opens, reads and closes the ledger, because an SQLite connection belongs to the thread that made it.
    Therefore the copy needs no lock.

    Args:
        url: the database; default: HYBRID_SEARCH_DB, otherwise the default file.

    Raises:
        LedgerError: the ledger cannot be opened.
    """

    def __init__(self, url: str | None = None) -> None:
        self._states: dict[int, _SearchView] = {}
        self._charts: dict[tuple[int, str], _ChartNumbers] = {}
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self.ledger = self._reader.submit(Ledger, url, read_only=True).result()

    def close(self) -> None:
        """Stop reading and close the connection."""
        self._reader.submit(self.ledger.close)
        self._reader.shutdown()

    def read(self, query: Callable[[Ledger], T]) -> T:
        """Return the result of a function of the ledger; it runs in the thread that reads."""
        return self._reader.submit(query, self.ledger).result()

    def searches(self) -> list[SearchRecord]:
        """Return every search, the newest first."""
        return self.read(Ledger.searches)

    def preload(self) -> None:
        """Start to read the newest search, so that the first browser waits less."""
        self._reader.submit(self._read_newest)

    def view(self, search: SearchRecord) -> SearchView:
        """Return a copy of the search that is at most MAX_AGE seconds old."""
        return self._reader.submit(self._view, search).result()

    def hypervolume(self, search: SearchRecord) -> HypervolumeNumbers:
        """Return the hypervolume over the trials; it is computed again only after a change."""
        return self._reader.submit(self._hypervolume, search).result()

    def chart_numbers(self, chart: Chart, search: SearchRecord, trials: tuple[int, ...]) -> Any:
        """Return the numbers of a chart. Those of a search are read again after a change only.

        If reading them takes long, a change is shown after 20 times as long, so that a running search can be watched.

        Args:
            chart: the chart.
            search: the search.
            trials: the selected trials.
        """
        if trials:
            return self.read(lambda ledger: chart.read(ledger, search, trials))
        view, key = self.view(search), (search.id, chart.name)
        kept = self._charts.get(key)
        if kept is not None and kept.generation != view.generation:
            kept = None  # each generation counts its versions from 1
        if kept is not None and (kept.version == view.version or monotonic() < kept.keep_until):
            return kept.numbers
        start = monotonic()
        numbers = self.read(lambda ledger: chart.read(ledger, search, ()))
        seconds = monotonic() - start
        keep = REST * seconds if seconds > SLOW else 0.0
        self._charts[key] = _ChartNumbers(view.generation, view.version, monotonic() + keep, numbers)
        return numbers

    def _read_newest(self) -> None:
        for search in self.ledger.searches()[:1]:
            self._hypervolume(search)

    def _view(self, search: SearchRecord) -> SearchView:
        state = self._states.get(search.id)
        if state is None or state.search.created != search.created:  # another database at the same address
            state = _SearchView(search)
        if monotonic() - state.read_at > MAX_AGE:
            state = self._update(state)
        state.search = search
        self._states[search.id] = state
        return SearchView(
            search,
            state.generation,
            state.version,
            dict(state.points),
            dict(state.operators),
            dict(state.image_sizes),
            state.front,
            tuple(state.dominated),
            dict(state.changed_in),
            dict(state.first_in),
            dict(state.designs),
            state.last_change,
            dict(state.standings),
            self.ledger.lease(search.id),
            state.baselines,
        )

    def _hypervolume(self, search: SearchRecord) -> HypervolumeNumbers:
        view = self._view(search)
        state = self._states[search.id]
        if state.hypervolume is None or state.hypervolume[0] != state.version:
            numbers = hypervolume_of(list(view.points.values()), search, view.axes)
            state.hypervolume = (state.version, numbers)
        return state.hypervolume[1]

    def _update(self, state: _SearchView) -> _SearchView:
        """Read the trials that changed since the last time. Return a new state if a drawn number is no longer true."""
        fresh, newest = self.ledger.read(reads.points, state.search.id, list(objectives_of(state.search)), state.newest)
        state.read_at = monotonic()
        self._read_baselines(state, changed=bool(fresh))
        if not fresh:
            return state
        if _revised(state, fresh):
            return self._update(_SearchView(state.search, last_change=state.last_change))
        unknown = [point.number for point in fresh if point.number not in state.operators]
        if unknown:
            plain = self.ledger.read(reads.architectures, state.search.id, unknown if state.points else None)
            state.operators |= {number: operators_of(architecture) for number, architecture in plain.items()}
            state.image_sizes |= image_sizes_of(plain)
        state.newest, state.version = newest, state.version + 1
        state.points |= {point.number: point for point in fresh}
        state.first_in = {point.number: state.version for point in fresh} | state.first_in
        state.changed_in |= {point.number: state.version for point in fresh}
        state.last_change = datetime.now(UTC) if state.last_change else self._stored_change(state.search, fresh)
        self._read_standings(state)
        self._place(state, fresh)
        return state

    def _read_baselines(self, state: _SearchView, *, changed: bool) -> None:
        """Read the baselines if one was trained, or if the noise of a seed may have changed with the trials.

        A full training changes the version too, so that its chart is drawn again.
        """
        trainings = len(self.ledger.read(baseline_trainings, state.search.id))
        if trainings != state.trainings or (trainings and changed):
            state.trainings, state.version = trainings, state.version + 1
            state.baselines = tuple(read_baselines(self.ledger, state.search))
        full = self.ledger.read(count_trainings, state.search.id)
        if full != state.full_trainings:
            state.full_trainings, state.version = full, state.version + 1

    def _stored_change(self, search: SearchRecord, points: Sequence[TrialPoint]) -> datetime:
        """Return when the ledger last changed, as far as it says: the end of a trial, or a use of the test split."""
        times = [point.finished for point in points if point.finished]
        times += [use.opened for use in self.ledger.read(reads.openings, search.id) if use.opened]
        return max(times, default=datetime.now(UTC))

    def _read_standings(self, state: _SearchView) -> None:
        """Read what retraining has shown; a trial whose standing differs counts as changed."""
        values = {number: point.values for number, point in state.points.items() if point.state == "complete"}
        standings = read_confidence(self.ledger, state.search, values)
        if standings and not state.standings:  # the table gets more columns
            state.generation = secrets.token_hex(4)
        before = state.standings
        changed = [n for n in standings.keys() | before.keys() if standings.get(n) != before.get(n)]
        state.changed_in |= dict.fromkeys(changed, state.version)
        state.standings = standings

    def _place(self, state: _SearchView, fresh: Sequence[TrialPoint]) -> None:
        """Sort new trials into front and dominated: the new front holds only old members and new trials."""
        names, kinds = state.search.objectives, objectives_of(state.search)
        rivals = [*state.front, *(point.number for point in fresh if has_all(point, names))]
        points = [state.points[number] for number in rivals]
        members = front_of(points, [kinds[name] for name in names], retrained_numbers(state.standings))
        front = tuple(number for number in rivals if number in members)
        complete = {point.number for point in fresh if point.state == "complete"}
        state.dominated += sorted((complete | set(state.front)) - set(front))
        for number in set(front) ^ set(state.front):
            state.changed_in[number] = state.version
        state.front = front
        missing = [number for number in front if number not in state.designs]
        for number, plain in self.ledger.read(reads.architectures, state.search.id, missing).items() if missing else ():
            state.designs[number] = readable_line(plain)


def _revised(state: _SearchView, fresh: Sequence[TrialPoint]) -> bool:
    """Return whether a drawn number has changed, for example because a trial was retrained with more seeds."""
    before = (state.points.get(point.number) for point in fresh)
    return any(
        old and old.state == "complete" and old.values != new.values for old, new in zip(before, fresh, strict=True)
    )
