"""The Triton backend: when its GPU kernels (triton_kernels.py) can run, their tiles, and their launch.

Nothing is tuned at run time. Other tiles add the same numbers in another order, so the result would depend on measured
times; `cut` estimates the work instead. A kernel is compiled once for each extent, head width, border and tile. Batch,
heads and the size of the map are arguments.
"""

import os
from dataclasses import astuple, dataclass
from functools import cache
from importlib.util import find_spec
from itertools import product
from shutil import which
from typing import Any

import torch
from torch import Tensor

from hybrid_search.ops.local_attention import autograd

TYPES = (torch.float16, torch.bfloat16, torch.float32)
WIDEST = 256  # bytes of a pixel in one head; the sums of wider heads do not fit the registers


def unsupported_reason(q: Tensor, extent: int, border: str) -> str | None:
    """Return the reason why the kernels cannot run; they need an NVIDIA GPU from Ampere on, Triton, a C compiler."""
    why: str | None = _no_device(q.device.type, q.device.index)
    if why is not None:
        return why
    if q.dtype not in TYPES and (q.dtype, q.device.type) != (torch.float64, "cpu"):  # Triton 3.4 cannot compile it
        return f"q must be float16, bfloat16 or float32; got {q.dtype}."
    widest = WIDEST // q.element_size()
    if q.shape[2] > widest:
        return f"head_width must be at most {widest} for {q.dtype}; got {q.shape[2]}."
    return None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _no_device(device: str, index: int | None) -> str | None:
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if device not in ("cuda", "cpu") or (device == "cpu" and not interpreted):
        return f"q must be on a GPU (on the CPU only for tests, under TRITON_INTERPRET=1); got {device}."
    return _missing(device, index)


@cache
def _missing(device: str, index: int | None) -> str | None:
    if find_spec("triton") is None:
        return "there is no triton here; it comes with the CUDA builds of torch, or: pip install triton."
    if device == "cpu":
        return None
    if torch.version.hip:
        return "the GPU must be one of NVIDIA's; got one of AMD's."
    if torch.cuda.get_device_capability(index) < (8, 0):
        found = ".".join(map(str, torch.cuda.get_device_capability(index)))
        return f"the GPU must have compute capability 8.0 or more; got {found}."
    compilers = (os.environ.get("CC"), "gcc", "clang")
    if not any(name is not None and which(name) for name in compilers):
        return "Triton needs a C compiler to call its kernels; there is no gcc or clang here, and CC names none."
    return None


@dataclass(frozen=True)
class Cut:
    """The tile of a program and the chunks of the map that it reads one after the other, in pixels; its warps."""

    tile_rows: int
    tile_cols: int
    chunk_rows: int
    chunk_cols: int
    warps: int


def power(n: int) -> int:
    """Return the smallest power of two that is at least n and 16, as tensor cores need."""
    return max(16, 1 << (n - 1).bit_length())


