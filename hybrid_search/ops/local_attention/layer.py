"""Local attention as a layer: projections, tables, pool."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from hybrid_search.errors import ArchitectureError
from hybrid_search.ops.local_attention import LocalAttention, local_attention, projected
from hybrid_search.ops.operator import options_of


class WindowAttention(nn.Module):
    """The attention itself, with its position tables where there are any: q, k, v -> (batch, width, rows, cols).

    `backend` names the implementation, None takes the best.
    """

    def __init__(self, option: LocalAttention, width: int, backend: str | None = None) -> None:
        super().__init__()
        self.option = option
        self.backend = backend
        self.head_width = width // option.heads
        shape = (option.heads, self.head_width // 2, option.extent)
        relative = option.position == "relative"
        self.rel_row = nn.Parameter(torch.empty(shape)) if relative else None
        self.rel_col = nn.Parameter(torch.empty(shape)) if relative else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Tables ~ N(0, 1): the position logits then start as large as the content logits."""
        for table in (self.rel_row, self.rel_col):
            if table is not None:
                nn.init.normal_(table)

    def forward(self, q: Tensor, k: Tensor | None, v: Tensor) -> Tensor:
        """q, k, v (batch, heads, head_width, rows, cols) -> (batch, heads x head_width, rows, cols)."""
        option = self.option
        row, col = (None if table is None else table.to(q.dtype) for table in (self.rel_row, self.rel_col))
        q = q * self.head_width**-0.5 if option.scale else q
        y = local_attention(q, k, v, row, col, extent=option.extent, border=option.border, backend=self.backend)
        return y.flatten(1, 2)


class LocalAttention2d(nn.Module):
    """Local self-attention in place of a convolution (arXiv 1906.05909): no bias, no output projection.

    (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)). With stride 2 the attention
    runs at the input resolution and a 2x2 average pool follows. The options are those of
    `hybrid_search.ops.local_attention.LocalAttention`; ArchitectureError where their laws are broken.
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
        option = LocalAttention(extent, heads, position, logits, border, projection, scale, norm)
        option.check(width)
        self.option = option
        self.width = width
        groups = heads if projection == "grouped" else 1
        names = option.projections()
        for name in names:
            self.add_module(name, nn.Conv2d(width, len(name) * width, 1, groups=groups, bias=False))
        self.norm = nn.BatchNorm2d(width * sum(map(len, names))) if norm else None
        self.attention = WindowAttention(option, width, backend)
        # ceil_mode and the padding left out of the mean: an odd map shrinks as under a strided convolution.
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False) if stride == 2 else None
        self.reset_parameters()

    @classmethod
    def of(cls, option: LocalAttention, width: int, stride: int = 1, backend: str | None = None) -> "LocalAttention2d":
        """The layer that a declaration describes."""
        options: dict[str, Any] = dict(options_of(option))
        return cls(width, **options, stride=stride, backend=backend)

    def reset_parameters(self) -> None:
        """Projections keep the variance of their input; q is smaller by the root of the head's width.

        Without a scale in the logits that is what keeps the softmax open at the start; batch norm on q would undo it,
        so there its weight starts as small instead.
        """
        heads, width = self.option.heads, self.width
        small = 1.0 if self.option.scale else (width // heads) ** -0.5
        for name in self.option.projections():
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
        """q, k, v, or q, v, each (batch, heads, head_width, rows, cols), of the channels of all projections."""
        batch, channels, rows, cols = x.shape
        heads, width = self.option.heads, self.width
        head = (width // heads, rows, cols)
        if self.option.position == "absolute":
            qk = x[:, : 2 * width].view(batch, heads, 2, *head)
            return [*qk.unbind(2), x[:, 2 * width :].view(batch, heads, *head)]
        return list(x.view(batch, heads, channels // width, *head).unbind(2))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        if x.dim() != 4 or x.shape[1] != self.width:
            raise ArchitectureError(f"x must be (batch, {self.width}, rows, cols); got {tuple(x.shape)}.")
        y: Tensor = self._attend_at_once(x) if self._is_one_function(x) else self._attend(x)
        return y if self.pool is None else cast("Tensor", self.pool(y))

    def _is_one_function(self, x: Tensor) -> bool:
        """Whether projection and attention may run as one: nothing lies between them or looks there, and all fits."""
        option, attention = self.option, self.attention
        name, *more = option.projections()
        projection = self.get_submodule(name)
        if more or self.norm is not None or not _untouched(projection, nn.Conv2d):
            return False
        if not _untouched(attention, WindowAttention) or self._projection(name).bias is not None:
            return False
        tables = [table for table in (attention.rel_row, attention.rel_col) if table is not None]
        half = self.width // option.heads // 2
        shapes = {(option.heads, half, option.extent)} if option.position == "relative" else set()
        if {tuple(table.shape) for table in tables} != shapes or len(tables) != 2 * len(shapes):
            return False
        if not x.shape[2] * x.shape[3]:
            return False
        others = [self._projection(name).weight, *tables]
        return projected.serves(x, others, option.extent, option.border, attention.backend)

    def _attend_at_once(self, x: Tensor) -> Tensor:
        option = self.option
        (name,) = option.projections()
        weight = self._projection(name).weight
        if option.scale:
            by_part = weight.new_ones(len(name), 1)
            by_part[0] = (self.width // option.heads) ** -0.5
            weight = (weight.view(option.heads, len(name), -1) * by_part).view(weight.shape)
        tables = self.attention.rel_row, self.attention.rel_col
        return projected.attend_projected(
            x, weight, *tables, heads=option.heads, extent=option.extent, border=option.border
        )

    def _attend(self, x: Tensor) -> Tensor:
        if self.option.position == "absolute":
            placed = x + sinusoid(self.width, x.shape[-2], x.shape[-1], x)
            projected = torch.cat([self._projection("qk")(placed), self._projection("v")(x)], dim=1)
        else:
            projected = self._projection(*self.option.projections())(x)
        if self.norm is not None:
            projected = self.norm(projected)
        q, *k, v = self._parts(projected)
        y: Tensor = self.attention(q, k[0] if k else None, v)
        return y

    def extra_repr(self) -> str:
        """The options, as in a space file."""
        return f"width={self.width}, {self.option}"


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _untouched(module: nn.Module, kind: type) -> bool:
    """Whether it is such a module and no more: no hook, no parametrisation, no other forward would be left out."""
    hooked = any(vars(module)[name] for name in HOOKS) or nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]
    return type(module) is kind and not hooked and "forward" not in vars(module)


def sinusoid(width: int, rows: int, cols: int, like: Tensor) -> Tensor:
    """Absolute positions (width, rows, cols): sine and cosine of the row in one half, of the column in the other.

    Wavelengths run from 2 pi to 20,000 pi as in arXiv 1706.03762, section 3.5; `width` must be divisible by 4.
    """
    step = torch.arange(width // 4, device=like.device, dtype=torch.float32)
    wave = torch.exp(step * (-math.log(10_000.0) * 4 / width))  # (width / 4,)
    row = torch.arange(rows, device=like.device) * wave[:, None]  # (width / 4, rows)
    col = torch.arange(cols, device=like.device) * wave[:, None]
    half = (-1, rows, cols)
    by_row = torch.cat([row.sin(), row.cos()])[:, :, None].expand(half)
    by_col = torch.cat([col.sin(), col.cos()])[:, None, :].expand(half)
    return torch.cat([by_row, by_col]).to(like.dtype)
