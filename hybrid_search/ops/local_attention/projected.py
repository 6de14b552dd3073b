"""The 1x1 convolution to q, k, v and the attention behind it, as one function for the fused CPU kernel.

A few images of a wide map go through both at a time, so that their q, k and v are still in the cache when the
attention reads them, and their gradients when the projection does; of a narrow map all go at once. Where nothing is
differentiated, the q, k and v of those few are all that is held. The product of matrices lays these maps out by
channel, as the kernel reads them, whichever memory format the layer's input has; the output has the input's format.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from hybrid_search.ops.local_attention import cpu, fused, which_backend

CHUNK_BYTES = 2**22  # of q, k and v: a few images; fewer would pay more for calls than the cache saves
CHUNK_HEADS = 32  # of all images in a chunk, at least: work for every thread


def serves(x: Tensor, others: list[Tensor], extent: int, border: str, backend: str | None) -> bool:
    """Whether the fused CPU kernel would run behind a projection of `x`, and nobody follows each operation.

    `others` are the weight and the tables: plain tensors of the type of x, like x itself.
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
    """`local_attention` of the projections of x (batch, width, rows, cols); the result has the shape of x.

    `weight` (parts x width, width / groups, 1, 1) is that of a 1x1 convolution whose output channels lie as (heads,
    parts, head_width); the parts are q, k, v, or q, v.
    """
    tensors = (x, weight, *fused.contiguous(rel_row, rel_col))
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    y: Tensor = _Projected.apply(*tensors, heads, extent, border, keep)  # type: ignore[no-untyped-call]
    return y


class _Projected(torch.autograd.Function):
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
    """Memory for the projections: of every image to keep them, else of those that go through together."""
    images = x.shape[0] if keep else min(x.shape[0], _images(x, channels, heads, border))
    return x.new_empty(images * channels * x.shape[2] * x.shape[3])


def _chunks(x: Tensor, projected: Tensor, channels: int, heads: int, border: str) -> Iterator[tuple[slice, Tensor]]:
    """The images that go through together, and their part of `projected` as (channels, images x pixels); where it has
    room for some images only, they take the same part one after the other."""
    batch, size = x.shape[0], channels * x.shape[2] * x.shape[3]
    images = _images(x, channels, heads, border)
    whole = len(projected) == batch * size
    for first in range(0, batch, images):
        some = slice(first, min(first + images, batch))
        start = first * size if whole else 0
        yield some, projected[start : start + (some.stop - first) * size].view(channels, -1)


def _images(x: Tensor, channels: int, heads: int, border: str) -> int:
    bytes_an_image = channels * x.shape[2] * x.shape[3] * x.element_size()
    return _together(x.shape[0], heads, bytes_an_image, cpu.columns(x.shape[3], x.element_size(), border))


def _together(batch: int, heads: int, bytes_an_image: int, columns: bool) -> int:
    """How many images: all where the kernel fills its vectors with heads of many images; it never asks the threads,
    so that they change no number."""
    return max(1, CHUNK_BYTES // bytes_an_image, -(-CHUNK_HEADS // heads)) if columns else max(1, batch)


def _matrices(x: Tensor) -> Iterator[tuple[Tensor, slice]]:
    """(width, pixels) views of the images x, as few as its strides allow, and which columns of the whole they are."""
    batch, width, rows, cols = x.shape
    pixels = rows * cols
    if x.stride(1) == 1:
        yield x.permute(0, 2, 3, 1).view(-1, width).t(), slice(0, batch * pixels)
        return
    for n in range(batch):
        yield x[n].view(width, pixels), slice(n * pixels, (n + 1) * pixels)


def _groups(matrix: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Each group's rows of all of them."""
    groups = others[0].shape[0] // matrix.shape[1]
    return zip(*(x.chunk(groups) for x in (matrix, *others)), strict=True)


def _by_head(x: Tensor, heads: int) -> Tensor:
    return x.view(x.shape[0], heads, -1, *x.shape[2:])


def _parts(maps: Tensor, x: Tensor, heads: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """(channels, images x pixels) -> q, k, v (images, heads, head_width, rows, cols); k None where there is none."""
    batch, width, rows, cols = x.shape
    parts = maps.view(heads, -1, width // heads, batch, rows, cols).permute(3, 0, 1, 2, 4, 5).unbind(2)
    return parts[0], parts[1] if len(parts) == 3 else None, parts[-1]
