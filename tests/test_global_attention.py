"""Global attention: the equation written as loops, its relation to local attention, costs, canonical form."""

import pytest
import torch

from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.costs import cost, simplified_for
from hybrid_search.networks.model import build_model, use_backend
from hybrid_search.networks.references import reference
from hybrid_search.networks.stems import make_stem
from hybrid_search.ops import GlobalAttention2d, LocalAttention2d
from hybrid_search.ops.global_attention import GlobalAttention

SIZES = [(3, 5), (5, 3), (1, 4), (1, 1), (6, 6)]


def layer(width=8, **options):
    torch.manual_seed(0)
    return GlobalAttention2d(width, **options).double()


@pytest.mark.parametrize("backend", [None, "definition"])
@pytest.mark.parametrize("distance", [1, 2, 31])
@pytest.mark.parametrize("size", SIZES)
def test_global_attention_matches_the_equation_written_as_loops(size, distance, backend):
    rows, cols = size
    module = layer(heads=2, distance=distance, backend=backend)
    x = torch.randn(1, 8, rows, cols, dtype=torch.float64)
    q, k, v = module.qkv(x)[0].view(2, 3, 4, rows, cols).unbind(1)
    table_row, table_col = module.attention.rel_row, module.attention.rel_col
    expected = torch.empty(2, 4, rows, cols, dtype=torch.float64)
    pixels = [(i, j) for i in range(rows) for j in range(cols)]
    for head in range(2):
        for i, j in pixels:
            logits = []
            for a, b in pixels:
                row = max(-distance, min(distance, a - i)) + distance
                col = max(-distance, min(distance, b - j)) + distance
                r = torch.cat([table_row[head, :, row], table_col[head, :, col]])
                logits.append(q[head, :, i, j] @ (k[head, :, a, b] + r) / 4**0.5)
            weights = torch.stack(logits).softmax(0)
            expected[head, :, i, j] = sum(w * v[head, :, a, b] for w, (a, b) in zip(weights, pixels, strict=True))
    torch.testing.assert_close(module(x)[0], expected.flatten(0, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("position", ["none", "relative"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_global_attention_equals_scaled_local_attention_with_a_window_that_covers_the_map(size, stride, position):
    distance = max(1, max(size) - 1)
    ours = layer(heads=2, position=position, distance=distance, stride=stride)
    local = LocalAttention2d(8, 2 * distance + 1, 2, position, scale=True, stride=stride, backend="portable").double()
    local.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, *size, dtype=torch.float64, requires_grad=True)
    results = []
    for module in (ours, local):
        y = module(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), [x, *module.parameters()])])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("options", [{}, {"position": "none"}, {"distance": 2}])
def test_both_forms_compute_the_same_gradients(options):
    module = layer(width=16, heads=4, **options)
    x = torch.randn(2, 16, 4, 7, dtype=torch.float64, requires_grad=True)
    results = []
    for backend in (None, "definition"):
        y = use_backend(module, backend)(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), [x, *module.parameters()])])
    for fast, written in zip(*results, strict=True):
        torch.testing.assert_close(fast, written, rtol=0, atol=1e-10)


def test_the_softmax_starts_open():
    torch.manual_seed(0)
    module = GlobalAttention2d(512, heads=8)
    q, k, _ = module.qkv(torch.randn(4, 512, 7, 7).relu()).view(4, 8, 3, 64, 7, 7).unbind(2)
    content = torch.einsum("bhdij,bhdij->bhij", q, k.roll(1, -1)) / 8
    position = torch.einsum("bhdij,hd->bhij", q[:, :, :32], module.attention.rel_row[..., 0]) / 8
    assert 0.1 < content.std() < 2
    assert 0.1 < position.std() < 2


@pytest.mark.parametrize("size", SIZES)
def test_a_distance_beyond_the_map_is_dropped_and_the_network_stays(size):
    wide = GlobalAttention(heads=2, distance=9)
    least = wide.canonical(8, size)
    assert least.distance == max(1, max(size) - 1)
    module, other = wide.build(8, 1).eval(), least.build(8, 1).eval()
    state = module.state_dict()
    for name in ("attention.rel_row", "attention.rel_col"):
        state[name] = state[name][..., 9 - least.distance : 10 + least.distance]
    other.load_state_dict(state)
    x = torch.randn(2, 8, *size)
    torch.testing.assert_close(other(x), module(x), rtol=1e-5, atol=1e-5)


def test_options_without_effect_are_dropped():
    assert GlobalAttention(position="none", distance=5).canonical(16) == GlobalAttention(position="none")
    assert GlobalAttention(position="none", heads=4).canonical(16, (1, 1)).heads == 1
    assert GlobalAttention(heads=4).canonical(16, (1, 1)).heads == 4  # the tables depend on the heads
    assert GlobalAttention(heads=4).canonical(16, (1, 2)).distance == 1


def test_the_parameters_of_botnet_50_are_those_published():
    resnet = reference("resnet50")
    last = Stage("global_attention", 3, 512, 2, {"heads": 4})
    botnet = Architecture(resnet.stem, (*resnet.stages[:3], last))
    assert cost(simplified_for(botnet, (3, 224, 224))).params / 1e6 == pytest.approx(20.8, abs=0.1)


def test_an_architecture_with_every_operator_is_written_read_counted_and_built():
    stages = (
        Stage("depthwise_conv", 1, 8, 1, {"kernel_size": 5}),
        Stage("local_attention", 1, 8, 1, {"extent": 3, "heads": 2}),
        Stage("global_attention", 2, 16, 2, {"heads": 4, "position": "none"}),
    )
    architecture = Architecture(make_stem("conv3x3", {"width": 8}), stages, 2)
    assert Architecture.from_dict(architecture.to_dict()) == architecture
    assert str(architecture) == (
        "conv3x3 width=8 | 1x8 depthwise_conv kernel_size=5 | 1x8 local_attention extent=3 heads=2 | "
        "2x16/2 global_attention heads=4 position=none"
    )
    model = build_model(architecture, in_channels=1, num_classes=3)
    assert model(torch.randn(2, 1, 10, 6)).shape == (2, 3)
    found = cost(architecture, (1, 10, 6), 3)
    assert found.params == sum(p.numel() for p in model.parameters())
    formulas = {layer.name: layer.formula for layer in found.layers}
    assert formulas["stages.0.0.operator.conv"] == "5^2 x 8"
    assert formulas["stages.2.0.operator.attention"] == "10 x 6 x 16 (q.k) + 10 x 6 x 16 (weights.v)"


def test_an_exported_layer_gives_the_same_numbers_for_another_batch():
    module = GlobalAttention2d(16, heads=4).eval()
    x = torch.randn(2, 16, 5, 6)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    more = torch.randn(3, 16, 5, 6)
    torch.testing.assert_close(program.module()(more), module(more), rtol=1e-5, atol=1e-5)
