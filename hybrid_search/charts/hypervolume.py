"""The chart of the hypervolume of the front after each completed trial, with its reference point."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid_search.charts.axes import AXES, axes_of
from hybrid_search.charts.chart import Chart
from hybrid_search.charts.front import as_points, has_all
from hybrid_search.charts.theme import Theme, empty_layout, figure_axis, figure_layout
from hybrid_search.ledger import Ledger, TrialPoint, reads
from hybrid_search.objectives import Objective, scaled
from hybrid_search.pareto import hypervolume, reference_point, to_minimize
from hybrid_search.records import SearchRecord, TrialRecord
from hybrid_search.spaces.budget import known_reference

if TYPE_CHECKING:
    import plotly.graph_objects as go

Array = NDArray[np.float64]
MANY = 60  # improvements with three or more objectives, above which the volume is estimated
SAMPLES = 20_000


@dataclass(frozen=True)
class HypervolumeNumbers:
    """The hypervolume after some numbers of completed trials.

    Args:
        objectives: the objectives of the search.
        reference: the reference point, one value an objective.
        trials: after how many completed trials the front grew; the last entry counts all completed trials.
        values: the hypervolume then.
        exact: False if it is estimated from a fixed set of random points (three or more objectives).
        unknown: why the hypervolume is unknown here; empty if it is known.
    """

    objectives: tuple[Objective, ...]
    reference: tuple[float, ...]
    trials: tuple[int, ...]
    values: tuple[float, ...]
    exact: bool
    unknown: str = ""

    @property
    def last(self) -> float | None:
        """The hypervolume of all completed trials; None before the first, and if it is unknown."""
        return self.values[-1] if self.values else None

    @property
    def reference_text(self) -> str:
        """The reference point with units: `accuracy 0.00 %, flops 4.51 MFLOPs`."""
        pairs = zip(self.objectives, self.reference, strict=True)
        return ", ".join(f"{objective.name} {objective.text(value)}" for objective, value in pairs)


def hypervolume_numbers(
    points: Sequence[TrialPoint | TrialRecord],
    objectives: Sequence[str],
    known: Mapping[str, float] | None = None,
    *,
    axes: Mapping[str, Objective] = AXES,
) -> HypervolumeNumbers:
    """Return the hypervolume after each completed trial, in the order in which the trials completed.

    Args:
        points: the trials of the search: points, or records such as `search.trials()` returns.
        objectives: the names of its objectives.
        known: the worst value of each objective that is known before training (`spaces.budget.reference_costs`); with
            it the reference point is that of the search itself.
        axes: every objective by name; default: the built-in ones.

    Returns:
        The numbers; without values before the first complete trial.
    """
    kinds = tuple(axes[name] for name in objectives)
    whole = [point for point in as_points(points) if has_all(point, objectives)]
    whole.sort(key=lambda point: (point.finished.timestamp() if point.finished else math.inf, point.number))
    rows = [[point.values[name] for name in objectives] for point in whole]
    if not rows:
        return HypervolumeNumbers(kinds, (), (), (), True)
    directions = [kind.direction for kind in kinds]
    reference = reference_point(rows, kinds, known)
    steps = improvements(to_minimize(rows, directions))
    exact = len(kinds) < 3 or len(steps) <= MANY
    if exact:
        values = [hypervolume([rows[i] for i in steps[: n + 1]], reference, directions) for n in range(len(steps))]
    else:
        values = _estimate(to_minimize(rows, directions)[steps], to_minimize(reference, directions)[0])
    trials = [step + 1 for step in steps]
    if trials[-1] < len(rows):
        trials, values = [*trials, len(rows)], [*values, values[-1]]
    return HypervolumeNumbers(kinds, tuple(reference), tuple(trials), tuple(values), exact)


def read_hypervolume(ledger: Ledger, search: SearchRecord, _trials: tuple[int, ...] = ()) -> HypervolumeNumbers:
    """Read the hypervolume over the trials of a search from a ledger."""
    points, _ = ledger.read(reads.points, search.id, search.objectives)
    return hypervolume_of(points, search, axes_of(search))


def hypervolume_of(
    points: Sequence[TrialPoint], search: SearchRecord, axes: Mapping[str, Objective]
) -> HypervolumeNumbers:
    """Return the hypervolume over the trials of a search, from the reference point of the search.

    Args:
        points: the trials of the search.
        search: the search.
        axes: every objective by name.

    Returns:
        The numbers; without values and with a reason if a plugin of the space is not installed here.
    """
    known, unknown = known_reference(search)
    if known is None:
        return HypervolumeNumbers(tuple(axes[name] for name in search.objectives), (), (), (), True, unknown)
    return hypervolume_numbers(points, search.objectives, known, axes=axes)


def improvements(costs: Array) -> list[int]:
    """Return the indices of the rows that changed the front: no earlier row dominates or equals them.

    Args:
        costs: (trials, objectives), lower is better.
    """
    changed: list[int] = []
    front = np.empty((0, costs.shape[1]))
    for index, row in enumerate(costs):
        if not (front <= row).all(axis=1).any():
            front = np.vstack([front[(front < row).any(axis=1)], row])
            changed.append(index)
    return changed


def _estimate(costs: Array, bound: Array) -> list[float]:
    """Estimate the hypervolume after each row from SAMPLES fixed points of the box between ideal and `bound`."""
    ideal = costs.min(axis=0)
    drawn = ideal + np.random.default_rng(0).random((SAMPLES, costs.shape[1])) * (bound - ideal)
    counts = []
    for row in costs:
        drawn = drawn[~(drawn >= row).all(axis=1)]
        counts.append(SAMPLES - len(drawn))
    box = float(np.prod(bound - ideal))
    return [box * count / SAMPLES for count in counts]


def hypervolume_figure(numbers: HypervolumeNumbers, theme: Theme) -> "go.Figure":
    """Draw the hypervolume as a step line that ends at the newest trial.

    Args:
        numbers: the hypervolume over the trials.
        theme: the look.

    Returns:
        A plotly figure.
    """
    import plotly.graph_objects as go

    texts = [
        f"after {n} completed trial{'s' * (n != 1)}<br>hypervolume: <b>{volume_text(v)}</b>" for n, v in _pairs(numbers)
    ]
    ticks = "~s" if max(numbers.values, default=0.0) >= 1000 else "~g"
    figure = go.Figure(
        go.Scatter(
            x=list(numbers.trials),
            y=list(numbers.values),
            mode="lines+markers",  # the last step may be at the right edge, where only a marker shows its height
            line={"shape": "hv", "width": 2, "color": theme.hybrid},
            marker={"size": [0] * (len(numbers.values) - 1) + [7], "color": theme.hybrid, "opacity": 1},
            cliponaxis=False,
            hovertext=texts,
            hoverinfo="text",
            name="hypervolume",
        )
    )
    figure.update_layout(
        **figure_layout(theme, showlegend=False, hovermode="x"),
        xaxis=figure_axis(
            theme,
            "completed trials",
            rangemode="tozero",
            **({"dtick": 1} if max(numbers.trials, default=1) < 10 else {}),
        ),
        yaxis=figure_axis(theme, "hypervolume" if numbers.exact else "hypervolume (estimated)", tickformat=ticks),
        uirevision="hypervolume",
    )
    if numbers.values and min(numbers.values) == max(numbers.values) > 0:  # otherwise all ticks have the same text
        figure.update_yaxes(range=[0.0, 1.2 * numbers.values[0]])
    if not numbers.values:
        figure.update_layout(**empty_layout(_why_empty(numbers), theme))
    return figure


def _why_empty(numbers: HypervolumeNumbers) -> str:
    if numbers.unknown:
        return "The hypervolume is unknown here:<br>" + "<br>".join(wrap(escape(numbers.unknown), 60))
    return "No completed trial to measure."


def volume_text(value: float) -> str:
    """Return a hypervolume with three digits and a prefix. Its unit, a product of units, is left out."""
    return scaled(value).strip() if value < 1e12 else f"{value:.3g}"


def _pairs(numbers: HypervolumeNumbers) -> list[tuple[int, float]]:
    return list(zip(numbers.trials, numbers.values, strict=True))


HYPERVOLUME = Chart("hypervolume", "Hypervolume over trials", "search", read_hypervolume, hypervolume_figure)
