"""Where attention helps as SVG: each difference with its interval, the words of a row above it."""

from collections.abc import Sequence

from hybrid_search.charts.effects_figure import EffectNumbers, EffectRow, model_of, pairs_of, row_colour
from hybrid_search.charts.svg.elements import label, line, mark, named, picture
from hybrid_search.charts.svg.frame import LEGEND_LINE, LegendEntry, drawn_legend, empty_picture_text, legend_rows
from hybrid_search.charts.svg.scales import Scale, fitted, tick_texts
from hybrid_search.charts.theme import Theme
from hybrid_search.objectives import Objective

ROW = 46  # pixels
PAIRS, MODEL = "matched pairs, 95 % interval", "model at equal FLOPs"
PLAIN = Objective("difference", "maximize")


def effects_svg(numbers: EffectNumbers, theme: Theme, *, width: float = 760) -> str:
    """Draw the effects as SVG text: matched pairs filled, the model at equal FLOPs hollow below them.

    Args:
        numbers: the rows.
        theme: the look. Colour shows the family of the later choice of a pair of operators.
        width: width of the picture in pixels.

    Returns:
        The text of an SVG element.
    """
    if not numbers.rows:
        height, drawn = empty_picture_text(numbers.empty, theme, width)
        return picture(width, height, numbers.empty, theme, drawn)
    share = numbers.objective.unit == "share"
    factor, unit = (100.0, "points") if share else (1.0, numbers.objective.unit.strip())
    values = [(pairs_of(row), model_of(row)) for row in numbers.rows]
    reach = [0.0]
    for each in (value for both in values for value in both if value is not None):
        reach += [factor * each[0]] + ([factor * each[1], factor * each[2]] if each[1] is not None else [])
    rows = legend_rows(
        [LegendEntry(PAIRS, theme.muted, "diamond"), LegendEntry(MODEL, theme.muted, "circle", hollow=True)], width
    )
    top = 12 + LEGEND_LINE * len(rows)
    bottom = top + ROW * len(numbers.rows) + 8
    scale = fitted(reach, 24, width - 24)
    ticks = scale.ticks(max(3, int(width / 90)))
    drawn = drawn_legend(rows, theme)
    for tick, text in zip(ticks, tick_texts(ticks, PLAIN), strict=True):
        drawn.append(line(scale.at(tick), top, scale.at(tick), bottom, theme.grid))
        drawn.append(label(scale.at(tick), bottom + 16, text, theme.muted, anchor="middle", size=11))
    drawn.append(line(scale.at(0.0), top, scale.at(0.0), bottom, theme.muted, 1.2))
    for number, (row, (pairs, model)) in enumerate(zip(numbers.rows, values, strict=True)):
        drawn += _row(row, pairs, model, top + ROW * number, scale, factor, unit, theme)
    better = "right" if numbers.objective.direction == "maximize" else "left"
    title = f"difference in {numbers.objective.label}{f' ({unit})' if unit else ''}"
    drawn.append(label(width / 2, bottom + 36, title, theme.muted, anchor="middle"))
    drawn.append(
        label(width / 2, bottom + 53, f"{better} of the line, the first one is better", theme.muted, anchor="middle")
    )
    words = f"{title}: {'; '.join(row.label for row in numbers.rows)}"
    return picture(width, bottom + 66, words, theme, drawn)


def _row(
    row: EffectRow,
    pairs: tuple[float, float | None, float] | None,
    model: tuple[float, float | None, float] | None,
    top: float,
    scale: Scale,
    factor: float,
    unit: str,
    theme: Theme,
) -> list[str]:
    """Return the elements of one row."""
    hue = row_colour(row, theme)
    count = row.comparison.pairs
    words = f" ({count:,} {'pair' if count == 1 else 'pairs'}{', decided' if row.comparison.decided else ''})"
    drawn = [label(8, top + 17, row.label + words, theme.ink, bold=row.comparison.decided, halo=theme.surface)]
    for value, y, symbol in ((pairs, top + 28, "diamond"), (model, top + 38, "circle")):
        if value is not None:
            drawn.append(_point(value, y, symbol, hue, scale, factor, unit, theme))
    return drawn


def _point(
    value: Sequence[float | None], y: float, symbol: str, hue: str, scale: Scale, factor: float, unit: str, theme: Theme
) -> str:
    middle, low, high = value
    assert middle is not None
    half, drawn = "", ""
    if low is not None and high is not None:
        drawn = line(scale.at(factor * low), y, scale.at(factor * high), y, hue, 1.6)
        half = f" ± {factor * (high - low) / 2:.2f}"
    filled = f'fill="{hue}"' if symbol == "diamond" else f'fill="{theme.surface}" stroke="{hue}" stroke-width="1.6"'
    drawn += f'<path d="{mark(symbol, scale.at(factor * middle), y, 4.2)}" {filled}/>'
    return named(f"{PAIRS if symbol == 'diamond' else MODEL}: {factor * middle:+.2f}{half} {unit}", drawn)
