"""The network built from an architecture."""

import pytest
import torch
from torch import nn

from hybrid_search.errors import ArchitectureError, UnknownName
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.model import HybridNet, build_model, use_backend
from hybrid_search.networks.references import reference
from hybrid_search.networks.stems import make_stem
from hybrid_search.ops.conv import convolution
from hybrid_search.ops.subsampled_conv import SubsampledConv2d


def small(stem="conv3x3", first="conv", second="local_attention"):
    options = {"conv": {}, "local_attention": {"heads": 2, "extent": 5}}
    stages = (Stage(first, 2, 8, 1, options[first]), Stage(second, 1, 16, 2, options[second]))
    return Architecture(make_stem(stem, {"width": 8}), stages, 2)


@pytest.mark.parametrize("stem", ["conv3x3", "conv7x7", "attention"])
@pytest.mark.parametrize("size", [(16, 8), (20, 36)])
@pytest.mark.parametrize(("first", "second"), [("conv", "local_attention"), ("local_attention", "conv")])
def test_one_code_builds_small_and_large_layouts_for_any_map(stem, size, first, second):
    model = build_model(small(stem, first, second), in_channels=1, num_classes=5)
    x = torch.randn(3, 1, *size)
    stride = model.architecture.stem.stride * 2
    features = model.forward_features(x)
    assert features.shape == (3, 32, -(-size[0] // stride), -(-size[1] // stride))
    assert model(x).shape == (3, 5)


@pytest.mark.parametrize("name", ["resnet26", "sasa-26-stem", "sasa-26-full", "hybrid-50-CCAA", "hybrid-50-ACAC"])
def test_references_are_built_and_map_an_image_to_classes(name):
    with torch.device("meta"):
        model = build_model(reference(name))
        assert model(torch.empty(2, 3, 64, 96)).shape == (2, 1000)


def test_an_image_of_odd_size_passes_through_strided_stages_of_both_operators():
    for first, second in (("conv", "local_attention"), ("local_attention", "conv")):
        assert build_model(small("conv3x3", first, second), 3, 4)(torch.randn(2, 3, 11, 7)).shape == (2, 4)


def test_a_network_starts_with_every_block_as_its_shortcut():
    model = build_model(small(), 1, 3)
    block = model.stages[0][1]
    x = torch.randn(2, 16, 5, 6).relu()
    assert torch.equal(block(x), x)


def test_convolutions_start_for_a_relu_and_the_classifier_starts_small():
    torch.manual_seed(0)
    model = build_model(reference("resnet26"))
    weight = model.stages[2][1].operator.conv.weight
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.02)
    assert model.head.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert model.head.bias.abs().max() == 0


def test_the_stride_lies_in_the_operator_and_in_the_shortcut_as_in_resnet_v1_5():
    model = build_model(reference("hybrid-50-CCAA"), num_classes=0)
    block = model.stages[1][0]
    assert (block.reduce.stride, block.operator.conv.stride, block.shortcut.conv.stride) == ((1, 1), (2, 2), (2, 2))
    attention = model.stages[2][0]
    assert attention.operator.pool is not None
    assert attention.shortcut.conv.stride == (2, 2)
    assert isinstance(model.stages[1][1].shortcut, nn.Identity)


def test_a_strided_1x1_convolution_of_few_channels_selects_its_pixels_first():
    torch.manual_seed(0)
    conv = convolution(4, 6, 1, stride=2)
    assert type(conv) is SubsampledConv2d
    assert type(convolution(8, 6, 1, stride=2)) is nn.Conv2d
    x = torch.randn(2, 4, 9, 7)
    torch.testing.assert_close(conv(x), nn.functional.conv2d(x, conv.weight, stride=2))


def test_a_network_learns():
    torch.manual_seed(0)
    model = build_model(small("attention"), 1, 2)
    x = torch.randn(16, 1, 8, 12)
    target = (x.mean((1, 2, 3)) > 0).long()
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    losses = []
    for _ in range(25):
        loss = nn.functional.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert all(p.grad is not None for p in model.parameters())


def test_the_same_seed_builds_the_same_weights():
    torch.manual_seed(3)
    one = build_model(small("attention")).state_dict()
    torch.manual_seed(3)
    two = build_model(small("attention")).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_every_backend_computes_the_same_network():
    torch.manual_seed(0)
    model = build_model(small("attention"), 3, 4).double().eval()
    x = torch.randn(2, 3, 12, 20, dtype=torch.float64)
    expected = use_backend(model, "definition")(x)
    assert (use_backend(model, "portable")(x) - expected).abs().max() <= 1e-12
    assert (use_backend(model, None)(x) - expected).abs().max() <= 1e-12


def test_the_classifier_can_be_read_replaced_and_left_out():
    model = build_model(small(), 1, 3)
    assert isinstance(model, HybridNet)
    assert model.get_classifier().out_features == model.num_classes == 3
    x = torch.randn(2, 1, 8, 6)
    pooled = model.eval().forward_head(model.forward_features(x), pre_logits=True)
    assert pooled.shape == (2, model.num_features)
    model.reset_classifier(7)
    assert model(x).shape == (2, 7)
    model.reset_classifier(0)
    assert torch.equal(model(x), pooled)
    assert build_model(small(), 1, 0)(x).shape == (2, 32)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ArchitectureError, match="in_channels must be a whole number from 1 up; got 0"):
        build_model(small(), 0)
    with pytest.raises(ArchitectureError, match="num_classes must be a whole number from 0 up; got -1"):
        build_model(small(), 1, -1)
    with pytest.raises(
        UnknownName, match=r"backend must be one of None, .*portable, triton, exportable, definition; got 'gpu'"
    ):
        use_backend(build_model(small()), "gpu")
    with pytest.raises(UnknownName, match="global_pool must be one of None, avg; got 'max'"):
        build_model(small()).reset_classifier(3, "max")


def test_an_exported_network_gives_the_same_numbers_for_another_batch():
    model = build_model(small(), 1, 3).eval()
    x = torch.randn(2, 1, 8, 12)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    other = torch.randn(5, 1, 8, 12)
    torch.testing.assert_close(program.module()(other), model(other), rtol=1e-5, atol=1e-5)
