"""The share of the hypervolume that samplers have found against evaluations: a median line and a band of quartiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hybrid_search.charts.theme import Theme, axis, layout

if TYPE_CHECKING:
    import plotly.graph_objects as go

DASHES = ("solid", "dash", "dot", "dashdot")  # where there are more lines than colours
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x")  # not colour alone
MARKED = 10  # marks on a line


@dataclass(frozen=True)
class Band:
    """One sampler: after each evaluation the median over seeds, and the lower and upper quartile."""

    name: str
    seeds: int
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def band_numbers(shares: Mapping[str, Sequence[Sequence[float]]]) -> tuple[Band, ...]:
    """Shares by sampler, run and evaluation -> a band each. A run that ended early keeps its last share."""
    found = []
    for name, runs in shares.items():
        longest = max(len(run) for run in runs)
        rows = np.array([[*run, *[run[-1]] * (longest - len(run))] for run in runs])
        low, median, high = np.quantile(rows, (0.25, 0.5, 0.75), axis=0).tolist()
        found.append(Band(name, len(runs), tuple(median), tuple(low), tuple(high)))
    return tuple(found)


def bands_figure(
    bands: Sequence[Band], theme: Theme, *, title: str = "", goals: Sequence[float] = (), x: str = "evaluations"
) -> "go.Figure":
    """A line and a band a sampler, the best at the end first in the legend; `goals` are drawn as level lines."""
    import plotly.graph_objects as go

    figure = go.Figure()
    ranked = sorted(range(len(bands)), key=lambda i: -sum(bands[i].median))
    for rank, i in enumerate(ranked):
        band, colour = bands[i], theme.categories[i % len(theme.categories)]
        at = list(range(1, len(band.median) + 1))
        figure.add_scatter(
            x=[*at, *reversed(at)],
            y=[*band.high, *reversed(band.low)],
            fill="toself",
            fillcolor=_faint(colour),
            line={"width": 0},
            hoverinfo="skip",
            legendgroup=band.name,
            showlegend=False,
            name=f"{band.name}, quartiles",
        )
        figure.add_scatter(
            x=at,
            y=list(band.median),
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": DASHES[i // len(theme.categories) % len(DASHES)]},
            marker={"symbol": MARKS[i % len(MARKS)], "size": 7, "maxdisplayed": MARKED},
            hovertemplate=f"{band.name}: %{{y:.1%}} after %{{x}}<extra></extra>",
            legendgroup=band.name,
            legendrank=rank,
            name=band.name,
        )
    for goal in goals:
        figure.add_hline(y=goal, line={"color": theme.neutral, "width": 1, "dash": "dot"})
    lowest = min((min(band.low) for band in bands), default=0.0)
    seeds = max((band.seeds for band in bands), default=0)
    longest = max((len(band.median) for band in bands), default=1)
    top = {"t": 44} if title else {}
    figure.update_layout(
        **layout(theme, hovermode="x unified", margin={"l": 56, "r": 16, "t": 16, "b": 48, **top}),
        xaxis=axis(theme, x, range=[0, 1.02 * longest]),
        yaxis=axis(
            theme,
            f"share of the hypervolume, median and quartiles of {seeds} seeds",
            tickformat=".0%",
            range=[max(0.0, min(lowest, 0.9) - 0.02), 1.005],
        ),
    )
    if title:
        figure.update_layout(title={"text": title, "font": {"size": 14}})
    return figure


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"
