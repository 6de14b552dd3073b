"""The torch module of the metaformer block."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hybrid_search.networks.blocks.modules import StochasticDepth, activation, norm
from hybrid_search.ops.conv import convolution
from hybrid_search.ops.operator import Operator

if TYPE_CHECKING:
    from hybrid_search.networks.blocks.metaformer import MetaFormer

FIRST_SCALE = 0.1  # of a branch, where layer scale is on; ConvNeXt's 1e-6 needs hundreds of epochs


class Scale(nn.Module):
    """A trained factor for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), FIRST_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> the same shape."""
        return x * self.weight[:, None, None]


class MetaFormerModule(nn.Module):
    """x + operator(norm(x)), then x + MLP(norm(x)), after a change of shape where one is needed."""

    def __init__(self, block: "MetaFormer", operator: Operator, channels: int, width: int, stride: int) -> None:
        super().__init__()
        from hybrid_search.networks.blocks.metaformer import merging_kernel

        self.merges = block.merges(channels, width, stride)
        if self.merges:
            self.merge_norm = norm(block.norm, channels)
            self.merge = convolution(channels, width, merging_kernel(stride), stride)
        hidden = width * block.mlp_ratio
        self.operator_norm = norm(block.norm, width)
        self.operator = operator.build(width, 1)
        self.operator_scale = Scale(width) if block.layer_scale else nn.Identity()
        self.mlp_norm = norm(block.norm, width)
        self.widen = convolution(width, hidden, 1)
        self.narrow = convolution(hidden, width, 1)
        self.mlp_scale = Scale(width) if block.layer_scale else nn.Identity()
        self.activation = activation(block.activation)
        self.stochastic_depth = StochasticDepth()  # of both branches; each draws its own images

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        if self.merges:
            x = self.merge(self.merge_norm(x))
        x = x + self.stochastic_depth(self.operator_scale(self.operator(self.operator_norm(x))))
        y: Tensor = self.narrow(self.activation(self.widen(self.mlp_norm(x))))
        y = x + self.stochastic_depth(self.mlp_scale(y))
        return y
