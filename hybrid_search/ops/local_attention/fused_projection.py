"""The 1x1 convolution to q, k, v and the attention after it, as one function for the fused CPU kernel.

A few images of a wide map go through both at a time. Their q, k and v are then still in the cache when the attention
reads them, and so are their gradients in the backward pass. All images of a narrow map go through together. Without
gradients, only the q, k and v of these few images are stored. The matrix product writes these maps by channel, as the
kernel reads them, for any memory format of the input; the output has the format of the input.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from hybrid_search.ops.local_attention import autograd, cpu
from hybrid_search.ops.local_attention.backends import which_backend

CHUNK_BYTES = 2**22  # of q, k and v: a few images; fewer would pay more for calls than the cache saves
CHUNK_HEADS = 32  # of all images in a chunk, at least: work for every thread


def can_attend_projected(x: Tensor, others: list[Tensor], extent: int, border: str, backend: str | None) -> bool:
    """Return whether the fused CPU kernel can run after a projection of `x`.

    It cannot if a tracer, a dispatch mode or autocast must see each operation, or for tensors of other classes.

    Args:
        x: input of the layer (batch, width, rows, cols).
        others: the weight and the tables.
        extent, border, backend: as in `local_attention`.
    """
    traced = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    if traced or torch._C._len_torch_dispatch_stack() or torch.is_autocast_enabled("cpu") or type(x) is not Tensor:
        return False
    if any(type(t) not in (Tensor, Parameter) or (t.dtype, t.device) != (x.dtype, x.device) for t in others):
        return False
    return which_backend(x, extent=extent, border=border, backend=backend) == "cpu"


def attend_projected(
    x: Tensor,
    weight: Tensor,
    rel_row: Tensor | None,
    rel_col: Tensor | None,
    *,
    heads: int,
    extent: int,
    border: str,
) -> Tensor:
    """Compute `local_attention` of the projections of x.

    Args:
        x: input of the layer (batch, width, rows, cols).
        weight: weight (parts x width, width / groups, 1, 1) of the 1x1 convolution. Its output channels are ordered
            as (heads, parts, head_width); the parts are q, k, v, or q, v.
        rel_row, rel_col: tables (heads, head_width // 2, extent), both or neither.
        heads, extent, border: as in `LocalAttention`.

    Returns:
        The attention, with the shape of x.
    """
    tensors = (x, weight, *autograd.contiguous(rel_row, rel_col))
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    y: Tensor = _Projected.apply(*tensors, heads, extent, border, keep)  # type: ignore[no-untyped-call]
    return y


class _Projected(torch.autograd.Function):
    """The projection and the attention of all images, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        rel_row: Tensor | None,
        rel_col: Tensor | None,
        heads: int,
        extent: int,
        border: str,
        keep: bool,
    ) -> Tensor:
        if not x.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous()
        matrix = weight.flatten(1)
        y, lse = torch.empty_like(x), x.new_empty(x.shape[0], heads, 1, *x.shape[2:])
        projected = _room(x, len(matrix), heads, border, keep)
        for some, maps in _chunks(x, projected, len(matrix), heads, border):
            for own, at in _matrices(x[some]):
                for w, image, into in _groups(matrix, own, maps[:, at]):
                    torch.mm(w, image, out=into)
            qkv, out = _parts(maps, x[some], heads), [_by_head(y[some], heads), lse[some]]
            cpu.call("forward", [*qkv, *out], [rel_row, rel_col], extent, border)
        if not keep:
            return y
        ctx.save_for_backward(x, weight, rel_row, rel_col, projected, y, lse)
        ctx.heads, ctx.extent, ctx.border = heads, extent, border
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, rel_row, rel_col, projected, y, lse = ctx.saved_tensors
        matrix, heads = weight.flatten(1), ctx.heads
        dx, dweight = torch.empty_like(x), torch.zeros_like(matrix)
        tables = [rel_row, rel_col]
        dtables, parts = ([None if t is None else torch.zeros_like(t) for t in tables] for _ in range(2))
        scratch: Tensor | None = None
        for some, maps in _chunks(x, projected, len(matrix), heads, ctx.border):
            scratch = torch.empty_like(maps) if scratch is None else scratch
            dmaps = scratch.view(-1)[: maps.numel()].view(maps.shape)
            qkv, dqkv = _parts(maps, x[some], heads), _parts(dmaps, x[some], heads)
            out = [_by_head(y[some], heads), lse[some], _by_head(dy[some], heads)]
            cpu.call("backward", [*qkv, *out, *dqkv], [*tables, *parts], ctx.extent, ctx.border)
            for total, part in zip(dtables, parts, strict=True):
                if total is not None and part is not None:
                    total += part
            for (own, at), (down, _) in zip(_matrices(x[some]), _matrices(dx[some]), strict=True):
                for w, image, dw, dimage, d in _groups(matrix, own, dweight, down, dmaps[:, at]):
                    if ctx.needs_input_grad[0]:
                        torch.mm(w.t(), d, out=dimage)
                    dw.addmm_(d, image.t())
        return dx if ctx.needs_input_grad[0] else None, dweight.view(weight.shape), *dtables, *[None] * 4


