"""Lines as SVG: learning curves, full trainings, and the hypervolume over trials."""

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_search.charts.axes import axis_words
from hybrid_search.charts.curve import CurveNumbers
from hybrid_search.charts.hypervolume import HypervolumeNumbers
from hybrid_search.charts.svg.elements import mark, named, picture, plain
from hybrid_search.charts.svg.frame import LegendEntry, empty_picture_text, framed
from hybrid_search.charts.theme import Theme
from hybrid_search.charts.training_curves import TrainingCurve
from hybrid_search.objectives import BUILT_IN, Objective

DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 4", "12 3 2 3")
EPOCH = Objective("epoch", "minimize", "epoch", best=0.0)
TRIALS = Objective("trials", "minimize", "completed trials", best=0.0)
VOLUME = Objective("hypervolume", "maximize")
MANY = 60  # points, above which a line has no markers


@dataclass(frozen=True)
class Line:
    """One line.

    Args:
        name: its entry in the legend; "" for a picture of one line.
        xs, ys: its points, finite numbers.
        step: whether it is a step line, whose value holds until the next point.
    """

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    step: bool = False


def lines_svg(
    lines: Sequence[Line], x: Objective, y: Objective, theme: Theme, *, empty: str, width: float = 760
) -> str:
    """Draw lines as SVG text. Colours and dashes tell them apart.

    Args:
        lines: the lines.
        x, y: what the axes show.
        theme: the look.
        empty: what the picture says without a point.
        width: width of the picture in pixels.

    Returns:
        The text of an SVG element.
    """
    shown = [each for each in lines if each.xs]
    if not shown:
        height, drawn = empty_picture_text(empty, theme, width)
        return picture(width, height, empty, theme, drawn)
    hues = [theme.categories[i % len(theme.categories)] for i in range(len(shown))]
    legend = [
        LegendEntry(each.name, hues[i], dash=DASHES[i % len(DASHES)]) for i, each in enumerate(shown) if each.name
    ]
    xs, ys = [value for each in shown for value in each.xs], [value for each in shown for value in each.ys]
    titles = (x.label, axis_words(y))
    frame = framed(x, y, [0.0, *xs], ys, titles, legend, theme, width, log=False)
    drawn = list(frame.drawn)
    for i, each in enumerate(shown):
        places = [(frame.x.at(a), frame.y.at(b)) for a, b in zip(each.xs, each.ys, strict=True)]
        path = f"M{plain(places[0][0])} {plain(places[0][1])}"
        for a, b in places[1:]:
            path += f"H{plain(a)}V{plain(b)}" if each.step else f"L{plain(a)} {plain(b)}"
        dash = f' stroke-dasharray="{DASHES[i % len(DASHES)]}"' if DASHES[i % len(DASHES)] else ""
        line = f'<path d="{path}" fill="none" stroke="{hues[i]}" stroke-width="2"{dash}/>'
        if len(places) <= MANY and not each.step:
            line += f'<path d="{"".join(mark("circle", a, b, 2.4) for a, b in places)}" fill="{hues[i]}"/>'
        elif each.step:
            line += f'<path d="{mark("circle", *places[-1], 3.4)}" fill="{hues[i]}"/>'
        drawn.append(named(each.name or y.label, line))
    words = f"{axis_words(y)}, over {x.label}: {'; '.join(each.name for each in shown if each.name) or 'one line'}"
    return picture(width, frame.height, words, theme, drawn)


def curve_svg(numbers: CurveNumbers, theme: Theme, *, width: float = 760) -> str:
    """Return the learning curves of trials as SVG text.

    Args:
        numbers: the curves.
        theme: the look.
        width: width of the picture in pixels.
    """
    lines = [
        Line(f"trial {number}", tuple(map(float, epochs)), values)
        for number, (epochs, values) in numbers.curves.items()
    ]
    return lines_svg(lines, EPOCH, numbers.objective, theme, empty="No epoch was reported.", width=width)


def trainings_svg(curves: Sequence[TrainingCurve], theme: Theme, *, width: float = 760) -> str:
    """Return the full trainings of a search as SVG text.

    Args:
        curves: the trainings.
        theme: the look.
        width: width of the picture in pixels.
    """
    lines = [Line(each.label, tuple(map(float, each.epochs)), each.accuracies) for each in curves]
    return lines_svg(lines, EPOCH, BUILT_IN["accuracy"], theme, empty="No training has ended an epoch.", width=width)


def hypervolume_svg(numbers: HypervolumeNumbers, theme: Theme, *, width: float = 760) -> str:
    """Return the hypervolume over trials as SVG text.

    Args:
        numbers: the hypervolume after some numbers of trials.
        theme: the look.
        width: width of the picture in pixels.
    """
    line = Line("", tuple(map(float, numbers.trials)), numbers.values, step=True)
    return lines_svg([line], TRIALS, VOLUME, theme, empty=numbers.unknown or "No completed trial.", width=width)
