"""The bottleneck block of ResNet v1.5: the operator has the stride, not the first 1x1 convolution."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hybrid_search.errors import whole
from hybrid_search.networks.blocks import layers
from hybrid_search.networks.blocks.block import OperatorPlace, check_activation, check_norm
from hybrid_search.ops.operator import Layer, Operator

if TYPE_CHECKING:
    from torch import nn

MOST_EXPANSION = 1000


@dataclass(frozen=True)
class Bottleneck:
    """1x1 convolution to `width` channels, the operator, 1x1 convolution to width x expansion channels.

    Args:
        expansion: output channels / width.
        activation: relu, silu or gelu.
        norm: batch or layer (over the channels of a pixel); every norm of the block.
    """

    added_options: ClassVar[tuple[str, ...]] = ("norm",)
    label: ClassVar[str] = "bottleneck"
    expansion: int = 4
    activation: str = "relu"
    norm: str = "batch"

    def check(self, width: int) -> None:
        """Raise ArchitectureError for an expansion below 1, or an unknown activation or norm."""
        whole("expansion", self.expansion, most=MOST_EXPANSION)
        check_activation(self.activation)
        check_norm(self.norm)

    def out_channels(self, width: int) -> int:
        """Return width x expansion."""
        return width * self.expansion

    def places(self, width: int, rows: int, cols: int, stride: int) -> tuple[OperatorPlace, ...]:
        """Return the one place of the operator: on the input map, with the stride."""
        return (OperatorPlace("operator", width, rows, cols, stride),)

    def cost(self, operator: Operator, channels: int, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return the layers: c d on the input map, the operator, d (e d) on the output map, and the shortcut."""
        out_channels = self.out_channels(width)
        (place,) = self.places(width, rows, cols, stride)
        out = layers.halved(rows, cols, stride)
        return [
            layers.conv1x1("reduce", channels, width, rows, cols),
            layers.norm("reduce_norm", width, rows, cols),
            *layers.at(operator, place),
            layers.norm("operator_norm", width, *out),
            layers.conv1x1("expand", width, out_channels, *out),
            layers.norm("expand_norm", out_channels, *out),
            *layers.shortcut(channels, out_channels, *out, stride),
        ]

    def build(self, operator: Operator, channels: int, width: int, stride: int) -> "nn.Module":
        """Return the module."""
        from hybrid_search.networks.blocks.residual import BottleneckModule

        return BottleneckModule(self, operator, channels, width, stride)
