"""Costs: the paper's Table 1, closed forms against the built models, and the arithmetic that explains them."""

import json
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.costs import Cost, cost, explain, total_cost
from hybrid_search.networks.model import build_model, use_backend
from hybrid_search.networks.references import reference, references
from hybrid_search.networks.stems import make_stem

TABLE_1 = {  # published: billion FLOPs, million parameters (arXiv 1906.05909)
    "resnet26": (4.7, 13.7),
    "resnet38": (6.5, 19.6),
    "resnet50": (8.2, 25.6),
    "sasa-26-stem": (4.5, 10.3),
    "sasa-38-stem": (5.7, 14.1),
    "sasa-50-stem": (7.0, 18.0),
    "sasa-26-full": (4.7, 10.3),
    "sasa-38-full": (6.0, 14.1),
    "sasa-50-full": (7.2, 18.0),
}
SMALL = Architecture(
    make_stem("conv3x3", {"width": 8}),
    (
        Stage("conv", 1, 8, 1, {"kernel_size": 5}),
        Stage("local_attention", 2, 8, 2, {"extent": 5, "heads": 2, "norm": True}),
        Stage("local_attention", 1, 16, 2, {"extent": 3, "heads": 4, "logits": "qr", "projection": "grouped"}),
        Stage("local_attention", 1, 16, 1, {"extent": 3, "position": "absolute", "border": "zero"}),
    ),
    expansion=2,
)


def torch_counts(architecture, input_size, num_classes):
    with torch.device("meta"):
        model = use_backend(build_model(architecture, input_size[0], num_classes), "definition")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, *input_size, device="meta"))
    flops = {name.removeprefix("HybridNet."): sum(by.values()) for name, by in counter.get_flop_counts().items()}
    return model, flops


@pytest.mark.parametrize("name", TABLE_1)
def test_the_costs_equal_table_1_of_the_paper(name):
    flops, params = TABLE_1[name]
    result = cost(reference(name))
    assert result.flops / 1e9 == pytest.approx(flops, abs=0.1)
    assert result.params / 1e6 == pytest.approx(params, abs=0.15)


@pytest.mark.parametrize(
    ("architecture", "input_size", "num_classes"),
    [*((reference(name), (3, 224, 224), 1000) for name in TABLE_1), (SMALL, (1, 13, 18), 7), (SMALL, (3, 16, 11), 0)],
    ids=[*TABLE_1, "small", "small without classes"],
)
def test_the_closed_form_equals_the_count_of_torch_on_the_built_model_layer_by_layer(
    architecture, input_size, num_classes
):
    model, flops = torch_counts(architecture, input_size, num_classes)
    result = cost(architecture, input_size, num_classes)
    assert result.flops == flops["Global"]
    assert result.params == sum(p.numel() for p in model.parameters())
    modules = dict(model.named_modules())
    assert len({layer.name for layer in result.layers}) == len(result.layers)
    for layer in result.layers:
        assert flops.get(layer.name, 0) == layer.flops, layer.name
        assert sum(p.numel() for p in modules[layer.name].parameters()) == layer.params, layer.name


def test_a_cost_is_the_sum_of_its_layers():
    result = cost(reference("hybrid-50-CCAA"))
    assert isinstance(result, Cost)
    assert result.flops == 2 * sum(layer.macs for layer in result.layers)
    assert result.params == sum(layer.params for layer in result.layers)


def test_heads_and_borders_do_not_change_the_cost_and_a_larger_extent_adds_tables_only():
    def cost_with(**options):
        return cost(Architecture(make_stem("conv7x7", {}), (Stage("local_attention", 1, 64, 1, options),)))

    base = cost_with()
    for options in ({"heads": 1}, {"border": "zero"}, {"border": "shifted"}, {"scale": True}):
        assert (cost_with(**options).flops, cost_with(**options).params) == (base.flops, base.params)
    assert cost_with(extent=11).params - base.params == 4 * 64
    assert base.flops - cost_with(position="none").flops == 2 * 49 * 64 * 56 * 56


