import json
import math
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

pytest.importorskip("plotly", reason="charts need plotly: pip install -e '.[page]'")

from support.ledgers import CLASSES, INPUT, a_search, fill, url_of, write_trial
from support.plugins import installed

from hybrid_search.analysis.confidence import TrialConfidence
from hybrid_search.charts import (
    CHARTS,
    DARK,
    LIGHT,
    THEMES,
    cost_by_stage_figure,
    curve_figure,
    curve_numbers,
    design_numbers,
    diagram_svg,
    differences,
    front_figure,
    front_numbers,
    hypervolume_figure,
    hypervolume_numbers,
)
from hybrid_search.charts.axes import AXES
from hybrid_search.charts.design import design_or_outline
from hybrid_search.charts.diagram import diagrams_svg, percent
from hybrid_search.charts.families import count_repeated_operators, family_of, look_of
from hybrid_search.charts.front import front_of
from hybrid_search.charts.network_kinds import NETWORK_KINDS, kind_of, operators_of
from hybrid_search.errors import UnknownName
from hybrid_search.ledger import Ledger, TrialPoint, reads
from hybrid_search.networks.costs import cost
from hybrid_search.networks.references import DESIGNS, reference
from hybrid_search.objectives import OBJECTIVES, Objective, objectives
from hybrid_search.ops import OPERATORS
from hybrid_search.pareto import hypervolume, pareto_front

EVIL = "<img src=x onerror=alert(1)>"


def point(number, state="complete", seconds=2.0, **values):
    return TrialPoint(number, number, state, seconds, None, values)


def test_the_front_is_a_step_line_of_the_trials_that_no_other_dominates():
    points = [
        point(0, accuracy=0.9, flops=10.0),
        point(1, accuracy=0.8, flops=20.0),
        point(2, accuracy=0.95, flops=30.0),
    ]
    numbers = front_numbers(points, ("accuracy", "flops"), "flops", "accuracy")
    assert [spot.number for spot in numbers.front] == [0, 2]
    assert [spot.number for spot in numbers.dominated] == [1]
    assert numbers.line == ((10.0, 0.9), (30.0, 0.95))
    figure = front_figure(numbers, LIGHT)
    assert figure.data[1].line.shape == "hv"
    assert (figure.data[0].type, figure.data[2].type) == ("scattergl", "scatter")
    assert figure.layout.yaxis.autorangeoptions.clipmin == 0.0  # one trial alone would reach below 0 %
    assert figure.data[0].marker.opacity < 0.5


@pytest.mark.parametrize("state", ["failed", "stopped", "running"])
def test_only_completed_trials_are_placed_and_the_others_are_counted(state):
    points = [point(0, accuracy=0.5, flops=10.0), point(1, state, accuracy=0.99, flops=1.0)]
    numbers = front_numbers(points, ("accuracy", "flops"), "flops", "accuracy")
    assert [spot.number for spot in (*numbers.front, *numbers.dominated)] == [0]
    assert numbers.counts == {"complete": 1, state: 1}


def test_a_completed_trial_without_a_finite_number_is_missing_and_on_no_front():
    points = [point(0, accuracy=math.nan, flops=1.0), point(1, flops=1.0), point(2, accuracy=0.5, flops=math.inf)]
    numbers = front_numbers(points, ("accuracy", "flops"), "flops", "accuracy")
    assert (numbers.front, numbers.dominated, numbers.missing) == ((), (), 3)
    assert front_of(points, objectives(("accuracy", "flops"))) == set()


@pytest.mark.parametrize(
    ("x", "y"), [("flops", "accuracy"), ("flops", "loss"), ("accuracy", "loss"), ("params", "flops")]
)
def test_the_line_of_two_axes_is_their_own_front_whichever_way_is_better(tmp_path, x, y):
    with Ledger(url_of(tmp_path)) as ledger:
        search = a_search(ledger)
        fill(ledger, search, 40)
        points, _ = ledger.read(reads.points, search.id, list(OBJECTIVES))
    numbers = front_numbers(points, (x, y), x, y)
    rows = [(p.values[x], p.values[y]) for p in points if p.state == "complete"]
    members = pareto_front(rows, [OBJECTIVES[x].direction, OBJECTIVES[y].direction])
    assert set(numbers.line) == {rows[i] for i in members}
    assert list(numbers.line) == sorted(numbers.line)


