"""Global attention as a torch module: projection, position tables, attention and pool.

Relative positions become channels of the queries and keys. A key in row a and column b is extended to
[k; onehot(a); onehot(b)], a query at (i, j) to [q; A_ij; B_ij] with

    A_ij[a] = q_row . r_row[a - i],   B_ij[b] = q_col . r_col[b - j]

Their product is q.k + q.r. `scaled_dot_product_attention` without a mask is therefore exact, and its flash kernel runs
forward and backward; it would not with a mask that has a gradient.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybrid_search.errors import ArchitectureError
from hybrid_search.ops.exporting import is_exporting, map_size, of_this_size, of_type, pooled, refuse_fx
from hybrid_search.ops.global_attention.options import check_options
from hybrid_search.ops.local_attention.exportable import attend_maps


class MapAttention(nn.Module):
    """The attention with its position tables, if any: q, k, v -> (batch, width, rows, cols).

    Args:
        width: number of channels of all heads together.
        heads, distance: as in `GlobalAttention`.
        relative: whether there are learned tables of row and column offsets.
        backend: "definition" writes the equation out, as its cost is counted. Any other value, or None, uses
            `scaled_dot_product_attention`.
    """

    def __init__(self, width: int, heads: int, relative: bool, distance: int, backend: str | None = None) -> None:
        super().__init__()
        self.backend = backend
        self.distance = distance
        self.head_width = width // heads
        shape = (heads, self.head_width // 2, 2 * distance + 1)
        self.rel_row = nn.Parameter(torch.empty(shape)) if relative else None
        self.rel_col = nn.Parameter(torch.empty(shape)) if relative else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the tables from N(0, 1): the position logits then start as large as the content logits."""
        for table in (self.rel_row, self.rel_col):
            if table is not None:
                nn.init.normal_(table)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v (batch, heads, head_width, rows, cols) -> (batch, heads x head_width, rows, cols)."""
        batch, heads, head_width, rows, cols = q.shape
        q, k, v = (x.flatten(3).transpose(2, 3) for x in (q, k, v))  # (batch, heads, pixels, head_width)
        attend = self._written_out if self.backend == "definition" else self._extended
        y = attend(q, k, v, rows, cols)
        return y.transpose(2, 3).reshape(batch, heads * head_width, rows, cols)

    def recorded(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Compute the attention in the operations that every runtime has.

        Args:
            q, k, v: (batch x heads, head_width, rows, cols).

        Returns:
            (batch x heads, head_width, rows, cols): attention in windows that reach the whole map from every pixel.
        """
        size = map_size(q)
        tables = [
            None if table is None else self._reaching(table, side - 1)
            for table, side in zip((self.rel_row, self.rel_col), size, strict=True)
        ]
        tables = [of_type(table, q) for table in tables]
        extents = (2 * size[0] - 1, 2 * size[1] - 1)
        return attend_maps(q * self.head_width**-0.5, k, v, tables[0], tables[1], extents, "masked")

    def _reaching(self, table: Tensor, distance: int) -> Tensor:
        """Return a table for offsets of -distance to distance; beyond the learned ones, the last entry is repeated."""
        more = distance - self.distance
        if more <= 0:
            return table[:, :, -more : table.shape[2] + more]
        return torch.cat([*[table[:, :, :1]] * more, table, *[table[:, :, -1:]] * more], 2)

    def _offsets(self, size: int, device: torch.device) -> Tensor:
        """Return the table entry (size, size) for each query and key along one axis."""
        place = torch.arange(size, device=device)
        return (place - place[:, None]).clamp(-self.distance, self.distance) + self.distance

    def _tables(self, q: Tensor, rows: int, cols: int) -> tuple[Tensor, Tensor] | None:
        """Return r_row (heads, half, rows, rows) and r_col (heads, half, cols, cols): query, key. None without them."""
        if self.rel_row is None or self.rel_col is None:
            return None
        row = self.rel_row.to(q.dtype)[:, :, self._offsets(rows, q.device)]
        return row, self.rel_col.to(q.dtype)[:, :, self._offsets(cols, q.device)]

    def _extended(self, q: Tensor, k: Tensor, v: Tensor, rows: int, cols: int) -> Tensor:
        scale = self.head_width**-0.5
        tables = self._tables(q, rows, cols)
        if tables is None:
            return F.scaled_dot_product_attention(q, k, v, scale=scale)
        own = q.view(*q.shape[:2], rows, cols, self.head_width)
        half = self.head_width // 2
        by_row = torch.einsum("bhijd,hdia->bhija", own[..., :half], tables[0])
        by_col = torch.einsum("bhijd,hdjc->bhijc", own[..., half:], tables[1])
        query = torch.cat([own, by_row, by_col], -1).flatten(2, 3)
        row = torch.eye(rows, dtype=k.dtype, device=k.device).repeat_interleave(cols, 0)
        col = torch.eye(cols, dtype=k.dtype, device=k.device).repeat(rows, 1)
        place = torch.cat([row, col], -1).expand(*k.shape[:2], -1, -1)  # (batch, heads, pixels, rows + cols)
        wide = F.pad(v, (0, rows + cols))  # the flash kernel needs values as wide as the keys
        y = F.scaled_dot_product_attention(query, torch.cat([k, place], -1), wide, scale=scale)
        return y[..., : self.head_width]

    def _written_out(self, q: Tensor, k: Tensor, v: Tensor, rows: int, cols: int) -> Tensor:
        logits = q @ k.transpose(2, 3)
        tables = self._tables(q, rows, cols)
        if tables is not None:
            shape = (-1, -1, rows, cols, rows, cols)
            row = tables[0][:, :, :, None, :, None].expand(shape)
            col = tables[1][:, :, None, :, None, :].expand(shape)
            r = torch.cat([row, col], 1).flatten(4).flatten(2, 3)  # (heads, head_width, query, key)
            logits = logits + torch.einsum("bhpd,hdps->bhps", q, r)
        y: Tensor = (logits * self.head_width**-0.5).softmax(-1) @ v
        return y


