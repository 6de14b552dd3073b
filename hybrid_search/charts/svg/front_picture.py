"""The Pareto front as SVG: pale dominated trials, the front joined by a step line, intervals, knee and baselines."""

from collections.abc import Sequence

from hybrid_search.charts.axes import TRIAL, axis_words
from hybrid_search.charts.families import count_repeated_operators
from hybrid_search.charts.front import FrontNumbers, FrontPoint
from hybrid_search.charts.network_kinds import NETWORK_KINDS, NetworkKind, kind_of
from hybrid_search.charts.svg.elements import label, line, mark, named, picture, plain, text_width
from hybrid_search.charts.svg.frame import Frame, LegendEntry, empty_picture_text, framed, ink
from hybrid_search.charts.theme import Theme

CELL = 2  # pixels: of all dominated trials of one kind in such a cell, one is drawn
RADIUS, SMALL = 6.0, 3.2
MOST_LABELS = 24
UNSAID = NetworkKind("unsaid", "", "circle", "neutral")


def front_svg(numbers: FrontNumbers, theme: Theme, *, width: float = 760, log: bool = True) -> str:
    """Draw the front as SVG text.

    Args:
        numbers: what to draw.
        theme: the look. Colour and shape of a marker show the kind of its network.
        width: width of the picture in pixels.
        log: whether costs are on a logarithmic axis.

    Returns:
        The text of an SVG element.
    """
    spots = (*numbers.dominated, *numbers.front)
    if not spots:
        height, drawn = empty_picture_text("No completed trial to draw.", theme, width)
        return picture(width, height, "No completed trial to draw.", theme, drawn)
    ends = [bar for each in numbers.bars for bar in (each.up,)]
    xs = [spot.x for spot in spots] + [each.x for each in numbers.baselines]
    ys = [spot.y for spot in spots] + [each.y for each in numbers.baselines]
    ys += [end for bar in ends for end in bar] + [end for each in numbers.baselines for end in each.up or ()]
    xs += [end for bar in numbers.bars for end in bar.across]
    frame = framed(
        numbers.x, numbers.y, xs, ys, (axis_words(numbers.x), axis_words(numbers.y)), _legend(numbers, theme), theme,
        width, log=log,
    )  # fmt: skip
    drawn = [*frame.drawn, *_dominated(numbers.dominated, frame, theme), _step_line(numbers, frame, theme)]
    drawn += [_interval(frame, bar.x, bar.y, bar.across, bar.up, theme) for bar in numbers.bars]
    drawn += [_baseline(frame, numbers, index, theme) for index in range(len(numbers.baselines))]
    drawn += [_member(spot, frame, numbers, theme) for spot in numbers.front]
    drawn += _labels(numbers, frame, theme)
    return picture(width, frame.height, _words(numbers), theme, drawn)


def _words(numbers: FrontNumbers) -> str:
    """Return what the picture shows, for screen readers."""
    return (
        f"{axis_words(numbers.y)}, over {axis_words(numbers.x)}: {len(numbers.front)} trials on the front, "
        f"{len(numbers.dominated)} others"
    )


def _legend(numbers: FrontNumbers, theme: Theme) -> list[LegendEntry]:
    present = {kind_of(operators).name for operators in numbers.operators if operators}
    found = [
        LegendEntry(mix.label, mix.hue(theme), mix.symbol) for mix in NETWORK_KINDS.values() if mix.name in present
    ]
    if numbers.baselines:
        found.append(LegendEntry("baselines", theme.ink, "star"))
    return found


def _look(operators: Sequence[str]) -> NetworkKind:
    """Return how a network looks; one whose operators are not given is a neutral circle."""
    return kind_of(operators) if operators else UNSAID


def _dominated(spots: Sequence[FrontPoint], frame: Frame, theme: Theme) -> list[str]:
    """Return one path for each kind of network; one marker for each cell of some pixels."""
    paths: dict[str, dict[tuple[int, int], str]] = {}
    mixes: dict[str, NetworkKind] = {}
    for spot in spots:
        mix = _look(spot.operators)
        mixes[mix.name] = mix
        x, y = frame.x.at(spot.x), frame.y.at(spot.y)
        cell = (round(x / CELL), round(y / CELL))
        paths.setdefault(mix.name, {}).setdefault(cell, mark(mix.symbol, CELL * cell[0], CELL * cell[1], SMALL))
    return [
        f'<path d="{"".join(cells.values())}" opacity="{theme.pale[0]}" '
        f"{ink(mixes[name].symbol, mixes[name].hue(theme))}/>"
        for name, cells in paths.items()
    ]


