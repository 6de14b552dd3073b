"""Local attention as a torch module: projections, position tables, attention and pool."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from hybrid_search.errors import ArchitectureError
from hybrid_search.ops.exporting import is_exporting, kept, map_size, of_this_size, of_type, pooled, refuse_fx
from hybrid_search.ops.local_attention.exportable import attend_maps
from hybrid_search.ops.local_attention.function import local_attention
from hybrid_search.ops.local_attention.fused_projection import attend_projected, can_attend_projected
from hybrid_search.ops.local_attention.options import check_options, projection_names


class WindowAttention(nn.Module):
    """The attention with its position tables, if any: q, k, v -> (batch, width, rows, cols).

    Args:
        width: number of channels of all heads together.
        extent, heads, border, scale: as in `LocalAttention`.
        relative: whether there are learned tables of row and column offsets.
        backend: name of the implementation; None for the best.
    """

    def __init__(
        self, width: int, extent: int, heads: int, relative: bool, border: str, scale: bool, backend: str | None = None
    ) -> None:
        super().__init__()
        self.extent = extent
        self.border = border
        self.scale = scale
        self.backend = backend
        self.head_width = width // heads
        shape = (heads, self.head_width // 2, extent)
        self.rel_row = nn.Parameter(torch.empty(shape)) if relative else None
        self.rel_col = nn.Parameter(torch.empty(shape)) if relative else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the tables from N(0, 1): the position logits then start as large as the content logits."""
        for table in (self.rel_row, self.rel_col):
            if table is not None:
                nn.init.normal_(table)

    def forward(self, q: Tensor, k: Tensor | None, v: Tensor) -> Tensor:
        """q, k, v (batch, heads, head_width, rows, cols) -> (batch, heads x head_width, rows, cols)."""
        row, col = (None if table is None else table.to(q.dtype) for table in (self.rel_row, self.rel_col))
        q = q * self.head_width**-0.5 if self.scale else q
        y = local_attention(q, k, v, row, col, extent=self.extent, border=self.border, backend=self.backend)
        return y.flatten(1, 2)


