"""The torch module of the operator `shift`."""

import torch
from torch import Tensor, nn


class ShiftModule(nn.Module):
    """Shift four parts of the channels by `reach` pixels, then keep every `stride`-th pixel."""

    def __init__(self, reach: int, stride: int) -> None:
        super().__init__()
        self.reach, self.stride = reach, stride

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        part, reach = max(1, x.shape[1] // 5), self.reach
        moves = ((reach, 0), (-reach, 0), (0, reach), (0, -reach))
        pieces = [shifted(x[:, i * part : (i + 1) * part], *move) for i, move in enumerate(moves)]
        y = torch.cat([*pieces, x[:, 4 * part :]], dim=1)
        return y[:, :, :: self.stride, :: self.stride]


def shifted(x: Tensor, rows: int, cols: int) -> Tensor:
    """Return the map moved by some rows and columns, zero where no pixel comes from."""
    padded = nn.functional.pad(x, (max(cols, 0), max(-cols, 0), max(rows, 0), max(-rows, 0)))
    height, width = x.shape[-2:]
    top, left = max(-rows, 0), max(-cols, 0)
    return padded[..., top : top + height, left : left + width]
