"""The fused kernel for CPUs (kernel.cpp), as an autograd function and as two operators of torch.

The operators are what a compiler or an exporter sees; calling them costs some 0.2 ms, so that everything else goes
through the function. Training keeps the output and one number a query and head, the logarithm of the softmax's
denominator.
"""

import ctypes
from array import array
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from hybrid_search.ops.local_attention import BORDERS, build

Grads = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def refuses(q: Tensor, extent: int, border: str) -> str | None:
    """The CPU, float32 or float64, and a C++ compiler are needed."""
    if q.device.type != "cpu":
        return f"q must be on the CPU; got {q.device}."
    if q.dtype not in build.TYPES:
        return f"q must be float32 or float64; got {q.dtype}."
    if torch.compiler.is_compiling():  # the shape may be a symbol, and nothing is compiled while torch traces
        why: str | None = _no_compiler()
        return why
    return _why_not(extent, build.TYPES[q.dtype], columns(q.shape[-1], q.element_size(), border))


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _no_compiler() -> str | None:
    try:
        build.compiler()
    except build.BuildError as error:
        return f"{error}."
    return None


@cache
def _why_not(extent: int, real: str, columns: bool) -> str | None:
    try:
        build.library(extent, real, columns)
    except build.BuildError as error:
        _say_once(f"{error}: local attention runs as portable, which is slower")
        return f"{error}."
    return None


def columns(cols: int, bytes_a_number: int, border: str) -> bool:
    """Whether neighbouring columns fill a vector; in narrow maps, and under shifted windows, a lane is a head."""
    lanes = build.instructions().vector_bytes // bytes_a_number
    return border != "shifted" and cols > lanes / 2 + lanes / 8


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
    if torch.compiler.is_compiling() or type(q) not in (Tensor, Parameter):  # traced, or a tensor without memory
        y: Tensor = _forward(q, k, v, rel_row, rel_col, extent, border)[0]
        return y
    y = Fused.apply(q, k, v, rel_row, rel_col, extent, border)  # type: ignore[no-untyped-call]
    return y


class Fused(torch.autograd.Function):
    """The two C functions."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        """`inputs` are those of `attend`."""
        output = _run_forward(*inputs)
        *tensors, ctx.extent, ctx.border = inputs
        ctx.save_for_backward(*tensors, *output)
        return output[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of q, k, v and the tables, those that are asked for."""
        q, k, v, rel_row, rel_col, y, lse = ctx.saved_tensors
        inputs = (dy, q, k, v, rel_row, rel_col, y, lse, ctx.extent, ctx.border)
        if k is None:
            return _wanted(ctx, _run_backward(*inputs))
        # One piece of memory for the three: malloc then keeps its pages from one step to the next.
        dq, dk, dv = _empty_like(q, 3).unbind()
        return _wanted(ctx, _write_grads(*inputs, (dq, dk, dv, *_empty_tables(q, rel_row, rel_col))))


def _wanted(ctx: Any, grads: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    there = zip(ctx.needs_input_grad, grads, ctx.saved_tensors, strict=False)
    return (*(grad if need and x is not None else None for need, grad, x in there), None, None)


def _empty_like(x: Tensor, *more: int) -> Tensor:
    """Uninitialised, its channels together in memory where those of x are; `more` are dimensions in front."""
    batch, heads, width, rows, cols = x.shape
    if x.stride(2) == 1 and x.stride(4) != 1:
        return x.new_empty(*more, batch, rows, cols, heads, width).movedim((-2, -1), (-4, -3))
    return x.new_empty(*more, *x.shape)


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
) -> None:
    """Runs one of the two C functions; the order of the numbers is that of `struct Call`."""
    q = maps[0]
    assert q is not None
    table_heads = 1 if tables[0] is None else tables[0].shape[0]
    numbers = [*q.shape, BORDERS.index(border), table_heads, torch.get_num_threads()]
    for x in maps:
        numbers += _map(x)
    numbers += map(_address, tables)
    call = array("q", numbers)
    library = build.library(extent, build.TYPES[q.dtype], columns(q.shape[-1], q.element_size(), border))
    if getattr(library, name)(ctypes.c_void_p(call.buffer_info()[0])):
        raise MemoryError(f"no memory for the local attention of {tuple(q.shape)}")


def _run_forward(
    q: Tensor, k: Tensor | None, v: Tensor, rel_row: Tensor | None, rel_col: Tensor | None, extent: int, border: str
) -> tuple[Tensor, Tensor]:
    y = _empty_like(q)
    lse = q.new_empty(q.shape[0], q.shape[1], 1, *q.shape[3:])
    tables = [None if x is None else x.contiguous() for x in (rel_row, rel_col)]
    _call("local_attention_forward", [q, k, v, y, lse, None, None, None, None], [*tables, None, None], extent, border)
    return y, lse


_forward = torch.library.custom_op(
    "hybrid_search::local_attention_cpu", _run_forward, mutates_args=(), device_types="cpu"
)


@_forward.register_fake
def _(
    q: Tensor, k: Tensor | None, v: Tensor, rel_row: Tensor | None, rel_col: Tensor | None, extent: int, border: str
) -> tuple[Tensor, Tensor]:
    return _empty_like(q), q.new_empty(q.shape[0], q.shape[1], 1, *q.shape[3:])


def _run_backward(
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
    return _write_grads(dy, q, k, v, rel_row, rel_col, y, lse, extent, border, _empty_grads(q, k, v, rel_row, rel_col))


def _write_grads(
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
    grads: Grads,
) -> Grads:
    dq, dk, dv, drow, dcol = grads
    tables = [None if x is None else x.contiguous() for x in (rel_row, rel_col)]
    maps = [q, k, v, y, lse, dy, dq, None if k is None else dk, dv]
    _call("local_attention_backward", maps, [*tables, drow, dcol], extent, border)
    return grads


def _empty_grads(q: Tensor, k: Tensor | None, v: Tensor, rel_row: Tensor | None, rel_col: Tensor | None) -> Grads:
    """Uninitialised gradients; of what is None an empty tensor, for an operator returns tensors alone."""
    dq, dk, dv = (q.new_empty(0) if x is None else _empty_like(x) for x in (q, k, v))
    return dq, dk, dv, *_empty_tables(q, rel_row, rel_col)


def _empty_tables(q: Tensor, rel_row: Tensor | None, rel_col: Tensor | None) -> tuple[Tensor, Tensor]:
    drow, dcol = (q.new_empty(0 if x is None else x.shape) for x in (rel_row, rel_col))
    return drow, dcol


_backward = torch.library.custom_op(
    "hybrid_search::local_attention_cpu_backward", _run_backward, mutates_args=(), device_types="cpu"
)


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
    return _wanted(ctx, _backward(dy, *ctx.saved_tensors, ctx.extent, ctx.border))


_forward.register_autograd(_differentiate, setup_context=_keep)
