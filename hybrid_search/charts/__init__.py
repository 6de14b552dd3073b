"""Charts of a search: numbers read from the ledger, and figures of them in a light and a dark theme.

plotly is imported only when a figure is drawn.
"""

from hybrid_search.charts.axes import default_axes
from hybrid_search.charts.chart import Chart
from hybrid_search.charts.cost_by_stage import cost_by_stage_figure
from hybrid_search.charts.curve import curve_figure, curve_numbers
from hybrid_search.charts.design import Design, design_numbers, differences
from hybrid_search.charts.diagram import diagram_svg
from hybrid_search.charts.effects_figure import EffectNumbers, effect_numbers, effects_figure
from hybrid_search.charts.front import front_numbers
from hybrid_search.charts.front_figure import front_figure
from hybrid_search.charts.hypervolume import hypervolume_figure, hypervolume_numbers
from hybrid_search.charts.replay_curves import SeedBand, band_numbers, bands_figure
from hybrid_search.charts.svg import curve_svg, effects_svg, front_svg, hypervolume_svg, trainings_svg
from hybrid_search.charts.table import CHARTS, SearchHandle, draw_chart
from hybrid_search.charts.theme import DARK, FIGURE_CONFIG, LIGHT, THEMES, Theme

__all__ = [
    "CHARTS",
    "DARK",
    "FIGURE_CONFIG",
    "LIGHT",
    "THEMES",
    "Chart",
    "Design",
    "EffectNumbers",
    "SearchHandle",
    "SeedBand",
    "Theme",
    "band_numbers",
    "bands_figure",
    "cost_by_stage_figure",
    "curve_figure",
    "curve_numbers",
    "curve_svg",
    "default_axes",
    "design_numbers",
    "diagram_svg",
    "differences",
    "draw_chart",
    "effect_numbers",
    "effects_figure",
    "effects_svg",
    "front_figure",
    "front_numbers",
    "front_svg",
    "hypervolume_figure",
    "hypervolume_numbers",
    "hypervolume_svg",
    "trainings_svg",
]
