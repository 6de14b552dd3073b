"""A strided 1x1 convolution that selects its pixels first."""

from torch import Tensor, nn


class SubsampledConv2d(nn.Conv2d):
    """A 1x1 convolution with a stride, as a 1x1 convolution with stride 1 of every stride-th pixel.

    Weights and result are those of `nn.Conv2d`. The backward pass of oneDNN for a strided 1x1 convolution with fewer
    than 8 input channels in channels-last memory writes outside of its memory (torch 2.13, CPU).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> (batch, out_channels, ceil(rows / stride), ceil(cols / stride))."""
        rows, cols = self.stride
        return nn.functional.conv2d(x[:, :, ::rows, ::cols], self.weight, self.bias)
