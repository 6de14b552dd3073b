"""Local attention against a definition written as loops, and the properties that the paper's operator must have.

Faults of public re-implementations and the test that excludes each:
no dot product, heads without effect ............ test_the_number_of_heads_changes_the_output, ..._loops_...
row / column split across heads ................. test_every_head_responds_to_a_row_offset_and_to_a_column_offset
one attention map for all heads ................. test_nine_heads_set_by_hand_are_a_3x3_convolution
r added to the values ........................... test_positions_weigh_the_values_and_are_never_added_to_them
unfold reshaped without a permute ............... test_every_backend_is_the_definition_written_as_loops
position as a rank-1 product .................... test_every_backend_is_the_definition_written_as_loops
zero padding silently in the softmax ... test_masked_borders_keep_a_constant_map_constant_and_zero_borders_do_not
inverted padding mask ........................... test_a_pixel_outside_the_window_has_no_influence
unfold's memory ................................. test_training_keeps_nothing_of_the_size_of_the_windows
Grouped projections and a misplaced pool: tests/test_local_attention_layer.py; sliding stem blocks: tests/test_stems.py.
"""

import sys

import pytest
import torch
import torch.nn.functional as F

from hybrid_search.errors import ArchitectureError, UnknownName
from hybrid_search.ops import LocalAttention2d, local_attention
from hybrid_search.ops.local_attention import BACKENDS, BORDERS, which_backend
from hybrid_search.ops.local_attention.portable import InChunks, Plan
from hybrid_search.ops.local_attention.query_blocks import cut, divide_axis

HERE = [name for name in BACKENDS if name != "triton"]  # it needs a GPU or is slow: tests/test_triton_kernel.py
every_backend = pytest.mark.parametrize("backend", HERE)
every_border = pytest.mark.parametrize("border", BORDERS)


def loops(q, k, v, rel_row, rel_col, extent, border):
    """Return attention by the equations, one head of one pixel at a time."""
    batch, heads, d, rows, cols = q.shape
    out = []
    for n in range(batch):
        for h in range(heads):
            for i in range(rows):
                for j in range(cols):
                    top, left = i - extent // 2, j - extent // 2
                    if border == "shifted":
                        top = max(0, min(top, rows - extent))
                        left = max(0, min(left, cols - extent))
                    logits, values = [], []
                    for a in range(top, top + extent):
                        for b in range(left, left + extent):
                            inside = 0 <= a < rows and 0 <= b < cols
                            if not inside and border != "zero":
                                continue
                            logit = q.new_zeros(())
                            if k is not None and inside:
                                logit = logit + q[n, h, :, i, j].dot(k[n, h, :, a, b])
                            if rel_row is not None:
                                own = h if rel_row.shape[0] > 1 else 0
                                r = torch.cat([rel_row[own, :, a - top], rel_col[own, :, b - left]])
                                logit = logit + q[n, h, :, i, j].dot(r)
                            logits.append(logit)
                            values.append(v[n, h, :, a, b] if inside else torch.zeros_like(v[n, h, :, i, j]))
                    out.append(torch.stack(logits).softmax(0) @ torch.stack(values))
    return torch.stack(out).view(batch, heads, rows, cols, d).permute(0, 1, 4, 2, 3)


