"""The light and the dark look of every chart, in colours that colour-blind readers can tell apart.

The hues are Okabe and Ito's (2008), darkened on white and lightened on black until text in them passes WCAG AA.
"""

from dataclasses import dataclass
from typing import Any

__all__ = [
    "DARK",
    "FIGURE_CONFIG",
    "LIGHT",
    "THEMES",
    "Theme",
    "empty_layout",
    "figure_axis",
    "figure_layout",
]

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif'

# The configuration of every figure in a browser: no button leads to another host.
FIGURE_CONFIG: dict[str, Any] = {"displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}


@dataclass(frozen=True)
class Theme:
    """The colours of one look, as CSS text.

    Attributes:
        name: "light" or "dark".
        surface: background of a chart.
        ink: text.
        muted: text of less weight.
        grid: lines of the grid.
        convolution: the family of operators `convolution`.
        hybrid: networks of both families.
        attention: the family of operators `attention`.
        other: the family of operators `other`.
        neutral: what belongs to no family.
        series: two compared trials.
        scale: name of plotly's colour scale for numbers.
        categories: any number of lines.
        pale: opacity of dominated trials, below and above 2,000 trials.
    """

    name: str
    surface: str
    ink: str
    muted: str
    grid: str
    convolution: str
    hybrid: str
    attention: str
    other: str
    neutral: str
    series: tuple[str, str]
    scale: str
    categories: tuple[str, ...]
    pale: tuple[float, float]


LIGHT = Theme(
    name="light",
    surface="#ffffff",
    ink="#18212b",
    muted="#566271",
    grid="#e7eaee",
    convolution="#0069a8",
    hybrid="#007355",
    attention="#b84a00",
    other="#65597a",
    neutral="#8a94a0",
    series=("#18212b", "#8f3f86"),
    scale="Cividis",
    categories=("#0069a8", "#b84a00", "#007355", "#8f3f86", "#7a6200", "#566271"),
    pale=(0.4, 0.16),
)
DARK = Theme(
    name="dark",
    surface="#161c24",
    ink="#e4e9ef",
    muted="#9ba8b6",
    grid="#26303b",
    convolution="#5ab4ec",
    hybrid="#35c79b",
    attention="#f2944e",
    other="#aaa0c4",
    neutral="#6f7c8a",
    series=("#f4f7fa", "#dc9ad3"),
    scale="Cividis",
    categories=("#5ab4ec", "#f2944e", "#35c79b", "#dc9ad3", "#e2cf5a", "#9ba8b6"),
    pale=(0.55, 0.3),
)
THEMES: dict[str, Theme] = {theme.name: theme for theme in (LIGHT, DARK)}


def figure_axis(theme: Theme, title: str, **more: Any) -> dict[str, Any]:
    """Return the plotly axis that all charts share: a title with its unit, a pale grid, no line through zero.

    Args:
        theme: the look.
        title: title of the axis, as markup.
        more: other properties of a plotly axis.
    """
    return {
        "title": {"text": title, "font": {"size": 12, "color": theme.muted}, "standoff": 8},
        "gridcolor": theme.grid,
        "linecolor": theme.grid,
        "tickfont": {"size": 11, "color": theme.muted},
        "zeroline": False,
        "automargin": True,
        **more,
    }


def empty_layout(text: str, theme: Theme) -> dict[str, Any]:
    """Return the layout of a chart without numbers: this text, and no axes.

    Args:
        text: why there is nothing to draw, as markup.
        theme: the look.
    """
    words = {"text": text, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    bare = {"showgrid": False, "showticklabels": False, "title": {"text": ""}}
    return {"annotations": [{**words, "font": {"size": 13, "color": theme.muted}}], "xaxis": bare, "yaxis": bare}


def figure_layout(theme: Theme, **more: Any) -> dict[str, Any]:
    """Return the plotly layout that all charts share. It has no title, because the page shows one as a heading.

    Args:
        theme: the look.
        more: other properties of a plotly layout.
    """
    return {
        "colorway": list(theme.categories),
        "paper_bgcolor": theme.surface,
        "plot_bgcolor": theme.surface,
        "font": {"family": FONT, "size": 12, "color": theme.ink},
        "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
        "hoverlabel": {
            "bgcolor": theme.surface,
            "bordercolor": theme.muted,
            "font": {"family": FONT, "size": 12, "color": theme.ink},
            "align": "left",
        },
        "legend": {"font": {"size": 11, "color": theme.muted}, "bgcolor": "rgba(0,0,0,0)"},
        **more,
    }
