"""Local attention as one function. It checks its arguments and calls the best backend."""

from typing import TYPE_CHECKING, Any

from hybrid_search.errors import ArchitectureError, odd, one_of
from hybrid_search.ops.local_attention.backends import load_backend, which_backend
from hybrid_search.ops.local_attention.options import BORDERS

if TYPE_CHECKING:
    from torch import Tensor


def local_attention(
    q: "Tensor",
    k: "Tensor | None",
    v: "Tensor",
    rel_row: "Tensor | None" = None,
    rel_col: "Tensor | None" = None,
    *,
    extent: int,
    border: str = "masked",
    backend: str | None = None,
) -> "Tensor":
    """Compute local self-attention with relative positions (Ramachandran et al. 2019, arXiv 1906.05909, equation 3).

    For every head, pixel (i, j) and window N(i, j) of extent x extent pixels:

        y_ij = sum over ab in N(i, j) of softmax_ab(q_ij . k_ab + q_ij . r_(a-i, b-j)) v_ab

    r_(a-i, b-j) is the concatenation of row entry a - i + extent // 2 and column entry b - j + extent // 2. The logits
    are not scaled.

    Args:
        q, k, v: (batch, heads, head_width, rows, cols). `k` None leaves the logits q . r.
        rel_row, rel_col: (heads or 1, head_width // 2, extent), both or neither.
        extent: side of the window in pixels, odd.
        border: what a window does at the edge of the map. "masked": pixels outside are left out of the softmax.
            "zero": they take part with a key and a value of zero, so their logit is q . r. "shifted": the window
            moves into the map; the tables are read by the place in the window. If the map is smaller than a shifted
            window, the window starts at the first pixel of the map and pixels outside are left out.
        backend: a name of `BACKENDS`; None for the best that can run the call. While torch records the call for an
            exporter, "exportable" runs.

    Returns:
        y, with the shape of q. It can be differentiated with respect to q, k, v and both tables.

    Raises:
        ArchitectureError: shapes, types or options do not fit together.
        UnknownName: there is no backend of this name.
        UserError: the named backend cannot run the call.

    Example:
        >>> q, k, v = torch.randn(3, 2, 8, 16, 14, 10).unbind()  # 2 images, 8 heads of 16 channels, 14 x 10 pixels
        >>> rel_row, rel_col = torch.randn(2, 8, 8, 7).unbind()
        >>> local_attention(q, k, v, rel_row, rel_col, extent=7).shape
        torch.Size([2, 8, 16, 14, 10])
    """
    _check(q, k, v, rel_row, rel_col)
    odd("extent", extent)
    one_of("border", border, BORDERS, ArchitectureError)
    heads, head_width = q.shape[1:3]
    for name, table in (("rel_row", rel_row), ("rel_col", rel_col)):
        shapes = [(heads, head_width // 2, extent), (1, head_width // 2, extent)]
        if table is not None and tuple(table.shape) not in shapes:
            raise ArchitectureError(
                f"{name} must be (heads or 1, head_width // 2, extent), here {shapes[0]}; got {tuple(table.shape)}."
            )
    name = which_backend(q, extent=extent, border=border, backend=backend)
    return load_backend(name).attend(q, k, v, rel_row, rel_col, extent, border)


def _check(q: Any, k: Any, v: Any, rel_row: Any, rel_col: Any) -> None:
    """Raise ArchitectureError unless the tensors fit together."""
    if q.dim() != 5:
        raise ArchitectureError(f"q must be (batch, heads, head_width, rows, cols); got {tuple(q.shape)}.")
    if min(q.shape[1:]) < 1:
        raise ArchitectureError(f"heads, head_width, rows and cols must be at least 1; got q of {tuple(q.shape)}.")
    for name, x in (("k", k), ("v", v)):
        if x is not None and x.shape != q.shape:
            raise ArchitectureError(f"{name} must have the shape of q, {tuple(q.shape)}; got {tuple(x.shape)}.")
    if (rel_row is None) != (rel_col is None):
        raise ArchitectureError("rel_row and rel_col must be given together; got one of them.")
    if k is None and rel_row is None:
        raise ArchitectureError("k may be None only where rel_row and rel_col give the logits; got neither.")
    if rel_row is not None and q.shape[2] % 2:
        raise ArchitectureError(f"position tables need an even head_width; got {q.shape[2]}.")
    if not q.is_floating_point():
        raise ArchitectureError(f"q must be a floating-point tensor; got {q.dtype}.")
    for name, x in (("k", k), ("v", v), ("rel_row", rel_row), ("rel_col", rel_col)):
        if x is not None and (x.dtype, x.device) != (q.dtype, q.device):
            raise ArchitectureError(
                f"{name} must have the type and device of q, {q.dtype} on {q.device}; got {x.dtype} on {x.device}."
            )
