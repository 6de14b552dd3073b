"""The torch modules of the blocks that add a branch of convolutions and an operator to a shortcut."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from hybrid_search.networks.blocks.layers import changed, changes_channels
from hybrid_search.networks.blocks.modules import SqueezeExcitation, StochasticDepth, activation, norm, shortcut
from hybrid_search.ops.conv import convolution
from hybrid_search.ops.operator import Operator

if TYPE_CHECKING:
    from hybrid_search.networks.blocks.basic import Basic
    from hybrid_search.networks.blocks.bottleneck import Bottleneck
    from hybrid_search.networks.blocks.inverted_residual import InvertedResidual


class BottleneckModule(nn.Module):
    """1x1 to `width` channels, the operator, 1x1 to width x expansion, each with a norm, and the shortcut."""

    def __init__(self, block: "Bottleneck", operator: Operator, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = block.out_channels(width)
        self.reduce = convolution(channels, width, 1)
        self.reduce_norm = norm(block.norm, width)
        self.operator = operator.build(width, stride)
        self.operator_norm = norm(block.norm, width)
        self.expand = convolution(width, out_channels, 1)
        self.expand_norm = norm(block.norm, out_channels)
        nn.init.zeros_(self.expand_norm.weight)  # a block starts as its shortcut (arXiv 1706.02677, section 5.1)
        self.shortcut = shortcut(channels, out_channels, stride, block.norm)
        self.activation = activation(block.activation)
        self.stochastic_depth = StochasticDepth()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> (batch, width x expansion, ceil(rows / stride), ceil(cols / stride))."""
        y: Tensor = self.activation(self.reduce_norm(self.reduce(x)))
        y = self.activation(self.operator_norm(self.operator(y)))
        y = self.activation(self.stochastic_depth(self.expand_norm(self.expand(y))) + self.shortcut(x))
        return y


class BasicModule(nn.Module):
    """Two operators with a norm each, and the shortcut."""

    def __init__(self, block: "Basic", operator: Operator, channels: int, width: int, stride: int) -> None:
        super().__init__()
        same = channels == width or changes_channels(operator)
        self.enter = nn.Identity() if same else convolution(channels, width, 1)
        self.first = operator.build(width, stride, **changed(operator, channels, width))
        self.first_norm = norm(block.norm, width)
        self.second = operator.build(width, 1)
        self.second_norm = norm(block.norm, width)
        nn.init.zeros_(self.second_norm.weight)  # a block starts as its shortcut
        self.shortcut = shortcut(channels, width, stride, block.norm)
        self.activation = activation(block.activation)
        self.stochastic_depth = StochasticDepth()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        y: Tensor = self.activation(self.first_norm(self.first(self.enter(x))))
        y = self.activation(self.stochastic_depth(self.second_norm(self.second(y))) + self.shortcut(x))
        return y


class InvertedResidualModule(nn.Module):
    """1x1 to width x expansion channels, the operator, 1x1 to width; the input is added if the shape stays."""

    def __init__(self, block: "InvertedResidual", operator: Operator, channels: int, width: int, stride: int) -> None:
        super().__init__()
        inner = width * block.expansion
        self.expands = block.expands(channels, width)
        if self.expands:
            self.expand = convolution(channels, inner, 1)
            self.expand_norm = norm(block.norm, inner)
        self.operator = operator.build(inner, stride)
        self.operator_norm = norm(block.norm, inner)
        self.excitation = SqueezeExcitation(inner) if block.squeeze_excitation else nn.Identity()
        self.project = convolution(inner, width, 1)
        self.project_norm = norm(block.norm, width)
        self.adds = stride == 1 and channels == width
        if self.adds:
            nn.init.zeros_(self.project_norm.weight)  # a block starts as its shortcut
        self.activation = activation(block.activation)
        self.stochastic_depth = StochasticDepth()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        y: Tensor = self.activation(self.expand_norm(self.expand(x))) if self.expands else x
        y = self.excitation(self.activation(self.operator_norm(self.operator(y))))
        y = self.project_norm(self.project(y))
        return self.stochastic_depth(y) + x if self.adds else y
