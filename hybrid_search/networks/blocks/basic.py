"""The basic block of ResNet: two spatial operators."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hybrid_search.networks.blocks import layers
from hybrid_search.networks.blocks.block import OperatorPlace, check_activation, check_norm
from hybrid_search.ops.operator import Layer, Operator, stated_layers

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Basic:
    """Two operators of `width` channels, each with batch norm; the first one has the stride.

    A convolution takes the input's number of channels as it is, as in ResNet. Every other operator keeps its number of
    channels: where the input has another number, a 1x1 convolution comes first.

    Args:
        activation: relu, silu or gelu.
        norm: batch or layer (over the channels of a pixel); every norm of the block.
    """

    added_options: ClassVar[tuple[str, ...]] = ("norm",)
    label: ClassVar[str] = "basic block"
    activation: str = "relu"
    norm: str = "batch"

    def check(self, width: int) -> None:
        """Raise ArchitectureError for an unknown activation or norm."""
        check_activation(self.activation)
        check_norm(self.norm)

    def out_channels(self, width: int) -> int:
        """Return the width."""
        return width

    def places(self, width: int, rows: int, cols: int, stride: int) -> tuple[OperatorPlace, ...]:
        """Return both places of the operator: on the input map with the stride, and on the output map."""
        out = layers.halved(rows, cols, stride)
        return OperatorPlace("first", width, rows, cols, stride), OperatorPlace("second", width, *out, 1)

    def cost(self, operator: Operator, channels: int, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return the layers: both operators, before one that needs it a 1x1 convolution of c d, and the shortcut."""
        first, second = self.places(width, rows, cols, stride)
        out = (second.rows, second.cols)
        enters = channels != width and not layers.changes_channels(operator)
        inner = stated_layers(operator, width, rows, cols, stride, **layers.changed(operator, channels, width))
        enter = [layers.conv1x1("enter", channels, width, rows, cols)] if enters else []
        return [
            *enter,
            *(layer.within(first.name) for layer in inner),
            layers.norm("first_norm", width, *out),
            *layers.at(operator, second),
            layers.norm("second_norm", width, *out),
            *layers.shortcut(channels, width, *out, stride),
        ]

    def build(self, operator: Operator, channels: int, width: int, stride: int) -> "nn.Module":
        """Return the module."""
        from hybrid_search.networks.blocks.residual import BasicModule

        return BasicModule(self, operator, channels, width, stride)
