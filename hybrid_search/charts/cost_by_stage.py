"""The FLOPs and the parameters of every part of one or two architectures, as bars."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hybrid_search.charts.chart import Chart
from hybrid_search.charts.design import Design, read_designs
from hybrid_search.charts.families import family_colour
from hybrid_search.charts.theme import Theme, empty_layout, figure_axis, figure_layout
from hybrid_search.objectives import scaled

if TYPE_CHECKING:
    import plotly.graph_objects as go

HATCHES = {"attention": "/", "other": "."}  # colour alone does not show the family


def cost_by_stage_figure(designs: Mapping[int, Design], theme: Theme) -> "go.Figure":
    """Draw bars of FLOPs on the left and of parameters on the right, one row a part.

    Args:
        designs: one or two designs by trial number. A design whose costs are unknown is left out. The bars of the
            second design are paler and outlined.
        theme: the look. Colour and hatching show the family of the operator.

    Returns:
        A plotly figure.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    known = {number: design for number, design in designs.items() if design.unreadable is None}
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    for i, (number, design) in enumerate(known.items()):
        for kind in dict.fromkeys(part.kind for part in design.parts):
            parts = [part for part in design.parts if part.kind == kind]
            for col, what, unit in ((1, "flops", "FLOPs"), (2, "params", "parameters")):
                counts = [getattr(part, what) for part in parts]
                figure.add_trace(
                    go.Bar(
                        x=counts,
                        y=[part.name for part in parts],
                        orientation="h",
                        offsetgroup=str(i),
                        marker={
                            "color": family_colour(kind, theme),
                            "opacity": 0.55 if i else 1.0,
                            "line": {"color": theme.series[1], "width": 2 * i},
                            "pattern": {
                                "shape": HATCHES.get(kind, ""),
                                "fgcolor": theme.surface,
                                "size": 6,
                                "solidity": 0.25,
                            },
                        },
                        hovertext=[
                            f"trial {number}, {part.name}: <b>{scaled(count)}{unit}</b>"
                            for part, count in zip(parts, counts, strict=True)
                        ],
                        hoverinfo="text",
                        showlegend=False,
                        name=f"trial {number}",
                    ),
                    row=1,
                    col=col,
                )
        figure.add_trace(_legend_entry(number, i, theme), row=1, col=1)
    longest = max(known.values(), key=lambda design: len(design.parts), default=None)
    names = [part.name for part in longest.parts] if longest else []
    figure.update_layout(**figure_layout(theme, bargap=0.3, barmode="group", showlegend=len(designs) > 1))
    figure.update_xaxes(**figure_axis(theme, "FLOPs of one image", tickformat="~s", nticks=5), row=1, col=1)
    figure.update_xaxes(**figure_axis(theme, "parameters", tickformat="~s", nticks=5), row=1, col=2)
    figure.update_yaxes(**figure_axis(theme, "", autorange="reversed", categoryorder="array", categoryarray=names))
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"})
    if not known:
        bare = empty_layout("The costs of this architecture are unknown here.", theme)
        figure.update_layout(**bare, xaxis2=bare["xaxis"], yaxis2=bare["yaxis"])
    return figure


def _legend_entry(number: int, index: int, theme: Theme) -> "go.Bar":
    """Return an empty bar that shows in the legend how the bars of one trial look."""
    import plotly.graph_objects as go

    look = {"color": theme.muted, "opacity": 0.55 if index else 1.0}
    line = {"color": theme.series[1], "width": 2 * index}
    return go.Bar(x=[None], y=[None], orientation="h", marker={**look, "line": line}, name=f"trial {number}")


COST_BY_STAGE = Chart("cost_by_stage", "Cost by stage", "trials", read_designs, cost_by_stage_figure)
