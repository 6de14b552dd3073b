"""The patchify stem of ConvNeXt and vision transformers: a convolution whose stride is its kernel size."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from hybrid_search.errors import MOST, ArchitectureError, one_of, whole
from hybrid_search.networks.blocks import layers
from hybrid_search.networks.blocks.block import check_norm
from hybrid_search.networks.stems.stem import one_line
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PatchifyStem:
    """A convolution of separate patches (kernel size = stride) and a norm (Liu et al. 2022, arXiv 2201.03545).

    An image that is not made of whole patches is padded with zeros at its right and lower edge.
    Shapes: (batch, channels, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

    Args:
        width: number of output channels.
        stride: side of a patch in pixels, 2 or 4.
        norm: layer (over the channels of a pixel) or batch.

    Example:
        >>> PatchifyStem(width=32).build(channels=3)(torch.randn(1, 3, 64, 48)).shape
        torch.Size([1, 32, 16, 12])
    """

    kind: ClassVar[str] = "patchify"
    family: ClassVar[Family] = "convolution"
    label: ClassVar[str] = "patchify stem"
    width: int = 32
    stride: int = 4
    norm: str = "layer"

    def check(self) -> None:
        """Raise ArchitectureError for a width below 1, a stride that is not 2 or 4, or an unknown norm."""
        whole("width", self.width, most=MOST)
        one_of("stride", self.stride, (2, 4), ArchitectureError)
        check_norm(self.norm)

    def canonical(self) -> Self:
        """Return the stem unchanged: every option changes the network."""
        return self

    def cost(self, channels: int, rows: int, cols: int) -> list[Layer]:
        """Return the layers: stride^2 c d MACs for each output pixel."""
        out = layers.halved(rows, cols, self.stride)
        return [
            layers.dense_conv("conv", self.stride, channels, self.width, *out),
            layers.norm("norm", self.width, *out),
        ]

    def build(self, channels: int) -> "nn.Module":
        """Return the module; the head of the class gives its shapes."""
        from torch import nn

        from hybrid_search.networks.blocks.modules import norm

        size = self.stride
        conv = nn.Conv2d(channels, self.width, size, size, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="linear")
        pad = nn.ZeroPad2d(
            (0, size - 1, 0, size - 1)
        )  # pixels beyond the last patch that begins in the image are unused
        parts: OrderedDict[str, nn.Module] = OrderedDict(pad=pad, conv=conv, norm=norm(self.norm, self.width))
        return nn.Sequential(parts)

    def __str__(self) -> str:
        return one_line(self)
