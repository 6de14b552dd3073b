"""The blocks of queries of the portable backend, each with the keys that its windows can reach."""

from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from torch import Tensor

BLOCKS = (4, 8, 16)  # possible sides of a block; a map of at most 16 may also be one block
COPY = 128  # a copy of an extended key takes as long as its products with this number of queries


@dataclass(frozen=True)
class Axis:
    """One axis of the map, divided into blocks.

    Args:
        size: number of pixels.
        block: number of queries of a block. The last block may reach beyond the map.
        count: number of blocks.
        keys: number of keys of a block.
        before: block n has its keys from pixel n x block - before.
    """

    size: int
    block: int
    count: int
    keys: int
    before: int

    @property
    def pieces(self) -> int:
        """Number of block lengths that the keys of one block span."""
        return -(-self.keys // self.block)

    @property
    def after(self) -> int:
        """Padding after the map that makes it a whole number of blocks."""
        return (self.count + self.pieces - 1) * self.block - self.before - self.size

    def place(self, extent: int, border: str, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the table entry (count, block, keys) for each query and key, and whether the key is in the window."""
        first = torch.arange(self.count * self.block, device=device) - extent // 2
        if border == "shifted":
            first = first.clamp(0, max(0, self.size - extent))
        pixel = torch.arange(self.count, device=device)[:, None] * self.block - self.before
        pixel = (pixel + torch.arange(self.keys, device=device)).repeat_interleave(self.block, 0)
        entry = pixel - first[:, None]
        seen = (entry >= 0) & (entry < extent)
        if border != "zero":
            seen &= (pixel >= 0) & (pixel < self.size)
        shape = (self.count, self.block, self.keys)
        return entry.clamp(0, extent - 1).view(shape), seen.view(shape)


def divide_axis(size: int, extent: int, border: str, block: int) -> Axis:
    """Divide an axis into blocks; a single block needs no keys outside the map, unless zeros join the softmax."""
    if block >= size and border != "zero":
        return Axis(size, size, 1, size, 0)
    block = min(block, size)
    reach = extent // 2 if border != "shifted" else extent - 1  # a shifted window may lie wholly to one side
    return Axis(size, block, -(-size // block), block + 2 * reach, reach)


@cache
def cut(size: tuple[int, int], extent: int, border: str, head_width: int) -> tuple[Axis, Axis]:
    """Return the blocks of rows and columns with the least estimated work.

    Small blocks have many keys for each query. In large blocks, many keys are outside the window of a query.
    """

    def work(pair: tuple[Axis, Axis]) -> int:
        rows, cols = pair
        width = head_width + rows.keys + cols.keys
        return rows.count * cols.count * rows.keys * cols.keys * width * (rows.block * cols.block + COPY)

    def axes(side: int) -> list[Axis]:
        lengths = [n for n in BLOCKS if n < side] + [side] * (side <= BLOCKS[-1])
        return [divide_axis(side, extent, border, block) for block in lengths]

    return min(product(axes(size[0]), axes(size[1])), key=work)
