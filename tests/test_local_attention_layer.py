"""The layer of local attention, and its declaration: laws, canonical form, imports.

Faults of public re-implementations and the test that excludes each:
grouped projections by default .... test_projections_are_dense_by_default
pool in the wrong place ........... test_a_strided_layer_pools_the_attention_of_the_full_map
"""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune

import hybrid_search.ops
from hybrid_search.errors import ArchitectureError
from hybrid_search.ops import LocalAttention2d, local_attention
from hybrid_search.ops.local_attention import LocalAttention, fused_projection

AT_ONCE = [
    {"extent": 3, "heads": 4},
    {"extent": 5, "heads": 3, "projection": "grouped"},
    {"extent": 7, "heads": 4, "logits": "qr", "border": "zero", "scale": True},
    {"extent": 3, "heads": 2, "position": "none", "scale": True, "border": "shifted"},
    {"extent": 3, "heads": 12, "projection": "grouped", "logits": "qr", "stride": 2},
]


@pytest.mark.parametrize("projection", ["dense", "grouped"])
@pytest.mark.parametrize("position", ["none", "absolute", "relative"])
def test_the_layer_is_its_projections_and_the_function(position, projection):
    torch.manual_seed(0)
    layer = LocalAttention2d(16, 5, 4, position, projection=projection, scale=True).double()
    x = torch.randn(2, 16, 5, 7, dtype=torch.float64)
    maps = {}
    for name in layer.projections:
        conv = layer.get_submodule(name)
        source = x
        if name == "qk":
            source = x + _sinusoid_by_loops(16, 5, 7)
        for number, letter in enumerate(name):
            maps[letter] = conv(source).view(2, 4, len(name), 4, 5, 7)[:, :, number]
    tables = (layer.attention.rel_row, layer.attention.rel_col)
    expected = local_attention(maps["q"] / 2, maps["k"], maps["v"], *tables, extent=5)
    assert (layer(x) - expected.flatten(1, 2)).abs().max() <= (1e-6 if position == "absolute" else 1e-12)


def _sinusoid_by_loops(width, rows, cols):
    place = torch.empty(width, rows, cols, dtype=torch.float64)
    quarter = width // 4
    for n in range(quarter):
        wave = 10_000.0 ** (-n / quarter)
        for i in range(rows):
            for j in range(cols):
                angle = torch.tensor([i * wave, j * wave])
                place[n, i, j], place[quarter + n, i, j] = angle[0].sin(), angle[0].cos()
                place[2 * quarter + n, i, j], place[3 * quarter + n, i, j] = angle[1].sin(), angle[1].cos()
    return place


def test_a_grouped_head_sees_its_own_channels_only_and_a_dense_head_sees_all():
    x = torch.randn(1, 16, 4, 5, requires_grad=True)
    for projection, seen in (("grouped", 4), ("dense", 16)):
        y = LocalAttention2d(16, 3, 4, projection=projection)(x)
        (grad,) = torch.autograd.grad(y[:, 4:8].sum(), x)
        assert (grad.abs().amax((0, 2, 3)) > 0).sum() == seen


def test_projections_are_dense_by_default():
    layer = LocalAttention2d(64)
    assert sum(p.numel() for p in layer.parameters()) == 3 * 64**2 + 7 * 64
    assert all(p.dim() > 1 for p in layer.parameters())  # no bias


def test_a_strided_layer_pools_the_attention_of_the_full_map():
    torch.manual_seed(0)
    strided = LocalAttention2d(16, 5, 4, stride=2)
    plain = LocalAttention2d(16, 5, 4)
    plain.load_state_dict(strided.state_dict())
    x = torch.randn(2, 16, 7, 4)
    y, full = strided(x), plain(x)
    assert y.shape == (2, 16, 4, 2)
    torch.testing.assert_close(y[:, :, :3], F.avg_pool2d(full[:, :, :6], 2))
    torch.testing.assert_close(
        y[:, :, 3], full[:, :, 6].view(2, 16, 2, 2).mean(-1)
    )  # the last of seven rows is averaged alone


def test_no_logit_dominates_the_initial_softmax_in_wide_heads():
    torch.manual_seed(0)
    x = torch.randn(4, 512, 7, 7).relu()
    for option in ({}, {"scale": True}, {"norm": True}):
        layer = LocalAttention2d(512, heads=8, **option)
        q, k, _ = layer._parts(layer.qkv(x) if layer.norm is None else layer.norm(layer.qkv(x)))
        q = q / 8 if layer.scale else q
        content = torch.einsum("bhdij,bhdij->bhij", q, k.roll(1, -1))
        position = torch.einsum("bhdij,hd->bhij", q[:, :, :32], layer.attention.rel_row[..., 0])
        assert 0.1 < content.std() < 2, option
        assert 0.1 < position.std() < 2, option


