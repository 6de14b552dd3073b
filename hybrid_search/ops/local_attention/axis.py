"""How the portable form cuts a map into blocks of queries, each with the keys that its windows can reach."""

from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from torch import Tensor

BLOCKS = (4, 8, 16)  # queries along one side of a block; a map of at most 16 may be one block
COPY = 128  # copying and extending a key costs about as much as its products with so many queries


@dataclass(frozen=True)
class Axis:
    """One axis of the map in `count` blocks of `block` queries each.

    Block n has the `keys` pixels from n x block - `before` on; the last block may reach beyond the map.
    """

    size: int
    block: int
    count: int
    keys: int
    before: int

    @property
    def pieces(self) -> int:
        """How many blocks' lengths the keys of one block span."""
        return -(-self.keys // self.block)

    @property
    def after(self) -> int:
        """Padding behind the map that lets it be cut into whole pieces."""
        return (self.count + self.pieces - 1) * self.block - self.before - self.size

    def place(self, extent: int, border: str, device: torch.device) -> tuple[Tensor, Tensor]:
        """For each query (count, block, keys): which table entry each key of its block has, and whether it is seen."""
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


def along(size: int, extent: int, border: str, block: int) -> Axis:
    """The axis in blocks of `block`; a single block needs no keys outside the map, unless zeros join the softmax."""
    if block >= size and border != "zero":
        return Axis(size, size, 1, size, 0)
    block = min(block, size)
    reach = extent // 2 if border != "shifted" else extent - 1  # a shifted window may lie wholly to one side
    return Axis(size, block, -(-size // block), block + 2 * reach, reach)


@cache
def cut(size: tuple[int, int], extent: int, border: str, head_width: int) -> tuple[Axis, Axis]:
    """Rows and columns in the blocks that promise the least work.

    Small blocks have many keys for each query, large ones many queries that do not see a key.
    """

    def work(pair: tuple[Axis, Axis]) -> int:
        rows, cols = pair
        width = head_width + rows.keys + cols.keys
        return rows.count * cols.count * rows.keys * cols.keys * width * (rows.block * cols.block + COPY)

    def axes(side: int) -> list[Axis]:
        lengths = [n for n in BLOCKS if n < side] + [side] * (side <= BLOCKS[-1])
        return [along(side, extent, border, block) for block in lengths]

    return min(product(axes(size[0]), axes(size[1])), key=work)
