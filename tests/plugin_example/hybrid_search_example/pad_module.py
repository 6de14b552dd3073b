"""A torch module that pads a map, so that patches cover it."""

from torch import Tensor, nn


class PadToMultiple(nn.Module):
    """Append zero rows and columns until both sizes are multiples of `step`."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> (batch, channels, rows + padding, cols + padding)."""
        rows, cols = x.shape[-2:]
        return nn.functional.pad(x, (0, -cols % self.step, 0, -rows % self.step))