@cache
def cut(rows: int, cols: int, extent: int, border: str, width: int, size: int) -> Cut:
    """Return the tile with the least estimated work.

    Small tiles load many keys for each query. Large tiles compute many logits outside the windows. The weights are
    counted in the compiled code: a query costs as much as 100 logits, a column of chunks as much as 16. A logit with
    its two products of 32 channels costs as much as two bytes from the second-level cache.

    Args:
        rows, cols: size of the map.
        extent, border: as in `local_attention`.
        width: number of channels of a head.
        size: bytes of a number.
    """
    bytes_a_pixel = power(width) * size
    chunk = 64 if bytes_a_pixel <= 64 else 32  # the sums of these chunks fit the registers
    most = 64 if size == 2 and bytes_a_pixel <= 128 else 32

    def work(sides: tuple[int, int, int, int]) -> float:
        tile_rows, tile_cols, chunk_rows, chunk_cols = sides
        tiles = -(-rows // tile_rows) * -(-cols // tile_cols)
        down, right = tile_rows + extent - 1, tile_cols + extent - 1
        if border != "zero":
            down, right = min(down, rows), min(right, cols)
        down, right = -(-down // chunk_rows), -(-right // chunk_cols)
        queries, keys = tile_rows * tile_cols, down * right * chunk
        logits = queries * (100 + 16 * right + keys * (32 + power(width)) / 64)
        return tiles * (logits + (queries + keys) * bytes_a_pixel / 2)

    # No side is below 4: the compiler of Triton fails with a side of 1.
    sides = [
        (tile // tile_cols, tile_cols, chunk // chunk_cols, chunk_cols)
        for tile, tile_cols, chunk_cols in product((64, 32, 16), (8, 4, 16), (16, 8, 4))
        if tile <= most and min(tile // tile_cols, chunk // chunk_cols) >= 4
    ]
    best = min(sides, key=work)
    return Cut(*best, warps=best[0] * best[1] // (16 if bytes_a_pixel <= 128 else 8))


def _map(x: Tensor | None) -> tuple[Any, ...] | None:
    return None if x is None else (x, *x.stride())


def _launch(name: str, maps: list[Tensor | None], others: list[Tensor | None], extent: int, border: str) -> None:
    """Run a kernel on the tensors, in its order of arguments; `others` are contiguous, with the tables last."""
    from triton import language

    from hybrid_search.ops.local_attention import triton_kernels

    q = maps[0]
    assert q is not None
    batch, heads, width, rows, cols = q.shape
    plan = cut(rows, cols, extent, border, width, q.element_size())
    programs = batch * heads * -(-rows // plan.tile_rows) * -(-cols // plan.tile_cols)
    if programs == 0:
        return
    row = others[-2]
    per_head = 0 if row is None or row.shape[0] == 1 else row[0].numel()
    sums = language.float64 if q.dtype == torch.float64 else language.float32
    with torch.cuda.device_of(q):  # type: ignore[no-untyped-call]
        getattr(triton_kernels, name)[(programs,)](
            *map(_map, maps), *others, per_head, heads, rows, cols,
            width, power(width), extent, power(extent), border,
            *astuple(plan)[:4], sums, num_warps=plan.warps, num_stages=2,
        )  # fmt: skip


def _forward(
    q: Tensor, k: Tensor | None, v: Tensor, rel_row: Tensor | None, rel_col: Tensor | None, extent: int, border: str
) -> tuple[Tensor, Tensor]:
    y, lse = autograd.empty_results(q)
    _launch("forward", [q, k, v, y], [lse, *autograd.contiguous(rel_row, rel_col)], extent, border)
    return y, lse


def _fill(
    grads: autograd.Gradients,
    dy: Tensor,
    q: Tensor,
    k: Tensor | None,
    v: Tensor,
    rel_row: Tensor | None,
    rel_col: Tensor | None,
    y: Tensor,
    lse: Tensor,
    extent: int,
    border: str,
) -> None:
    dq, dk, dv, drow, dcol = grads
    tables = autograd.contiguous(rel_row, rel_col)
    delta = torch.empty_like(lse)
    parts = None
    if rel_row is not None:
        batch, heads, width, rows, cols = q.shape
        plan = cut(rows, cols, extent, border, width, q.element_size())
        tiles = -(-rows // plan.tile_rows) * -(-cols // plan.tile_cols)
        parts = lse.new_empty(batch, tiles, heads, width, extent)
    _launch("backward_queries", [q, k, v, y, dy, dq], [lse, delta, parts, *tables], extent, border)
    _launch("backward_keys", [q, k, v, dy, None if k is None else dk, dv], [lse, delta, *tables], extent, border)
    if parts is not None:
        both = parts.sum((0, 1)) if drow.shape[0] > 1 else parts.sum((0, 1, 2))[None]  # in a fixed order
        for table, half in zip((drow, dcol), both.chunk(2, 1), strict=True):
            table.copy_(half)


attend = autograd.register_operator("local_attention_gpu", _forward, _fill, ("cuda", "cpu"))
