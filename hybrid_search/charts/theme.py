"""The two looks of every chart, light and dark: ink, grid and a palette that colour-blind readers can tell apart.

The hues are Okabe and Ito's (2008), darkened on white and lightened on black until text in them passes AA.
"""

from dataclasses import dataclass
from typing import Any

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif'


@dataclass(frozen=True)
class Theme:
    """The colours of one look; `series` tells trials apart that are compared."""

    name: str
    surface: str
    ink: str
    muted: str
    grid: str
    conv: str
    hybrid: str
    attention: str
    neutral: str
    series: tuple[str, str]
    scale: str
    categories: tuple[str, ...]


LIGHT = Theme(
    name="light",
    surface="#ffffff",
    ink="#18212b",
    muted="#566271",
    grid="#e7eaee",
    conv="#0069a8",
    hybrid="#007355",
    attention="#b84a00",
    neutral="#8a94a0",
    series=("#18212b", "#8f3f86"),
    scale="Cividis",
    categories=("#0069a8", "#b84a00", "#007355", "#8f3f86", "#7a6200", "#566271"),
)
DARK = Theme(
    name="dark",
    surface="#161c24",
    ink="#e4e9ef",
    muted="#9ba8b6",
    grid="#26303b",
    conv="#5ab4ec",
    hybrid="#35c79b",
    attention="#f2944e",
    neutral="#6f7c8a",
    series=("#f4f7fa", "#dc9ad3"),
    scale="Cividis",
    categories=("#5ab4ec", "#f2944e", "#35c79b", "#dc9ad3", "#e2cf5a", "#9ba8b6"),
)
THEMES: dict[str, Theme] = {theme.name: theme for theme in (LIGHT, DARK)}


def axis(theme: Theme, title: str, **more: Any) -> dict[str, Any]:
    """One axis of a chart: a title with its unit, a quiet grid, no line through zero."""
    return {
        "title": {"text": title, "font": {"size": 12, "color": theme.muted}, "standoff": 8},
        "gridcolor": theme.grid,
        "linecolor": theme.grid,
        "tickfont": {"size": 11, "color": theme.muted},
        "zeroline": False,
        "automargin": True,
        **more,
    }


def nothing_yet(text: str, theme: Theme) -> dict[str, Any]:
    """What a chart without numbers shows: words in place of axes that would mean nothing."""
    words = {"text": text, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    bare = {"showgrid": False, "showticklabels": False}
    return {"annotations": [{**words, "font": {"size": 13, "color": theme.muted}}], "xaxis": bare, "yaxis": bare}


def layout(theme: Theme, **more: Any) -> dict[str, Any]:
    """The layout that all charts share; without a title, because the page or report sets it as a heading."""
    return {
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