class GlobalAttention2d(nn.Module):
    """Self-attention of every pixel to the whole map, in place of a convolution (BoTNet, Srinivas et al. 2021).

    With q = W_Q x, k = W_K x, v = W_V x and heads of d channels, for every head

        y_ij = sum over all ab of softmax_ab((q_ij . k_ab + q_ij . r_(a-i, b-j)) / sqrt(d)) v_ab

    There is no bias and no output projection. With a stride s the attention works on the input map, and an average pool
    of s x s pixels follows.

    Shapes: (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

    Args:
        width: number of channels.
        heads, position, distance: the options of `GlobalAttention`.
        stride: 1 or more.
        backend: as in `MapAttention`.

    Raises:
        ArchitectureError: an option is illegal at this width.

    Example:
        >>> layer = GlobalAttention2d(64, heads=4)
        >>> layer(torch.randn(2, 64, 14, 10)).shape
        torch.Size([2, 64, 14, 10])
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        position: str = "relative",
        distance: int = 31,
        stride: int = 1,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        check_options(width, heads, position, distance)
        self.width = width
        self.heads = heads
        self.position = position
        self.distance = distance
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.attention = MapAttention(width, heads, position == "relative", distance, backend)
        # ceil_mode, with padding left out of the mean: an odd map shrinks as under a strided convolution.
        self.pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the projection so that it keeps the variance of its input, and the tables."""
        nn.init.normal_(self.qkv.weight, std=self.width**-0.5)
        self.attention.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

        Args:
            x: the maps, (batch, width, rows, cols).

        Returns:
            The maps after attention and pooling.

        Raises:
            ArchitectureError: `x` has another number of dimensions or channels.
            UserError: torch.fx traces the call.
        """
        refuse_fx(x, "GlobalAttention2d")
        if x.dim() != 4 or x.shape[1] != self.width:
            raise ArchitectureError(f"x must be (batch, {self.width}, rows, cols); got {tuple(x.shape)}.")
        if is_exporting():
            return pooled(self.pool, self._attend_recorded(of_this_size(x)))
        batch, _, rows, cols = x.shape
        parts = self.qkv(x).view(batch, self.heads, 3, self.width // self.heads, rows, cols)
        y: Tensor = self.attention(*parts.unbind(2))
        return y if self.pool is None else cast("Tensor", self.pool(y))

    def _attend_recorded(self, x: Tensor) -> Tensor:
        """Compute the attention without a tensor of more than four dimensions."""
        rows, cols = map_size(x)
        head_width = self.width // self.heads
        maps = self.qkv(x).reshape(-1, 3 * head_width, rows, cols)
        q, k, v = (maps[:, start : start + head_width] for start in (0, head_width, 2 * head_width))
        return self.attention.recorded(q, k, v).reshape(-1, self.width, rows, cols)

    def extra_repr(self) -> str:
        """Return the width and the options, as in a space file."""
        return f"width={self.width}, heads={self.heads}, position={self.position!r}, distance={self.distance}"
