"""The Pareto front on two chosen axes: numbers first, figure second.

Only completed trials with finite numbers are drawn. Failed, stopped and running ones are counted, never placed.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hybrid_search.charts.mixes import MIXES, mix_of
from hybrid_search.charts.theme import Theme, axis, layout
from hybrid_search.errors import one_of
from hybrid_search.front import pareto_front
from hybrid_search.ledger import Point
from hybrid_search.objectives import OBJECTIVES, Objective

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Not an objective: the horizontal axis of a search with one objective.
TRIAL = Objective("trial", "minimize", "trial", "", known=True)
AXES: dict[str, Objective] = {**OBJECTIVES, "trial": TRIAL}
LOGARITHMIC = ("flops", "params", "train_seconds", "latency_ms")
COLOURS = ("mix", "trial")  # and `stage:0`, `stage:1`, ...


class Spot(NamedTuple):
    """One drawn trial: where it stands, what it measured, and the operator of each of its stages."""

    number: int
    x: float
    y: float
    values: Mapping[str, float]
    seconds: float | None
    operators: tuple[str, ...]


@dataclass(frozen=True)
class FrontNumbers:
    """What the chart of the front says. `line` is the front of the two axes shown, which with more objectives is only
    a part of `front`; `missing` counts completed trials that lack a finite number on an axis."""

    x: Objective
    y: Objective
    front: tuple[Spot, ...]
    dominated: tuple[Spot, ...]
    line: tuple[tuple[float, float], ...]
    counts: Mapping[str, int]
    missing: int


def default_axes(objectives: Sequence[str]) -> tuple[str, str]:
    """The axes to begin with: the second objective across (or the trial's number), the first one upward."""
    return (objectives[1] if len(objectives) > 1 else "trial", objectives[0])


def front_numbers(
    points: Sequence[Point],
    objectives: Sequence[str],
    x: str,
    y: str,
    *,
    operators: Mapping[int, tuple[str, ...]] | None = None,
    front: Collection[int] | None = None,
) -> FrontNumbers:
    """Points of the ledger -> what is drawn. `front` gives the numbers of the front's trials where they are known."""
    one_of("axis", x, AXES)
    one_of("axis", y, OBJECTIVES)
    members = front_of(points, objectives) if front is None else front
    spots, missing = spots_of(points, x, y, operators or {})
    return FrontNumbers(
        AXES[x],
        AXES[y],
        front=tuple(spot for spot in spots if spot.number in members),
        dominated=tuple(spot for spot in spots if spot.number not in members),
        line=tuple(_line(spots, AXES[x], AXES[y])),
        counts=dict(Counter(point.state for point in points)),
        missing=missing,
    )


def spots_of(
    points: Sequence[Point], x: str, y: str, operators: Mapping[int, tuple[str, ...]]
) -> tuple[list[Spot], int]:
    """The completed trials that can be placed on these axes, and how many cannot."""
    spots, missing = [], 0
    for point in points:
        if point.state != "complete":
            continue
        across = float(point.number) if x == "trial" else point.values.get(x)
        up = point.values.get(y)
        if across is None or up is None or not (math.isfinite(across) and math.isfinite(up)):
            missing += 1
            continue
        spots.append(Spot(point.number, across, up, point.values, point.seconds, operators.get(point.number, ())))
    return spots, missing


def front_of(points: Sequence[Point], objectives: Sequence[str]) -> set[int]:
    """The numbers of the completed trials that no other dominates in all the objectives."""
    whole = [point for point in points if has_all(point, objectives)]
    rows = [[point.values[name] for name in objectives] for point in whole]
    return {whole[i].number for i in pareto_front(rows, [OBJECTIVES[name].direction for name in objectives])}


def has_all(point: Point, objectives: Sequence[str]) -> bool:
    """Whether a trial completed with a finite number for every objective."""
    return point.state == "complete" and all(math.isfinite(point.values.get(name, math.nan)) for name in objectives)


def _line(spots: Sequence[Spot], x: Objective, y: Objective) -> list[tuple[float, float]]:
    """The front of two axes as corners from left to right: sort by x from its better end, keep what improves y."""
    if not spots:
        return []
    across = np.array([spot.x for spot in spots]) * (1 if x.direction == "minimize" else -1)
    up = np.array([spot.y for spot in spots]) * (1 if y.direction == "minimize" else -1)
    order = np.lexsort((up, across))
    best = np.minimum.accumulate(up[order])
    better = np.concatenate([[True], up[order][1:] < best[:-1]])
    return sorted((spots[i].x, spots[i].y) for i in order[better])


def hover_names(numbers: "FrontNumbers", objectives: Sequence[str]) -> list[str]:
    """The measurements that a trial tells when pointed at: the objectives, and the axes where they are others."""
    shown = (numbers.x.name, numbers.y.name)
    return list(dict.fromkeys([*objectives, *(name for name in shown if name in OBJECTIVES)]))


def hover_template(names: Sequence[str]) -> str:
    """The text around `hover_row`; only labels of our own table, for it is read as HTML."""
    lines = [f"{OBJECTIVES[name].label}: <b>%{{customdata[{3 + i}]}}</b>" for i, name in enumerate(names)]
    return "<br>".join(["<b>trial %{customdata[0]}</b> %{customdata[1]}", *lines, "%{customdata[2]}<extra></extra>"])


def hover_row(spot: Spot, names: Sequence[str], *, member: bool, design: str | None = None) -> list[Any]:
    """What one trial says when pointed at. Names from outside are escaped, because hover text is read as HTML."""
    took = "" if spot.seconds is None else f", {spot.seconds:.3g} s"
    lines = design.split(" | ") if design else [" → ".join(runs(spot.operators))]
    state = f"complete{took}{' · <b>on the front</b>' if member else ''}"
    values = [OBJECTIVES[name].text(spot.values.get(name)) for name in names]
    return [spot.number, state, "<br>".join(map(escape, lines)), *values]


def runs(operators: Sequence[str]) -> list[str]:
    """The operators with repetitions counted: `conv`, `3 x local_attention`."""
    runs: list[tuple[str, int]] = []
    for name in operators:
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + 1)
        else:
            runs.append((name, 1))
    return [name if count == 1 else f"{count} x {name}" for name, count in runs]