def test_one_objective_is_drawn_over_the_trials_with_the_best_so_far():
    points = [point(i, accuracy=value) for i, value in enumerate((0.5, 0.4, 0.7, 0.6))]
    numbers = front_numbers(points, ("accuracy",), "trial", "accuracy")
    assert numbers.line == ((0.0, 0.5), (2.0, 0.7))
    assert [spot.number for spot in numbers.front] == [2]


def test_an_unknown_axis_is_refused_with_the_list_of_axes():
    with pytest.raises(UnknownName, match=r"axis must be one of accuracy, .*got 'flop'. Did you mean 'flops'"):
        front_numbers([], ("accuracy",), "flop", "accuracy")


def test_hover_text_escapes_operators_and_architectures():
    numbers = front_numbers(
        [point(0, accuracy=0.5, flops=10.0)], ("accuracy", "flops"), "flops", "accuracy", operators={0: (EVIL,)}
    )
    for designs in (None, {0: f"stem | {EVIL}"}):
        text = front_figure(numbers, LIGHT, designs=designs).to_json()
        assert "<img" not in text
        assert "&lt;img" in text or "\\u0026lt;img" in text or "&lt;img" in json.dumps(json.loads(text))


def test_axes_carry_units_and_the_arrow_points_to_the_better_corner():
    numbers = front_numbers([point(0, accuracy=0.5, flops=10.0)], ("accuracy", "flops"), "flops", "accuracy")
    figure = front_figure(numbers, LIGHT, log=True)
    assert figure.layout.xaxis.title.text == "cost (2 x MACs) [FLOPs], lower is better"
    assert figure.layout.yaxis.title.text == "validation accuracy [%], higher is better"
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", None)
    arrow = figure.layout.annotations[0]
    assert (arrow.text, arrow.x < 0.5, arrow.y > 0.5) == ("better", True, True)


@pytest.mark.parametrize("colour", ["mix", "trial", "stage:0", "stage:9"])
def test_the_marker_shows_the_mix_whatever_the_colour_shows(colour):
    operators = {0: ("conv", "conv"), 1: ("conv", "local_attention"), 2: ("local_attention",)}
    points = [point(i, accuracy=0.5 + i / 10, flops=10.0 + i) for i in range(3)]
    numbers = front_numbers(points, ("accuracy", "flops"), "flops", "accuracy", operators=operators)
    figure = front_figure(numbers, DARK, colour=colour)
    assert list(figure.data[2].marker.symbol) == ["square", "diamond", "circle"]


def test_the_mix_of_operators_has_its_own_colour_and_marker():
    assert kind_of(("conv", "conv")) is NETWORK_KINDS["convolution"]
    assert kind_of(("conv", "local_attention")) is NETWORK_KINDS["hybrid"]
    assert kind_of(("local_attention",)) is NETWORK_KINDS["attention"]
    assert kind_of(("not_installed",)) is NETWORK_KINDS["other"]
    assert kind_of(()) is NETWORK_KINDS["unknown"]
    assert (
        len({mix.symbol for mix in NETWORK_KINDS.values()})
        == len({mix.colour for mix in NETWORK_KINDS.values()})
        == len(NETWORK_KINDS)
    )
    assert operators_of({"stages": "nonsense"}) == ()


DEPTHWISE = """
from dataclasses import dataclass
from hybrid_search.ops import Conv

@dataclass(frozen=True)
class Thing(Conv):
    label = "depthwise convolution"
    symbol = "D"
"""


def test_an_operator_of_a_plugin_has_the_family_that_it_declares(tmp_path, monkeypatch):
    assert look_of("window")._asdict() == {"family": "other", "label": "window", "symbol": "window"}
    source = DEPTHWISE.replace("hybrid_search.ops import", "hybrid_search.ops.conv import")
    with installed(tmp_path, monkeypatch, OPERATORS, "depthwise", source):
        assert look_of("depthwise")._asdict() == {
            "family": "convolution",
            "label": "depthwise convolution",
            "symbol": "D",
        }
        assert kind_of(("depthwise", "conv")) is NETWORK_KINDS["convolution"]
    assert count_repeated_operators(("conv", "local_attention", "local_attention")) == [
        "convolution",
        "2 x local attention",
    ]
    assert family_of("local_attention") == "attention"


