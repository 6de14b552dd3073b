"""The fused kernel for CPUs (kernel.cpp) as two operators of torch, forward and backward.

Training keeps the output and one number a query and head, the logarithm of the softmax's denominator.
"""

import ctypes
from array import array
from functools import cache
from typing import Any

import torch
from torch import Tensor

from hybrid_search.ops.local_attention import BORDERS, build


def refuses(q: Tensor, extent: int, border: str) -> str | None:
    """The CPU, float32 or float64, and a C++ compiler are needed."""
    if q.device.type != "cpu":
        return f"q must be on the CPU; got {q.device}."
    if q.dtype not in build.TYPES:
        return f"q must be float32 or float64; got {q.dtype}."
    why: str | None = _missing(extent, build.TYPES[q.dtype])
    return why


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _missing(extent: int, real: str) -> str | None:
    return _why_not(extent, real)


@cache
def _why_not(extent: int, real: str) -> str | None:
    try:
        build.library(extent, real)
    except build.BuildError as error:
        _say_once(f"{error}: local attention runs as portable, which is slower")
        return f"{error}."
    return None


@cache
def _say_once(line: str) -> None:
    build.notice(line)


def attend(
    q: Tensor,
    k: Tensor | None,
    v: Tensor,
    rel_row: Tensor | None,
    rel_col: Tensor | None,
    extent: int,
    border: str,
) -> Tensor:
    """`local_attention` on checked arguments."""
    y: Tensor = _forward(q, k, v, rel_row, rel_col, extent, border)[0]
    return y


def _empty_like(x: Tensor) -> Tensor:
    """Uninitialised, its channels together in memory where those of x are."""
    batch, heads, width, rows, cols = x.shape
    if x.stride(2) == 1 and x.stride(4) != 1:
        return x.new_empty(batch, rows, cols, heads, width).permute(0, 3, 4, 1, 2)
    return x.new_empty(x.shape)


def _map(x: Tensor | None) -> tuple[int, ...]:
    return (0,) * 6 if x is None else (x.data_ptr(), *x.stride())


def _address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def _call(
    name: str,
    maps: list[Tensor | None],
    tables: list[Tensor | None],
    extent: int,
    border: str,
    lanes: int = 0,
    library: ctypes.CDLL | None = None,
) -> None:
    """Runs one of the two C functions; the order of the numbers is that of `struct Call`."""
    q = maps[0]
    assert q is not None
    table_heads = 1 if tables[0] is None else tables[0].shape[0]
    numbers = [*q.shape, BORDERS.index(border), table_heads, torch.get_num_threads(), lanes]
    for x in maps:
        numbers += _map(x)
    numbers += map(_address, tables)
    call = array("q", numbers)
    if library is None:
        library = build.library(extent, build.TYPES[q.dtype])
    if library[name](ctypes.c_void_p(call.buffer_info()[0])):
        raise MemoryError(f"no memory for the local attention of {tuple(q.shape)}")


@torch.library.custom_op("hybrid_search::local_attention_cpu", mutates_args=(), device_types="cpu")
def _forward(
    q: Tensor, k: Tensor | None, v: Tensor, rel_row: Tensor | None, rel_col: Tensor | None, extent: int, border: str
) -> tuple[Tensor, Tensor]:
    y = _empty_like(q)
    lse = q.new_empty(q.shape[0], q.shape[1], 1, *q.shape[3:])
    tables = [None if x is None else x.contiguous() for x in (rel_row, rel_col)]
    _call("local_attention_forward", [q, k, v, y, lse, None, None, None, None], [*tables, None, None], extent, border)
    return y, lse


@_forward.register_fake
def _(
    q: Tensor, k: Tensor | None, v: Tensor, rel_row: Tensor | None, rel_col: Tensor | None, extent: int, border: str
) -> tuple[Tensor, Tensor]:
    return _empty_like(q), q.new_empty(q.shape[0], q.shape[1], 1, *q.shape[3:])


@torch.library.custom_op("hybrid_search::local_attention_cpu_backward", mutates_args=(), device_types="cpu")
def _backward(
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grads = _empty_grads(q, k, v, rel_row, rel_col)
    dq, dk, dv, drow, dcol = grads
    tables = [None if x is None else x.contiguous() for x in (rel_row, rel_col)]
    maps = [q, k, v, y, lse, dy, dq, None if k is None else dk, dv]
    _call("local_attention_backward", maps, [*tables, drow, dcol], extent, border)
    return grads


def _empty_grads(
    q: Tensor, k: Tensor | None, v: Tensor, rel_row: Tensor | None, rel_col: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Uninitialised gradients; of what is None an empty tensor, for an operator returns tensors alone."""
    dq, dk, dv = (q.new_empty(0) if x is None else _empty_like(x) for x in (q, k, v))
    drow, dcol = (q.new_empty(0 if x is None else x.shape) for x in (rel_row, rel_col))
    return dq, dk, dv, drow, dcol


@_backward.register_fake
def _(
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return _empty_grads(q, k, v, rel_row, rel_col)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.extent, ctx.border = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.mark_non_differentiable(output[1])


def _differentiate(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    tensors = ctx.saved_tensors
    grads = _backward(dy, *tensors, ctx.extent, ctx.border)
    wanted = zip(ctx.needs_input_grad, grads, tensors, strict=False)
    return (*(grad if need and x is not None else None for need, grad, x in wanted), None, None)


_forward.register_autograd(_differentiate, setup_context=_keep)
