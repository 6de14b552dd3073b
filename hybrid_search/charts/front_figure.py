"""The figure of the Pareto front: dominated trials faint in WebGL, the front filled in SVG, joined by a step line."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

from hybrid_search.charts.front import LOGARITHMIC, FrontNumbers, Spot
from hybrid_search.charts.mixes import MIXES, mix_of
from hybrid_search.charts.theme import Theme, axis, layout, nothing_yet
from hybrid_search.objectives import OBJECTIVES, Objective

if TYPE_CHECKING:
    import plotly.graph_objects as go


def hover_names(numbers: FrontNumbers, objectives: Sequence[str]) -> list[str]:
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
    """The figure; its traces: dominated (WebGL), line, front (SVG), pinned, intervals, then the legend's own."""
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
                marker={"color": faint["color"], "symbol": faint["symbol"], **faded(len(numbers.dominated))} | scale,
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
            bars_trace(numbers, theme),
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
    if not numbers.front and not numbers.dominated:
        figure.update_layout(**nothing_yet("No completed trial to draw.", theme))
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left"})
    return figure


def faded(count: int) -> dict[str, float]:
    """Size and opacity of the dominated markers: the more there are, the smaller and fainter."""
    return {"size": 7, "opacity": 0.32} if count < 2000 else {"size": 5, "opacity": 0.16}


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


def bars_trace(numbers: FrontNumbers, theme: Theme) -> "go.Scatter":
    """The 95 % intervals of the confirmed trials, below their markers; hovering is the markers' own."""
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
        # One trial alone would get an axis from below 0 to far above 1.
        return {"tickformat": "~%", "hoverformat": ".2%", "autorangeoptions": {"clipmin": 0.0, "clipmax": 1.03}}
    if log and objective.name in LOGARITHMIC:
        return {"type": "log", "tickformat": "~s", "dtick": "D2"}
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
