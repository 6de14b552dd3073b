"""Make an autograd function and two custom operators of torch from a fused kernel.

Compilers and exporters use the custom operators. A call of one takes about 0.2 ms, so everything else uses the autograd
function. Training stores the output and the logarithm of the denominator of the softmax (lse), one number for each
query and head, in float32 or float64.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

Attend = Callable[[Tensor, Tensor | None, Tensor, Tensor | None, Tensor | None, int, str], Tensor]
Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # of q, k, v, rel_row, rel_col


def register_operator(
    name: str, forward: Callable[..., Any], fill: Callable[..., None], devices: Sequence[str]
) -> Attend:
    """Return the `attend` function of a backend, which can be differentiated, traced and exported.

    Args:
        name: name of the custom operator.
        forward: takes the arguments of `attend` and returns (y, lse), see `empty_results`.
        fill: takes (gradients, dy, q, k, v, rel_row, rel_col, y, lse, extent, border) and writes the gradients, see
            `empty_gradients`.
        devices: types of the devices that the kernel runs on.
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
        """Compute `local_attention`; the arguments have been checked."""
        if torch.compiler.is_compiling() or type(q) not in (Tensor, Parameter):  # traced, or a tensor without memory
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
    """Return the position tables in contiguous memory, as the kernels read them."""
    return [None if table is None else table.contiguous() for table in tables]


def empty_like(x: Tensor, *more: int) -> Tensor:
    """Return uninitialised memory with the shape and the memory format of x; `more` are leading dimensions."""
    batch, heads, width, rows, cols = x.shape
    if x.stride(2) == 1 and x.stride(4) != 1:
        return x.new_empty(*more, batch, rows, cols, heads, width).movedim((-2, -1), (-4, -3))
    return x.new_empty(*more, *x.shape)


def empty_results(q: Tensor) -> tuple[Tensor, Tensor]:
    """Return an uninitialised output and log-sum-exp (batch, heads, 1, rows, cols)."""
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
    """Return uninitialised gradients; an empty tensor for an argument that is None.

    Args:
        q, k, v, rel_row, rel_col: the arguments of `attend`.
        together: whether those of q, k and v share one piece of memory, which malloc reuses in the next step. A custom
            operator must not do this.
    """
    if together and k is not None:
        dq, dk, dv = empty_like(q, 3).unbind()
    else:
        dq, dk, dv = (q.new_empty(0) if x is None else empty_like(x) for x in (q, k, v))
    drow, dcol = (q.new_empty(0 if x is None else x.shape) for x in (rel_row, rel_col))
    return dq, dk, dv, drow, dcol