def _step_line(numbers: FrontNumbers, frame: Frame, theme: Theme) -> str:
    """Return the front of the two axes alone as steps."""
    first = numbers.x.direction == "minimize"
    path = ""
    for x, y in numbers.line:
        to = (frame.x.at(x), frame.y.at(y))
        if not path:
            path = f"M{plain(to[0])} {plain(to[1])}"
        else:
            path += f"H{plain(to[0])}V{plain(to[1])}" if first else f"V{plain(to[1])}H{plain(to[0])}"
    return f'<path d="{path}" fill="none" stroke="{theme.muted}" stroke-width="1.5"/>'


def _interval(
    frame: Frame, x: float, y: float, across: tuple[float, float], up: tuple[float, float], theme: Theme
) -> str:
    """Return the error bars of a point."""
    at, drawn = (frame.x.at(x), frame.y.at(y)), ""
    if up[1] > up[0]:
        low, high = frame.y.at(up[0]), frame.y.at(up[1])
        drawn += line(at[0], low, at[0], high, theme.muted, 1.2)
        drawn += "".join(line(at[0] - 4, end, at[0] + 4, end, theme.muted, 1.2) for end in (low, high))
    if across[1] > across[0]:
        left, right = frame.x.at(across[0]), frame.x.at(across[1])
        drawn += line(left, at[1], right, at[1], theme.muted, 1.2)
        drawn += "".join(line(end, at[1] - 4, end, at[1] + 4, theme.muted, 1.2) for end in (left, right))
    return drawn


def _baseline(frame: Frame, numbers: FrontNumbers, index: int, theme: Theme) -> str:
    each = numbers.baselines[index]
    x, y = frame.x.at(each.x), frame.y.at(each.y)
    drawn = _interval(frame, each.x, each.y, (each.x, each.x), each.up or (each.y, each.y), theme)
    drawn += f'<path d="{mark("star", x, y, 7)}" fill="{theme.ink}" stroke="{theme.surface}"/>'
    half = text_width(each.name, 11) / 2
    middle = min(max(x, frame.x.start + half), frame.width - 8 - half)
    return named("\n".join([each.name, *each.lines]), drawn) + label(
        middle, y + 20, each.name, theme.ink, anchor="middle", size=11, halo=theme.surface
    )


def _member(spot: FrontPoint, frame: Frame, numbers: FrontNumbers, theme: Theme) -> str:
    mix = _look(spot.operators)
    x, y = frame.x.at(spot.x), frame.y.at(spot.y)
    look = ink(mix.symbol, mix.hue(theme))
    look += "" if mix.symbol == "x" else f' stroke="{theme.surface}" stroke-width="1.5"'
    drawn = f'<path d="{mark(mix.symbol, x, y, RADIUS)}" {look}/>'
    if spot.number == numbers.knee:
        drawn += f'<path d="{mark("diamond", x, y, 9)}" fill="none" stroke="{theme.ink}" stroke-width="1.5"/>'
    values = [f"{kind.label}: {kind.text(spot.values.get(kind.name))}" for kind in numbers.shown]
    operators = " → ".join(count_repeated_operators(spot.operators))
    return named("\n".join([f"trial {spot.number}, on the front", *values, operators]), drawn)


def _labels(numbers: FrontNumbers, frame: Frame, theme: Theme) -> list[str]:
    """Return the numbers of the trials on the front, where they do not cover each other; the knee comes first."""
    if numbers.x.name == TRIAL.name and len(numbers.front) > MOST_LABELS:
        return []
    barred = {bar.number for bar in numbers.bars}
    drawn, taken = [], [(frame.x.at(spot.x), frame.y.at(spot.y), 7.0, 7.0) for spot in numbers.front]
    for spot in sorted(numbers.front, key=lambda spot: spot.number != numbers.knee)[:MOST_LABELS]:
        knee = spot.number == numbers.knee
        text = f"{spot.number} knee" if knee else str(spot.number)
        half = text_width(text, 11) / 2
        x, y = frame.x.at(spot.x), frame.y.at(spot.y)
        beside = ((half + 8, -11), (-half - 8, -11), (half + 8, 11), (-half - 8, 11))
        above = ((0, -17), (0, 17), (half + 12, 0), (-half - 12, 0))
        for over, down in (*beside, *above) if spot.number in barred else (*above, *beside):
            place = (x + over, y + down, half, 7.0)
            inside = frame.x.start < place[0] - half and place[0] + half < frame.width - 2
            inside = inside and frame.y.end < place[1] - 4 and place[1] + 4 < frame.y.start
            if inside and not any(_meet(place, other) for other in taken):
                taken.append(place)
                drawn.append(
                    label(
                        place[0], place[1] + 4, text, theme.ink, anchor="middle", size=11, bold=knee, halo=theme.surface
                    )
                )
                break
    return drawn


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Return whether two boxes overlap; each is its centre, half its width and half its height."""
    return abs(one[0] - other[0]) < one[2] + other[2] and abs(one[1] - other[1]) < one[3] + other[3]