def arrays(
    spots: Sequence[Spot],
    names: Sequence[str],
    theme: Theme,
    colour: str,
    *,
    member: bool,
    designs: Mapping[int, str] | None = None,
) -> dict[str, list[Any]]:
    """The columns of one trace of markers; shape always tells the mix, whatever the colour tells.

    `names` are the measurements in the hover text; `designs` gives the one-line architecture of those that show it.
    """
    mixes = [mix_of(spot.operators) for spot in spots]
    if colour == "trial":
        hues: list[Any] = [spot.number for spot in spots]
    elif colour.startswith("stage:"):
        stage = int(colour.removeprefix("stage:"))
        hues = [_category(spot.operators, stage, theme) for spot in spots]
    else:
        hues = [mix.hue(theme) for mix in mixes]
    told = designs or {}
    return {
        "x": [spot.x for spot in spots],
        "y": [spot.y for spot in spots],
        "customdata": [hover_row(spot, names, member=member, design=told.get(spot.number)) for spot in spots],
        "color": hues,
        "symbol": [mix.symbol for mix in mixes],
    }


def _category(operators: Sequence[str], stage: int, theme: Theme) -> str:
    if stage >= len(operators):
        return theme.neutral
    return theme.attention if attends_at(operators, stage) else theme.conv


def attends_at(operators: Sequence[str], stage: int) -> bool:
    """Whether the stage of this index attends."""
    return mix_of(operators[stage : stage + 1]).name == "attention"


def front_figure(
    numbers: FrontNumbers,
    theme: Theme,
    *,
    objectives: Sequence[str] = (),
    colour: str = "mix",
    log: bool = False,
    designs: Mapping[int, str] | None = None,
    pinned: Sequence[int] = (),
    webgl: bool = True,
) -> "go.Figure":
    """The figure, its traces in this order: dominated (WebGL), line, front (SVG), pinned, then the legend's own."""
    import plotly.graph_objects as go

    names = hover_names(numbers, objectives)
    faint = arrays(numbers.dominated, names, theme, colour, member=False)
    bright = arrays(numbers.front, names, theme, colour, member=True, designs=designs)
    scale = {"colorscale": theme.scale, "coloraxis": "coloraxis"} if colour == "trial" else {}
    markers = go.Scattergl if webgl else go.Scatter
    figure = go.Figure(
        [
            markers(
                **_columns(faint),
                marker={"color": faint["color"], "symbol": faint["symbol"], "size": 7, "opacity": 0.32} | scale,
                **_same("dominated", names),
            ),
            go.Scatter(
                x=[x for x, _ in numbers.line],
                y=[y for _, y in numbers.line],
                mode="lines",
                line={"shape": "hv" if numbers.x.direction == "minimize" else "vh", "width": 1.5, "color": theme.muted},
                hoverinfo="skip",
                name="front of these axes",
                showlegend=False,
            ),
            go.Scatter(
                **_columns(bright),
                marker={
                    "color": bright["color"],
                    "symbol": bright["symbol"],
                    "size": 11,
                    "line": {"width": 1.5, "color": theme.surface},
                }
                | scale,
                **_same("front", names),
            ),
            pinned_trace(numbers, pinned, theme),
            *_legend(theme, colour),
        ]
    )
    figure.update_layout(
        **layout(theme, hovermode="closest", clickmode="event", dragmode="zoom"),
        xaxis=axis(theme, title(numbers.x), **_scale(numbers.x, log)),
        yaxis=axis(theme, title(numbers.y), **_scale(numbers.y, log)),
        annotations=better_arrow(numbers, theme),
        uirevision=f"{numbers.x.name} {numbers.y.name} {log}",
        coloraxis={
            "colorscale": theme.scale,
            "colorbar": {"title": {"text": "trial", "side": "right"}, "thickness": 10, "outlinewidth": 0},
        },
    )
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"})
    return figure


