"""Depthwise convolution: one spatial kernel for each channel, no sum over channels."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from hybrid_search.errors import odd
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class DepthwiseConv:
    """A depthwise convolution without bias: k^2 d parameters, and as many MACs per output pixel.

    The 1x1 convolutions of the block around it mix the channels. `conv` with `groups: depthwise` is this operator, and
    is stored under its name. `conv` with as many groups as channels computes the same function, but it starts from
    smaller weights and is a different operator: a space should offer one of them.

    Args:
        kernel_size: side k of the kernel in pixels, odd.

    Example:
        >>> DepthwiseConv(kernel_size=5).cost(width=64, rows=8, cols=8, stride=1)[0].params
        1600
    """

    family: ClassVar[Family] = "convolution"
    label: ClassVar[str] = "depthwise convolution"
    symbol: ClassVar[str] = "D"
    kernel_size: int = 3

    def check(self, width: int) -> None:
        """Raise ArchitectureError for an even kernel."""
        odd("kernel_size", self.kernel_size)

    def canonical(self, width: int, size: tuple[int, int] | None = None) -> Self:
        """Return the operator unchanged: the kernel size always changes the network."""
        return self

    def cost(self, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return one layer with k^2 d parameters, on the output map."""
        weights = self.kernel_size**2 * width
        rows, cols = -(-rows // stride), -(-cols // stride)
        formula = f"{self.kernel_size}^2 x {width}"
        return [Layer("conv", "conv", weights, weights * rows * cols, rows, cols, formula)]

    def build(self, width: int, stride: int) -> "nn.Module":
        """Return the module: (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

        The weights are initialised for a ReLU over the k^2 inputs of each output (He et al. 2015, arXiv 1502.01852).
        """
        from torch import nn

        k = self.kernel_size
        conv = nn.Conv2d(width, width, k, stride, padding=k // 2, groups=width, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
        return nn.Sequential(OrderedDict(conv=conv))
