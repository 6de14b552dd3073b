"""The chart of the full trainings of a search: validation accuracy after every epoch, and the test accuracy."""

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from hybrid_search.charts.chart import Chart
from hybrid_search.charts.theme import Theme, empty_layout, figure_axis, figure_layout
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.trainings import trainings
from hybrid_search.records import SearchRecord

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_CURVES = 6  # the newest trainings; as many as a theme has colours
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class TrainingCurve:
    """One full training.

    Attributes:
        number: its number in the database.
        design: the design in words: `trial 3`.
        recipe: name of the recipe.
        epochs: the epochs with a validation accuracy.
        accuracies: validation accuracy after each of them, 0..1.
        test_accuracy: accuracy on the test split, 0..1; None if it failed.
        older: number of trainings before the first one that is drawn.
    """

    number: int
    design: str
    recipe: str
    epochs: tuple[int, ...]
    accuracies: tuple[float, ...]
    test_accuracy: float | None
    older: int = 0

    @property
    def label(self) -> str:
        """The training in plain text: `training 2: trial 3, test 98.61 %`."""
        test = "failed" if self.test_accuracy is None else f"test {100 * self.test_accuracy:.2f} %"
        return f"training {self.number}: {self.design}, {test}"


def read_trainings(ledger: Ledger, search: SearchRecord, trials: tuple[int, ...]) -> tuple[TrainingCurve, ...]:
    """Return the newest full trainings of a search, oldest first.

    Args:
        ledger: the ledger.
        search: the search.
        trials: not used.
    """
    found = []
    every = ledger.read(trainings, search.id)
    older = max(0, len(every) - MOST_CURVES)
    for each in every[older:]:
        points = [
            (int(row["epoch"]), row["accuracy"]) for row in each.curve if math.isfinite(row.get("accuracy", math.nan))
        ]
        epochs, accuracies = tuple(epoch for epoch, _ in points), tuple(value for _, value in points)
        test = each.measurements.get("test_accuracy")
        found.append(TrainingCurve(each.number, each.design, each.recipe, epochs, accuracies, test, older))
    return tuple(found)


def trainings_figure(curves: tuple[TrainingCurve, ...], theme: Theme) -> "go.Figure":
    """Draw one line a training. Dashes and colours tell them apart.

    Args:
        curves: the trainings.
        theme: the look.

    Returns:
        A plotly figure.
    """
    import plotly.graph_objects as go

    figure = go.Figure(
        [
            go.Scatter(
                x=list(each.epochs),
                y=list(each.accuracies),
                mode="lines+markers" if len(each.epochs) <= 60 else "lines",
                line={
                    "color": theme.categories[i % len(theme.categories)],
                    "dash": DASHES[i % len(DASHES)],
                    "width": 2,
                },
                marker={"size": 4},
                name=escape(each.label),
                hovertext=[
                    f"{escape(each.label)}<br>recipe {escape(each.recipe)}, epoch {epoch}: <b>{100 * value:.2f} %</b>"
                    for epoch, value in zip(each.epochs, each.accuracies, strict=True)
                ],
                hoverinfo="text",
            )
            for i, each in enumerate(curves)
        ]
    )
    figure.update_layout(
        **figure_layout(theme, showlegend=True, hovermode="closest", margin={"l": 56, "r": 16, "t": 32, "b": 48}),
        xaxis=figure_axis(theme, _epoch_title(curves), rangemode="tozero"),
        yaxis=figure_axis(theme, "validation accuracy", tickformat="~%"),
    )
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"})
    if not curves:
        text = "No completed trial was trained in full. To do so: hybrid-search train, with --pick knee."
        figure.update_layout(**empty_layout(text, theme))
    return figure


def _epoch_title(curves: tuple[TrainingCurve, ...]) -> str:
    """Return the title of the x axis; it says how many older trainings are not drawn."""
    older = curves[0].older if curves else 0
    return f"epoch; {older} older {'training is' if older == 1 else 'trainings are'} not drawn" if older else "epoch"


TRAININGS = Chart("trainings", "Full trainings", "search", read_trainings, trainings_figure)
