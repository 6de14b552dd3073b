"""Architectures with blocks other than the bottleneck: text, digest, cost and model."""

import json

import pytest
import torch
from support.basic_resnet import basic_resnet

from hybrid_search import Architecture, Stage, build_model, cost
from hybrid_search.errors import ArchitectureError, SettingsError
from hybrid_search.networks.blocks.modules import StochasticDepth
from hybrid_search.networks.costs import blocks, explain, simplified_for, total_cost
from hybrid_search.networks.stems import make_stem
from hybrid_search.records import Settings
from hybrid_search.training.evaluation import evaluate

STEM = make_stem("conv3x3", {"width": 16, "stride": 2})
RESNET = Architecture(STEM, tuple(Stage("conv", 2, 16 * 2**i, min(2, i + 1), {}, "basic") for i in range(3)))


def test_a_stage_without_a_block_is_a_bottleneck_and_is_stored_as_before():
    stage = Stage("conv", 1, 16)
    assert stage.block == "bottleneck"
    assert "block" not in stage.to_dict()
    assert Architecture(STEM, (stage,)).digest == Architecture(STEM, (Stage("conv", 1, 16, block="bottleneck"),)).digest


@pytest.mark.parametrize(
    ("block", "options", "text"),
    [
        ("basic", {}, "2x32/2 basic conv kernel_size=3"),
        ("bottleneck", {"activation": "silu"}, "2x32/2 bottleneck activation=silu conv kernel_size=3"),
        ("inverted_residual", {"expansion": 6}, "2x32/2 inverted_residual expansion=6 conv kernel_size=3"),
        ("metaformer", {"norm": "batch"}, "2x32/2 metaformer norm=batch conv kernel_size=3"),
    ],
)
def test_a_block_is_in_the_text_and_in_the_stored_form(block, options, text):
    architecture = Architecture(STEM, (Stage("conv", 2, 32, 2, {}, block, options),))
    assert text in str(architecture)
    stored = json.loads(json.dumps(architecture.to_dict()))
    assert stored["stages"][0]["block"]["kind"] == block
    assert Architecture.from_dict(stored) == architecture
    assert Architecture.from_dict(stored).digest == architecture.digest


def test_a_block_may_be_written_as_its_name():
    plain = {"stem": {"kind": "conv3x3"}, "stages": [{"operator": "conv", "depth": 1, "width": 8, "block": "basic"}]}
    assert Architecture.from_dict(plain).stages[0].block == "basic"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("basics", r"stages\[0\].*block must be one of bottleneck, basic, .*; got 'basics'"),
        ({"kind": "basic", "expansion": 2}, r"options of block basic are activation, norm; got 'expansion'"),
        ({"kind": "bottleneck", "activation": 3}, r"activation must be one of relu, silu, gelu; got 3"),
        ({"expansion": 2}, r"a block must be a name; got nothing"),
        (7, r"a block must be a name; got 7"),
    ],
)
def test_a_wrong_block_is_refused_by_name(block, message):
    stages = [{"operator": "conv", "depth": 1, "width": 8, "block": block}]
    with pytest.raises(ArchitectureError, match=message):
        Architecture.from_dict({"stem": {"kind": "conv3x3"}, "stages": stages})


def test_heads_must_divide_the_channels_of_the_operator():
    Stage("local_attention", 1, 6, options={"heads": 4, "extent": 3}, block="inverted_residual")  # 24 channels
    with pytest.raises(ArchitectureError, match="heads"):
        Stage("local_attention", 1, 6, options={"heads": 4, "extent": 3}, block="basic")


def test_the_expansion_of_a_network_without_bottlenecks_has_no_effect():
    stages = (Stage("conv", 1, 16, block="basic"),)
    assert Architecture(STEM, stages, expansion=2).digest == Architecture(STEM, stages).digest


def test_equal_neighbours_are_merged_and_different_blocks_are_not():
    same = Architecture(STEM, (Stage("conv", 1, 16, block="basic"), Stage("conv", 2, 16, block="basic")))
    assert [stage.depth for stage in same.stages] == [3]
    other = Architecture(STEM, (Stage("conv", 1, 16, block="basic"), Stage("conv", 2, 16, block="metaformer")))
    assert [stage.depth for stage in other.stages] == [1, 2]


def test_the_basic_network_is_the_resnet_that_people_write_by_hand():
    by_hand, ours = basic_resnet((16, 32, 64), classes=4), build_model(RESNET, 3, 4)
    counted = cost(RESNET, (3, 32, 32), 4)
    assert sum(p.numel() for p in by_hand.parameters()) == sum(p.numel() for p in ours.parameters()) == counted.params
    shapes = sorted(tuple(p.shape) for p in by_hand.parameters())
    assert sorted(tuple(p.shape) for p in ours.parameters()) == shapes


@pytest.mark.parametrize("block", ["basic", "inverted_residual", "metaformer", "bottleneck"])
@pytest.mark.parametrize("operator", ["conv", "depthwise_conv", "local_attention", "global_attention"])
def test_cost_model_and_total_agree_for_every_block_and_operator(block, operator):
    options = {"heads": 2} if "attention" in operator else {}
    stages = (Stage(operator, 2, 8, 1, options, block), Stage(operator, 1, 16, 3, options, block))
    architecture = simplified_for(Architecture(STEM, stages, 2), (3, 20, 20))
    counted, model = cost(architecture, (3, 20, 20), 5), build_model(architecture, 3, 5).eval()
    assert counted.params == sum(parameter.numel() for parameter in model.parameters())
    assert total_cost(architecture, (3, 20, 20), 5) == (counted.flops, counted.params)
    assert model(torch.randn(2, 3, 20, 20)).shape == (2, 5)
    assert model.num_features == architecture.num_features
    names = dict(model.named_modules())
    assert all(layer.name in names for layer in counted.layers)