def test_the_attribute_is_the_function_and_the_modules_are_reached_by_import():
    from hybrid_search.ops.local_attention.definition import attend

    assert callable(hybrid_search.ops.local_attention)
    assert hybrid_search.ops.local_attention is local_attention
    assert attend.__module__ == "hybrid_search.ops.local_attention.definition"
    assert sys.modules["hybrid_search.ops.local_attention"].LocalAttention is LocalAttention
    assert hybrid_search.ops.LocalAttention2d is LocalAttention2d


def test_declaring_an_operator_and_its_cost_does_not_import_torch():
    code = (
        "import sys, hybrid_search.ops, hybrid_search.networks.references, hybrid_search.networks.costs as c\n"
        "from hybrid_search.ops.local_attention import LocalAttention\n"
        "c.cost(hybrid_search.networks.references.reference('sasa-26-full'))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "width", "law"),
    [
        ({"extent": 4}, 64, r"extent must be an odd number from 1 up; got 4"),
        ({"heads": 3}, 64, r"got 3 heads at width 64; possible: 1, 2, 4, 8, 16, 32\.$"),
        (
            {"heads": 3, "position": "none"},
            64,
            r"heads must divide the width; got 3 .*; possible: 1, 2, 4, 8, 16, 32, 64\.$",
        ),
        (
            {"heads": 8},
            8,
            r"heads must divide the width into even parts .*; got 8 heads at width 8; possible: 1, 2, 4\.$",
        ),
        ({"heads": 0}, 64, r"heads must be a whole number from 1 up; got 0"),
        (
            {"position": "relativ"},
            64,
            r"position must be one of none, absolute, relative; got 'relativ'\. Did you mean",
        ),
        ({"logits": "qk"}, 64, r"logits must be one of qk\+qr, qr; got 'qk'"),
        (
            {"logits": "qr", "position": "none"},
            64,
            r"logits qr needs position relative; got position none. Possible: ",
        ),
        ({"border": "wrap"}, 64, r"border must be one of masked, zero, shifted; got 'wrap'"),
        ({"projection": "full"}, 64, r"projection must be one of dense, grouped; got 'full'"),
        ({"scale": 1}, 64, r"scale must be true or false; got 1"),
        ({"norm": "yes"}, 64, r"norm must be true or false; got 'yes'"),
        ({"position": "absolute", "heads": 2}, 18, r"position absolute needs a width divisible by 4 .*; got 18"),
    ],
)
def test_a_broken_law_of_local_attention_is_one_clear_line(options, width, law):
    with pytest.raises(ArchitectureError, match=law) as caught:
        LocalAttention(**options).check(width)
    assert "\n" not in str(caught.value)
    with pytest.raises(ArchitectureError, match=law):
        LocalAttention2d(width, **options)


def test_a_window_of_one_pixel_has_neither_border_nor_scale():
    assert LocalAttention(extent=1, border="zero", scale=True).canonical(16) == LocalAttention(extent=1)
    assert LocalAttention(extent=3, border="zero", scale=True).canonical(16).border == "zero"


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("options", AT_ONCE, ids=str)
def test_projection_and_attention_at_once_are_the_two_after_one_another(options, memory, monkeypatch):
    """Compare values and all gradients of seven 5x6 images in chunks of two, in double precision."""
    monkeypatch.setattr(fused_projection, "_together", lambda *sizes: 2)
    torch.manual_seed(0)
    layer = LocalAttention2d(24, **options, backend="cpu").double()
    x = torch.randn(7, 24, 5, 6, dtype=torch.float64).to(memory_format=memory).requires_grad_()
    dy = torch.randn(7, 24, *layer(x).shape[2:], dtype=torch.float64)
    wanted = (x, *layer.parameters())
    at_once = layer(x)
    grads = torch.autograd.grad(at_once, wanted, dy)
    layer.get_submodule(layer.projections[0]).register_forward_hook(lambda *call: None)
    apart = layer(x)
    assert "_Projected" in str(at_once.grad_fn) + str(at_once.grad_fn.next_functions)
    assert "_Projected" not in str(apart.grad_fn) + str(apart.grad_fn.next_functions)
    assert torch.equal(at_once.isfinite(), apart.isfinite())
    assert (at_once - apart).abs().max() <= 1e-12
    for one, other in zip(grads, torch.autograd.grad(apart, wanted, dy), strict=True):
        assert (one - other).abs().max() <= 1e-11


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_layer_answers_in_the_memory_format_that_it_is_given(memory):
    x = torch.randn(3, 16, 6, 6).to(memory_format=memory)
    for stride in (1, 2):
        assert LocalAttention2d(16, 3, 4, stride=stride)(x).is_contiguous(memory_format=memory)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_without_gradients_only_the_projections_of_a_few_images_are_in_memory_and_the_result_is_equal(
    memory, monkeypatch
):
    monkeypatch.setattr(fused_projection, "_together", lambda *sizes: 3)
    layer = LocalAttention2d(16, 3, 4, backend="cpu")
    x = torch.randn(8, 16, 20, 24).to(memory_format=memory)
    expected = layer(x).detach()
    buffers = []
    allocate = fused_projection._room
    monkeypatch.setattr(fused_projection, "_room", lambda *sizes: buffers.append(allocate(*sizes)) or buffers[-1])
    with torch.no_grad():
        y = layer(x)
    with torch.inference_mode():
        assert torch.equal(layer(x), y)
    assert torch.equal(y, expected)
    assert [len(buffer) for buffer in buffers] == [3 * 48 * 20 * 24] * 2


