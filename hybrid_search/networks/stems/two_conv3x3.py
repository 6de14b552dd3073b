"""A stem of two 3x3 convolutions: a shorter form of the deep stem of ResNet-C (He et al. 2019, arXiv 1812.01187)."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from hybrid_search.errors import MOST, ArchitectureError, one_of, whole
from hybrid_search.networks.blocks import layers
from hybrid_search.networks.blocks.block import check_activation, check_norm
from hybrid_search.networks.stems.stem import one_line
from hybrid_search.ops.conv import convolution
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TwoConv3x3Stem:
    """Two 3x3 convolutions, each with norm and activation. The first one has half of the output channels.

    The first convolution has stride 2, the second one has stride 1 or 2. With stride 1, both have stride 1.
    Shapes: (batch, channels, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

    Args:
        width: number of output channels.
        stride: 1, 2 or 4, of both convolutions together.
        activation: relu, silu or gelu.
        norm: batch or layer (over the channels of a pixel).

    Example:
        >>> TwoConv3x3Stem(width=32, stride=4).build(channels=3)(torch.randn(1, 3, 64, 48)).shape
        torch.Size([1, 32, 16, 12])
    """

    kind: ClassVar[str] = "two_conv3x3"
    family: ClassVar[Family] = "convolution"
    label: ClassVar[str] = "stem of two 3x3 convolutions"
    width: int = 32
    stride: int = 2
    activation: str = "relu"
    norm: str = "batch"

    def check(self) -> None:
        """Raise ArchitectureError for a width below 1, another stride than 1, 2, 4, an unknown activation or norm."""
        whole("width", self.width, most=MOST)
        one_of("stride", self.stride, (1, 2, 4), ArchitectureError)
        check_activation(self.activation)
        check_norm(self.norm)

    def canonical(self) -> Self:
        """Return the stem unchanged: every option changes the network."""
        return self

    def _strides(self) -> tuple[int, int]:
        return min(2, self.stride), max(1, self.stride // 2)

    def _inner(self) -> int:
        """Return the number of channels between the convolutions."""
        return -(-self.width // 2)

    def cost(self, channels: int, rows: int, cols: int) -> list[Layer]:
        """Return the layers: 9 c d / 2 MACs for each pixel of the first map, 9 d^2 / 2 for each of the second one."""
        first, inner = self._strides()[0], self._inner()
        between, out = layers.halved(rows, cols, first), layers.halved(rows, cols, self.stride)
        return [
            layers.dense_conv("conv1", 3, channels, inner, *between),
            layers.norm("norm1", inner, *between),
            layers.dense_conv("conv2", 3, inner, self.width, *out),
            layers.norm("norm2", self.width, *out),
        ]

    def build(self, channels: int) -> "nn.Module":
        """Return the module; the head of the class gives its shapes."""
        from torch import nn

        from hybrid_search.networks.blocks.modules import activation, norm

        (first, second), inner = self._strides(), self._inner()
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=convolution(channels, inner, 3, first),
            norm1=norm(self.norm, inner),
            activation1=activation(self.activation),
            conv2=convolution(inner, self.width, 3, second),
            norm2=norm(self.norm, self.width),
            activation2=activation(self.activation),
        )
        return nn.Sequential(parts)

    def __str__(self) -> str:
        return one_line(self)
