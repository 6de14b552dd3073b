"""The definition of local attention, written to be read: the equations, and the judge of every other backend.

    N(i, j) = {(a, b) : |a - i| <= (k - 1) / 2, |b - j| <= (k - 1) / 2}
    y_ij    = sum over ab in N(i, j) of softmax_ab(q_ij . k_ab + q_ij . r_(a-i, b-j)) v_ab
    r_(a-i, b-j) = concat(r_row[a - i], r_col[b - j])                      (arXiv 1906.05909, section 3)

Every window is written out, so it takes k^2 times the memory of its input. Its three products cost k^2 d MACs a pixel
each, which is how the paper counts; torch's FLOP counter sees exactly them.
"""

import torch
from torch import Tensor


def refuses(q: Tensor, extent: int, border: str) -> str | None:
    """None: the definition takes every call."""
    return None


def window(size: int, extent: int, border: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Along one axis, the pixels (size, extent) in the window of each pixel, and which of them lie in the map."""
    first = torch.arange(size, device=device) - extent // 2
    if border == "shifted":
        first = first.clamp(0, max(0, size - extent))
    pixels = first[:, None] + torch.arange(extent, device=device)
    return pixels, (pixels >= 0) & (pixels < size)


def attend(
    q: Tensor,
    k: Tensor | None,
    v: Tensor,
    rel_row: Tensor | None,
    rel_col: Tensor | None,
    extent: int,
    border: str,
) -> Tensor:
    """The equations; letters: batch, head, d channels, i j the pixel, u w the place in its window."""
    heads, rows, cols = q.shape[1], *q.shape[-2:]
    a, a_inside = window(rows, extent, border, q.device)
    b, b_inside = window(cols, extent, border, q.device)
    inside = a_inside[:, :, None, None] & b_inside  # (rows, extent, cols, extent): i u j w

    def windows(x: Tensor) -> Tensor:
        """(batch, heads, d, rows, cols) -> (batch, heads, d, rows, extent, cols, extent), zero outside the map."""
        x = x[..., a.clamp(0, rows - 1), :][..., b.clamp(0, cols - 1)]
        return x.masked_fill(~inside, 0)

    logits = q.new_zeros(())
    if k is not None:
        logits = torch.einsum("bhdij,bhdiujw->bhijuw", q, windows(k))
    if rel_row is not None and rel_col is not None:
        shape = (-1, -1, extent, extent)
        r = torch.cat([rel_row[:, :, :, None].expand(shape), rel_col[:, :, None, :].expand(shape)], dim=1)
        logits = logits + torch.einsum("bhdij,hduw->bhijuw", q, r.expand(heads, *shape[1:]))
    if border != "zero":  # a window always holds a pixel of the map, so no softmax is empty
        logits = logits.masked_fill(~inside.permute(0, 2, 1, 3), float("-inf"))
    weights = logits.flatten(-2).softmax(-1).view(logits.shape)
    return torch.einsum("bhijuw,bhdiujw->bhdij", weights, windows(v))