class LocalAttention2d(nn.Module):
    """Local self-attention in place of a convolution (Ramachandran et al. 2019, arXiv 1906.05909).

    With q = W_Q x, k = W_K x, v = W_V x and the window N(i, j) of extent x extent pixels, for every head

        y_ij = sum over ab in N(i, j) of softmax_ab(q_ij . k_ab + q_ij . r_(a-i, b-j)) v_ab

    There is no bias and no output projection. With a stride s the attention works on the input map, and an average pool
    of s x s pixels follows.

    Shapes: (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

    Args:
        width: number of channels.
        extent, heads, position, logits, border, projection, scale, norm: the options of `LocalAttention`.
        stride: 1 or more.
        backend: name of the implementation, one of `BACKENDS`; None for the best.

    Raises:
        ArchitectureError: an option is illegal at this width.

    Example:
        >>> layer = LocalAttention2d(64, extent=7, heads=8)
        >>> layer(torch.randn(2, 64, 14, 10)).shape
        torch.Size([2, 64, 14, 10])
    """

    def __init__(
        self,
        width: int,
        extent: int = 7,
        heads: int = 8,
        position: str = "relative",
        logits: str = "qk+qr",
        border: str = "masked",
        projection: str = "dense",
        scale: bool = False,
        norm: bool = False,
        stride: int = 1,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        check_options(width, extent, heads, position, logits, border, projection, scale, norm)
        self.width = width
        self.extent = extent
        self.heads = heads
        self.position = position
        self.logits = logits
        self.border = border
        self.projection = projection
        self.scale = scale
        self.projections = projection_names(position, logits)
        groups = heads if projection == "grouped" else 1
        for name in self.projections:
            self.add_module(name, nn.Conv2d(width, len(name) * width, 1, groups=groups, bias=False))
        self.norm = nn.BatchNorm2d(width * sum(map(len, self.projections))) if norm else None
        self.attention = WindowAttention(width, extent, heads, position == "relative", border, scale, backend)
        # ceil_mode, with padding left out of the mean: an odd map shrinks as under a strided convolution.
        self.pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the projections so that they keep the variance of their input.

        q is divided by the square root of the width of a head. Without a scale in the logits, this keeps the softmax
        open at the start. Batch norm on q would undo it; then the weight of the norm starts smaller instead.
        """
        heads, width = self.heads, self.width
        small = 1.0 if self.scale else (width // heads) ** -0.5
        for name in self.projections:
            weight = self._projection(name).weight  # its input channels are those of one group
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            if "q" in name:  # channels lie as (heads, the letters of the name, head_width)
                with torch.no_grad():
                    weight.view(heads, len(name), -1)[:, 0] *= small
        if self.norm is not None:
            self.norm.reset_parameters()
            with torch.no_grad():
                self._parts(self.norm.weight[None, :, None, None])[0].mul_(small)
        self.attention.reset_parameters()

    def _projection(self, name: str) -> nn.Conv2d:
        return cast("nn.Conv2d", self.get_submodule(name))

    def _parts(self, x: Tensor) -> list[Tensor]:
        """Split the channels of all projections into q, k, v (or q, v), each (batch, heads, head_width, rows, cols)."""
        batch, channels, rows, cols = x.shape
        heads, width = self.heads, self.width
        head = (width // heads, rows, cols)
        if self.position == "absolute":
            qk = x[:, : 2 * width].view(batch, heads, 2, *head)
            return [*qk.unbind(2), x[:, 2 * width :].view(batch, heads, *head)]
        return list(x.view(batch, heads, channels // width, *head).unbind(2))

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
        refuse_fx(x, "LocalAttention2d")
        if x.dim() != 4 or x.shape[1] != self.width:
            raise ArchitectureError(f"x must be (batch, {self.width}, rows, cols); got {tuple(x.shape)}.")
        if is_exporting():
            return pooled(self.pool, self._attend_recorded(of_this_size(x)))
        y: Tensor = self._attend_fused(x) if self._can_fuse(x) else self._attend(x)
        return y if self.pool is None else cast("Tensor", self.pool(y))

    def _can_fuse(self, x: Tensor) -> bool:
        """Return whether projection and attention may run as one function: nothing between them has been changed."""
        attention = self.attention
        name, *more = self.projections
        projection = self.get_submodule(name)
        if more or self.norm is not None or not _is_unmodified(projection, nn.Conv2d):
            return False
        if not _is_unmodified(attention, WindowAttention) or self._projection(name).bias is not None:
            return False
        tables = [table for table in (attention.rel_row, attention.rel_col) if table is not None]
        half = self.width // self.heads // 2
        shapes = {(self.heads, half, self.extent)} if self.position == "relative" else set()
        if {tuple(table.shape) for table in tables} != shapes or len(tables) != 2 * len(shapes):
            return False
        if not x.shape[2] * x.shape[3]:
            return False
        others = [self._projection(name).weight, *tables]
        return can_attend_projected(x, others, self.extent, self.border, attention.backend)

    def _attend_fused(self, x: Tensor) -> Tensor:
        (name,) = self.projections
        weight = self._projection(name).weight
        if self.scale:
            by_part = weight.new_ones(len(name), 1)
            by_part[0] = (self.width // self.heads) ** -0.5
            weight = (weight.view(self.heads, len(name), -1) * by_part).view(weight.shape)
        tables = self.attention.rel_row, self.attention.rel_col
        return attend_projected(x, weight, *tables, heads=self.heads, extent=self.extent, border=self.border)

    def _projected(self, x: Tensor, places: Tensor | None) -> Tensor:
        """Return the channels of all projections; `places` is the sinusoid of absolute positions."""
        if places is not None:
            projected = torch.cat([self._projection("qk")(x + places), self._projection("v")(x)], dim=1)
        else:
            projected = self._projection(*self.projections)(x)
        return projected if self.norm is None else cast("Tensor", self.norm(projected))

    def _attend_recorded(self, x: Tensor) -> Tensor:
        """Compute the attention in the operations that every runtime has; no tensor has more than four dimensions."""
        width, head_width, attention = self.width, self.width // self.heads, self.attention
        rows, cols = map_size(x)
        absolute = self.position == "absolute"
        projected = self._projected(x, kept(_places, x, width, rows, cols) if absolute else None)
        letters: list[Tensor] = []
        for name, first in zip(self.projections, (0, 2 * width), strict=False):  # the channels begin there
            part = projected[:, first : first + len(name) * width] if absolute else projected
            maps = part.reshape(-1, len(name) * head_width, rows, cols)  # the heads lie side by side in the batch
            letters += [maps[:, n * head_width : (n + 1) * head_width] for n in range(len(name))]
        q, *k, v = letters
        q = q * head_width**-0.5 if self.scale else q
        tables = [of_type(table, q) for table in (attention.rel_row, attention.rel_col)]
        y = attend_maps(q, k[0] if k else None, v, tables[0], tables[1], (self.extent, self.extent), self.border)
        return y.reshape(-1, width, rows, cols)

    def _attend(self, x: Tensor) -> Tensor:
        absolute = self.position == "absolute"
        projected = self._projected(x, sinusoid(self.width, x.shape[-2], x.shape[-1], x) if absolute else None)
        q, *k, v = self._parts(projected)
        y: Tensor = self.attention(q, k[0] if k else None, v)
        return y

    def extra_repr(self) -> str:
        """Return the width and the options, as in a space file."""
        options = ("extent", "heads", "position", "logits", "border", "projection", "scale")
        shown = [f"{name}={getattr(self, name)!r}" for name in ("width", *options)]
        return ", ".join([*shown, f"norm={self.norm is not None}"])


def _places(width: int, rows: int, cols: int) -> Tensor:
    return sinusoid(width, rows, cols, torch.empty(0))


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _is_unmodified(module: nn.Module, kind: type) -> bool:
    """Return whether the module is exactly of this class, without hooks, parametrisations or a replaced forward."""
    hooked = any(vars(module)[name] for name in HOOKS) or nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]
    return type(module) is kind and not hooked and "forward" not in vars(module)


def sinusoid(width: int, rows: int, cols: int, like: Tensor) -> Tensor:
    """Return absolute positions (width, rows, cols): sine and cosine of the row, then of the column.

    Wavelengths run from 2 pi to 20,000 pi (Vaswani et al. 2017, arXiv 1706.03762, section 3.5).

    Args:
        width: number of channels, divisible by 4.
        rows, cols: size of the map.
        like: a tensor with the device and type of the result.
    """
    step = torch.arange(width // 4, device=like.device, dtype=torch.float32)
    wave = torch.exp(step * (-math.log(10_000.0) * 4 / width))  # (width / 4,)
    row = torch.arange(rows, device=like.device) * wave[:, None]  # (width / 4, rows)
    col = torch.arange(cols, device=like.device) * wave[:, None]
    half = (-1, rows, cols)
    by_row = torch.cat([row.sin(), row.cos()])[:, :, None].expand(half)
    by_col = torch.cat([col.sin(), col.cos()])[:, None, :].expand(half)
    return torch.cat([by_row, by_col]).to(like.dtype)
