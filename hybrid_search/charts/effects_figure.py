"""Where attention helps: the effect of every operator, block and stem, as points with intervals."""

from dataclasses import dataclass
from html import escape
from shlex import quote
from typing import TYPE_CHECKING

from hybrid_search.analysis.effects import Comparison, ModelEffect, SearchEffects, search_effects
from hybrid_search.charts.chart import Chart
from hybrid_search.charts.families import family_colour, family_of, label_of
from hybrid_search.charts.theme import Theme, empty_layout, figure_axis, figure_layout
from hybrid_search.errors import UnknownName
from hybrid_search.ledger import Ledger, reads
from hybrid_search.objectives import Objective
from hybrid_search.records import SearchRecord

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_ROWS = 24
KINDS = ("operator", "block", "stem")  # in the order of the rows
MOST_TRIALS = 20_000  # more take seconds
LONGEST_NAME = 100  # characters of a search in a sentence
COSTS_ONLY = "This search has costs only, so there is nothing to compare."
NO_TRIALS = "No completed trial yet."
NOTHING = "All designs have the same operators, so there is nothing to compare."


@dataclass(frozen=True)
class EffectRow:
    """One row of the chart.

    Attributes:
        comparison: The matched pairs of one choice against another one.
        model: The effect at equal FLOPs; None with few trials.
    """

    comparison: Comparison
    model: ModelEffect | None

    @property
    def label(self) -> str:
        """The row in plain text: `stage1: local_attention - conv`."""
        factor = self.comparison.factor
        inside = factor.question.removesuffix("operator").removesuffix("block").strip()
        place = factor.place if inside in ("", factor.place) else f"{factor.place}, {inside}"
        a, b = (self.comparison.a, self.comparison.b)
        if factor.kind == "operator":
            a, b = label_of(a), label_of(b)
        return f"{place}: {b} - {a}"


@dataclass(frozen=True)
class EffectNumbers:
    """The numbers of the chart.

    Attributes:
        objective: what the differences are of.
        rows: its rows, operators first.
        empty: why there are no rows, plain text; empty if there are some.
        left_out: number of further rows that are not drawn.
    """

    objective: Objective
    rows: tuple[EffectRow, ...]
    empty: str = ""
    left_out: int = 0


def read_effects(ledger: Ledger, search: SearchRecord, trials: tuple[int, ...]) -> EffectNumbers:
    """Return the numbers of the chart.

    Args:
        ledger: the ledger.
        search: the search.
        trials: not used.
    """
    trained = ledger.read(reads.counts, search.id).get("complete", 0)
    if trained > MOST_TRIALS:
        name = quote(search.name) if search.name.isprintable() and len(search.name) <= LONGEST_NAME else "NAME"
        large = f"The page compares up to {MOST_TRIALS:,} trials. For this search: hybrid-search effects {name}"
        return EffectNumbers(search.objective_list[0], (), large)
    try:
        return effect_numbers(search_effects(ledger, search))
    except UnknownName:  # it has costs only
        return EffectNumbers(search.objective_list[0], (), COSTS_ONLY)


def effect_numbers(effects: SearchEffects) -> EffectNumbers:
    """Return the rows of operators, blocks and stems: those with pairs or a model.

    Args:
        effects: the effects of a search.
    """
    rows = [
        EffectRow(each, effects.at_equal_flops(each)) for each in effects.comparisons if each.factor.kind != "option"
    ]
    rows.sort(key=lambda row: KINDS.index(row.comparison.factor.kind))
    known = tuple(row for row in rows if row.comparison.pairs or row.model)
    if known:
        return EffectNumbers(effects.objective, known[:MOST_ROWS], left_out=len(known[MOST_ROWS:]))
    few = "There is no pair of designs that are equal but for one operator. More trials give some."
    return EffectNumbers(effects.objective, (), NO_TRIALS if not effects.trials else few if rows else NOTHING)


