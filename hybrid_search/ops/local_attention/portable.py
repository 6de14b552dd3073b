"""Local attention on any device with `scaled_dot_product_attention`. Window, border and positions become channels.

The queries are cut into blocks, each with the keys that its windows can reach. A key in row u and column v of these
keys is extended to [k; onehot(u); onehot(v)], a query at (i, j) to [q; A_ij; B_ij], where

    A_ij[u] = q_row . r_row[u - i]      inside the window of i, -1e4 outside it and outside the map

and B likewise for columns. Their dot product is q.k + q.r, with the window and the border. So
`scaled_dot_product_attention` without a mask is exact, and its flash kernel runs forward and backward; it would not
with a mask that has a gradient.

The keys of neighbouring blocks overlap, so the extended keys need several times the memory of the map. Therefore a few
images and heads are computed at a time. Training stores only q, k, v and the tables, and extends the keys again in the
backward pass.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hybrid_search.ops.local_attention.query_blocks import Axis, cut

OUT = -1e4  # its exponential is 0 in any precision; the sum of row and column, -2e4, is within float16
CHUNK = 2**21  # numbers in the extended keys of one chunk, so that they fit the cache


def unsupported_reason(q: Tensor, extent: int, border: str) -> str | None:
    """Return None: this backend can run every call."""
    return None


@dataclass(frozen=True)
class Plan:
    """The options, and the blocks along both axes of the map."""

    extent: int
    border: str
    rows: Axis
    cols: Axis

    def keys(self, head_width: int) -> int:
        """Return the count of numbers in the extended keys of one head of one image."""
        keys = self.rows.count * self.rows.keys * self.cols.count * self.cols.keys
        return keys * (head_width + self.rows.keys + self.cols.keys)


def attend(
    q: Tensor,
    k: Tensor | None,
    v: Tensor,
    rel_row: Tensor | None,
    rel_col: Tensor | None,
    extent: int,
    border: str,
) -> Tensor:
    """Compute `local_attention`; the arguments have been checked."""
    rows, cols = cut((q.shape[-2], q.shape[-1]), extent, border, q.shape[2])
    plan = Plan(extent, border, rows, cols)
    if torch.compiler.is_compiling():  # one graph for any batch
        return attend_blocks(plan, q, k, v, rel_row, rel_col)
    y: Tensor = InChunks.apply(plan, q, k, v, rel_row, rel_col)  # type: ignore[no-untyped-call]
    return y


class InChunks(torch.autograd.Function):
    """`attend_blocks` for one chunk of images and heads after the other; backward computes each chunk again."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, *tensors: Tensor | None) -> Tensor:
        """Compute the attention; `tensors` are q, k, v, rel_row, rel_col."""
        ctx.plan = plan
        ctx.save_for_backward(*tensors)
        q = tensors[0]
        assert q is not None
        y = torch.empty(q.shape, dtype=q.dtype, device=q.device)
        with without_autocast(q.device.type):
            for chunk in chunks(q, plan):
                y[chunk] = attend_blocks(plan, *narrow(tensors, chunk))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of q, k, v and the tables that need one."""
        tensors: tuple[Tensor | None, ...] = ctx.saved_tensors
        wanted = [n for n, need in enumerate(ctx.needs_input_grad[1:]) if need]
        grads = [torch.zeros_like(x) if n in wanted and x is not None else None for n, x in enumerate(tensors)]
        q = tensors[0]
        assert q is not None
        with without_autocast(q.device.type):
            for chunk in chunks(q, ctx.plan):
                leaves: list[Any] = [None if x is None else x.detach() for x in narrow(tensors, chunk)]
                for n in wanted:
                    leaves[n].requires_grad_()
                with torch.enable_grad():
                    y = attend_blocks(ctx.plan, *leaves)
                found = torch.autograd.grad(y, [leaves[n] for n in wanted], dy[chunk])
                parts = narrow(grads, chunk)
                for n, grad in zip(wanted, found, strict=True):
                    parts[n] += grad
        return (None, *grads)


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Return a context without autocast, which would lower the precision of the position logits."""
    off = torch.amp.is_autocast_available(device_type)
    return torch.autocast(device_type, enabled=False) if off else nullcontext()


Chunk = tuple[slice, slice]


