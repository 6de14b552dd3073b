"""Global attention as an operator: its options, rules and cost. Torch is imported only to build the layer."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hybrid_search.ops.global_attention.options import check_options
from hybrid_search.ops.operator import Family, Layer, options_of

if TYPE_CHECKING:
    from torch import nn

DISTANCE = 31  # the default: every pair of pixels of a 32x32 map has its own offset


@dataclass(frozen=True)
class GlobalAttention:
    """Self-attention of every pixel to the whole map, without bias or output projection.

    It is the attention layer of BoTNet (Srinivas et al. 2021, arXiv 2101.11605) with the relative positions of
    `local_attention`: a table of row offsets and one of column offsets, each for half the channels of a head. Offsets
    beyond `distance` share the last entry of the table (Shaw et al. 2018, arXiv 1803.02155). The logits are divided by
    the square root of the width of a head (Vaswani et al. 2017, arXiv 1706.03762).

    With d channels and P pixels, a pixel costs 3 d^2 + 3 P d MACs: the cost grows with the square of the map.

    Args:
        heads: number of heads; must divide the width, into even parts if position is relative.
        position: "relative" or "none".
        distance: the largest offset in rows or columns that has its own entry in the tables of relative position.

    Example:
        >>> operator = GlobalAttention(heads=4, position="none")
        >>> sum(layer.params for layer in operator.cost(width=64, rows=8, cols=8, stride=1))
        12288
    """

    family: ClassVar[Family] = "attention"
    label: ClassVar[str] = "global attention"
    symbol: ClassVar[str] = "G"
    heads: int = 8
    position: str = "relative"
    distance: int = DISTANCE

    def check(self, width: int) -> None:
        """Raise ArchitectureError for the first option that is illegal at this width."""
        options: dict[str, Any] = dict(options_of(self))
        check_options(width, **options)

    def canonical(self, width: int, size: tuple[int, int] | None = None) -> Self:
        """Return the same operator with the options that cannot change the built network set to one value.

        * Without relative position there are no tables: `distance` becomes its default.
        * On a map of `size`, no offset is larger than its longer side - 1: `distance` becomes at most that.
        * On a map of one pixel its only weight is 1: `heads` have no effect, unless position tables depend on them.
        """
        if self.position != "relative":
            alone = size is not None and max(size) == 1
            return replace(self, distance=DISTANCE, heads=1 if alone else self.heads)
        if size is None:
            return self
        return replace(self, distance=min(self.distance, max(1, max(size) - 1)))

    def terms(self) -> tuple[str, ...]:
        """Return the products that cost rows x cols x width MACs per pixel: q.k, q.r (expanded table), weights.v."""
        return ("q.k", "q.r", "weights.v") if self.position == "relative" else ("q.k", "weights.v")

    def cost(self, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return the projection and the attention, both on the input map.

        The position term is counted as for `local_attention`, with an expanded table. The tables have
        (2 x distance + 1) d parameters. The pool of a strided layer has no MACs.
        """
        pixels = rows * cols
        weights = 3 * width * width
        table = (2 * self.distance + 1) * width if self.position == "relative" else 0
        formula = " + ".join(f"{rows} x {cols} x {width} ({term})" for term in self.terms())
        macs = len(self.terms()) * pixels * width * pixels
        return [
            Layer("qkv", "projection", weights, weights * pixels, rows, cols, f"3 x {width} x {width}"),
            Layer("attention", "attention", table, macs, rows, cols, formula),
        ]

    def build(self, width: int, stride: int) -> "nn.Module":
        """Return the module: (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        from hybrid_search.ops.global_attention.layer import GlobalAttention2d

        return GlobalAttention2d(width, self.heads, self.position, self.distance, stride=stride)
