"""Curves of a replay: the share of the hypervolume against evaluations, as median and quartiles of the seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from hybrid_search._internal.counted import counted
from hybrid_search.charts.theme import Theme, figure_axis, figure_layout

if TYPE_CHECKING:
    import plotly.graph_objects as go

DASHES = ("solid", "dash", "dot", "dashdot")  # if there are more lines than colours
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x")  # not colour alone
MARKED = 10  # marks on a line


@dataclass(frozen=True)
class SeedBand:
    """The curve of one sampler over its seeds, with one value after each evaluation.

    Attributes:
        name: the sampler.
        seeds: number of seeds.
        median: the median over the seeds.
        low: the lower quartile.
        high: the upper quartile.
    """

    name: str
    seeds: int
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def band_numbers(shares: Mapping[str, Sequence[Sequence[float]]]) -> tuple[SeedBand, ...]:
    """Return one band a sampler.

    Args:
        shares: the share of the hypervolume, 0..1, by sampler: one sequence a run, one value an evaluation. A run that
            ended early keeps its last share.
    """
    bands = []
    for name, runs in shares.items():
        longest = max(len(run) for run in runs)
        rows = np.array([[*run, *[run[-1]] * (longest - len(run))] for run in runs])
        low, median, high = np.quantile(rows, (0.25, 0.5, 0.75), axis=0).tolist()
        bands.append(SeedBand(name, len(runs), tuple(median), tuple(low), tuple(high)))
    return tuple(bands)


def bands_figure(
    bands: Sequence[SeedBand], theme: Theme, *, title: str = "", goals: Sequence[float] = (), x: str = "evaluations"
) -> "go.Figure":
    """Draw one line and one band a sampler, the best sampler first in the legend.

    Args:
        bands: what to draw.
        theme: the look.
        title: text above the figure.
        goals: shares that are drawn as horizontal lines.
        x: the title of the horizontal axis.

    Returns:
        A plotly figure.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    ranked = sorted(range(len(bands)), key=lambda i: -sum(bands[i].median))
    for rank, i in enumerate(ranked):
        band, colour = bands[i], theme.categories[i % len(theme.categories)]
        name = escape(band.name)
        at = list(range(1, len(band.median) + 1))
        figure.add_scatter(
            x=[*at, *reversed(at)],
            y=[*band.high, *reversed(band.low)],
            fill="toself",
            fillcolor=_faint(colour),
            line={"width": 0},
            hoverinfo="skip",
            legendgroup=name,
            showlegend=False,
            name=f"{name}, quartiles",
        )
        figure.add_scatter(
            x=at,
            y=list(band.median),
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": DASHES[i // len(theme.categories) % len(DASHES)]},
            marker={"symbol": MARKS[i % len(MARKS)], "size": 7, "maxdisplayed": MARKED},
            hovertemplate=f"{name}: %{{y:.1%}} after %{{x}}<extra></extra>",
            legendgroup=name,
            legendrank=rank,
            name=name,
        )
    for goal in goals:
        figure.add_hline(y=goal, line={"color": theme.neutral, "width": 1, "dash": "dot"})
    lowest = min((min(band.low) for band in bands), default=0.0)
    seeds = max((band.seeds for band in bands), default=0)
    longest = max((len(band.median) for band in bands), default=1)
    top = {"t": 44} if title else {}
    figure.update_layout(
        **figure_layout(theme, hovermode="x unified", margin={"l": 56, "r": 16, "t": 16, "b": 48, **top}),
        xaxis=figure_axis(theme, x, range=[0, 1.02 * longest]),
        yaxis=figure_axis(
            theme,
            f"share of the hypervolume, median and quartiles of {counted(seeds, 'seed')}",
            tickformat=".0%",
            range=[max(0.0, min(lowest, 0.9) - 0.02), 1.005],
        ),
    )
    if title:
        figure.update_layout(title={"text": escape(title), "font": {"size": 14}})
    return figure


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"