def chunks(q: Tensor, plan: Plan) -> Iterator[Chunk]:
    """Yield slices of (batch, heads) whose extended keys have at most CHUNK numbers, or one head of one image."""
    batch, heads, head_width = q.shape[:3]
    fit = max(1, CHUNK // plan.keys(head_width))
    by_heads = min(heads, fit)
    by_images = max(1, fit // heads)
    for image in range(0, batch, by_images):
        for head in range(0, heads, by_heads):
            yield slice(image, image + by_images), slice(head, head + by_heads)


def narrow(tensors: Any, chunk: Chunk) -> list[Any]:
    """Return q, k, v and the tables of one chunk; a table that all heads share is returned whole."""
    q, k, v, *tables = tensors
    maps = [None if x is None else x[chunk] for x in (q, k, v)]
    return maps + [x if x is None or x.shape[0] == 1 else x[chunk[1]] for x in tables]


def attend_blocks(
    plan: Plan, q: Tensor, k: Tensor | None, v: Tensor, rel_row: Tensor | None, rel_col: Tensor | None
) -> Tensor:
    """Compute all blocks of (batch, heads, d, rows, cols); in the einsums n, m are blocks and i, j their queries."""
    rows, cols = plan.rows, plan.cols
    batch, heads, d = q.shape[:3]
    q = F.pad(q, (0, cols.count * cols.block - cols.size, 0, rows.count * rows.block - rows.size))
    q = q.reshape(batch, heads, d, rows.count, rows.block, cols.count, cols.block).permute(0, 1, 3, 5, 4, 6, 2)

    query = [q if k is not None else torch.zeros_like(q)]
    halves = (q[..., : d // 2], q[..., d // 2 :])
    for axis, table, half, letters in zip((rows, cols), (rel_row, rel_col), halves, ("ni", "mj"), strict=True):
        entry, seen = axis.place(plan.extent, plan.border, q.device)
        mask = torch.where(seen, 0.0, OUT).to(q.dtype)
        mask = mask.view(axis.count, 1, axis.block, *([1] if letters == "ni" else []), axis.keys)
        if table is None:
            query.append(mask.expand(*q.shape[:-1], axis.keys))
        else:
            r = table[:, :, entry].masked_fill(~seen, 0).expand(heads, -1, -1, -1, -1)
            query.append(torch.einsum(f"bhnmijd,hd{letters}u->bhnmiju", half, r) + mask)

    row = torch.eye(rows.keys, dtype=q.dtype, device=q.device)[:, None].expand(-1, cols.keys, -1)
    col = torch.eye(cols.keys, dtype=q.dtype, device=q.device).expand(rows.keys, -1, -1)
    hot = torch.cat([row, col], -1).expand(batch, heads, rows.count, cols.count, -1, -1, -1)
    value = reach(v, plan)
    key = [reach(k, plan) if k is not None else torch.zeros_like(value), hot]
    wide = F.pad(value, (0, rows.keys + cols.keys))  # the flash kernel needs values as wide as the keys
    extended = (torch.cat(query, -1), torch.cat(key, -1), wide)
    queries, keys, values = (x.flatten(4, 5).flatten(2, 3).flatten(0, 1) for x in extended)
    y = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)[..., :d]
    y = y.reshape(batch, heads, rows.count, cols.count, rows.block, cols.block, d).permute(0, 1, 6, 2, 4, 3, 5)
    return y.reshape(batch, heads, d, rows.count * rows.block, cols.count * cols.block)[..., : rows.size, : cols.size]


def reach(x: Tensor, plan: Plan) -> Tensor:
    """(batch, heads, d, rows, cols) -> (batch, heads, n, m, keys, keys, d): the keys of each block, zero outside."""
    rows, cols = plan.rows, plan.cols
    x = F.pad(x, (cols.before, cols.after, rows.before, rows.after)).permute(0, 1, 3, 4, 2)
    return overlap(overlap(x, 2, rows), 4, cols).permute(0, 1, 2, 4, 3, 5, 6)


def overlap(x: Tensor, dim: int, axis: Axis) -> Tensor:
    """(..., padded pixels, ...) -> (..., count, keys, ...) in a few large copies; the gradient is a few large sums."""
    x = x.reshape(*x.shape[:dim], axis.count + axis.pieces - 1, axis.block, *x.shape[dim + 1 :])
    parts = [
        x.narrow(dim, n, axis.count).narrow(dim + 1, 0, min(axis.block, axis.keys - n * axis.block))
        for n in range(axis.pieces)
    ]
    return torch.cat(parts, dim + 1)
