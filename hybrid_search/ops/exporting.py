"""Detect that torch exports or traces a module, and compute with operations that every runtime has.

`torch.export`, `torch.onnx.export` and `torch.jit.trace` record the operations of one call. Some runtimes have no
gather, no tensors of more than four dimensions and none of our kernels. While a call is recorded, the modules of this
package therefore use their export forms: MatMul, Add, Mul, Softmax, Slice, Pad, Concat, Reshape, Transpose, and
convolution.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from hybrid_search.errors import UserError


def is_exporting() -> bool:
    """Return whether the present call is recorded by `torch.export`, `torch.onnx.export` or `torch.jit.trace`.

    Raises:
        UserError: torch.export has strict=True, which reads Python code in the place of running it.
    """
    if torch.compiler.is_exporting() and torch.compiler.is_dynamo_compiling():
        raise UserError(
            "attention must be exported by running it; got torch.export with strict=True. Use strict=False."
        )
    return torch.compiler.is_exporting() or _is_traced() or torch.onnx.is_in_onnx_export()


def _is_traced() -> bool:
    """Return whether `torch.jit.trace`, or the older exporter of ONNX, records the call."""
    return torch._C._get_tracing_state() is not None


def refuse_fx(x: Any, layer: str) -> None:
    """Raise UserError if `torch.fx.symbolic_trace`, such as that of FX quantisation, calls a module.

    It records a call without a map, so the size of the map is not known.

    Args:
        x: the input of the module.
        layer: the name of its class.

    Raises:
        UserError: `x` is a proxy of torch.fx.
    """
    if isinstance(x, torch.fx.Proxy):
        raise UserError(
            f"{layer} must be traced with images, because its operations depend on the size of the map; got a proxy of "
            f"torch.fx. Use torch.export, make {layer} a leaf of the tracer (FX quantisation: "
            f"PrepareCustomConfig().set_non_traceable_module_classes([{layer}])), or write an 8-bit file: "
            "hybrid-search export --format onnx-int8."
        )


def of_type(table: Tensor | None, like: Tensor) -> Tensor | None:
    """Return a table in the type of another tensor. A conversion that changes nothing is not recorded.

    Args:
        table: a table, or None.
        like: the tensor.
    """
    return table if table is None or table.dtype == like.dtype else table.to(like.dtype)


def map_size(x: Tensor) -> tuple[int, int]:
    """Return rows and columns of a map as plain numbers, also while `torch.jit.trace` records each size.

    Args:
        x: a tensor whose last two dimensions are rows and columns.
    """
    state = torch._C._get_tracing_state()
    if state is None:
        return int(x.shape[-2]), int(x.shape[-1])
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        return int(x.shape[-2]), int(x.shape[-1])
    finally:
        torch._C._set_tracing_state(state)  # type: ignore[attr-defined]


def of_this_size(x: Tensor) -> Tensor:
    """Return a map; a trace of `torch.jit.trace` fails if it is called with a map of another size.

    The other exporters check the size of the input themselves.

    Args:
        x: (batch, channels, rows, cols).
    """
    if _is_traced() and not torch.onnx.is_in_onnx_export():
        rows, cols = map_size(x)
        zeros = kept(torch.zeros, x, 1, rows, cols)
        assert zeros is not None
        return x + zeros
    return x


@contextmanager
def unrecorded() -> Iterator[None]:
    """Run a block whose operations no exporter records and no mode of torch changes: its tensors have values."""
    state = torch._C._get_tracing_state()
    with torch.inference_mode(False), _disable_current_modes(), torch.device("cpu"):
        torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            torch._C._set_tracing_state(state)  # type: ignore[attr-defined]


Constants = Callable[..., Tensor | None]


def kept(make: Constants, like: Tensor, *arguments: Hashable) -> Tensor | None:
    """Return a constant tensor, which an exporter stores in its file.

    Args:
        make: a function that returns the tensor, or None.
        like: a tensor with the type and device of the result.
        *arguments: the arguments of `make`.
    """
    return _kept(make, arguments, like.dtype, like.device)


@lru_cache(maxsize=512)
def _kept(make: Constants, arguments: tuple[Hashable, ...], dtype: torch.dtype, device: torch.device) -> Tensor | None:
    with unrecorded():
        made = make(*arguments)
        return None if made is None else made.to(device, dtype)


def pooled(pool: nn.AvgPool2d | None, x: Tensor) -> Tensor:
    """Return the average pool of a map in operations that every runtime has.

    Runtimes disagree about pools whose last window reaches beyond the map. Such a map is padded with zeros here, and
    the means of the last windows are scaled.

    Args:
        pool: the pool of an attention layer, with equal kernel size and stride, ceil_mode and no padding; None for the
            identity.
        x: (batch, channels, rows, cols).

    Returns:
        (batch, channels, ceil(rows / stride), ceil(cols / stride)).
    """
    if pool is None:
        return x
    stride = int(pool.kernel_size)  # type: ignore[arg-type]
    sides = map_size(x)
    missing = [-side % stride for side in sides]
    if not any(missing):
        return F.avg_pool2d(x, stride, stride)
    y = F.avg_pool2d(F.pad(x, (0, missing[1], 0, missing[0])), stride, stride)
    scale = kept(_scale, x, stride, *sides)
    assert scale is not None
    return y * scale


def _scale(stride: int, rows: int, cols: int) -> Tensor:
    """Return (1, rows / stride, cols / stride): pixels of a window, divided by its pixels inside of the map."""
    row, col = (
        torch.tensor([stride / min(stride, side - start) for start in range(0, side, stride)]) for side in (rows, cols)
    )
    return (row[:, None] * col)[None]