def test_an_observer_of_the_projection_is_still_called():
    layer, seen = LocalAttention2d(16, 3, 4), []
    layer.qkv.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    layer(torch.randn(2, 16, 5, 5))
    assert seen == [(2, 48, 5, 5)]


def test_a_layer_takes_a_batch_of_no_images():
    layer = LocalAttention2d(16, 3, 4)
    x = torch.zeros(0, 16, 5, 5, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.shape == x.shape
    assert all(torch.count_nonzero(parameter.grad) == 0 for parameter in layer.parameters())


def test_images_go_together_in_few_for_wide_maps_and_all_for_narrow_ones():
    assert fused_projection._together(64, 8, 2**20, columns=True) == 4
    assert fused_projection._together(64, 1, 2**20, columns=True) == 32
    assert fused_projection._together(64, 8, 2**20, columns=False) == 64
    assert fused_projection._together(0, 8, 2**20, columns=False) == 1


@pytest.mark.parametrize("shape", [(2, 24, 6, 5), (2, 4, 6, 5), (8, 6, 5), (2, 8, 0, 5)])
def test_an_input_of_another_shape_is_refused_and_not_read(shape):
    with pytest.raises((RuntimeError, ArchitectureError)):
        LocalAttention2d(8, 3, 2)(torch.randn(shape))


def _wrong_table(layer):
    layer.attention.rel_row = torch.nn.Parameter(torch.zeros(2, 1, 3))


def _other_type(layer):
    layer.qkv.double()


def _across(layer):
    layer.attention.rel_row = torch.nn.Parameter(torch.randn(3, 2, 2).permute(2, 1, 0))


def _with_bias(layer):
    layer.qkv.bias = torch.nn.Parameter(torch.randn(24))


def _patched(layer):
    forward = layer.attention.forward
    layer.attention.forward = lambda *maps: 2 * forward(*maps)


def _pruned(layer):
    torch.nn.utils.prune.random_unstructured(layer.attention, "rel_row", 0.5)


@pytest.mark.parametrize("change", [_other_type, _across, _with_bias, _patched, _pruned])
def test_a_layer_that_was_changed_is_still_its_parts_after_one_another(change):
    torch.manual_seed(0)
    layer = LocalAttention2d(8, 3, 2)
    change(layer)
    x = torch.randn(2, 8, 6, 5, dtype=layer.qkv.weight.dtype)
    for _ in range(2):
        y = layer(x)
        assert (y - layer._attend(x)).abs().max() <= 1e-5
        y.sum().backward()


def test_a_table_of_another_shape_is_refused():
    layer = LocalAttention2d(8, 3, 2)
    _wrong_table(layer)
    with pytest.raises(ArchitectureError, match="rel_row must be"):
        layer(torch.randn(2, 8, 6, 5))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit.trace:DeprecationWarning")
def test_a_layer_can_be_traced_and_followed_without_data():
    layer, x = LocalAttention2d(8, 3, 2), torch.randn(2, 8, 6, 5)
    traced = torch.jit.trace(layer, x, check_trace=False)
    assert (traced(x) - layer(x)).abs().max() <= 1e-5
    with torch._subclasses.fake_tensor.FakeTensorMode(allow_non_fake_inputs=True):
        assert layer(x).shape == x.shape
