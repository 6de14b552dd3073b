"""The two convolution stems: the stem of ResNet for large images, one convolution for small images."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from hybrid_search.errors import MOST, ArchitectureError, one_of, whole
from hybrid_search.networks.blocks.block import check_activation
from hybrid_search.networks.stems.stem import one_line
from hybrid_search.ops.conv import convolution
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import nn


def _cost(kernel_size: int, width: int, channels: int, rows: int, cols: int) -> list[Layer]:
    """Return the convolution and its batch norm, on the output map of the convolution."""
    weights = kernel_size**2 * channels * width
    formula = f"{kernel_size}^2 x {channels} x {width}"
    conv = Layer("conv", "conv", weights, weights * rows * cols, rows, cols, formula)
    return [conv, Layer("norm", "norm", 2 * width, 0, rows, cols)]


@dataclass(frozen=True)
class Conv7x7Stem:
    """7x7 convolution with stride 2, batch norm, activation, 3x3 max pool with stride 2: the stem of ResNet.

    Shapes: (batch, channels, rows, cols) -> (batch, width, ceil(rows / 4), ceil(cols / 4)).

    Args:
        width: number of output channels.
        activation: relu, silu or gelu.

    Example:
        >>> Conv7x7Stem(width=64).build(channels=3)(torch.randn(1, 3, 224, 160)).shape
        torch.Size([1, 64, 56, 40])
    """

    added_options: ClassVar[tuple[str, ...]] = ("activation",)
    kind: ClassVar[str] = "conv7x7"
    family: ClassVar[Family] = "convolution"
    label: ClassVar[str] = "7x7 convolution stem"
    stride: ClassVar[int] = 4
    width: int = 64
    activation: str = "relu"

    def check(self) -> None:
        """Raise ArchitectureError for a width below 1 or an unknown activation."""
        whole("width", self.width, most=MOST)
        check_activation(self.activation)

    def canonical(self) -> Self:
        """Return the stem unchanged: every option changes the network."""
        return self

    def cost(self, channels: int, rows: int, cols: int) -> list[Layer]:
        """Return the layers: 49 c d MACs for each pixel of the halved map."""
        return _cost(7, self.width, channels, -(-rows // 2), -(-cols // 2))

    def build(self, channels: int) -> "nn.Module":
        """Return the module: (batch, channels, rows, cols) -> (batch, width, ceil(rows / 4), ceil(cols / 4))."""
        from torch import nn

        from hybrid_search.networks.blocks.modules import activation

        conv, pool = convolution(channels, self.width, 7, 2), nn.MaxPool2d(3, 2, padding=1)
        norm, act = nn.BatchNorm2d(self.width), activation(self.activation)
        return nn.Sequential(OrderedDict(conv=conv, norm=norm, activation=act, pool=pool))

    def __str__(self) -> str:
        return one_line(self)


@dataclass(frozen=True)
class Conv3x3Stem:
    """3x3 convolution with stride 1 or 2, batch norm, activation: the stem for small images.

    Shapes: (batch, channels, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

    Args:
        width: number of output channels.
        stride: 1 or 2.
        activation: relu, silu or gelu.

    Example:
        >>> Conv3x3Stem(width=16).build(channels=1)(torch.randn(1, 1, 28, 20)).shape
        torch.Size([1, 16, 28, 20])
    """

    added_options: ClassVar[tuple[str, ...]] = ("activation",)
    kind: ClassVar[str] = "conv3x3"
    family: ClassVar[Family] = "convolution"
    label: ClassVar[str] = "3x3 convolution stem"
    width: int = 16
    stride: int = 1
    activation: str = "relu"

    def check(self) -> None:
        """Raise ArchitectureError for a width below 1, a stride that is not 1 or 2, or an unknown activation."""
        whole("width", self.width, most=MOST)
        one_of("stride", self.stride, (1, 2), ArchitectureError)
        check_activation(self.activation)

    def canonical(self) -> Self:
        """Return the stem unchanged: every option changes the network."""
        return self

    def cost(self, channels: int, rows: int, cols: int) -> list[Layer]:
        """Return the layers: 9 c d MACs for each output pixel."""
        return _cost(3, self.width, channels, -(-rows // self.stride), -(-cols // self.stride))

    def build(self, channels: int) -> "nn.Module":
        """Return the module; the head of the class gives its shapes."""
        from torch import nn

        from hybrid_search.networks.blocks.modules import activation

        conv, act = convolution(channels, self.width, 3, self.stride), activation(self.activation)
        return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(self.width), activation=act))

    def __str__(self) -> str:
        return one_line(self)
