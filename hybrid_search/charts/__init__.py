"""The table of charts. Each goes records -> numbers -> picture: numbers are plain values that a test can hold, pictures
are plotly figures (or SVG text, for the diagram) in a light and a dark look. plotly is imported when one is drawn.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_search.analysis.confidence import read_standings
from hybrid_search.charts.bands import Band, band_numbers, bands_figure
from hybrid_search.charts.cost_by_stage import cost_by_stage_figure
from hybrid_search.charts.curve import curve_figure, curve_numbers
from hybrid_search.charts.design import Design, design_numbers, differences
from hybrid_search.charts.diagram import diagram
from hybrid_search.charts.front import default_axes, front_numbers
from hybrid_search.charts.front_figure import front_figure
from hybrid_search.charts.hypervolume import hypervolume_figure, hypervolume_numbers
from hybrid_search.charts.mixes import operators_of
from hybrid_search.charts.theme import DARK, LIGHT, THEMES, Theme
from hybrid_search.ledger import Ledger, reads
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.records import SearchRecord
from hybrid_search.spaces.budget import known_worst

__all__ = [
    "CHARTS",
    "DARK",
    "LIGHT",
    "THEMES",
    "Band",
    "Chart",
    "Design",
    "Theme",
    "band_numbers",
    "bands_figure",
    "cost_by_stage_figure",
    "curve_figure",
    "curve_numbers",
    "default_axes",
    "design_numbers",
    "diagram",
    "differences",
    "front_figure",
    "front_numbers",
    "hypervolume_figure",
    "hypervolume_numbers",
]


@dataclass(frozen=True)
class Chart:
    """One kind of picture. `read(ledger, search, trials)` gives its numbers, `draw(numbers, theme)` the picture: a
    plotly figure, or SVG text where `svg`. `of_trials` says whether it is about some trials or about the search."""

    name: str
    title: str
    of_trials: bool
    read: Callable[[Ledger, SearchRecord, tuple[int, ...]], Any]
    draw: Callable[[Any, Theme], Any]
    svg: bool = False


def _front(ledger: Ledger, search: SearchRecord, _trials: tuple[int, ...]) -> Any:
    points, _ = ledger.read(reads.points, search.id, list(OBJECTIVES))
    x, y = default_axes(search.objectives)
    operators = {number: operators_of(plain) for number, plain in ledger.read(reads.architectures, search.id).items()}
    values = {point.number: point.values for point in points if point.state == "complete"}
    known = read_standings(ledger, search, values)
    return front_numbers(points, search.objectives, x, y, operators=operators, standings=known)


def _hypervolume(ledger: Ledger, search: SearchRecord, _trials: tuple[int, ...]) -> Any:
    points, _ = ledger.read(reads.points, search.id, search.objectives)
    return hypervolume_numbers(points, search.objectives, known_worst(search))


def _curve(ledger: Ledger, search: SearchRecord, trials: tuple[int, ...]) -> Any:
    return curve_numbers(
        {number: ledger.read(reads.curve, ledger.read(reads.trial, search.id, number).id) for number in trials}
    )


def _designs(ledger: Ledger, search: SearchRecord, trials: tuple[int, ...]) -> Mapping[int, Design]:
    found = (ledger.read(reads.trial, search.id, number) for number in trials)
    return {trial.number: design_numbers(trial.architecture, search.input_size, search.classes) for trial in found}


def _diagram(designs: Mapping[int, Design], theme: Theme) -> str:
    return diagram(next(iter(designs.values())), theme)


CHARTS: dict[str, Chart] = {
    chart.name: chart
    for chart in (
        Chart("front", "Pareto front", False, _front, front_figure),
        Chart("hypervolume", "Hypervolume over trials", False, _hypervolume, hypervolume_figure),
        Chart("curve", "Learning curve", True, _curve, curve_figure),
        Chart("architecture", "Architecture", True, _designs, _diagram, svg=True),
        Chart("cost_by_stage", "Cost by stage", True, _designs, cost_by_stage_figure),
    )
}
