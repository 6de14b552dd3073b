"""Spatial convolution: the operator that attention replaces."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hybrid_search.errors import ArchitectureError, odd, whole
from hybrid_search.ops.operator import Layer

if TYPE_CHECKING:
    from torch import nn


def convolution(channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> "nn.Conv2d":
    """A convolution without bias that keeps the map up to its stride, initialised for a ReLU (arXiv 1502.01852)."""
    from torch import nn

    padding = kernel_size // 2
    conv = nn.Conv2d(channels, out_channels, kernel_size, stride, padding=padding, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


@dataclass(frozen=True)
class Conv:
    """A kernel_size x kernel_size convolution without bias; `groups` = width makes it depthwise."""

    kernel_size: int = 3
    groups: int = 1

    def check(self, width: int) -> None:
        """Raise ArchitectureError for an even kernel or groups that do not divide the width."""
        odd("kernel_size", self.kernel_size)
        whole("groups", self.groups)
        if width % self.groups:
            raise ArchitectureError(f"groups must divide the width; got {self.groups} groups at width {width}.")

    def canonical(self, width: int, size: tuple[int, int] | None = None) -> Self:
        """Itself: both options always change the network."""
        return self

    def cost(self, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """k^2 d^2 / groups MACs an output pixel and as many parameters."""
        weights = self.kernel_size**2 * width * width // self.groups
        rows, cols = -(-rows // stride), -(-cols // stride)
        formula = f"{self.kernel_size}^2 x {width} x {width}" + (f" / {self.groups}" if self.groups > 1 else "")
        return [Layer("conv", "conv", weights, weights * rows * cols, rows, cols, formula)]

    def build(self, width: int, stride: int) -> "nn.Module":
        """(batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        from collections import OrderedDict

        from torch import nn

        k = self.kernel_size
        conv = convolution(width, width, k, stride, groups=self.groups)
        return nn.Sequential(OrderedDict(conv=conv))
