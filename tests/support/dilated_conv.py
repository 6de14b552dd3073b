"""The source of a package with the operator `dilated_conv`, as a user writes it."""

SOURCE = """
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
        weights = 9 * self.kernel_size**2 * width**2
        return [Layer("conv", "conv", weights, weights * rows * cols, rows, cols)]

    def build(self, width, stride):
        raise NotImplementedError
"""
