"""Where an architecture spends its FLOPs and its parameters, part by part."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hybrid_search.charts.design import Design
from hybrid_search.charts.theme import Theme, axis, layout
from hybrid_search.objectives import scaled

if TYPE_CHECKING:
    import plotly.graph_objects as go


def cost_by_stage_figure(designs: Mapping[int, Design], theme: Theme) -> "go.Figure":
    """Bars of FLOPs on the left and of parameters on the right, one row a part, for one or two designs by trial.

    Colour and hatching tell convolution from attention; the second design is outlined.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    looks = {"conv": (theme.conv, ""), "attention": (theme.attention, "/")}
    for i, (number, design) in enumerate(designs.items()):
        for kind in dict.fromkeys(part.kind for part in design.parts):
            parts = [part for part in design.parts if part.kind == kind]
            hue, hatch = looks.get(kind, (theme.neutral, ""))
            for col, what, unit in ((1, "flops", "FLOPs"), (2, "params", "parameters")):
                counts = [getattr(part, what) for part in parts]
                figure.add_trace(
                    go.Bar(
                        x=counts,
                        y=[part.name for part in parts],
                        orientation="h",
                        offsetgroup=str(i),
                        marker={
                            "color": hue,
                            "opacity": 0.55 if i else 1.0,
                            "line": {"color": theme.series[1], "width": 2 * i},
                            "pattern": {"shape": hatch, "fgcolor": theme.surface, "size": 6, "solidity": 0.25},
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
    longest = max(designs.values(), key=lambda design: len(design.parts), default=None)
    names = [part.name for part in longest.parts] if longest else []
    figure.update_layout(**layout(theme, bargap=0.3, barmode="group"))
    figure.update_xaxes(**axis(theme, "FLOPs of one image", tickformat="~s", nticks=5), row=1, col=1)
    figure.update_xaxes(**axis(theme, "parameters", tickformat="~s", nticks=5), row=1, col=2)
    figure.update_yaxes(**axis(theme, "", autorange="reversed", categoryorder="array", categoryarray=names))
    return figure