@pytest.mark.parametrize(
    ("operators", "colour", "entries"),
    [
        (("conv",), "mix", ["all convolution", "hybrid", "all attention"]),
        (("absent",), "mix", ["all convolution", "hybrid", "all attention", "all other operators"]),
        (("conv",), "stage:0", ["stage 1: convolution", "stage 1: attention"]),
        (("conv", "absent"), "stage:1", ["stage 2: convolution", "stage 2: attention", "stage 2: other"]),
    ],
)
def test_the_legend_has_other_operators_only_where_they_occur(operators, colour, entries):
    points = [point(0, accuracy=0.5, flops=10.0)]
    numbers = front_numbers(points, ("accuracy", "flops"), "flops", "accuracy", operators={0: operators})
    shown = [trace.name for trace in front_figure(numbers, LIGHT, colour=colour).data if trace.showlegend]
    assert shown[-len(entries) :] == entries
    assert len(shown) == len(entries) + (3 if colour != "mix" else 0)


def test_an_architecture_of_an_absent_plugin_is_drawn_neutral_with_its_name_and_without_costs():
    plain = reference("hybrid-50-CCAA").to_dict()
    plain["stages"][1] |= {"operator": "shift"}
    design = design_or_outline(plain, (3, 64, 32), 10)
    assert design.unreadable.startswith("operator 'shift' comes from a plugin")
    assert [part.kind for part in design.parts] == ["stem", "convolution", "other", "attention", "attention", "head"]
    svg = diagram_svg(design, LIGHT)
    assert ">shift</text>" in svg
    assert LIGHT.other in svg
    assert "FLOPs" not in svg
    figure = cost_by_stage_figure({3: design}, LIGHT)
    assert "unknown here" in figure.layout.annotations[0].text


def test_the_picture_shows_the_options_of_stem_and_block_that_are_not_at_their_defaults():
    block = {"kind": "inverted_residual", "expansion": 6, "squeeze_excitation": True, "norm": "layer"}
    attention = {"operator": "local_attention", "depth": 1, "width": 8, "norm": True, "heads": 4}
    plain = {
        "stem": {"kind": "two_conv3x3", "width": 8, "stride": 4, "activation": "silu"},
        "stages": [{**attention, "block": block}, {"operator": "conv", "depth": 1, "width": 8, "block": "basic"}],
    }
    parts = design_or_outline(plain, (3, 64, 32), 10).parts
    assert parts[0].notable == ("activation silu",)
    shown = ("inverted residual", "expansion 6", "squeeze excitation yes", "block norm layer")
    assert parts[1].notable == (*shown, "extent 7", "heads 4", "norm yes")
    assert parts[2].notable == ("basic block", "kernel size 3")
    plain["stages"][1]["operator"] = "shift"
    outline = design_or_outline(plain, (3, 64, 32), 10).parts
    assert [part.channels for part in outline[1:3]] == [8, 8]  # only a bottleneck has more channels than its width
    assert outline[2].notable == ("block basic",)


def test_the_diagram_of_two_trials_marks_where_they_differ_and_never_the_head():
    one, short = (design_numbers(reference(name).to_dict(), (3, 64, 32), 10) for name in ("hybrid-50-CCAA", "resnet26"))
    svg = diagrams_svg({4: one, 7: replace(short, parts=(*short.parts[:2], short.parts[-1]))}, DARK)
    ElementTree.fromstring(svg)
    assert ">trial 4</text>" in svg
    assert svg.count(">differs</text>") == 4 + 1


def test_an_objective_of_ones_own_has_its_label_unit_and_direction():
    own = Objective("joules", "minimize", "energy <b>per</b> image", "J", known=False)
    axes = {**AXES, "joules": own}
    points = [point(0, accuracy=0.5, joules=2e3), point(1, accuracy=0.4, joules=3e3)]
    numbers = front_numbers(points, ("accuracy", "joules"), "joules", "accuracy", axes=axes)
    assert [spot.number for spot in numbers.front] == [0]
    figure = front_figure(numbers, LIGHT)
    assert figure.layout.xaxis.title.text == "energy &lt;b&gt;per&lt;/b&gt; image [J], lower is better"
    assert "energy &lt;b&gt;per&lt;/b&gt; image: <b>" in figure.data[2].hovertemplate
    assert figure.data[2].customdata[0][-1] == "2 kJ"
    volume = hypervolume_numbers(points, ("accuracy", "joules"), axes=axes)
    assert volume.reference_text == "accuracy 0.00 %, joules 3.1 kJ"


