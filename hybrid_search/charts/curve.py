"""The chart of the learning curves of one or two trials: one measurement after every epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from hybrid_search.charts.axes import AXES, labelled, objectives_of
from hybrid_search.charts.chart import Chart
from hybrid_search.charts.theme import Theme, empty_layout, figure_axis, figure_layout
from hybrid_search.ledger import Ledger, reads
from hybrid_search.objectives import TESTED, Objective
from hybrid_search.records import SearchRecord

if TYPE_CHECKING:
    import plotly.graph_objects as go

Rungs = Sequence[tuple[int, Mapping[str, float]]]
PREFERRED = ("accuracy", "loss")


@dataclass(frozen=True)
class CurveNumbers:
    """One measurement of each trial, by number, as (epochs, values); only finite values."""

    objective: Objective
    curves: Mapping[int, tuple[tuple[int, ...], tuple[float, ...]]]

    @property
    def measurement(self) -> str:
        """The name of the measurement."""
        return self.objective.name


def curve_numbers(
    rungs: Mapping[int, Rungs],
    measurement: str | None = None,
    *,
    objectives: Mapping[str, Objective] = AXES,
) -> CurveNumbers:
    """Return the curves of one measurement.

    Args:
        rungs: (epoch, measurements) after each epoch, by trial.
        measurement: its name; default: accuracy, otherwise loss, otherwise the first objective that was reported,
            otherwise the first name in the alphabet.
        objectives: every objective by name, for label and unit. A measurement that is no objective has its name as
            label.
    """
    names = dict.fromkeys(name for curve in rungs.values() for _, values in curve for name in values)
    likely = [name for name in (*PREFERRED, *objectives) if name in names] or sorted(names)
    chosen = measurement or (likely[0] if likely else "accuracy")
    curves = {}
    for number, curve in rungs.items():
        pairs = [(rung, values[chosen]) for rung, values in curve if math.isfinite(values.get(chosen, math.nan))]
        curves[number] = (tuple(rung for rung, _ in pairs), tuple(value for _, value in pairs))
    return CurveNumbers(objectives.get(chosen, Objective(chosen, "maximize", chosen, "", False)), curves)


def read_curves(ledger: Ledger, search: SearchRecord, trials: tuple[int, ...]) -> CurveNumbers:
    """Read the learning curves of some trials from a ledger."""
    rungs = {trial.number: ledger.read(reads.curve, trial.id) for trial in ledger.read(reads.trials, search.id, trials)}
    shown = {n: rungs[n] for n in trials if n in rungs}
    own = [name for name in search.objectives if name in TESTED]
    reported = own and any(own[0] in values for curve in shown.values() for _, values in curve)
    return curve_numbers(shown, own[0] if reported else None, objectives=objectives_of(search))


def curve_figure(numbers: CurveNumbers, theme: Theme) -> "go.Figure":
    """Draw one line a trial. The second line has another colour, another dash and other markers.

    Args:
        numbers: the curves of one or two trials.
        theme: the look.

    Returns:
        A plotly figure.
    """
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
                    f"trial {number}, epoch {e}: <b>{escape(objective.text(v))}</b>"
                    for e, v in zip(epochs, values, strict=True)
                ],
                hoverinfo="text",
            )
        )
    figure = go.Figure(traces)
    longest = max((max(epochs, default=0) for epochs, _ in numbers.curves.values()), default=0)
    share = {"tickformat": "~%"} if objective.unit == "share" else {}
    figure.update_layout(
        **figure_layout(theme, showlegend=len(traces) > 1, hovermode="closest"),
        xaxis=figure_axis(theme, "epoch", rangemode="tozero", **({"dtick": 1} if longest <= 12 else {})),
        yaxis=figure_axis(theme, labelled(objective), **share),
    )
    if not longest:
        figure.update_layout(**empty_layout("No epoch has been reported.", theme))
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"})
    return figure


CURVE = Chart("curve", "Learning curve", "trials", read_curves, curve_figure)
