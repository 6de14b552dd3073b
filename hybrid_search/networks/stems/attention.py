"""The attention stem of arXiv 1906.05909: self-attention inside aligned 4x4 blocks, then a 4x4 max pool."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from hybrid_search.errors import ArchitectureError, one_of, whole
from hybrid_search.networks.stems.stem import one_line
from hybrid_search.ops.local_attention import check_heads
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import nn

BLOCK = 4
VALUES = ("mixture", "plain", "conv4x4")


def check_blocks(rows: int, cols: int) -> None:
    """ArchitectureError unless the image is made of whole 4x4 blocks."""
    if rows % BLOCK or cols % BLOCK or not rows or not cols:
        raise ArchitectureError(
            f"the attention stem needs an image of whole {BLOCK}x{BLOCK} blocks, rows and columns divisible by "
            f"{BLOCK}; got {rows}x{cols}."
        )


@dataclass(frozen=True)
class Attention:
    """Self-attention inside each 4x4 block of pixels, batch norm, 4x4 max pool with stride 4.

    `values` are spatially aware by default: mixture, v_ab = (sum over m of p(a, b, m) W_V^m) x_ab with `mixtures`
    value projections and p = softmax over m of (emb_row(a) + emb_col(b)) . nu_m, the same for all heads. plain is one
    projection, conv4x4 a 4x4 convolution of the whole image.
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
        """Raise ArchitectureError unless the heads divide the width evenly and values is a known kind."""
        whole("width", self.width)
        one_of("values", self.values, VALUES, ArchitectureError)
        whole("mixtures", self.mixtures)
        check_heads(self.heads, self.width, even=True)

    def canonical(self) -> Self:
        """Without mixtures where nothing is mixed; a mixture of one is a plain projection."""
        if self.values == "mixture" and self.mixtures > 1:
            return self
        return replace(self, values="plain" if self.values == "mixture" else self.values, mixtures=4)

    def cost(self, channels: int, rows: int, cols: int) -> list[Layer]:
        """The paper's count: `mixtures` separate value projections and their sum, 16 d for each product of attention.

        Mixing the value weights once for each place in a block, as the built stem does, is cheaper; the reported cost
        stays the paper's. The weights p do not depend on the image and cost no MACs.
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
        """(batch, channels, rows, cols) -> (batch, width, rows / 4, cols / 4)."""
        from hybrid_search.networks.stems.attention_layer import AttentionStem2d

        return AttentionStem2d(self, channels)

    def __str__(self) -> str:
        return one_line(self)
