"""The frame of an SVG picture: the area of the plot, its two axes, the grid, titles and a legend."""

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_search.charts.svg.elements import label, line, mark, plain, text_width
from hybrid_search.charts.svg.scales import Scale, fitted, tick_texts
from hybrid_search.charts.theme import Theme
from hybrid_search.objectives import Objective

LEGEND_LINE = 20


@dataclass(frozen=True)
class LegendEntry:
    """An entry of a legend: a marker, or a line of some dashes."""

    text: str
    hue: str
    symbol: str = ""
    dash: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class Frame:
    """The area of a plot within a picture.

    Attributes:
        x, y: its scales.
        width, height: the size of the whole picture.
        drawn: axes, grid, titles and legend.
    """

    x: Scale
    y: Scale
    width: float
    height: float
    drawn: tuple[str, ...]


def framed(
    x: Objective,
    y: Objective,
    xs: Sequence[float],
    ys: Sequence[float],
    titles: tuple[str, str],
    legend: Sequence[LegendEntry],
    theme: Theme,
    width: float,
    *,
    log: bool = True,
) -> Frame:
    """Return the frame of a plot of points.

    Args:
        x, y: what the axes show.
        xs, ys: every value that the plot must hold.
        titles: those of the two axes. The title of the vertical one stands above it, so that it is read easily.
        legend: the entries above the plot.
        theme: the look.
        width: width of the picture in pixels.
        log: whether costs are logarithmic.
    """
    rows = legend_rows(legend, width - 16)
    top = 14 + LEGEND_LINE * len(rows) + 20
    height = top + max(230.0, min(330.0, 0.56 * width)) + 46
    bottom = height - 46
    bounds = [x.range, y.range]
    up = fitted(ys, bottom, top, log=log and y.logarithmic, least=bounds[1][0], most=bounds[1][1])
    texts = tick_texts(up.ticks(), y)
    left = 14 + max((text_width(text, 11) for text in texts), default=0.0)
    across = fitted(xs, left, width - 14, log=log and x.logarithmic, least=bounds[0][0], most=bounds[0][1])
    drawn = [*drawn_legend(rows, theme), label(8, top - 9, titles[1], theme.muted)]
    for tick, text in zip(up.ticks(), texts, strict=True):
        drawn.append(line(left, up.at(tick), width - 14, up.at(tick), theme.grid))
        drawn.append(label(left - 6, up.at(tick) + 4, text, theme.muted, anchor="end", size=11))
    ticks = across.ticks(max(3, min(8, int((width - left) / 62))))
    for tick, text in zip(ticks, tick_texts(ticks, x), strict=True):
        drawn.append(line(across.at(tick), top, across.at(tick), bottom, theme.grid))
        drawn.append(label(across.at(tick), bottom + 16, text, theme.muted, anchor="middle", size=11))
    drawn.append(line(left, bottom, width - 14, bottom, theme.neutral))
    drawn.append(label((left + width - 14) / 2, height - 10, titles[0], theme.muted, anchor="middle"))
    return Frame(across, up, width, height, tuple(drawn))


def legend_rows(entries: Sequence[LegendEntry], width: float) -> list[list[LegendEntry]]:
    """Return the entries of a legend in rows of at most this width."""
    rows: list[list[LegendEntry]] = []
    left = width + 1
    for entry in entries:
        need = 30 + text_width(entry.text)
        if left + need > width:
            rows.append([])
            left = 0.0
        rows[-1].append(entry)
        left += need
    return rows


def drawn_legend(rows: Sequence[Sequence[LegendEntry]], theme: Theme) -> list[str]:
    """Return the elements of a legend at the top of a picture."""
    drawn = []
    for number, row in enumerate(rows):
        left, y = 8.0, 16.0 + LEGEND_LINE * number
        for entry in row:
            if entry.symbol:
                look = ink(entry.symbol, entry.hue, hollow=entry.hollow)
                drawn.append(f'<path d="{mark(entry.symbol, left + 7, y - 4, 5)}" {look}/>')
            else:
                drawn.append(line(left, y - 4, left + 16, y - 4, entry.hue, 2, entry.dash))
            drawn.append(label(left + 20, y, entry.text, theme.ink))
            left += 30 + text_width(entry.text)
    return drawn


def ink(symbol: str, hue: str, *, hollow: bool = False) -> str:
    """Return how a marker is filled: an x has lines only, a hollow one an outline."""
    return f'stroke="{hue}" stroke-width="1.8" fill="none"' if symbol == "x" or hollow else f'fill="{hue}"'


def empty_picture_text(text: str, theme: Theme, width: float) -> tuple[float, list[str]]:
    """Return the height and the elements of a picture that has nothing to draw but says why."""
    letters = max(20, int(width / 7))
    words, lines = text.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) + 1 > letters:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    height = 48 + 18 * len(lines)
    drawn = [label(width / 2, 34 + 18 * i, each, theme.muted, anchor="middle") for i, each in enumerate(lines)]
    return float(plain(height)), drawn