def _room(x: Tensor, channels: int, heads: int, border: str, keep: bool) -> Tensor:
    """Allocate the projections: of every image if the backward pass needs them, otherwise of one chunk."""
    images = x.shape[0] if keep else min(x.shape[0], _images(x, channels, heads, border))
    return x.new_empty(images * channels * x.shape[2] * x.shape[3])


def _chunks(x: Tensor, projected: Tensor, channels: int, heads: int, border: str) -> Iterator[tuple[slice, Tensor]]:
    """Yield the images of each chunk, and their part of `projected` as (channels, images x pixels).

    If `projected` has room for one chunk only, all chunks use the same part, one after the other.
    """
    batch, size = x.shape[0], channels * x.shape[2] * x.shape[3]
    images = _images(x, channels, heads, border)
    whole = len(projected) == batch * size
    for first in range(0, batch, images):
        some = slice(first, min(first + images, batch))
        start = first * size if whole else 0
        yield some, projected[start : start + (some.stop - first) * size].view(channels, -1)


def _images(x: Tensor, channels: int, heads: int, border: str) -> int:
    """Return the number of images in a chunk."""
    bytes_an_image = channels * x.shape[2] * x.shape[3] * x.element_size()
    return _together(x.shape[0], heads, bytes_an_image, cpu.use_column_lanes(x.shape[3], x.element_size(), border))


def _together(batch: int, heads: int, bytes_an_image: int, columns: bool) -> int:
    """Return the number of images in a chunk: all if the kernel fills its vectors with heads of many images.

    The number of threads is not used, so it cannot change any result.
    """
    return max(1, CHUNK_BYTES // bytes_an_image, -(-CHUNK_HEADS // heads)) if columns else max(1, batch)


def _matrices(x: Tensor) -> Iterator[tuple[Tensor, slice]]:
    """Yield (width, pixels) views of the images, as few as the strides allow, and their columns among all pixels."""
    batch, width, rows, cols = x.shape
    pixels = rows * cols
    if x.stride(1) == 1:
        yield x.permute(0, 2, 3, 1).view(-1, width).t(), slice(0, batch * pixels)
        return
    for n in range(batch):
        yield x[n].view(width, pixels), slice(n * pixels, (n + 1) * pixels)


def _groups(matrix: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the rows of each group, of every argument."""
    groups = others[0].shape[0] // matrix.shape[1]
    return zip(*(x.chunk(groups) for x in (matrix, *others)), strict=True)


def _by_head(x: Tensor, heads: int) -> Tensor:
    """(images, width, rows, cols) -> (images, heads, head_width, rows, cols)."""
    return x.view(x.shape[0], heads, -1, *x.shape[2:])


def _parts(maps: Tensor, x: Tensor, heads: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """(channels, images x pixels) -> q, k, v (images, heads, head_width, rows, cols); k may be None."""
    batch, width, rows, cols = x.shape
    parts = maps.view(heads, -1, width // heads, batch, rows, cols).permute(3, 0, 1, 2, 4, 5).unbind(2)
    return parts[0], parts[1] if len(parts) == 3 else None, parts[-1]