def test_a_metaformer_simplifies_by_the_map_after_its_stride():
    wide = Architecture(STEM, (Stage("local_attention", 1, 16, 4, {"extent": 15, "heads": 2}, "metaformer"),))
    block = blocks(wide, 32, 32)[0]
    assert (block.places[0].rows, block.places[0].cols) == (4, 4)
    made = simplified_for(wide, (3, 32, 32))
    assert dict(made.stages[0].options)["extent"] == 7


@pytest.mark.parametrize("block", ["basic", "inverted_residual", "metaformer", "bottleneck"])
def test_a_convolution_with_depthwise_groups_is_stored_as_the_depthwise_operator(block):
    options = {"kernel_size": 5}
    one, other = (
        Architecture(STEM, (Stage(name, 1, 8, 2, given, block),))
        for name, given in (("conv", {**options, "groups": "depthwise"}), ("depthwise_conv", options))
    )
    assert one == other
    assert one.digest == other.digest
    assert one.stages[0].operator == "depthwise_conv"
    plain = other.to_dict()
    plain["stages"][0] |= {"operator": "conv", "groups": "depthwise"}
    assert Architecture.from_dict(plain) == other


def test_explain_names_each_attention_of_a_basic_block():
    stages = (Stage("local_attention", 1, 16, 2, {"extent": 3, "heads": 2}, "basic"),)
    found = explain(Architecture(STEM, stages), (3, 32, 32))
    assert [one.name for one in found] == ["stages.0.0.first", "stages.0.0.second"]
    assert [(one.rows, one.out_rows) for one in found] == [(16, 8), (8, 8)]


def test_an_option_that_came_later_is_stored_only_where_it_is_chosen():
    """The digests are those of the version before norms of blocks and activations of stems were options."""
    stem = make_stem("conv3x3", {"width": 8})
    basic, bottleneck = (
        Architecture(stem, (Stage("conv", 1, 8, block=block, block_options=options),))
        for block, options in (("basic", {"activation": "silu"}), ("bottleneck", {"activation": "silu"}))
    )
    assert (basic.digest, bottleneck.digest) == ("e0beefe0cb16b498", "ad4392290736b2d0")
    assert basic.to_dict()["stages"][0]["block"] == {"kind": "basic", "activation": "silu"}
    assert basic.to_dict()["stem"] == {"kind": "conv3x3", "width": 8, "stride": 1}
    chosen = Architecture(
        make_stem("conv3x3", {"width": 8, "activation": "gelu"}),
        (Stage("conv", 1, 8, block="basic", block_options={"activation": "silu", "norm": "layer"}),),
    )
    assert Architecture.from_dict(chosen.to_dict()) == chosen
    assert chosen.digest != basic.digest
    assert str(chosen) == "conv3x3 width=8 activation=gelu | 1x8 basic activation=silu norm=layer conv kernel_size=3"


@pytest.mark.parametrize("block", ["basic", "inverted_residual", "metaformer", "bottleneck"])
def test_stochastic_depth_leaves_out_branches_of_some_images_in_training_only(block):
    architecture = Architecture(make_stem("conv3x3", {"width": 8}), (Stage("conv", 4, 8, block=block),), expansion=1)
    torch.manual_seed(0)
    plain, model = build_model(architecture), build_model(architecture, stochastic_depth=0.8)
    model.load_state_dict(plain.state_dict())  # the weights are the same
    last, x = model.stages[0][3], torch.randn(400, 8, 5, 3).relu()
    for parameter in last.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 1.0)
    branches = 2 if block == "metaformer" else 1
    left_out = (last(x) == x).all((1, 2, 3)).float().mean().item()
    assert left_out == pytest.approx(0.8**branches, abs=0.08)
    assert [each.stochastic_depth.rate for each in model.stages[0]] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert torch.equal(model.eval()(x[:2, :3]), model(x[:2, :3]))
    assert not (last(x) == x).all((1, 2, 3)).any()


def test_a_branch_that_is_kept_has_the_expected_size():
    module = StochasticDepth()
    module.rate = 0.75
    values, counts = module(torch.ones(4000, 1, 1, 1)).unique(return_counts=True)
    assert values.tolist() == [0.0, 4.0]
    assert counts[1] / 4000 == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("rate", [1, -0.1, float("nan"), "much", True])
def test_a_wrong_stochastic_depth_is_refused(rate):
    with pytest.raises(ArchitectureError, match="stochastic_depth must be a number from 0 to below 1; got"):
        build_model(RESNET, stochastic_depth=rate)


def test_stochastic_depth_is_a_setting_with_an_effect_that_the_seed_repeats():
    settings = Settings(image_size=8, train_images=60, validation_images=20, epochs=1, device="cpu", ema=0)
    assert settings.with_(stochastic_depth=0).digest == settings.digest
    losses = [
        list(evaluate(RESNET, settings.with_(stochastic_depth=rate)))[-1].measurements["train_loss"]
        for rate in (0.0, 0.5, 0.5)
    ]
    assert losses[0] != losses[1] == losses[2]
    with pytest.raises(SettingsError, match=r"stochastic_depth must be a number from 0 to 0\.9; got 1"):
        settings.with_(stochastic_depth=1)