def effects_figure(numbers: EffectNumbers, theme: Theme) -> "go.Figure":
    """Draw each difference with its 95 % interval: matched pairs filled, the model at equal FLOPs hollow below them.

    Args:
        numbers: the rows.
        theme: the look. Colour shows the family of the later choice of a pair of operators.

    Returns:
        A plotly figure.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    share = numbers.objective.unit == "share"
    scale, unit = (100.0, "points") if share else (1.0, numbers.objective.unit.strip())
    places = list(range(len(numbers.rows)))
    for name, symbol, shift, values in (
        ("matched pairs", "diamond", -0.14, [pairs_of(row) for row in numbers.rows]),
        ("model at equal FLOPs", "circle-open", 0.16, [model_of(row) for row in numbers.rows]),
    ):
        shown = [(place, row, value) for place, row, value in zip(places, numbers.rows, values, strict=True) if value]
        if not shown:
            continue
        colours = [row_colour(row, theme) for _, row, _ in shown]
        halves = [(value[2] - value[1]) / 2 * scale if value[1] is not None else None for _, _, value in shown]
        for colour in dict.fromkeys(colours):  # an error bar has one colour for each trace
            own = [i for i, each in enumerate(colours) if each == colour]
            figure.add_trace(
                go.Scatter(
                    x=[scale * shown[i][2][0] for i in own],
                    y=[shown[i][0] + shift for i in own],
                    mode="markers",
                    marker={"color": colour, "symbol": symbol, "size": 9, "line": {"width": 1.5}},
                    error_x={
                        "array": [halves[i] for i in own],
                        "color": colour,
                        "thickness": 1.5,
                        "width": 4 if symbol == "diamond" else 0,
                    },
                    hovertext=[_hover(shown[i][1], name, numbers.objective) for i in own],
                    hoverinfo="text",
                    showlegend=False,
                    name=name,
                )
            )
        figure.add_trace(
            go.Scatter(x=[None], y=[None], mode="markers", name=name, marker={"color": theme.muted, "symbol": symbol})
        )
    labels = [escape(row.label) for row in numbers.rows]
    better = "right" if numbers.objective.direction == "maximize" else "left"
    title = f"difference in {escape(numbers.objective.label)}{f' ({escape(unit)})' if unit else ''}"
    title += f"<br>{better} of the line, the first one is better"
    if numbers.left_out:
        title += f"<br>{numbers.left_out} more in hybrid-search effects"
    figure.update_layout(**figure_layout(theme, margin={"l": 56, "r": 16, "t": 32, "b": 48}))
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"})
    figure.update_xaxes(**figure_axis(theme, title, zeroline=True, zerolinecolor=theme.muted, zerolinewidth=1))
    figure.update_yaxes(
        **figure_axis(theme, "", tickvals=places, ticktext=labels, range=[len(places) - 0.5, -0.5], showgrid=False)
    )
    if not numbers.rows:
        figure.update_layout(**empty_layout(escape(numbers.empty), theme))
        figure.update_xaxes(zeroline=False)
    return figure


def pairs_of(row: EffectRow) -> tuple[float, float | None, float] | None:
    """Return difference, low and high of the pairs; low is None if the interval is unknown."""
    each = row.comparison
    if each.difference is None:
        return None
    low, high = each.interval or (None, 0.0)
    return each.difference, low, high


def model_of(row: EffectRow) -> tuple[float, float | None, float] | None:
    """Return difference, low and high of the model at equal FLOPs; None if there is none."""
    return None if row.model is None else (row.model.difference, *row.model.interval)


def row_colour(row: EffectRow, theme: Theme) -> str:
    """Return the colour of the family of the later choice; blocks and stems belong to no family."""
    factor = row.comparison.factor
    return family_colour(family_of(str(row.comparison.b)), theme) if factor.kind == "operator" else theme.neutral


def _hover(row: EffectRow, evidence: str, objective: Objective) -> str:
    """Return the text over a point, as markup."""
    each, model = row.comparison, row.model
    lines = [f"<b>{escape(row.label)}</b>"]
    if each.difference is not None:
        ratio = f", at {each.flops_ratio:.2f} times the FLOPs" if each.flops_ratio else ""
        pairs = f"{each.pairs} matched {'pair' if each.pairs == 1 else 'pairs'}"
        decided = ", decided" if each.decided else ", not decided"
        lines.append(f"{pairs}: {_with_interval(objective, each.difference, each.interval)}{ratio}{decided}")
    if model is not None:
        lines.append(f"at equal FLOPs (model): {_with_interval(objective, model.difference, model.interval)}")
    return "<br>".join(lines) + f"<br>this point: {evidence}"


def _with_interval(objective: Objective, value: float, interval: tuple[float, float] | None) -> str:
    scale, unit = (100.0, " points") if objective.unit == "share" else (1.0, objective.unit)
    half = f" ± {scale * (interval[1] - interval[0]) / 2:.2f}" if interval else ""
    return f"{scale * value:+.2f}{half}{escape(unit)}"


EFFECTS = Chart("effects", "Where attention helps", "search", read_effects, effects_figure, height="tall")
