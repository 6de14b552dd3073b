"""Spatial convolution as an operator."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from hybrid_search.errors import MOST, ArchitectureError, odd, whole
from hybrid_search.ops.depthwise_conv import DepthwiseConv
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import nn


def convolution(channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> "nn.Conv2d":
    """Return a convolution without bias whose output map is ceil(input / stride).

    The weights are initialised for a ReLU (He et al. 2015, arXiv 1502.01852).

    Args:
        channels, out_channels: numbers of channels.
        kernel_size: side of the kernel in pixels, odd.
        stride: step between output pixels.
        groups: number of channel groups that do not see each other.
    """
    from torch import nn

    from hybrid_search.ops.subsampled_conv import SubsampledConv2d

    # With fewer than 8 channels, the CPU kernel of torch 2.13 for this backward pass writes outside of its memory.
    kind = SubsampledConv2d if kernel_size == 1 and stride > 1 and channels < 8 and groups == 1 else nn.Conv2d
    conv = kind(channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def convolution_layer(
    kernel_size: int, width: int, groups: int, rows: int, cols: int, stride: int, channels: int | None = None
) -> Layer:
    """Return the cost of `convolution` to width channels on an input map of rows x cols.

    Args:
        kernel_size: side of the kernel in pixels.
        width: number of output channels.
        groups: number of channel groups.
        rows, cols: size of the input map in pixels.
        stride: step between output pixels.
        channels: number of input channels; default: the width.
    """
    channels = width if channels is None else channels
    weights = kernel_size**2 * channels * width // groups
    rows, cols = -(-rows // stride), -(-cols // stride)
    formula = f"{kernel_size}^2 x {channels} x {width}" + (f" / {groups}" if groups > 1 else "")
    return Layer("conv", "conv", weights, weights * rows * cols, rows, cols, formula)


DEPTHWISE = "depthwise"


@dataclass(frozen=True)
class Conv:
    """A convolution without bias: k^2 d^2 / groups parameters, and as many MACs per output pixel.

    Args:
        kernel_size: side k of the kernel in pixels, odd.
        groups: number of channel groups, must divide the width d; or "depthwise": the operator depthwise_conv.

    Example:
        >>> Conv(kernel_size=3).cost(width=64, rows=8, cols=8, stride=1)[0].params
        36864
    """

    family: ClassVar[Family] = "convolution"
    label: ClassVar[str] = "convolution"
    symbol: ClassVar[str] = "C"
    kernel_size: int = 3
    groups: int | str = 1

    def check(self, width: int) -> None:
        """Raise ArchitectureError for an even kernel or groups that do not divide the width."""
        odd("kernel_size", self.kernel_size)
        if isinstance(self.groups, str):
            if self.groups != DEPTHWISE:
                raise ArchitectureError(f"groups must be a whole number from 1 up, or depthwise; got {self.groups!r}.")
        elif width % whole("groups", self.groups, most=MOST):
            raise ArchitectureError(f"groups must divide the width; got {self.groups} groups at width {width}.")

    def canonical(self, width: int, size: tuple[int, int] | None = None) -> "Self | DepthwiseConv":
        """Return the depthwise operator for depthwise groups, otherwise the operator unchanged."""
        return self if isinstance(self.groups, int) else DepthwiseConv(self.kernel_size)

    @property
    def can_change_channels(self) -> bool:
        """Whether `cost` and `build` take another number of input channels: with one group."""
        return self.groups == 1

    def cost(self, width: int, rows: int, cols: int, stride: int, channels: int | None = None) -> list[Layer]:
        """Return one layer with k^2 d^2 / groups parameters (k^2 c d from c channels), on the output map."""
        if not isinstance(self.groups, int):
            return DepthwiseConv(self.kernel_size).cost(width, rows, cols, stride)
        return [convolution_layer(self.kernel_size, width, self.groups, rows, cols, stride, channels)]

    def build(self, width: int, stride: int, channels: int | None = None) -> "nn.Module":
        """Return the module: (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

        `channels` is the number of input channels, if it is not the width.
        """
        from torch import nn

        if not isinstance(self.groups, int):
            return DepthwiseConv(self.kernel_size).build(width, stride)
        conv = convolution(width if channels is None else channels, width, self.kernel_size, stride, groups=self.groups)
        return nn.Sequential(OrderedDict(conv=conv))
