"""A fused kernel as an autograd function and as two operators of torch.

The operators are what a compiler or an exporter sees; calling them costs some 0.2 ms, so that everything else goes
through the function. Training keeps the output and one number a query and head, the logarithm of the softmax's
denominator, in float32 or better.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

Attend = Callable[[Tensor, Tensor | None, Tensor, Tensor | None, Tensor | None, int, str], Tensor]
Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # of q, k, v, rel_row, rel_col


def operator(name: str, forward: Callable[..., Any], fill: Callable[..., None], devices: Sequence[str]) -> Attend:
    """The two functions as one that can be differentiated, traced and exported.

    `forward` takes the arguments of a backend's `attend` and gives `empty_results` filled; `fill` takes
    `empty_gradients`, dy, the tensors among those arguments, what `forward` gave and the rest, and fills the first.
    """

    def backward(
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
        grads = empty_gradients(q, k, v, rel_row, rel_col)
        fill(grads, dy, q, k, v, rel_row, rel_col, y, lse, extent, border)
        return grads

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Tensor:
            output = forward(*inputs)
            _keep(ctx, inputs, output)
            y: Tensor = output[0]
            return y

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
            q, k, v, rel_row, rel_col, _, _ = ctx.saved_tensors
            grads = empty_gradients(q, k, v, rel_row, rel_col, together=True)
            fill(grads, dy, *ctx.saved_tensors, ctx.extent, ctx.border)
            return _wanted(ctx, grads)

    forward_op = torch.library.custom_op(f"hybrid_search::{name}", forward, mutates_args=(), device_types=devices)
    backward_op = torch.library.custom_op(
        f"hybrid_search::{name}_backward", backward, mutates_args=(), device_types=devices
    )
    forward_op.register_fake(lambda q, *rest: empty_results(q))
    backward_op.register_fake(lambda dy, q, k, v, rel_row, rel_col, *rest: empty_gradients(q, k, v, rel_row, rel_col))

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _keep(ctx, inputs, output)
        ctx.mark_non_differentiable(output[1])

    def differentiate(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return _wanted(ctx, backward_op(dy, *ctx.saved_tensors, ctx.extent, ctx.border))

    forward_op.register_autograd(differentiate, setup_context=keep)

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
        if torch.compiler.is_compiling() or type(q) not in (Tensor, Parameter):  # traced, or without memory
            traced = getattr(torch.ops.hybrid_search, name)  # forward_op, which torch.compile cannot find in a closure
            y: Tensor = traced(q, k, v, rel_row, rel_col, extent, border)[0]
            return y
        y = Fused.apply(q, k, v, rel_row, rel_col, extent, border)  # type: ignore[no-untyped-call]
        return y

    return attend


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.extent, ctx.border = inputs
    ctx.save_for_backward(*tensors, *output)


def _wanted(ctx: Any, grads: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    there = zip(ctx.needs_input_grad, grads, ctx.saved_tensors, strict=False)
    return (*(grad if need and x is not None else None for need, grad, x in there), None, None)


def contiguous(*tables: Tensor | None) -> list[Tensor | None]:
    """The position tables as the kernels read them."""
    return [None if table is None else table.contiguous() for table in tables]


def empty_like(x: Tensor, *more: int) -> Tensor:
    """Uninitialised, its channels together in memory where those of x are; `more` are dimensions in front."""
    batch, heads, width, rows, cols = x.shape
    if x.stride(2) == 1 and x.stride(4) != 1:
        return x.new_empty(*more, batch, rows, cols, heads, width).movedim((-2, -1), (-4, -3))
    return x.new_empty(*more, *x.shape)


def empty_results(q: Tensor) -> tuple[Tensor, Tensor]:
    """Uninitialised output and log-sum-exp (batch, heads, 1, rows, cols)."""
    shape = (q.shape[0], q.shape[1], 1, *q.shape[3:])
    return empty_like(q), q.new_empty(shape, dtype=torch.promote_types(q.dtype, torch.float32))


def empty_gradients(
    q: Tensor,
    k: Tensor | None,
    v: Tensor,
    rel_row: Tensor | None,
    rel_col: Tensor | None,
    together: bool = False,
) -> Gradients:
    """Uninitialised gradients; of what is None an empty tensor, for an operator returns tensors alone.

    `together` puts those of q, k and v into one piece of memory, whose pages malloc keeps from one step to the next;
    an operator may not, for its results must not share memory.
    """
    if together and k is not None:
        dq, dk, dv = empty_like(q, 3).unbind()
    else:
        dq, dk, dv = (q.new_empty(0) if x is None else empty_like(x) for x in (q, k, v))
    drow, dcol = (q.new_empty(0 if x is None else x.shape) for x in (rel_row, rel_col))
    return dq, dk, dv, drow, dcol
