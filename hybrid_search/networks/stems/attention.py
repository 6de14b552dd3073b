"""The attention stem: self-attention inside aligned 4x4 blocks, then a 4x4 max pool (arXiv 1906.05909, section 3.3)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from hybrid_search.errors import MOST, ArchitectureError, one_of, whole
from hybrid_search.networks.stems.pixel_blocks import BLOCK, check_blocks
from hybrid_search.networks.stems.stem import one_line
from hybrid_search.ops.head_check import check_heads
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import nn

VALUES = ("mixture", "plain", "conv4x4")


@dataclass(frozen=True)
class AttentionStem:
    """Self-attention inside each 4x4 block of pixels, batch norm, 4x4 max pool with stride 4.

    The stem of Ramachandran et al. 2019. Its values depend on the place (a, b) in the block, which helps to find edges:

        v_ab = (sum over m of p(a, b, m) W_V^m) x_ab,   p(a, b, m) = softmax over m of (emb_row(a) + emb_col(b)) . nu_m

    All heads share p. Shapes: (batch, channels, rows, cols) -> (batch, width, rows / 4, cols / 4).

    Args:
        width: number of output channels.
        heads: number of heads; must divide the width into even parts.
        values: "mixture" as above, "plain" for one projection W_V, "conv4x4" for a 4x4 convolution of the image.
        mixtures: number of projections W_V^m.

    Example:
        >>> AttentionStem(width=64).build(channels=3)(torch.randn(1, 3, 32, 48)).shape
        torch.Size([1, 64, 8, 12])
    """

    kind: ClassVar[str] = "attention"
    family: ClassVar[Family] = "attention"
    label: ClassVar[str] = "attention stem"
    stride: ClassVar[int] = BLOCK
    width: int = 64
    heads: int = 4
    values: str = "mixture"
    mixtures: int = 4

    def check(self) -> None:
        """Raise ArchitectureError for the first option that is illegal."""
        whole("width", self.width, most=MOST)
        one_of("values", self.values, VALUES, ArchitectureError)
        whole("mixtures", self.mixtures, most=MOST)
        check_heads(self.heads, self.width, even=True)

    def canonical(self) -> Self:
        """Return a plain projection for a mixture of one; set `mixtures` to its default if nothing is mixed."""
        if self.values == "mixture" and self.mixtures > 1:
            return self
        return replace(self, values="plain" if self.values == "mixture" else self.values, mixtures=4)

    def cost(self, channels: int, rows: int, cols: int) -> list[Layer]:
        """Return the layers as the paper counts them.

        A pixel costs `mixtures` value projections and their sum, and 16 d MACs for each product of attention. The built
        stem needs fewer: it mixes the value weights once for each place in a block. The weights p do not depend on the
        image and cost no MACs.
        """
        check_blocks(rows, cols)
        d, pixels, table = self.width, rows * cols, (2 * BLOCK - 1) * self.width
        layers = [
            Layer("qk", "projection", 2 * channels * d, 2 * channels * d * pixels, rows, cols, f"2 x {channels} x {d}")
        ]
        if self.values == "mixture":
            m = self.mixtures
            weights, per_pixel = m * channels * d + (2 * BLOCK + m) * d, m * channels * d + m * d
            formula = f"{m} x {channels} x {d} + {m} x {d} (mixing)"
        else:
            taps = BLOCK**2 if self.values == "conv4x4" else 1
            weights = per_pixel = taps * channels * d
            formula = f"{BLOCK}^2 x {channels} x {d}" if taps > 1 else f"{channels} x {d}"
        layers.append(Layer("value", "projection", weights, per_pixel * pixels, rows, cols, formula))
        formula = " + ".join(f"{BLOCK}^2 x {d} ({term})" for term in ("q.k", "q.r", "weights.v"))
        layers.append(Layer("attention", "attention", table, 3 * BLOCK**2 * d * pixels, rows, cols, formula))
        return [*layers, Layer("norm", "norm", 2 * d, 0, rows, cols)]

    def build(self, channels: int) -> "nn.Module":
        """Return the module: (batch, channels, rows, cols) -> (batch, width, rows / 4, cols / 4)."""
        from hybrid_search.networks.stems.attention_layer import AttentionStem2d

        return AttentionStem2d(channels, self.width, self.heads, self.values, self.mixtures)

    def __str__(self) -> str:
        return one_line(self)
