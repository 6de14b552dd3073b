"""The hypervolume of the front over the completed trials, with the reference point it is measured from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid_search.charts.front import has_all
from hybrid_search.charts.theme import Theme, axis, layout, nothing_yet
from hybrid_search.ledger import Point
from hybrid_search.objectives import objectives as objectives_of
from hybrid_search.objectives import scaled
from hybrid_search.pareto import hypervolume, reference_point, to_minimize

if TYPE_CHECKING:
    import plotly.graph_objects as go

Array = NDArray[np.float64]
MANY = 60  # improvements with three or more objectives, above which the volume is estimated
SAMPLES = 20_000


@dataclass(frozen=True)
class HypervolumeNumbers:
    """`values[i]` is the hypervolume after `trials[i]` completed trials; a step where the front grew, and the last.

    `exact` is False where the volume is estimated from a fixed set of random points (three or more objectives).
    """

    objectives: tuple[str, ...]
    reference: tuple[float, ...]
    trials: tuple[int, ...]
    values: tuple[float, ...]
    exact: bool

    @property
    def last(self) -> float | None:
        """The hypervolume now, None before the first trial."""
        return self.values[-1] if self.values else None

    @property
    def reference_text(self) -> str:
        """The reference point with units: `accuracy 0.00 %, flops 4.51 MFLOPs`."""
        pairs = zip(objectives_of(self.objectives), self.reference, strict=True)
        return ", ".join(f"{objective.name} {objective.text(value)}" for objective, value in pairs)


def hypervolume_numbers(
    points: Sequence[Point], objectives: Sequence[str], known: Mapping[str, float] | None = None
) -> HypervolumeNumbers:
    """Points of the ledger -> the hypervolume after each completed trial, in the order in which they completed.

    `known` are the bounds of what is known before training (`bounds.known_worst`): with them the reference is the one
    that the search itself measures from.
    """
    kinds = objectives_of(list(objectives))
    whole = [point for point in points if has_all(point, objectives)]
    whole.sort(key=lambda point: (point.finished.timestamp() if point.finished else math.inf, point.number))
    rows = [[point.values[name] for name in objectives] for point in whole]
    if not rows:
        return HypervolumeNumbers(tuple(objectives), (), (), (), True)
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
    return HypervolumeNumbers(tuple(objectives), tuple(reference), tuple(trials), tuple(values), exact)


def improvements(costs: Array) -> list[int]:
    """Indices of the rows that no earlier row dominates or equals, less being better: those that moved the front."""
    kept: list[int] = []
    front = np.empty((0, costs.shape[1]))
    for index, row in enumerate(costs):
        if not (front <= row).all(axis=1).any():
            front = np.vstack([front[(front < row).any(axis=1)], row])
            kept.append(index)
    return kept


def _estimate(costs: Array, bound: Array) -> list[float]:
    """Hypervolume after each row from SAMPLES fixed points of the box: one pass, whatever the number of objectives."""
    ideal = costs.min(axis=0)
    drawn = ideal + np.random.default_rng(0).random((SAMPLES, costs.shape[1])) * (bound - ideal)
    counts = []
    for row in costs:
        drawn = drawn[~(drawn >= row).all(axis=1)]
        counts.append(SAMPLES - len(drawn))
    box = float(np.prod(bound - ideal))
    return [box * count / SAMPLES for count in counts]


def hypervolume_figure(numbers: HypervolumeNumbers, theme: Theme) -> "go.Figure":
    """A step line that ends at the newest trial; the reference point is written in the axis title."""
    import plotly.graph_objects as go

    texts = [f"after {n} trials<br>hypervolume: <b>{volume_text(v)}</b>" for n, v in _pairs(numbers)]
    ticks = "~s" if max(numbers.values, default=0.0) >= 1000 else "~g"
    figure = go.Figure(
        go.Scatter(
            x=list(numbers.trials),
            y=list(numbers.values),
            mode="lines" if len(numbers.values) > 1 else "markers",
            line={"shape": "hv", "width": 2, "color": theme.hybrid},
            hovertext=texts,
            hoverinfo="text",
            name="hypervolume",
        )
    )
    figure.update_layout(
        **layout(theme, showlegend=False, hovermode="x"),
        xaxis=axis(theme, "completed trials", rangemode="tozero", **({"dtick": 1} if len(numbers.values) < 6 else {})),
        yaxis=axis(theme, "hypervolume" if numbers.exact else "hypervolume (estimated)", tickformat=ticks),
        uirevision="hypervolume",
    )
    if numbers.values and min(numbers.values) == max(numbers.values) > 0:  # else all ticks have one text
        figure.update_yaxes(range=[0.0, 1.2 * numbers.values[0]])
    if not numbers.values:
        figure.update_layout(**nothing_yet("No completed trial to measure.", theme))
    return figure


def volume_text(value: float) -> str:
    """A hypervolume as a person reads it; its unit is the product of the objectives' and is not written."""
    return scaled(value).strip() if value < 1e12 else f"{value:.3g}"


def _pairs(numbers: HypervolumeNumbers) -> list[tuple[int, float]]:
    return list(zip(numbers.trials, numbers.values, strict=True))
