"""The figure of the Pareto front: pale dominated trials, and front members joined by a step line."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hybrid_search.charts.axes import TRIAL, axis_scale, axis_title
from hybrid_search.charts.chart import Chart
from hybrid_search.charts.families import family_colour, family_of
from hybrid_search.charts.front import FrontNumbers, FrontPoint, read_front
from hybrid_search.charts.front_marks import bars_trace, baselines_trace, knee_trace, pinned_trace
from hybrid_search.charts.hover import hover_row, hover_template
from hybrid_search.charts.network_kinds import NETWORK_KINDS, kind_of
from hybrid_search.charts.theme import Theme, empty_layout, figure_axis, figure_layout
from hybrid_search.objectives import Objective
from hybrid_search.ops import FAMILIES

if TYPE_CHECKING:
    import plotly.graph_objects as go

DOMINATED, LINE, FRONT_MARKERS, PINNED, BARS, KNEE, LEGEND = range(
    7
)  # the traces of the figure; those of the legend, and the baselines, come last


def marker_columns(
    spots: Sequence[FrontPoint],
    shown: Sequence[Objective],
    theme: Theme,
    colour: str,
    *,
    member: bool,
    designs: Mapping[int, str] | None = None,
) -> dict[str, list[Any]]:
    """Return the columns of one trace of markers: x, y, customdata (hover text), color, symbol.

    Args:
        spots: the trials.
        shown: the measurements in the hover text.
        theme: the look.
        colour: what the colour shows: "mix", "trial" or "stage:0", "stage:1", ... The symbol always shows the mix.
        member: whether these trials are on the front.
        designs: the one-line architectures of the trials that show one.
    """
    mixes = [kind_of(spot.operators) for spot in spots]
    if colour == "trial":
        hues: list[Any] = [spot.number for spot in spots]
    elif (stage := _stage(colour)) is not None:
        hues = [_stage_colour(spot.operators, stage, theme) for spot in spots]
    else:
        hues = [mix.hue(theme) for mix in mixes]
    known = designs or {}
    return {
        "x": [spot.x for spot in spots],
        "y": [spot.y for spot in spots],
        "customdata": [hover_row(spot, shown, member=member, design=known.get(spot.number)) for spot in spots],
        "color": hues,
        "symbol": [mix.symbol for mix in mixes],
    }


def front_figure(
    numbers: FrontNumbers,
    theme: Theme,
    *,
    colour: str = "mix",
    log: bool = True,
    designs: Mapping[int, str] | None = None,
    pinned: Sequence[int] = (),
    webgl: bool = True,
) -> "go.Figure":
    """Draw the front. Traces: dominated (WebGL), line, front (SVG), pinned, intervals, knee, the legend, baselines.

    Args:
        numbers: what to draw.
        theme: the look.
        colour: what the colour of a marker shows: "mix", "trial" or "stage:0", "stage:1", ...
        log: draw costs on a logarithmic axis.
        designs: one-line architectures for the hover texts of the front, by trial.
        pinned: the one or two selected trials.
        webgl: draw dominated trials with WebGL; without it thousands of trials are slow.

    Returns:
        A plotly figure.
    """
    import plotly.graph_objects as go

    pale = marker_columns(numbers.dominated, numbers.shown, theme, colour, member=False)
    bright = marker_columns(numbers.front, numbers.shown, theme, colour, member=True, designs=designs)
    scale = {"colorscale": theme.scale, "coloraxis": "coloraxis"} if colour == "trial" else {}
    edge = {"width": 1.5, "color": theme.surface}
    markers = go.Scattergl if webgl else go.Scatter
    figure = go.Figure(
        [
            markers(
                **_columns(pale),
                marker={"color": pale["color"], "symbol": pale["symbol"], **faded(len(numbers.dominated), theme)}
                | scale,
                **_markers("dominated", numbers),
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
                marker={"color": bright["color"], "symbol": bright["symbol"], "size": 11, "line": edge} | scale,
                **_markers("front", numbers),
            ),
            pinned_trace(numbers, pinned, theme),
            bars_trace(numbers, theme),
            knee_trace(numbers, theme),
            *_legend(numbers.operators, theme, colour),
            baselines_trace(numbers, theme),
        ]
    )
    spots = (*numbers.front, *numbers.dominated)
    across, upward = [spot.x for spot in spots], [spot.y for spot in spots]
    figure.update_layout(
        **figure_layout(theme, hovermode="closest", clickmode="event", dragmode="zoom"),
        xaxis=figure_axis(theme, axis_title(numbers.x), **axis_scale(numbers.x, log, across)),
        yaxis=figure_axis(theme, axis_title(numbers.y), **axis_scale(numbers.y, log, upward)),
        annotations=better_arrow(numbers, theme),
        uirevision=f"{numbers.x.name} {numbers.y.name} {log}",
        coloraxis={
            "colorscale": theme.scale,
            "colorbar": {
                "title": {"text": "trial", "side": "right"},
                "thickness": 10,
                "outlinewidth": 0,
                "len": 0.5,
                "y": 0,
                "yanchor": "bottom",
            },
        },
    )
    if not numbers.front and not numbers.dominated:
        figure.update_layout(**empty_layout("No completed trial to draw.", theme))
    # Fixed room above the axes: with automatic margins, plotly draws a wrapped legend over the plot.
    place = {"yref": "container", "y": 1.0, "yanchor": "top", "x": 0, "xanchor": "left"}
    # The buttons have a margin of their own, where they cover neither the legend nor a trial.
    figure.update_layout(
        legend={"orientation": "h", **place},
        margin={"t": 40 if _stage(colour) is None else 76, "r": 48},
        modebar={"orientation": "v", "bgcolor": "rgba(0,0,0,0)", "color": theme.muted, "activecolor": theme.ink},
    )
    return figure


def faded(count: int, theme: Theme) -> dict[str, float]:
    """Return size and opacity of the dominated markers: the more trials, the smaller and paler."""
    few, many = theme.pale
    return {"size": 7, "opacity": few} if count < 2000 else {"size": 5, "opacity": many}


def better_arrow(numbers: FrontNumbers, theme: Theme) -> list[dict[str, Any]]:
    """Return an arrow into the corner where both axes are best."""
    right = numbers.x.direction == "maximize"
    top = numbers.y.direction == "maximize"
    sideways = 0 if numbers.x.name == TRIAL.name else (-34 if right else 34)
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
    """Return the same numbers without the dominated trials; the legend stays."""
    return replace(numbers, dominated=())


def _stage(colour: str) -> int | None:
    """Return the index of the stage that the colour shows, None if it shows something else."""
    return int(colour.removeprefix("stage:")) if colour.startswith("stage:") else None


def _stage_colour(operators: Sequence[str], stage: int, theme: Theme) -> str:
    return family_colour(family_of(operators[stage]), theme) if stage < len(operators) else theme.neutral


def _columns(columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    return {name: columns[name] for name in ("x", "y", "customdata")}


def _markers(name: str, numbers: FrontNumbers) -> dict[str, Any]:
    return {"mode": "markers", "hovertemplate": hover_template(numbers.shown), "showlegend": False, "name": name}


def _legend(drawn: Collection[tuple[str, ...]], theme: Theme, colour: str) -> list["go.Scatter"]:
    """Return one empty trace an entry of the legend; an entry that no drawn network needs is hidden."""
    import plotly.graph_objects as go

    mixes = {kind_of(operators).name for operators in drawn}
    entries = [
        (mix.label, mix.symbol, mix.hue(theme) if colour == "mix" else theme.muted, mix.always or mix.name in mixes)
        for mix in NETWORK_KINDS.values()
    ]
    if (stage := _stage(colour)) is not None:
        families = {"convolution", "attention", *(family_of(o[stage]) for o in drawn if stage < len(o))}
        entries += [
            (f"stage {stage + 1}: {family}", "line-ew", family_colour(family, theme), family in families)
            for family in FAMILIES
        ]
    return [
        go.Scatter(
            x=[None],
            y=[None],
            mode="markers",
            marker={"symbol": symbol, "color": hue, "size": 9, "line": {"color": hue, "width": 3 * ("-" in symbol)}},
            name=label,
            hoverinfo="skip",
            showlegend=shown,
        )
        for label, symbol, hue, shown in entries
    ]


FRONT = Chart("front", "Pareto front", "search", read_front, front_figure)
