"""Static pictures of charts as SVG: without plotly, without scripts and without references to anything outside.

A picture has the colours of a `Theme`. They may be CSS variables, so that one picture has the look of its page.
"""

from hybrid_search.charts.svg.effects_picture import effects_svg
from hybrid_search.charts.svg.front_picture import front_svg
from hybrid_search.charts.svg.lines_picture import Line, curve_svg, hypervolume_svg, lines_svg, trainings_svg

__all__ = ["Line", "curve_svg", "effects_svg", "front_svg", "hypervolume_svg", "lines_svg", "trainings_svg"]
