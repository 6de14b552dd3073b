"""The CPU backend: when its C++ kernel (cpu_kernel/kernel.cpp) can run, and its call."""

import ctypes
from array import array
from functools import cache

import torch
from torch import Tensor

from hybrid_search._internal.cache_folder import cache_folder
from hybrid_search.ops.local_attention import autograd, build
from hybrid_search.ops.local_attention.options import BORDERS

USUAL = (3, 5, 7, 9, 11)  # the extents of the spaces that come with the package


def unsupported_reason(q: Tensor, extent: int, border: str) -> str | None:
    """Return the reason why the kernel cannot run; it needs the CPU, float32 or float64, and a C++ compiler."""
    if q.device.type != "cpu":
        return f"q must be on the CPU; got {q.device}."
    if q.dtype not in build.TYPES:
        return f"q must be float32 or float64; got {q.dtype}."
    if torch.compiler.is_compiling():  # the shape may be a symbol, and nothing is compiled while torch traces
        why: str | None = _no_compiler()
        return why
    return _why_not(extent, build.TYPES[q.dtype], use_column_lanes(q.shape[-1], q.element_size(), border))


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
        _notice_once(f"{error}: local attention runs as portable, which is slower")
        return f"{error}."
    return None


def build_all(extents: tuple[int, ...] = USUAL) -> list[str]:
    """Compile the missing float32 kernels.

    Args:
        extents: sides of the windows.

    Returns:
        One line for each extent: what the cache contains now.

    Raises:
        BuildError: there is no compiler, or it failed.
        SettingsError: the cache cannot be written.
    """
    build.compiler()
    folder = cache_folder("kernels", build.notice)
    real, target = build.TYPES[torch.float32], build.instructions().name
    for extent in extents:
        for lanes_are_columns in (True, False):
            build.library(extent, real, lanes_are_columns)
    return [f"extent {extent}: wide and narrow maps, {real}, {target}, in {folder}" for extent in extents]


def use_column_lanes(cols: int, bytes_a_number: int, border: str) -> bool:
    """Return whether the lanes are columns; in narrow maps and shifted windows they are heads and images."""
    lanes = build.instructions().vector_bytes // bytes_a_number
    return border != "shifted" and cols > lanes / 2 + lanes / 8


@cache
def _notice_once(line: str) -> None:
    build.notice(line)


def _map(x: Tensor | None) -> tuple[int, ...]:
    return (0,) * 6 if x is None else (x.data_ptr(), *x.stride())


def _address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def call(
    name: str,
    maps: list[Tensor | None],
    tables: list[Tensor | None],
    extent: int,
    border: str,
) -> None:
    """Call one of the two C functions. The order of the arguments is that of `struct Call` in cpu_kernel/request.h.

    Args:
        name: "forward" or "backward".
        maps: q, k, v, y, lse; for backward also dy, dq, dk, dv.
        tables: rel_row, rel_col; for backward also their gradients.
        extent, border: as in `local_attention`.
    """
    q = maps[0]
    assert q is not None
    table_heads = 1 if tables[0] is None else tables[0].shape[0]
    numbers = [*q.shape, BORDERS.index(border), table_heads, torch.get_num_threads()]
    for x in maps + [None] * (9 - len(maps)):
        numbers += _map(x)
    numbers += map(_address, tables + [None] * (4 - len(tables)))
    request = array("q", numbers)
    library = build.library(extent, build.TYPES[q.dtype], use_column_lanes(q.shape[-1], q.element_size(), border))
    if getattr(library, f"local_attention_{name}")(ctypes.c_void_p(request.buffer_info()[0])):
        raise MemoryError(f"no memory for the local attention of {tuple(q.shape)}")


def _forward(
    q: Tensor, k: Tensor | None, v: Tensor, rel_row: Tensor | None, rel_col: Tensor | None, extent: int, border: str
) -> tuple[Tensor, Tensor]:
    y, lse = autograd.empty_results(q)
    call("forward", [q, k, v, y, lse], autograd.contiguous(rel_row, rel_col), extent, border)
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
    maps = [q, k, v, y, lse, dy, dq, None if k is None else dk, dv]
    call("backward", maps, [*autograd.contiguous(rel_row, rel_col), drow, dcol], extent, border)


attend = autograd.register_operator("local_attention_cpu", _forward, _fill, ("cpu",))
