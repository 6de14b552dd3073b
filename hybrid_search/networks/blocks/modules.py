"""The torch modules that blocks are made of."""

import torch
from torch import Tensor, nn

from hybrid_search.networks.blocks.layers import squeezed
from hybrid_search.ops.conv import convolution

ACTIVATION_MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


def activation(name: str) -> nn.Module:
    """Return the module of an activation, one of `ACTIVATIONS`."""
    return nn.GELU() if name == "gelu" else ACTIVATION_MODULES[name](inplace=True)


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of each pixel, as in ConvNeXt (Liu et al. 2022)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> the same shape."""
        y = nn.functional.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


def norm(kind: str, channels: int) -> nn.BatchNorm2d | LayerNorm2d:
    """Return batch norm or layer norm over the channels, for a kind of `NORMS`."""
    return nn.BatchNorm2d(channels) if kind == "batch" else LayerNorm2d(channels)


class StochasticDepth(nn.Module):
    """Leave out the branch of a block for some images while training (Huang et al. 2016). It is off in evaluation mode.

    A block applies it to each branch that it adds to a shortcut. `build_model` sets its rate.

    Attributes:
        rate: probability that the branch is left out for an image, 0 to below 1. A branch that is kept is divided by
            1 - rate.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ...) -> the same shape."""
        if not self.training or self.rate == 0.0:
            return x
        kept = x.new_empty(x.shape[0], *(1,) * (x.dim() - 1)).bernoulli_(1.0 - self.rate)
        return x * (kept / (1.0 - self.rate))

    def extra_repr(self) -> str:
        """Return the rate for `print(model)`."""
        return f"rate={self.rate:g}"


class Shortcut(nn.Module):
    """The strided 1x1 convolution and norm of a block that changes the shape."""

    def __init__(self, channels: int, out_channels: int, stride: int, kind: str) -> None:
        super().__init__()
        self.conv = convolution(channels, out_channels, 1, stride)
        self.norm = norm(kind, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> (batch, out_channels, ceil(rows / stride), ceil(cols / stride))."""
        y: Tensor = self.norm(self.conv(x))
        return y


def shortcut(channels: int, out_channels: int, stride: int, kind: str) -> nn.Module:
    """Return the identity if the shape stays, otherwise a projection with a norm of this kind."""
    return nn.Identity() if stride == 1 and channels == out_channels else Shortcut(channels, out_channels, stride, kind)


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): each channel is scaled by a function of the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = squeezed(channels)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> the same shape."""
        scale = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        return x * scale[:, :, None, None]
