"""The definition of local attention: the equations written out. Every other backend is tested against it.

    N(i, j) = {(a, b) : |a - i| <= (k - 1) / 2, |b - j| <= (k - 1) / 2}
    y_ij    = sum over ab in N(i, j) of softmax_ab(q_ij . k_ab + q_ij . r_(a-i, b-j)) v_ab
    r_(a-i, b-j) = concat(r_row[a - i], r_col[b - j])                      (arXiv 1906.05909, section 3)

Every window is stored, so it needs k^2 times the memory of its input. Each of its three products costs k^2 d MACs per
pixel, as the paper counts them. The FLOP counter of torch counts exactly these products.
"""

import torch
from torch import Tensor


def unsupported_reason(q: Tensor, extent: int, border: str) -> str | None:
    """Return None: the definition can run every call."""
    return None


def window(size: int, extent: int, border: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the pixels (size, extent) in the window of each pixel along one axis, and which of them are in the map."""
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
    """Compute the equations for all windows, as tensors (batch, heads, rows, cols, extent^2, head_width)."""
    heads, rows, cols = q.shape[1], *q.shape[-2:]
    a, a_inside = window(rows, extent, border, q.device)
    b, b_inside = window(cols, extent, border, q.device)
    inside = (a_inside[:, None, :, None] & b_inside[:, None, :]).flatten(2)  # (rows, cols, extent^2)

    def windows(x: Tensor) -> Tensor:
        """Return the pixels of x in the window of every pixel, zero outside the map."""
        x = x[..., a.clamp(0, rows - 1), :][..., b.clamp(0, cols - 1)]  # (batch, heads, d, rows, k, cols, k)
        x = x.permute(0, 1, 3, 5, 4, 6, 2).flatten(4, 5)
        return x.masked_fill(~inside[..., None], 0)

    q = q.permute(0, 1, 3, 4, 2)
    logits = q.new_zeros(())
    if k is not None:
        logits = (windows(k) @ q[..., None]).squeeze(-1)  # q_ij . k_ab
    if rel_row is not None and rel_col is not None:
        shape = (-1, -1, extent, extent)
        r = torch.cat([rel_row[:, :, :, None].expand(shape), rel_col[:, :, None, :].expand(shape)], dim=1)
        r = r.flatten(2).expand(heads, -1, -1)  # (heads, d, extent^2)
        logits = logits + (q.flatten(2, 3) @ r).view(*q.shape[:-1], extent**2)  # q_ij . r_(a-i, b-j)
    if border != "zero":  # every window contains a pixel of the map, so no softmax is empty
        logits = logits.masked_fill(~inside, float("-inf"))
    y = logits.softmax(-1)[..., None, :] @ windows(v)  # the sum over ab
    return y.squeeze(-2).permute(0, 1, 4, 2, 3).contiguous()
