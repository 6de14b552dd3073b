"""Learning curves of one or two trials: one measurement after every epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_search.charts.theme import Theme, axis, layout, nothing_yet
from hybrid_search.objectives import OBJECTIVES, Objective

if TYPE_CHECKING:
    import plotly.graph_objects as go

Rungs = Sequence[tuple[int, Mapping[str, float]]]
PREFERRED = ("accuracy", "loss")


@dataclass(frozen=True)
class CurveNumbers:
    """The same measurement of each trial by number: (epochs, values), finite ones only."""

    measurement: str
    curves: Mapping[int, tuple[tuple[int, ...], tuple[float, ...]]]

    @property
    def objective(self) -> Objective:
        """How the measurement is labelled; a name that no objective has is its own label."""
        return OBJECTIVES.usable().get(
            self.measurement, Objective(self.measurement, "maximize", self.measurement, "", False)
        )


def curve_numbers(rungs: Mapping[int, Rungs], measurement: str | None = None) -> CurveNumbers:
    """Rungs by trial number -> curves of one measurement: the one asked for, else accuracy, else loss, else any."""
    names = dict.fromkeys(name for curve in rungs.values() for _, values in curve for name in values)
    known = [name for name in PREFERRED if name in names] or sorted(names)
    chosen = measurement or (known[0] if known else "accuracy")
    curves = {}
    for number, curve in rungs.items():
        pairs = [(rung, values[chosen]) for rung, values in curve if math.isfinite(values.get(chosen, math.nan))]
        curves[number] = (tuple(rung for rung, _ in pairs), tuple(value for _, value in pairs))
    return CurveNumbers(chosen, curves)


def curve_figure(numbers: CurveNumbers, theme: Theme) -> "go.Figure":
    """One line a trial; the second is dashed and has other markers, so that colour is not all that tells them apart."""
    import plotly.graph_objects as go

    looks = (("solid", "circle"), ("dash", "diamond"))
    objective = numbers.objective
    traces = []
    for i, (number, (epochs, values)) in enumerate(numbers.curves.items()):
        dash, symbol = looks[i % 2]
        hue = theme.series[i % 2]
        traces.append(
            go.Scatter(
                x=list(epochs),
                y=list(values),
                mode="lines+markers",
                line={"color": hue, "dash": dash, "width": 2},
                marker={"symbol": symbol, "size": 6},
                name=f"trial {number}",
                hovertext=[
                    f"trial {number}, epoch {e}: <b>{objective.text(v)}</b>"
                    for e, v in zip(epochs, values, strict=True)
                ],
                hoverinfo="text",
            )
        )
    figure = go.Figure(traces)
    longest = max((max(epochs, default=0) for epochs, _ in numbers.curves.values()), default=0)
    share = {"tickformat": "~%"} if objective.unit == "share" else {}
    unit = f" [{'%' if objective.unit == 'share' else objective.unit}]" if objective.unit else ""
    figure.update_layout(
        **layout(theme, showlegend=len(traces) > 1, hovermode="closest"),
        xaxis=axis(theme, "epoch", rangemode="tozero", **({"dtick": 1} if longest <= 12 else {})),
        yaxis=axis(theme, f"{objective.label}{unit}", **share),
    )
    if not longest:
        figure.update_layout(**nothing_yet("No epoch was reported.", theme))
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"})
    return figure
