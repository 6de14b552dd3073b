"""Local attention as an operator: its options, rules and cost. Torch is imported only to build the layer."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hybrid_search.ops.local_attention.options import check_options, projection_names
from hybrid_search.ops.operator import Family, Layer, options_of

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LocalAttention:
    """Local self-attention without bias or output projection (Ramachandran et al. 2019, arXiv 1906.05909).

    The defaults are those of the paper. With d channels and extent k, a pixel costs 3 d^2 + 3 k^2 d MACs; the layer
    has 3 d^2 + k d parameters.

    Args:
        extent: side k of the window in pixels, odd.
        heads: number of heads; must divide the width, into even parts if position is relative.
        position: "relative" (learned tables of row and column offsets), "absolute" (a sinusoid added to the input of
            q and k) or "none".
        logits: "qk+qr", or "qr" for the position term alone; then there are no keys.
        border: what a window does at the edge of the map, "masked", "zero" or "shifted"; see `local_attention`.
        projection: "dense", or "grouped": each head is computed from its own channels only.
        scale: divide the logits by the square root of the width of a head.
        norm: batch norm on q, k and v.

    Example:
        >>> operator = LocalAttention(extent=7, heads=8)
        >>> sum(layer.params for layer in operator.cost(width=64, rows=8, cols=8, stride=1))
        12736
    """

    family: ClassVar[Family] = "attention"
    label: ClassVar[str] = "local attention"
    symbol: ClassVar[str] = "A"
    extent: int = 7
    heads: int = 8
    position: str = "relative"
    logits: str = "qk+qr"
    border: str = "masked"
    projection: str = "dense"
    scale: bool = False
    norm: bool = False

    def check(self, width: int) -> None:
        """Raise ArchitectureError for the first option that is illegal at this width."""
        options: dict[str, Any] = dict(options_of(self))
        check_options(width, **options)

    def canonical(self, width: int, size: tuple[int, int] | None = None) -> Self:
        """Return the same operator with the options that cannot change the built network set to one value.

        * Extent 1: the window never leaves the map and its one weight is 1, so `border` and `scale` have no effect.
          `heads` have none either, unless position tables or groups of channels depend on them. `position` and
          `logits` stay, because they decide which parameters exist.
        * Heads of one channel: `scale` divides by 1.
        * One head: it sees every channel, so grouped projections are dense ones.
        * A map of `size` that is smaller than the window: the extent becomes the smallest that covers the map from
          every pixel. This does not hold for border zero, whose pixels outside the map have a weight.
        """
        same = self
        if size is not None and self.border != "zero":
            longest = max(size)
            covering = 2 * longest - 1 if self.border == "masked" else longest + 1 - longest % 2
            same = replace(same, extent=min(same.extent, covering))
        if same.extent == 1:
            same = replace(same, border="masked", scale=False)
            if same.position != "relative" and same.projection == "dense":
                same = replace(same, heads=1)
        if same.heads == width:
            same = replace(same, scale=False)
        return replace(same, projection="dense") if same.heads == 1 else same

    def terms(self) -> tuple[str, ...]:
        """Return the products that cost extent^2 x width MACs per pixel: q.k, q.r (expanded table), weights.v."""
        content = ("q.k",) if self.logits == "qk+qr" else ()
        position = ("q.r",) if self.position == "relative" else ()
        return (*content, *position, "weights.v")

    def projections(self) -> tuple[str, ...]:
        """Return the names of the 1x1 convolutions of the layer, one letter for each of q, k, v that they make."""
        return projection_names(self.position, self.logits)

    def cost(self, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return the projections, the batch norm and the attention, all on the input map.

        A pixel costs 3 d^2 MACs of projections (2 d^2 without keys) and k^2 d for each of `terms`. The tables of
        relative position have k d parameters. The pool of a strided layer has no MACs.
        """
        pixels = rows * cols
        square = width * width // (self.heads if self.projection == "grouped" else 1)
        groups = f" / {self.heads}" if self.projection == "grouped" and self.heads > 1 else ""

        def projection(name: str) -> Layer:
            formula = f"{len(name)} x {width} x {width}{groups}"
            return Layer(name, "projection", len(name) * square, len(name) * square * pixels, rows, cols, formula)

        names = self.projections()
        layers = [projection(name) for name in names]
        if self.norm:
            layers.append(Layer("norm", "norm", 2 * width * sum(map(len, names)), 0, rows, cols))
        window = self.extent**2 * width
        table = self.extent * width if self.position == "relative" else 0
        formula = " + ".join(f"{self.extent}^2 x {width} ({term})" for term in self.terms())
        macs = len(self.terms()) * window * pixels
        layers.append(Layer("attention", "attention", table, macs, rows, cols, formula))
        return layers

    def build(self, width: int, stride: int) -> "nn.Module":
        """Return the module: (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        from hybrid_search.ops.local_attention.layer import LocalAttention2d

        options: dict[str, Any] = dict(options_of(self))
        return LocalAttention2d(width, **options, stride=stride)
