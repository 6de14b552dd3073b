"""Traces that the figure of the front adds to its trials: selected trials, intervals, the knee, baselines."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from hybrid_search.charts.front import FrontNumbers
from hybrid_search.charts.theme import Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go


def pinned_trace(numbers: FrontNumbers, pinned: Sequence[int], theme: Theme) -> "go.Scatter":
    """Return the trace of rings around the selected trials, lettered A and B."""
    import plotly.graph_objects as go

    spots = {spot.number: spot for spot in (*numbers.front, *numbers.dominated) if spot.number in pinned}
    shown = [(letter, spots[number]) for letter, number in zip("AB", pinned, strict=False) if number in spots]
    hues = [theme.series["AB".index(letter)] for letter, _ in shown]
    return go.Scatter(
        x=[spot.x for _, spot in shown],
        y=[spot.y for _, spot in shown],
        text=[f"<b>{letter}</b>" for letter, _ in shown],
        mode="markers+text",
        textposition="bottom right",
        textfont={"size": 14, "color": hues},
        marker={"size": 19, "symbol": "circle-open", "color": hues, "line": {"width": 2}},
        hoverinfo="skip",
        showlegend=False,
        name="selected",
    )


def bars_trace(numbers: FrontNumbers, theme: Theme) -> "go.Scatter":
    """Return the trace of the 95 % intervals of the confirmed trials, below their markers."""
    import plotly.graph_objects as go

    bars = numbers.bars

    def reach(ends: Sequence[tuple[float, float]], centres: Sequence[float]) -> dict[str, Any]:
        return {
            "type": "data",
            "symmetric": False,
            "array": [high - centre for (_, high), centre in zip(ends, centres, strict=True)],
            "arrayminus": [centre - low for (low, _), centre in zip(ends, centres, strict=True)],
            "color": theme.muted,
            "thickness": 1.2,
            "width": 4,
        }

    across, up = [bar.x for bar in bars], [bar.y for bar in bars]
    wide = any(high > low for low, high in (bar.across for bar in bars))
    tall = any(high > low for low, high in (bar.up for bar in bars))
    return go.Scatter(
        x=across,
        y=up,
        error_x=reach([bar.across for bar in bars], across) if wide else None,
        error_y=reach([bar.up for bar in bars], up) if tall else None,
        mode="markers",
        marker={"size": 5, "color": theme.muted},
        zorder=-1,
        hoverinfo="skip",
        showlegend=False,
        name="95 % intervals",
    )


def knee_trace(numbers: FrontNumbers, theme: Theme) -> "go.Scatter":
    """Return the trace of a ring around the knee of the front, with its name; without points if there is no knee."""
    import plotly.graph_objects as go

    spots = [spot for spot in numbers.front if spot.number == numbers.knee]
    return go.Scatter(
        x=[spot.x for spot in spots],
        y=[spot.y for spot in spots],
        text=["knee"] * len(spots),
        mode="markers+text",
        textposition="top left",
        textfont={"size": 12, "color": theme.ink},
        marker={"size": 16, "symbol": "diamond-open", "color": theme.ink, "line": {"width": 1.5}},
        hoverinfo="skip",
        showlegend=False,
        name="knee",
    )


def baselines_trace(numbers: FrontNumbers, theme: Theme) -> "go.Scatter":
    """Return the trace of the baselines: stars with their names, an entry of the legend that hides and shows them."""
    import plotly.graph_objects as go

    drawn = numbers.baselines
    ends = [each.up or (each.y, each.y) for each in drawn]
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [high - each.y for (_, high), each in zip(ends, drawn, strict=True)],
        "arrayminus": [each.y - low for (low, _), each in zip(ends, drawn, strict=True)],
        "color": theme.muted,
        "thickness": 1.2,
        "width": 4,
    }
    return go.Scatter(
        x=[each.x for each in drawn],
        y=[each.y for each in drawn],
        text=[escape(each.name) for each in drawn],
        mode="markers+text",
        textposition="bottom center",
        textfont={"size": 11, "color": theme.ink},
        marker={"symbol": "star", "size": 13, "color": theme.ink, "line": {"width": 1, "color": theme.surface}},
        error_y=bars if any(each.up for each in drawn) else None,
        hovertext=["<br>".join([f"<b>{escape(each.name)}</b>", *map(escape, each.lines)]) for each in drawn],
        hoverinfo="text",
        showlegend=bool(drawn),
        name="baselines",
    )