@pytest.mark.parametrize("names", [("accuracy",), ("accuracy", "flops"), ("accuracy", "flops", "params", "latency_ms")])
def test_the_last_hypervolume_is_that_of_all_trials(tmp_path, names):
    with Ledger(url_of(tmp_path)) as ledger:
        search = a_search(ledger, objectives=names)
        fill(ledger, search, 60)
        points, _ = ledger.read(reads.points, search.id, list(names))
    numbers = hypervolume_numbers(points, names)
    rows = [[p.values[name] for name in names] for p in points if p.state == "complete"]
    directions = [OBJECTIVES[name].direction for name in names]
    assert numbers.last == pytest.approx(hypervolume(rows, numbers.reference, directions))
    assert list(numbers.values) == sorted(numbers.values)
    assert numbers.trials[-1] == len(rows)
    assert "accuracy 0.00 %" in numbers.reference_text


def test_an_estimated_hypervolume_is_within_two_percent_and_is_labelled_as_estimated(monkeypatch, tmp_path):
    names = ("accuracy", "flops", "params")
    with Ledger(url_of(tmp_path)) as ledger:
        search = a_search(ledger, objectives=names)
        fill(ledger, search, 60)
        points, _ = ledger.read(reads.points, search.id, list(names))
    exact = hypervolume_numbers(points, names)
    monkeypatch.setattr("hybrid_search.charts.hypervolume.MANY", 0)
    estimated = hypervolume_numbers(points, names)
    assert (exact.exact, estimated.exact) == (True, False)
    assert estimated.last == pytest.approx(exact.last, rel=0.02)
    assert "estimated" in hypervolume_figure(estimated, LIGHT).layout.yaxis.title.text


def test_a_search_without_completed_trials_has_no_hypervolume():
    assert hypervolume_numbers([point(0, "failed")], ("accuracy", "flops")).last is None


def test_curves_leave_out_values_that_are_not_finite_and_prefer_accuracy():
    curve = [(1, {"loss": 2.0, "accuracy": 0.1}), (2, {"loss": math.nan, "accuracy": math.nan}), (3, {"accuracy": 0.3})]
    numbers = curve_numbers({4: curve, 5: []})
    assert numbers.measurement == "accuracy"
    assert numbers.curves == {4: ((1, 3), (0.1, 0.3)), 5: ((), ())}
    assert curve_numbers({4: curve}, "loss").curves == {4: ((1,), (2.0,))}
    first, second = curve_figure(numbers, LIGHT).data
    assert (first.line.dash, first.marker.symbol) != (second.line.dash, second.marker.symbol)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_parts_of_every_named_design_sum_to_its_cost(name):
    plain = reference(name).to_dict()
    design = design_numbers(plain, (3, 224, 160), 1000)
    total = cost(reference(name), (3, 224, 160), 1000)
    assert (design.flops, design.params) == (total.flops, total.params)
    assert sum(part.flops for part in design.parts) == total.flops
    assert sum(part.params for part in design.parts) == total.params
    last = design.parts[-2]
    assert (last.rows, last.cols) == (7, 5)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_a_diagram_is_well_formed_svg_without_outside_references(theme):
    svg = diagram_svg(design_numbers(reference("hybrid-50-CCAA").to_dict(), (3, 224, 224), 1000), theme, frozenset({1}))
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert "local attention" in svg
    assert "differs" in svg
    assert not [
        word for word in ("<script", "href", "url(", "http") if word in svg.replace("http://www.w3.org/2000/svg", "")
    ]


def test_a_diagram_escapes_its_text():
    design = design_numbers(reference("resnet26").to_dict(), (3, 64, 32), 10)
    parts = (
        design.parts[0],
        replace(design.parts[1], kind="other", operator=EVIL, name=EVIL, notable=(EVIL,)),
        *design.parts[2:],
    )
    svg = diagram_svg(replace(design, parts=parts), LIGHT)
    assert "<img" not in svg
    ElementTree.fromstring(svg)


