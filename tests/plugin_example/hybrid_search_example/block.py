"""Block `plain`: a 1x1 convolution, the operator, batch norm (optional) and ReLU, without a shortcut."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.blocks import OperatorPlace
from hybrid_search.ops.operator import Layer, Operator

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Plain:
    """The simplest block: channels -> width -> operator."""

    label: ClassVar[str] = "plain block"
    norm: bool = True

    def check(self, width: int) -> None:
        """Raise ArchitectureError if the option breaks a rule."""
        if not isinstance(self.norm, bool):
            raise ArchitectureError(f"norm of block plain must be true or false; got {self.norm!r}.")

    def out_channels(self, width: int) -> int:
        """Return the width."""
        return width

    def places(self, width: int, rows: int, cols: int, stride: int) -> tuple[OperatorPlace, ...]:
        """Return the one place of the operator: on the input map, with the stride."""
        return (OperatorPlace("operator", width, rows, cols, stride),)

    def cost(self, operator: Operator, channels: int, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return the layers: c d MACs for each input pixel, the operator, the norm."""
        weights = channels * width
        enter = Layer("enter", "conv", weights, weights * rows * cols, rows, cols, f"{channels} x {width}")
        inner = [layer.within("operator") for layer in operator.cost(width, rows, cols, stride)]
        norm = Layer("norm", "norm", 2 * width, 0, -(-rows // stride), -(-cols // stride))
        return [enter, *inner, *([norm] if self.norm else [])]

    def build(self, operator: Operator, channels: int, width: int, stride: int) -> "nn.Module":
        """Return the module: (batch, channels, rows, cols) -> (batch, width, rows', cols')."""
        from torch import nn

        enter, inner = nn.Conv2d(channels, width, 1, bias=False), operator.build(width, stride)
        norm = nn.BatchNorm2d(width) if self.norm else nn.Identity()
        return nn.Sequential(OrderedDict(enter=enter, operator=inner, norm=norm, relu=nn.ReLU()))
