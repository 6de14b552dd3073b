"""A diagram of one architecture as SVG: one block for each stage, from the image to the classes.

Convolution is a square with a grid, attention a round block with rays, any other operator a cut block with dots. The
height of a block is the size of its map, its width the number of channels, the sheets behind it its depth. The picture
is an SVG without scripts and without outside references; every text in it is escaped.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from hybrid_search.charts.chart import Chart
from hybrid_search.charts.design import Design, differences, read_designs
from hybrid_search.charts.families import family_colour
from hybrid_search.charts.parts import NetworkPart
from hybrid_search.charts.svg.elements import picture
from hybrid_search.charts.theme import Theme
from hybrid_search.objectives import scaled
from hybrid_search.ops import FAMILIES

COLUMN, MIDDLE, LOW, HIGH = 150, 100, 44, 112  # column width; centre line; least and greatest block height
TEXT, LINE = 190, 16  # where the words below the blocks start, and their leading
LONGEST = 22  # characters that fit a column


@dataclass(frozen=True)
class Rectangle:
    """The place of one block in the picture."""

    left: float
    top: float
    width: float
    height: float


def diagram_svg(design: Design, theme: Theme, marks: frozenset[int] = frozenset()) -> str:
    """Draw a design as SVG text.

    Args:
        design: the architecture.
        theme: the look.
        marks: the positions of parts to outline, because another design differs there (`differences`).

    Returns:
        The text of an SVG element.
    """
    width, height, drawn = _drawing(design, theme, marks)
    return picture(width, height, design.text, theme, [drawn])


def _drawing(design: Design, theme: Theme, marks: frozenset[int]) -> tuple[int, int, str]:
    """Return the width, the height and the elements of the picture of one design."""
    lines = max(len(_words(part)) for part in design.parts)
    bars = TEXT + lines * LINE + 4
    width, height = COLUMN * (len(design.parts) + 1) - 44, bars + (4 if design.unreadable else 52)
    drawn = [_image(design, theme)]
    boxes = [_box(part, column, design) for column, part in enumerate(design.parts, start=1)]
    right = 74.0
    for position, (part, box) in enumerate(zip(design.parts, boxes, strict=True)):
        drawn.append(_arrow(right, box.left, theme))
        drawn.append(_block(part, box, theme))
        drawn.append(_caption(part, box, theme))
        if not design.unreadable:
            drawn.append(_cost_bars(part, box, theme, bars))
        if position in marks and part.kind != "head":
            drawn.append(_ring(box, theme))
        right = box.left + box.width + _sheets(part) * 4
    return width, height, "".join(drawn)


def diagrams_svg(designs: Mapping[int, Design], theme: Theme) -> str:
    """Draw the designs of one or two trials below each other; where two differ, their parts are outlined."""
    pair = tuple(designs.values())
    marks = differences(pair[0], pair[1]) if len(pair) == 2 else frozenset[int]()
    drawings = [(number, *_drawing(design, theme, marks)) for number, design in designs.items()]
    drawn, top = [], 0
    for number, _, height, elements in drawings:
        drawn.append(f'<g transform="translate(0 {top})">{_label(43, 20, f"trial {number}", theme.ink, bold=True)}')
        drawn.append(f"{elements}</g>")
        top += height + 16
    if not drawings:
        drawn.append(_label(120, 28, "No trial is selected.", theme.muted))
    texts = "; ".join(f"trial {number}: {design.text}" for number, design in designs.items())
    return picture(max((d[1] for d in drawings), default=240), top or 48, texts, theme, drawn)


def _box(part: NetworkPart, column: int, design: Design) -> Rectangle:
    largest = max(design.input_size[1:])
    share = math.log2(1 + max(part.rows, part.cols)) / math.log2(1 + largest)
    height = LOW + (HIGH - LOW) * min(1.0, share)
    if part.kind == "head":
        width = 34.0
    else:
        widest = max(p.channels for p in design.parts[:-1])
        width = 44 + 44 * math.log2(1 + part.channels) / math.log2(1 + widest)
    centre = COLUMN * column + 8
    return Rectangle(centre - width / 2, MIDDLE - height / 2, width, height)


def _sheets(part: NetworkPart) -> int:
    return min(part.depth - 1, 4)


def _image(design: Design, theme: Theme) -> str:
    channels, rows, cols = design.input_size
    ratio = min(1.0, rows / cols), min(1.0, cols / rows)
    height, width = 62 * ratio[0], 62 * ratio[1]
    top, left = MIDDLE - height / 2, 43 - width / 2
    words = _label(43, TEXT, "image", theme.ink, bold=True) + _label(43, TEXT + LINE, f"{rows} x {cols}", theme.muted)
    words += _label(43, TEXT + 2 * LINE, f"{channels} channel{'s' * (channels > 1)}", theme.muted)
    frame = f'<rect x="{left}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'{frame} fill="none" stroke="{theme.muted}" stroke-dasharray="3 3"/>{words}'


def _block(part: NetworkPart, box: Rectangle, theme: Theme) -> str:
    hue = family_colour(part.kind, theme)
    drawn = [_sheet(part, box, sheet, hue, theme) for sheet in range(_sheets(part), -1, -1)]
    row, col = box.top + box.height / 2, box.left + box.width / 2
    glyph = {"convolution": _grid, "attention": _rays, "other": _dots}.get(part.kind)
    if glyph:
        drawn.append(glyph(col, row, theme.surface))
    return "".join(drawn)


def _sheet(part: NetworkPart, box: Rectangle, sheet: int, hue: str, theme: Theme) -> str:
    """Draw one of the sheets of a stage; sheet 0 is in front."""
    x, y, width, height = box.left + 4 * sheet, box.top - 4 * sheet, box.width, box.height
    look = f'fill="{hue}" fill-opacity="{1.0 if not sheet else 0.35}" stroke="{theme.surface}" stroke-width="1.5"'
    if part.kind == "other":
        cut = min(width, height) * 0.24
        across, down = width - 2 * cut, height - 2 * cut
        path = f"M{x + cut:.1f} {y:.1f}h{across:.1f}l{cut:.1f} {cut:.1f}v{down:.1f}l{-cut:.1f} {cut:.1f}"
        return f'<path d="{path}h{-across:.1f}l{-cut:.1f} {-cut:.1f}v{-down:.1f}z" {look}/>'
    radius = min(width, height) * 0.42 if part.kind == "attention" else 2.0
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:.1f}"'
    return f"<rect {place} {look}/>"


def _grid(col: float, row: float, hue: str) -> str:
    """Draw a 3 x 3 kernel: the glyph of convolution."""
    cells = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    squares = (f'<rect x="{col + 9 * j - 3.5}" y="{row + 9 * i - 3.5:.1f}" width="7" height="7"/>' for i, j in cells)
    return f'<g fill="{hue}">{"".join(squares)}</g>'


def _rays(col: float, row: float, hue: str) -> str:
    """Draw a pixel with rays to the pixels around it: the glyph of attention."""
    ends = [(13 * math.cos(a), 13 * math.sin(a)) for a in (k * math.pi / 4 for k in range(8))]
    lines = (f'<path d="M{col:.1f} {row:.1f}l{dx:.1f} {dy:.1f}"/>' for dx, dy in ends)
    dots = (f'<circle cx="{col + dx:.1f}" cy="{row + dy:.1f}" r="2.4"/>' for dx, dy in ends)
    middle = f'<circle cx="{col:.1f}" cy="{row:.1f}" r="4.5"/>'
    return f'<g stroke="{hue}" stroke-width="1.3">{"".join(lines)}</g><g fill="{hue}">{"".join(dots)}{middle}</g>'


def _dots(col: float, row: float, hue: str) -> str:
    """Draw three dots: the glyph of every other operator."""
    dots = (f'<circle cx="{col + 10 * i:.1f}" cy="{row:.1f}" r="3.2"/>' for i in (-1, 0, 1))
    return f'<g fill="{hue}">{"".join(dots)}</g>'


def _arrow(left: float, right: float, theme: Theme) -> str:
    begin, end = left + 7, right - 7
    head = f"M{end - 6:.1f} {MIDDLE - 4}L{end:.1f} {MIDDLE}L{end - 6:.1f} {MIDDLE + 4}"
    return f'<path d="M{begin:.1f} {MIDDLE}H{end:.1f}{head}" fill="none" stroke="{theme.muted}" stroke-width="1.4"/>'


def _words(part: NetworkPart) -> list[str]:
    first = part.name if part.depth == 1 else f"{part.name}, {part.depth} blocks"
    if part.kind == "head":
        return [first, "pool, linear", f"{part.channels} classes"]
    size = f"{part.rows} x {part.cols} x {part.channels}"
    stride = [f"stride {part.stride}"] if part.stride > 1 else []
    return [first, part.label, size, *stride, *part.notable]


def _caption(part: NetworkPart, box: Rectangle, theme: Theme) -> str:
    centre = box.left + box.width / 2
    first, second, *rest = _words(part)
    hue = family_colour(part.kind, theme) if part.kind in FAMILIES else theme.ink
    drawn = [_label(centre, TEXT, first, theme.muted), _label(centre, TEXT + LINE, second, hue, bold=True)]
    return "".join(
        [*drawn, *(_label(centre, TEXT + LINE * i, line, theme.ink) for i, line in enumerate(rest, start=2))]
    )


def _cost_bars(part: NetworkPart, box: Rectangle, theme: Theme, top: float) -> str:
    left, hue = box.left + box.width / 2 - 62, family_colour(part.kind, theme)
    shares = (("FLOPs", part.flops_share, part.flops), ("params", part.params_share, part.params))
    bars = (_bar(left, top + 20 * i, name, share, count, hue, theme) for i, (name, share, count) in enumerate(shares))
    return "".join(bars)


def _bar(left: float, top: float, name: str, share: float, count: int, hue: str, theme: Theme) -> str:
    text = f"{name} {scaled(count).strip()}"
    return (
        f'<rect x="{left:.1f}" y="{top + 13}" width="124" height="3" fill="{theme.grid}"/>'
        f'<rect x="{left:.1f}" y="{top + 13}" width="{124 * share:.1f}" height="3" fill="{hue}"/>'
        f'<text x="{left:.1f}" y="{top + 9}" fill="{theme.muted}" font-size="11">{escape(text)}</text>'
        f'<text x="{left + 124:.1f}" y="{top + 9}" fill="{theme.ink}" font-size="11" text-anchor="end">'
        f"{percent(share)}</text>"
    )


def percent(share: float) -> str:
    """Return a share in whole per cent as markup; `&lt;1 %` for a share that would round to 0."""
    return escape(percent_text(share))


def percent_text(share: float) -> str:
    """Return a share in whole per cent as plain text; `<1 %` for a share that would round to 0."""
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def _ring(box: Rectangle, theme: Theme) -> str:
    hue = theme.series[1]
    return (
        f'<rect x="{box.left - 9:.1f}" y="{box.top - 25:.1f}" width="{box.width + 34:.1f}" '
        f'height="{box.height + 34:.1f}" rx="6" fill="none" stroke="{hue}" stroke-width="1.6" stroke-dasharray="6 4"/>'
        f'<text x="{box.left - 9:.1f}" y="{box.top - 30:.1f}" fill="{hue}" font-size="11" font-weight="600">'
        "differs</text>"
    )


def _label(centre: float, top: float, text: str, hue: str, *, bold: bool = False) -> str:
    shown = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    weight = ' font-weight="650"' if bold else ""
    return f'<text x="{centre:.1f}" y="{top}" fill="{hue}" text-anchor="middle"{weight}>{escape(shown)}</text>'


ARCHITECTURE = Chart("architecture", "Architecture", "trials", read_designs, diagrams_svg, svg=True)