def test_differences_name_the_parts_where_two_designs_differ():
    one, other = (
        design_numbers(reference(f"hybrid-50-{name}").to_dict(), (3, 64, 32), 10) for name in ("CCAA", "CAAA")
    )
    assert differences(one, one) == frozenset()
    assert differences(one, other) == {2}
    short = design_numbers(reference("resnet26").to_dict(), (3, 64, 32), 10)
    assert differences(one, short) == {1, 2, 3, 4}


def test_shares_are_whole_percents_and_a_small_share_is_below_one():
    assert [percent(share) for share in (0.0, 0.001, 0.499, 1.0)] == ["0 %", "&lt;1 %", "50 %", "100 %"]


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("chart", CHARTS.usable().values(), ids=CHARTS)
@pytest.mark.parametrize("trials", [1, 30])
def test_every_chart_reads_a_ledger_and_draws_in_both_themes(tmp_path, chart, theme, trials):
    with Ledger(url_of(tmp_path)) as ledger:
        search = a_search(ledger)
        fill(ledger, search, trials)
        drawn = chart.draw(chart.read(ledger, search, (0,)), theme)
    text = drawn if chart.svg else drawn.to_json()
    assert theme.surface in text


@pytest.mark.parametrize(
    "chart", [chart for chart in CHARTS.usable().values() if chart.subject == "search"], ids=lambda chart: chart.name
)
def test_a_chart_of_a_search_without_completed_trials_shows_a_sentence(tmp_path, chart):
    with Ledger(url_of(tmp_path)) as ledger:
        numbers = chart.read(ledger, a_search(ledger), ())
    assert "No completed trial" in chart.draw(numbers, LIGHT).to_json()


def contrast(one, other):
    def light(hue):
        parts = [int(hue[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_text_colours_have_enough_contrast_for_wcag_aa(theme):
    for hue in (theme.ink, theme.muted, theme.convolution, theme.attention, theme.hybrid, theme.other, *theme.series):
        assert contrast(hue, theme.surface) >= 4.5, hue


def test_numbers_need_neither_plotly_nor_torch_nor_dash():
    code = (
        "import sys, hybrid_search.charts as c, hybrid_search.charts.front_figure\n"
        "c.front_numbers([], ('accuracy',), 'trial', 'accuracy'); c.hypervolume_numbers([], ('accuracy',))\n"
        "from hybrid_search.networks.references import reference\n"
        f"c.diagram_svg(c.design_numbers(reference('resnet26').to_dict(), {INPUT}, {CLASSES}), c.LIGHT)\n"
        "print([m for m in ('plotly', 'torch', 'dash', 'ray', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_trial_written_by_the_ledger_itself_is_drawn(tmp_path):
    with Ledger(url_of(tmp_path)) as ledger:
        search = a_search(ledger)
        write_trial(ledger, search, 0)
        numbers = CHARTS["front"].read(ledger, search, ())
    assert [spot.number for spot in numbers.front] == [0]


def test_only_confirmed_trials_have_error_bars():
    points = [point(i, accuracy=0.5 + i / 10, flops=10.0 + i) for i in range(3)]
    known = {1: TrialConfidence(1, 3, {"accuracy": (0.58, 0.63)}, 0.9), 2: TrialConfidence(2, 0, {}, 0.3)}
    numbers = front_numbers(points, ("accuracy", "flops"), "flops", "accuracy", standings=known)
    assert [bar.number for bar in numbers.bars] == [1]
    bars = front_figure(numbers, LIGHT).data[4]
    assert (list(bars.x), list(bars.y)) == ([11.0], [0.6])
    assert (list(bars.error_y.array), list(bars.error_y.arrayminus)) == (pytest.approx([0.03]), pytest.approx([0.02]))
    assert bars.error_x.array is None
    sideways = front_figure(front_numbers(points, ("accuracy",), "accuracy", "flops", standings=known), DARK).data[4]
    assert list(sideways.error_x.array) == pytest.approx([0.03])
    assert sideways.error_y.array is None
    assert front_figure(front_numbers(points, ("accuracy",), "flops", "accuracy"), LIGHT).data[4].x == ()
