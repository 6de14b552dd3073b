"""The inverted residual block of MobileNetV2: expand, operator, project."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hybrid_search.errors import ArchitectureError, whole
from hybrid_search.networks.blocks import layers
from hybrid_search.networks.blocks.block import OperatorPlace, check_activation, check_norm
from hybrid_search.ops.operator import Layer, Operator

if TYPE_CHECKING:
    from torch import nn

MOST_EXPANSION = 100


@dataclass(frozen=True)
class InvertedResidual:
    """1x1 convolution to width x expansion channels, the operator, 1x1 convolution to `width` channels.

    The output has no activation (a linear bottleneck, Sandler et al. 2018). A block that keeps the shape adds its
    input.

    Args:
        expansion: channels of the operator / width.
        squeeze_excitation: whether the channels of the operator are scaled by squeeze-and-excitation (Hu et al. 2018).
        activation: relu, silu or gelu.
        norm: batch or layer (over the channels of a pixel); every norm of the block.
    """

    added_options: ClassVar[tuple[str, ...]] = ("norm",)
    label: ClassVar[str] = "inverted residual"
    expansion: int = 4
    squeeze_excitation: bool = False
    activation: str = "relu"
    norm: str = "batch"

    def check(self, width: int) -> None:
        """Raise ArchitectureError for an expansion below 1, an unknown activation or norm, or another wrong option."""
        whole("expansion", self.expansion, most=MOST_EXPANSION)
        if not isinstance(self.squeeze_excitation, bool):
            raise ArchitectureError(f"squeeze_excitation must be true or false; got {self.squeeze_excitation!r}.")
        check_activation(self.activation)
        check_norm(self.norm)

    def out_channels(self, width: int) -> int:
        """Return the width."""
        return width

    def places(self, width: int, rows: int, cols: int, stride: int) -> tuple[OperatorPlace, ...]:
        """Return the one place of the operator: width x expansion channels on the input map, with the stride."""
        return (OperatorPlace("operator", width * self.expansion, rows, cols, stride),)

    def cost(self, operator: Operator, channels: int, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return the layers: c (e d) on the input map, the operator, (e d) d on the output map."""
        (place,) = self.places(width, rows, cols, stride)
        out = layers.halved(rows, cols, stride)
        expand = [
            layers.conv1x1("expand", channels, place.width, rows, cols),
            layers.norm("expand_norm", place.width, rows, cols),
        ]
        return [
            *(expand if self.expands(channels, width) else []),
            *layers.at(operator, place),
            layers.norm("operator_norm", place.width, *out),
            *(layers.squeeze_excitation(place.width) if self.squeeze_excitation else []),
            layers.conv1x1("project", place.width, width, *out),
            layers.norm("project_norm", width, *out),
        ]

    def expands(self, channels: int, width: int) -> bool:
        """Return whether the block has an expanding convolution: not if the operator has the channels of the input."""
        return width * self.expansion != channels

    def build(self, operator: Operator, channels: int, width: int, stride: int) -> "nn.Module":
        """Return the module."""
        from hybrid_search.networks.blocks.residual import InvertedResidualModule

        return InvertedResidualModule(self, operator, channels, width, stride)
