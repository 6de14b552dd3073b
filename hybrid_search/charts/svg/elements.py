"""The elements that every SVG picture is made of. Every text is escaped here."""

from collections.abc import Sequence
from html import escape

from hybrid_search._internal.visible_text import visible
from hybrid_search.charts.theme import FONT, Theme


def plain(value: float) -> str:
    """Return a coordinate with at most one digit after the point."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def picture(width: float, height: float, text: str, theme: Theme, drawn: Sequence[str]) -> str:
    """Return an SVG element.

    Args:
        width, height: its size in pixels.
        text: what it shows, for screen readers.
        theme: the look.
        drawn: the elements.
    """
    size = f'viewBox="0 0 {plain(width)} {plain(height)}" width="{plain(width)}" height="{plain(height)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{escape(FONT)}" font-size="12">'
        f"<title>{escape(visible(text))}</title>"
        f'<rect width="{plain(width)}" height="{plain(height)}" fill="{theme.surface}"/>{"".join(drawn)}</svg>'
    )


def label(
    x: float,
    y: float,
    text: str,
    hue: str,
    *,
    anchor: str = "start",
    size: int = 12,
    bold: bool = False,
    halo: str = "",
) -> str:
    """Return a line of text.

    Args:
        x, y: where its base line begins, is centred, or ends.
        text: the text, not escaped.
        hue: its colour.
        anchor: "start", "middle" or "end".
        size: height of the letters in pixels.
        bold: whether it is bold.
        halo: colour of an outline that covers what is below the letters; "": none.
    """
    look = f' text-anchor="{anchor}"' if anchor != "start" else ""
    look += f' font-size="{size}"' if size != 12 else ""
    look += ' font-weight="600"' if bold else ""
    look += f' paint-order="stroke" stroke="{halo}" stroke-width="3.5" stroke-linejoin="round"' if halo else ""
    return f'<text x="{plain(x)}" y="{plain(y)}" fill="{hue}"{look}>{escape(visible(text))}</text>'


def line(x1: float, y1: float, x2: float, y2: float, hue: str, width: float = 1.0, dash: str = "") -> str:
    """Return a straight line from one point to another."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    path = f"M{plain(x1)} {plain(y1)}L{plain(x2)} {plain(y2)}"
    return f'<path d="{path}" stroke="{hue}" stroke-width="{plain(width)}" fill="none"{dashes}/>'


def named(text: str, drawn: str) -> str:
    """Return elements that show a text while the pointer is on them.

    Args:
        text: the text, not escaped; it may have several lines.
        drawn: the elements.
    """
    shown = "\n".join(map(visible, text.split("\n")))
    return f"<g><title>{escape(shown)}</title>{drawn}</g>"


def text_width(text: str, size: int = 12) -> float:
    """Return about how many pixels a text takes."""
    return 0.56 * size * len(text)


def mark(symbol: str, x: float, y: float, r: float) -> str:
    """Return the path of a marker.

    Args:
        symbol: plotly's name of it: circle, square, diamond, triangle-up, star or x.
        x, y: its centre.
        r: about half its size.
    """
    here = f"M{plain(x)} {plain(y)}"
    if symbol == "circle":
        half = f"a{plain(r)} {plain(r)} 0 1 0"
        return f"M{plain(x - r)} {plain(y)}{half} {plain(2 * r)} 0{half} {plain(-2 * r)} 0z"
    if symbol == "square":
        side = plain(1.8 * r)
        return f"M{plain(x - 0.9 * r)} {plain(y - 0.9 * r)}h{side}v{side}h-{side}z"
    if symbol == "diamond":
        d = plain(1.25 * r)
        return f"M{plain(x)} {plain(y - 1.25 * r)}l{d} {d}l-{d} {d}l-{d} -{d}z"
    if symbol == "triangle-up":
        return f"M{plain(x)} {plain(y - 1.1 * r)}l{plain(1.1 * r)} {plain(1.9 * r)}h{plain(-2.2 * r)}z"
    if symbol == "star":
        points = [(0, -1.3), (0.35, -0.4), (1.25, -0.4), (0.55, 0.2), (0.8, 1.1)]
        points += [(0, 0.6), *((-a, b) for a, b in reversed(points[1:]))]
        corners = "L".join(f"{plain(x + a * r)} {plain(y + b * r)}" for a, b in points)
        return f"M{corners}z"
    arm, across = plain(0.9 * r), plain(1.8 * r)
    return f"{here}m-{arm} -{arm}l{across} {across}{here}m{arm} -{arm}l-{across} {across}"