def _columns(columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    return {name: columns[name] for name in ("x", "y", "customdata")}


def _same(name: str, names: Sequence[str]) -> dict[str, Any]:
    return {"mode": "markers", "hovertemplate": hover_template(names), "showlegend": False, "name": name}


def pinned_trace(numbers: FrontNumbers, pinned: Sequence[int], theme: Theme) -> "go.Scatter":
    """Rings round the pinned trials, lettered A and B."""
    import plotly.graph_objects as go

    spots = {spot.number: spot for spot in (*numbers.front, *numbers.dominated) if spot.number in pinned}
    shown = [(letter, spots[number]) for letter, number in zip("AB", pinned, strict=False) if number in spots]
    return go.Scatter(
        x=[spot.x for _, spot in shown],
        y=[spot.y for _, spot in shown],
        text=[f"<b>{letter}</b>" for letter, _ in shown],
        mode="markers+text",
        textposition="bottom right",
        textfont={"size": 14, "color": [theme.series["AB".index(letter)] for letter, _ in shown]},
        marker={
            "size": 19,
            "symbol": "circle-open",
            "color": [theme.series["AB".index(letter)] for letter, _ in shown],
            "line": {"width": 2},
        },
        hoverinfo="skip",
        showlegend=False,
        name="pinned",
    )


def _legend(theme: Theme, colour: str) -> list["go.Scatter"]:
    import plotly.graph_objects as go

    mixes = [mix for mix in MIXES.values() if mix.name != "unknown"]
    entries = [(mix.label, mix.symbol, mix.hue(theme) if colour == "mix" else theme.muted) for mix in mixes]
    if colour.startswith("stage:"):
        stage = int(colour.removeprefix("stage:")) + 1
        entries.append((f"stage {stage} convolves", "line-ew", theme.conv))
        entries.append((f"stage {stage} attends", "line-ew", theme.attention))
    return [
        go.Scatter(
            x=[None],
            y=[None],
            mode="markers",
            marker={"symbol": symbol, "color": hue, "size": 9, "line": {"color": hue, "width": 3 * ("-" in symbol)}},
            name=label,
            hoverinfo="skip",
        )
        for label, symbol, hue in entries
    ]


def title(objective: Objective) -> str:
    """An axis's title: label, unit, and which way is better."""
    if objective.name == "trial":
        return "trial, in order of proposal"
    unit = "%" if objective.unit == "share" else objective.unit
    way = "higher" if objective.direction == "maximize" else "lower"
    return f"{objective.label}{f' [{unit}]' if unit else ''}, {way} is better"


def _scale(objective: Objective, log: bool) -> dict[str, Any]:
    if objective.unit == "share":
        return {"tickformat": ".0%", "hoverformat": ".2%"}
    if log and objective.name in LOGARITHMIC:
        return {"type": "log", "tickformat": "~s", "dtick": "D2" if objective.name != "trial" else None}
    return {"tickformat": "~s"} if objective.name in LOGARITHMIC else {}


def better_arrow(numbers: FrontNumbers, theme: Theme) -> list[dict[str, Any]]:
    """An arrow into the corner where both axes are best."""
    right = numbers.x.direction == "maximize"
    top = numbers.y.direction == "maximize"
    sideways = 0 if numbers.x.name == "trial" else (-34 if right else 34)
    return [
        {
            "text": "better",
            "xref": "paper",
            "yref": "paper",
            "x": 0.985 if right else 0.015,
            "y": 0.98 if top else 0.02,
            "ax": sideways,
            "ay": 34 if top else -34,
            "showarrow": True,
            "arrowhead": 2,
            "arrowwidth": 1.5,
            "arrowcolor": theme.muted,
            "font": {"size": 11, "color": theme.muted},
        }
    ]


def without_dominated(numbers: FrontNumbers) -> FrontNumbers:
    """The same numbers with the front alone."""
    return replace(numbers, dominated=())