def draw(batch, heads, d, rows, cols, extent, shared=False, dtype=torch.float64):
    torch.manual_seed(rows * 100 + cols * 10 + extent)
    q, k, v = (torch.randn(batch, heads, d, rows, cols, dtype=dtype, requires_grad=True) for _ in range(3))
    table = (1 if shared else heads, d // 2, extent)
    row, col = (torch.randn(table, dtype=dtype, requires_grad=True) for _ in range(2))
    return [q, k, v, row, col]


def with_gradients(function, tensors, upstream):
    y = function(tensors)
    return [y, *torch.autograd.grad(y, [x for x in tensors if x is not None], upstream)]


def largest_difference(ours, theirs):
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


@every_border
@pytest.mark.parametrize("heads", [1, 2, 8])
@pytest.mark.parametrize("extent", [1, 3, 5, 7, 11])
def test_every_backend_is_the_definition_written_as_loops(extent, heads, border):
    batch, size = {1: (2, (2, 3)), 2: (1, (4, 3)), 8: (1, (1, 2) if extent > 7 else (2, 3))}[heads]
    tensors = draw(batch, heads, 2 if heads == 8 else 4, *size, extent)
    upstream = torch.randn_like(tensors[0])
    expected = with_gradients(lambda t: loops(*t, extent, border), tensors, upstream)
    for backend in HERE:
        call = lambda t: local_attention(*t, extent=extent, border=border, backend=backend)  # noqa: B023, E731
        assert largest_difference(with_gradients(call, tensors, upstream), expected) <= 1e-12, backend


@every_border
@pytest.mark.parametrize(
    ("content", "position", "shared"), [(True, False, False), (False, True, False), (True, True, True)]
)
def test_logits_without_position_without_content_and_with_a_shared_table_are_the_loops_too(
    content, position, shared, border
):
    q, k, v, row, col = draw(1, 2, 4, 3, 5, 5, shared)
    tensors = [q, k if content else None, v, row if position else None, col if position else None]
    upstream = torch.randn_like(q)
    expected = with_gradients(lambda t: loops(*t, 5, border), tensors, upstream)
    for backend in HERE:
        call = lambda t: local_attention(*t, extent=5, border=border, backend=backend)  # noqa: B023, E731
        assert largest_difference(with_gradients(call, tensors, upstream), expected) <= 1e-12, backend


@every_border
@pytest.mark.parametrize("size", [(19, 9), (7, 23), (1, 20), (16, 17)])
@pytest.mark.parametrize("extent", [1, 3, 7, 11])
def test_the_portable_blocks_are_the_definition_on_maps_of_many_blocks(size, extent, border):
    tensors = draw(2, 2, 4, *size, extent)
    upstream = torch.randn_like(tensors[0])
    results = [
        with_gradients(lambda t: local_attention(*t, extent=extent, border=border, backend=backend), tensors, upstream)  # noqa: B023
        for backend in ("portable", "definition")
    ]
    assert largest_difference(*results) <= 1e-12


@every_border
def test_every_way_to_cut_an_axis_gives_the_same_attention(border):
    q, k, v, row, col = draw(1, 2, 4, 11, 6, 5)
    expected = local_attention(q, k, v, row, col, extent=5, border=border, backend="definition")
    for block_rows in (1, 2, 3, 4, 8, 11, 16):
        for block_cols in (1, 4, 6):
            plan = Plan(5, border, divide_axis(11, 5, border, block_rows), divide_axis(6, 5, border, block_cols))
            y = InChunks.apply(plan, q, k, v, row, col)
            assert (y - expected).abs().max() <= 1e-12, (block_rows, block_cols)


@pytest.mark.parametrize("chunk", [1, 2_000, 2**30])
def test_the_size_of_the_chunks_does_not_change_the_numbers(chunk, monkeypatch):
    tensors = draw(3, 4, 4, 9, 20, 3)
    upstream = torch.randn_like(tensors[0])
    expected = with_gradients(lambda t: local_attention(*t, extent=3, backend="definition"), tensors, upstream)
    monkeypatch.setattr(sys.modules["hybrid_search.ops.local_attention.portable"], "CHUNK", chunk)
    ours = with_gradients(lambda t: local_attention(*t, extent=3, backend="portable"), tensors, upstream)
    assert largest_difference(ours, expected) <= 1e-12


@every_border
@pytest.mark.parametrize("size", [(20, 13), (8, 6)])
def test_in_single_precision_the_portable_form_loses_no_accuracy(size, border):
    tensors = draw(2, 4, 8, *size, 7)
    upstream = torch.randn_like(tensors[0])
    call = lambda t: local_attention(*t, extent=7, border=border, backend="portable")  # noqa: E731
    exact = with_gradients(call, tensors, upstream)
    single = [x.detach().float().requires_grad_() for x in tensors]
    for ours, theirs in zip(with_gradients(call, single, upstream.float()), exact, strict=True):
        assert (ours - theirs).abs().max() <= 2e-5 * theirs.abs().max()


@every_backend
def test_gradients_are_those_of_finite_differences(backend):
    tensors = draw(1, 2, 2, 2, 3, 3)
    call = lambda *t: local_attention(*t, extent=3, border="zero", backend=backend)  # noqa: E731
    assert torch.autograd.gradcheck(call, tensors, atol=1e-7)


@every_backend
def test_only_the_requested_gradients_are_computed(backend):
    q, k, v, row, col = (x.detach() for x in draw(1, 2, 2, 3, 4, 3))
    v.requires_grad_()
    local_attention(q, k, v, row, col, extent=3, backend=backend).sum().backward()
    assert v.grad is not None
    assert q.grad is None


@every_backend
def test_the_number_of_heads_changes_the_output(backend):
    x = draw(1, 1, 8, 5, 4, 3)
    q, k, v = x[:3]
    one = local_attention(q, k, v, extent=3, backend=backend)
    halves = [t.view(1, 2, 4, 5, 4) for t in (q, k, v)]
    two = local_attention(*halves, extent=3, backend=backend).view_as(one)
    assert (one - two).abs().max() > 0.1


@every_backend
def test_every_head_responds_to_a_row_offset_and_to_a_column_offset(backend):
    q, k, v, row, col = (x.detach() for x in draw(1, 4, 4, 5, 6, 3))
    before = local_attention(q, k, v, row, col, extent=3, backend=backend)
    for table in (row, col):
        kept = table.clone()
        table[:, :, 0] += 1.0
        moved = (local_attention(q, k, v, row, col, extent=3, backend=backend) - before).abs()
        assert (moved.amax((0, 2, 3, 4)) > 1e-3).all()
        table.copy_(kept)


@every_backend
@pytest.mark.parametrize("size", [(6, 9), (3, 4)])
def test_masked_borders_keep_a_constant_map_constant_and_zero_borders_do_not(size, backend):
    q, k, v, row, col = draw(1, 2, 4, *size, 5)
    v = torch.full_like(v, 3.0)
    for border in ("masked", "shifted"):
        y = local_attention(q, k, v, row, col, extent=5, border=border, backend=backend)
        assert (y - 3).abs().max() <= 1e-12
    y = local_attention(q, k, v, row, col, extent=5, border="zero", backend=backend)
    assert (y - 3).abs().max() > 0.1
    if min(size) > 5:
        assert (y[..., 2:-2, 2:-2] - 3).abs().max() <= 1e-12


@every_backend
def test_the_three_borders_differ_at_the_edge_and_agree_inside(backend):
    q, k, v, row, col = draw(1, 2, 4, 9, 12, 5)
    ys = [local_attention(q, k, v, row, col, extent=5, border=border, backend=backend) for border in BORDERS]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        gap = (ys[one] - ys[other]).abs()
        assert gap[..., 2:-2, 2:-2].max() <= 1e-12
        assert gap.max() > 0.1


@every_backend
@every_border
def test_the_interior_is_translation_equivariant(border, backend):
    q, k, v, row, col = draw(1, 2, 4, 12, 14, 3)
    moved = [x.roll((2, 3), (3, 4)) for x in (q, k, v)]
    y = local_attention(q, k, v, row, col, extent=3, border=border, backend=backend)
    z = local_attention(*moved, row, col, extent=3, border=border, backend=backend)
    inner, outer = (slice(1, 9), slice(1, 10)), (slice(3, 11), slice(4, 13))
    assert (y[(..., *inner)] - z[(..., *outer)]).abs().max() <= 1e-12


@every_backend
def test_a_pixel_outside_the_window_has_no_influence(backend):
    q, k, v, row, col = (x.detach() for x in draw(1, 1, 4, 9, 11, 5))
    before = local_attention(q, k, v, row, col, extent=5, backend=backend)
    k[..., 4, 6] += 5.0
    v[..., 4, 6] += 5.0
    moved = (local_attention(q, k, v, row, col, extent=5, backend=backend) - before).abs().amax((0, 1, 2)) > 1e-9
    expected = torch.zeros(9, 11, dtype=torch.bool)
    expected[2:7, 4:9] = True
    assert torch.equal(moved, expected)


@every_backend
def test_positions_weigh_the_values_and_are_never_added_to_them(backend):
    q, k, v, row, col = draw(1, 2, 4, 5, 7, 3)
    zeros = local_attention(q, k, torch.zeros_like(v), row, col, extent=3, backend=backend)
    assert zeros.abs().max() == 0


@every_backend
def test_nine_heads_set_by_hand_are_a_3x3_convolution(backend):
    """Cordonnier et al., On the Relationship between Self-Attention and Convolutional Layers, arXiv 1911.03584."""
    channels, rows, cols = 4, 6, 9
    torch.manual_seed(0)
    x = torch.randn(2, channels, rows, cols, dtype=torch.float64)
    weight = torch.randn(5, channels, 3, 3, dtype=torch.float64)
    q = torch.zeros(2, 9, channels, rows, cols, dtype=torch.float64)
    q[:, :, 0] = q[:, :, channels // 2] = 100.0  # a query for the offset that the head's tables mark
    row = torch.zeros(9, channels // 2, 3, dtype=torch.float64)
    col = torch.zeros_like(row)
    for head in range(9):
        row[head, 0, head // 3] = col[head, 0, head % 3] = 1.0
    v = x[:, None].expand(-1, 9, -1, -1, -1)
    y = local_attention(q, torch.zeros_like(q), v, row, col, extent=3, border="zero", backend=backend)
    mixed = torch.einsum("nhcij,och->noij", y, weight.flatten(2))
    torch.testing.assert_close(mixed, F.conv2d(x, weight, padding=1), rtol=0, atol=1e-12)


def test_a_shifted_window_reads_the_tables_by_the_place_in_the_window():
    q = torch.ones(1, 1, 2, 1, 6, dtype=torch.float64)
    v = torch.arange(6, dtype=torch.float64).expand_as(q)
    row = torch.zeros(1, 1, 3, dtype=torch.float64)
    col = torch.tensor([[[100.0, 0.0, 0.0]]], dtype=torch.float64)  # the first pixel of the window in all cases
    for backend in HERE:
        y = local_attention(q, None, v, row, col, extent=3, border="shifted", backend=backend)
        assert y[0, 0, 0, 0].tolist() == pytest.approx([0, 0, 1, 2, 3, 3])


@every_backend
@every_border
def test_an_empty_batch_stays_empty_and_has_gradients_of_zero(border, backend):
    tensors = draw(0, 2, 4, 18, 5, 3)
    y = local_attention(*tensors, extent=3, border=border, backend=backend)
    y.sum().backward()
    assert y.shape == tensors[0].shape
    assert tensors[3].grad.abs().max() == 0


@every_backend
def test_an_image_with_nan_does_not_touch_the_other_images(backend):
    tensors = [x.detach() for x in draw(3, 2, 4, 9, 5, 3)]
    expected = local_attention(*tensors, extent=3, backend=backend)
    tensors[2][1] = float("nan")
    y = local_attention(*tensors, extent=3, backend=backend)
    assert torch.equal(y[::2], expected[::2])
    assert y[1].isnan().all()


def test_the_portable_form_works_in_half_precision():
    tensors = [x.detach() for x in draw(1, 2, 8, 18, 9, 5)]
    exact = local_attention(*tensors, extent=5, backend="portable")
    y = local_attention(*(x.bfloat16() for x in tensors), extent=5, backend="portable")
    assert (y - exact).abs().max() < 0.1 * exact.abs().max()


def test_training_keeps_nothing_of_the_size_of_the_windows():
    q, k, v, row, col = draw(2, 2, 4, 20, 18, 7)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        local_attention(q, k, v, row, col, extent=7, backend="portable")
    assert max(kept) == q.numel()
    assert len(kept) == 5


def test_small_maps_are_one_block_and_large_maps_are_many():
    rows, cols = cut((8, 7), 7, "masked", 32)
    assert (rows.count, rows.keys, cols.count, cols.keys) == (1, 8, 1, 7)
    assert cut((56, 40), 7, "masked", 8)[0].count > 3


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (lambda t: {**t, "q": t["q"][0]}, r"q must be \(batch, heads, head_width, rows, cols\); got \(2, 4, 3, 5\)"),
        (
            lambda t: {**t, "k": t["k"][..., :4]},
            r"k must have the shape of q, \(1, 2, 4, 3, 5\); got \(1, 2, 4, 3, 4\)",
        ),
        (
            lambda t: {**t, "v": t["v"].float()},
            r"v must have the type and device of q, torch.float64 .*; got torch.float32",
        ),
        (lambda t: {**t, "rel_col": None}, r"rel_row and rel_col must be given together; got one"),
        (lambda t: {**t, "rel_row": t["rel_row"][..., 1:]}, r"rel_row must be .*, here \(2, 2, 3\); got \(2, 2, 2\)"),
        (lambda t: {**t, "k": None, "rel_row": None, "rel_col": None}, r"k may be None only where rel_row and rel_col"),
        (lambda t: {n: x[:, :, :3] if n in "qkv" else x for n, x in t.items()}, r"need an even head_width; got 3"),
        (lambda t: {n: x.long() for n, x in t.items()}, r"q must be a floating-point tensor; got torch.int64"),
        (lambda t: {n: x[..., :0] if n in "qkv" else x for n, x in t.items()}, r"cols must be at least 1; got q of"),
        (lambda t: {**t, "extent": 4}, r"extent must be an odd number from 1 up; got 4"),
        (
            lambda t: {**t, "border": "mask"},
            r"border must be one of masked, zero, shifted; got 'mask'\. Did you mean 'masked'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_law_and_what_came(change, law):
    names = ("q", "k", "v", "rel_row", "rel_col")
    arguments = change(dict(zip(names, (x.detach() for x in draw(1, 2, 4, 3, 5, 3)), strict=True)))
    with pytest.raises(ArchitectureError, match=law):
        local_attention(**{"extent": 3, **arguments})


def test_an_unknown_backend_is_an_error_and_no_other_runs_instead():
    q = torch.randn(1, 2, 4, 3, 5)
    with pytest.raises(
        UnknownName, match=r"backend must be one of .*portable, triton, exportable, definition; got 'cuda'"
    ):
        local_attention(q, q, q, extent=3, backend="cuda")
    with pytest.raises(UnknownName, match="backend must be one of"):
        LocalAttention2d(16, 3, backend="cuda")(torch.randn(1, 16, 3, 5))


def test_which_backend_returns_the_backend_that_runs():
    q = torch.randn(1, 2, 4, 3, 5)
    assert which_backend(q) in ("cpu", "portable")  # cpu if there is a compiler
    assert which_backend(q.bfloat16()) == "portable"
    assert which_backend(q, backend="definition") == "definition"