def test_the_formula_of_every_layer_evaluates_to_its_macs():
    for name in ("resnet26", "sasa-26-full"):
        for layer in cost(reference(name)).layers:
            if layer.macs:
                formula = layer.formula.replace("^", "**").replace("x", "*")
                for word in ("(q.k)", "(q.r)", "(weights.v)", "(mi*ing)"):
                    formula = formula.replace(word, "")
                assert eval(formula) * layer.rows * layer.cols == layer.macs, layer  # the text is the project's own


def test_the_attention_stem_costs_a_fifth_of_a_billion_more():
    for depth in (26, 38, 50):
        gap = cost(reference(f"sasa-{depth}-full")).flops - cost(reference(f"sasa-{depth}-stem")).flops
        assert gap / 1e9 == pytest.approx(0.21, abs=0.01)


def test_extent_19_at_width_128_costs_about_as_much_as_a_3x3_convolution_without_the_position_term():
    stage = Stage("local_attention", 1, 128, 1, {"extent": 19})
    (row,) = explain(Architecture(make_stem("conv7x7", {}), (stage,)))
    pixels = 56 * 56
    assert row.convolution_macs == 147_456 * pixels
    assert row.projection_macs + row.content_macs == 141_568 * pixels
    assert row.ratio_without_position == pytest.approx(0.96, abs=0.005)
    assert row.ratio == pytest.approx(1.27, abs=0.005)
    assert row.break_even == pytest.approx(16)


@pytest.mark.parametrize(("width", "extent"), [(64, 13.9), (128, 19.6), (256, 27.7), (512, 39.2)])
def test_the_break_even_extent_is_the_square_root_of_three_times_the_width(width, extent):
    (row,) = explain(Architecture(make_stem("conv7x7", {}), (Stage("local_attention", 1, width),)))
    assert row.break_even_without_position == pytest.approx(math.sqrt(3 * width))
    assert row.break_even_without_position == pytest.approx(extent, abs=0.05)


def test_the_explanation_agrees_with_the_cost_and_names_the_layers_it_explains():
    architecture = reference("hybrid-50-CACA")
    rows = explain(architecture)
    assert len(rows) == 4 + 3
    layers = cost(architecture).layers
    for row in rows:
        assert row.attention_macs == sum(layer.macs for layer in layers if layer.name.startswith(row.name + "."))
        assert f"= {row.attention_macs:,} MACs; ratio {row.ratio:.2f}" in str(row)
    strided = rows[0]
    assert (strided.name, strided.rows, strided.out_rows) == ("stages.1.0.operator", 56, 28)
    assert strided.ratio > 1.5
    assert strided.break_even == 0


def test_the_explanation_of_logits_qr_has_no_product_of_q_and_k():
    stage = Stage("local_attention", 1, 64, 1, {"logits": "qr"})
    (row,) = explain(Architecture(make_stem("conv7x7", {}), (stage,)), (3, 64, 32))
    assert row.content_macs == row.position_macs == 49 * 64 * 16 * 8
    assert row.projection_macs == 2 * 64 * 64 * 16 * 8


@pytest.mark.parametrize(
    ("input_size", "law"),
    [
        ((224, 224), r"input_size must be \(channels, rows, cols\); got \(224, 224\)"),
        ((3, 0, 8), r"each of channels, rows and cols must be a whole number from 1 up; got 0"),
        ((3, 30, 32), r"rows and columns divisible by 4; got 30x32"),
    ],
)
def test_an_impossible_image_size_is_refused(input_size, law):
    with pytest.raises(ArchitectureError, match=law):
        cost(reference("sasa-26-full"), input_size)


def test_every_reference_has_a_cost_without_building_a_model():
    costs = {name: cost(reference(name)) for name in references()}
    assert costs["hybrid-50-CCCC"] == costs["resnet50"]
    assert costs["hybrid-50-AAAA"].flops < costs["hybrid-50-CCCC"].flops
    assert json.dumps([layer.flops for layer in costs["resnet26"].layers])


@pytest.mark.parametrize("num_classes", [0, 10])
def test_total_cost_equals_cost_without_its_layers(num_classes):
    for name in references():
        expected = cost(reference(name), (3, 64, 96), num_classes)
        assert total_cost(reference(name), (3, 64, 96), num_classes) == (expected.flops, expected.params)
