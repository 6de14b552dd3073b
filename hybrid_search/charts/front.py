"""The numbers of the Pareto front on two chosen axes; charts/front_figure.py draws them.

Only completed trials with finite numbers are drawn. Failed, stopped and running trials are only counted.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hybrid_search.analysis.baseline_results import BaselineResult, read_baselines
from hybrid_search.analysis.confidence import TrialConfidence, confirmed_front, read_confidence
from hybrid_search.analysis.picks import front_knee
from hybrid_search.charts.axes import AXES, TRIAL, axes_of, axis_named, default_axes
from hybrid_search.charts.network_kinds import image_sizes_of, operators_of
from hybrid_search.ledger import Ledger, TrialPoint, reads
from hybrid_search.networks.network import network_line
from hybrid_search.objectives import Objective
from hybrid_search.records import SearchRecord, TrialRecord

COLOURS = ("mix", "trial")  # and `stage:0`, `stage:1`, ...


class FrontPoint(NamedTuple):
    """One drawn trial: its place on the axes, its measurements, its operators, its image size if it has its own one."""

    number: int
    x: float
    y: float
    values: Mapping[str, float]
    seconds: float | None
    operators: tuple[str, ...]
    image_size: int | None = None


class ErrorBar(NamedTuple):
    """The 95 % intervals of a confirmed trial on both axes; a known objective has an interval without width."""

    number: int
    x: float
    y: float
    across: tuple[float, float]
    up: tuple[float, float]


class BaselinePoint(NamedTuple):
    """One drawn baseline: its name, its place on the axes, its interval on the second one, and its hover text."""

    name: str
    x: float
    y: float
    up: tuple[float, float] | None
    lines: tuple[str, ...]


@dataclass(frozen=True)
class FrontNumbers:
    """Everything that the chart of the front shows.

    Args:
        objectives: the objectives of the search.
        x, y: the two axes.
        front, dominated: the completed trials on the front of all objectives, and the others.
        line: the front of the two axes alone, as corners from left to right; of retrained trials, if there are any.
        counts: the number of trials in each state.
        missing: how many completed trials lack a finite number on an axis.
        bars: the error bars of the confirmed trials.
        knee: the number of the knee of the front of all objectives; None if it has none.
        operators: every different sequence of operators among the drawn trials, for the legend.
        baselines: the baselines that have a place on these axes.
    """

    objectives: tuple[Objective, ...]
    x: Objective
    y: Objective
    front: tuple[FrontPoint, ...]
    dominated: tuple[FrontPoint, ...]
    line: tuple[tuple[float, float], ...]
    counts: Mapping[str, int]
    missing: int
    bars: tuple[ErrorBar, ...] = ()
    knee: int | None = None
    operators: frozenset[tuple[str, ...]] = frozenset()
    baselines: tuple[BaselinePoint, ...] = ()

    @property
    def shown(self) -> tuple[Objective, ...]:
        """The measurements in a hover text: the objectives, and the axes that are other measurements."""
        axes = [axis for axis in (self.x, self.y) if axis.name != TRIAL.name]
        return tuple({objective.name: objective for objective in (*self.objectives, *axes)}.values())


def as_points(trials: Sequence[TrialPoint | TrialRecord]) -> list[TrialPoint]:
    """Return trials as points; a record becomes a point with its measurements.

    Args:
        trials: points, or complete records of trials.
    """
    return [
        TrialPoint(trial.id, trial.number, trial.state, trial.seconds, trial.finished, trial.measurements)
        if isinstance(trial, TrialRecord)
        else trial
        for trial in trials
    ]


def front_numbers(
    points: Sequence[TrialPoint | TrialRecord],
    objectives: Sequence[str],
    x: str,
    y: str,
    *,
    operators: Mapping[int, tuple[str, ...]] | None = None,
    image_sizes: Mapping[int, int] | None = None,
    front: Collection[int] | None = None,
    standings: Mapping[int, TrialConfidence] | None = None,
    axes: Mapping[str, Objective] = AXES,
    baselines: Sequence[BaselineResult] = (),
) -> FrontNumbers:
    """Return what the chart of the front draws.

    Args:
        points: the trials of the search: points, or records such as `search.trials()` returns.
        objectives: the names of the search's objectives.
        x, y: the names of the axes; `y` is not the trial number.
        operators: the operator of each stage, by trial; default: those of the records.
        image_sizes: the image size of each trial, if the space offers sizes; default: those of the records.
        front: the trials on the front, if they are already known.
        standings: what retraining has shown, by confirmed trial.
        axes: every axis by name (`axes_of`); default: the built-in objectives.
        baselines: the results of the baselines of the search.

    Raises:
        UnknownName: no axis has this name.
    """
    plain = {trial.number: trial.architecture for trial in points if isinstance(trial, TrialRecord)}
    operators = operators or {number: operators_of(architecture) for number, architecture in plain.items()}
    image_sizes, points = image_sizes or image_sizes_of(plain), as_points(points)
    across, up = axis_named(x, axes), axis_named(y, {name: axes[name] for name in axes if name != TRIAL.name})
    kinds = [axes[name] for name in objectives]
    retrained = retrained_numbers(standings or {})
    members = front_of(points, kinds, retrained) if front is None else front
    spots, missing = spots_of(points, x, y, operators, image_sizes)
    return FrontNumbers(
        tuple(kinds),
        across,
        up,
        front=tuple(spot for spot in spots if spot.number in members),
        dominated=tuple(spot for spot in spots if spot.number not in members),
        line=tuple(_line([spot for spot in spots if spot.number in retrained] or spots, across, up)),
        counts=dict(Counter(point.state for point in points)),
        missing=missing,
        bars=tuple(error_bars(spots, standings or {}, x, y)),
        knee=knee_of(points, kinds, members),
        operators=frozenset(spot.operators for spot in spots),
        baselines=tuple(_baseline_points(baselines, kinds, across, up)),
    )


def read_front(ledger: Ledger, search: SearchRecord, _trials: tuple[int, ...] = ()) -> FrontNumbers:
    """Read the numbers of the front on its default axes from a ledger."""
    return read_panels(ledger, search)[0]


def read_panels(ledger: Ledger, search: SearchRecord) -> list[FrontNumbers]:
    """Read the front on its default axes, then the first objective over each further one, from a ledger.

    Args:
        ledger: the ledger.
        search: the search.
    """
    axes = axes_of(search)
    points, _ = ledger.read(reads.points, search.id, [name for name in axes if name != TRIAL.name])
    x, y = default_axes(search.objectives)
    plain = ledger.read(reads.architectures, search.id)
    operators = {number: operators_of(architecture) for number, architecture in plain.items()}
    values = {point.number: point.values for point in points if point.state == "complete"}
    standings = read_confidence(ledger, search, values)
    image_sizes, baselines = image_sizes_of(plain), read_baselines(ledger, search)
    return [
        front_numbers(
            points,
            search.objectives,
            across,
            y,
            operators=operators,
            image_sizes=image_sizes,
            standings=standings,
            axes=axes,
            baselines=baselines,
        )
        for across in (x, *search.objectives[2:])
    ]


def _baseline_points(
    baselines: Sequence[BaselineResult], objectives: Sequence[Objective], x: Objective, y: Objective
) -> Iterator[BaselinePoint]:
    """Yield the baselines that have a finite number on both axes."""
    for each in baselines:
        across, up = each.values.get(x.name, math.nan), each.values.get(y.name, math.nan)
        if math.isfinite(across) and math.isfinite(up):
            shown = {kind.name: kind for kind in (*objectives, x, y)}.values()
            values = [f"{kind.label}: {kind.text(each.values.get(kind.name))}" for kind in shown]
            seeds = "1 seed" if each.seeds == 1 else f"{each.seeds} seeds"
            lines = (f"{seeds}, never proposed", *values, network_line(each.network))
            yield BaselinePoint(each.name, across, up, each.intervals.get(y.name), lines)


def error_bars(spots: Sequence[FrontPoint], standings: Mapping[int, TrialConfidence], x: str, y: str) -> list[ErrorBar]:
    """Return the error bars of the trials that have an interval on one of these axes."""
    bars = []
    for spot in spots:
        intervals = standings[spot.number].intervals if spot.number in standings else {}
        if x in intervals or y in intervals:
            across, up = intervals.get(x, (spot.x, spot.x)), intervals.get(y, (spot.y, spot.y))
            bars.append(ErrorBar(spot.number, spot.x, spot.y, across, up))
    return bars


def spots_of(
    points: Sequence[TrialPoint],
    x: str,
    y: str,
    operators: Mapping[int, tuple[str, ...]],
    image_sizes: Mapping[int, int],
) -> tuple[list[FrontPoint], int]:
    """Return the completed trials that have a place on these axes, and the number of those that have none."""
    spots, missing = [], 0
    for point in points:
        if point.state != "complete":
            continue
        across = float(point.number) if x == TRIAL.name else point.values.get(x)
        up = point.values.get(y)
        if across is None or up is None or not (math.isfinite(across) and math.isfinite(up)):
            missing += 1
            continue
        number = point.number
        design = operators.get(number, ()), image_sizes.get(number)
        spots.append(FrontPoint(number, across, up, point.values, point.seconds, *design))
    return spots, missing


def front_of(
    points: Sequence[TrialPoint], objectives: Sequence[Objective], retrained: Collection[int] = ()
) -> set[int]:
    """Return the numbers of the trials on the front of all objectives; see `confirmed_front`.

    Args:
        points: the trials of the search.
        objectives: its objectives.
        retrained: the trials with fresh seeds. If there are any, only they can be on the front.
    """
    names = [objective.name for objective in objectives]
    values = {point.number: point.values for point in points if has_all(point, names)}
    return set(confirmed_front(values, retrained, objectives).members)


def knee_of(points: Sequence[TrialPoint], objectives: Sequence[Objective], front: Collection[int]) -> int | None:
    """Return the trial at the knee of a front; None if the front has no design between its ends.

    Args:
        points: the trials of the search.
        objectives: its objectives.
        front: the trials on the front of all objectives.
    """
    members = {point.number: point.values for point in points if point.number in front}
    knee = front_knee(members, objectives) if members else None
    return knee.number if knee and knee.exists else None


def retrained_numbers(standings: Mapping[int, TrialConfidence]) -> set[int]:
    """Return the trials with fresh seeds."""
    return {number for number, confidence in standings.items() if confidence.seeds}


def has_all(point: TrialPoint, objectives: Sequence[str]) -> bool:
    """Return whether a trial completed with a finite number for every objective."""
    return point.state == "complete" and all(math.isfinite(point.values.get(name, math.nan)) for name in objectives)


def _line(spots: Sequence[FrontPoint], x: Objective, y: Objective) -> list[tuple[float, float]]:
    """Return the front of two axes: sort by x from its better end, keep every trial that improves y."""
    if not spots:
        return []
    across = np.array([spot.x for spot in spots]) * (1 if x.direction == "minimize" else -1)
    up = np.array([spot.y for spot in spots]) * (1 if y.direction == "minimize" else -1)
    order = np.lexsort((up, across))
    best = np.minimum.accumulate(up[order])
    better = np.concatenate([[True], up[order][1:] < best[:-1]])
    return sorted((spots[i].x, spots[i].y) for i in order[better])
