"""The source of a package with the operator `dilated_conv`, as a user writes it."""

SOURCE = """
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

from hybrid_search.errors import odd, whole
from hybrid_search.ops.operator import Layer


@dataclass(frozen=True)
class Thing:
    kernel_size: int = 3
    dilation: int = 2
    family: ClassVar[str] = "convolution"
    label: ClassVar[str] = "dilated convolution"
    symbol: ClassVar[str] = "X"

    def check(self, width):
        odd("kernel_size", self.kernel_size)
        whole("dilation", self.dilation)

    def canonical(self, width, size=None):
        return self

    def cost(self, width, rows, cols, stride):
        rows, cols = -(-rows // stride), -(-cols // stride)
        weights = self.kernel_size**2 * width**2
        return [Layer("conv", "conv", weights, weights * rows * cols, rows, cols)]

    def build(self, width, stride):
        from torch import nn

        reach = self.dilation * (self.kernel_size // 2)
        conv = nn.Conv2d(width, width, self.kernel_size, stride, reach, self.dilation, bias=False)
        return nn.Sequential(OrderedDict(conv=conv))
"""
