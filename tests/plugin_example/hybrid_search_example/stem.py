"""Stem `patches`: one convolution whose kernel is its stride, as in ViT and ConvNeXt."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from hybrid_search.errors import ArchitectureError, one_of, whole
from hybrid_search.networks.stems.stem import one_line
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Patches:
    """A convolution over patches of `stride` x `stride` pixels that do not overlap, then batch norm."""

    kind: ClassVar[str] = "patches"
    family: ClassVar[Family] = "convolution"
    label: ClassVar[str] = "patches"
    width: int = 16
    stride: int = 2

    def check(self) -> None:
        """Raise ArchitectureError if an option breaks a rule."""
        whole("width", self.width)
        one_of("stride of stem patches", self.stride, (2, 4), ArchitectureError)

    def canonical(self) -> Self:
        """Return the stem unchanged: both options always have an effect."""
        return self

    def cost(self, channels: int, rows: int, cols: int) -> list[Layer]:
        """Return the layers: stride^2 x channels x width MACs for each patch."""
        rows, cols = -(-rows // self.stride), -(-cols // self.stride)
        weights = self.stride**2 * channels * self.width
        formula = f"{self.stride}^2 x {channels} x {self.width}"
        conv = Layer("conv", "conv", weights, weights * rows * cols, rows, cols, formula)
        return [conv, Layer("norm", "norm", 2 * self.width, 0, rows, cols)]

    def build(self, channels: int) -> "nn.Module":
        """Return the module; `stride` input pixels become one output pixel in each direction."""
        from torch import nn

        from hybrid_search_example.pad_module import PadToMultiple

        step = self.stride
        pad = PadToMultiple(step)
        conv = nn.Conv2d(channels, self.width, step, step, bias=False)
        return nn.Sequential(OrderedDict(pad=pad, conv=conv, norm=nn.BatchNorm2d(self.width)))

    def __str__(self) -> str:
        return one_line(self)
