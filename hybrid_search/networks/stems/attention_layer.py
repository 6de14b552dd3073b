"""The torch modules of the attention stem."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybrid_search.networks.stems.pixel_blocks import BLOCK, check_blocks
from hybrid_search.ops.exporting import is_exporting, map_size, of_this_size, of_type, refuse_fx
from hybrid_search.ops.local_attention.exportable import attend_maps
from hybrid_search.ops.local_attention.function import local_attention

PLACES = BLOCK * BLOCK
EXTENT = 2 * BLOCK - 1


def to_blocks(x: Tensor) -> Tensor:
    """Cut the map into aligned blocks: (batch, channels, rows, cols) -> (batch, rows / 4, cols / 4, 16, channels)."""
    batch, channels, rows, cols = x.shape
    x = x.view(batch, channels, rows // BLOCK, BLOCK, cols // BLOCK, BLOCK)
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)


def from_blocks(x: Tensor) -> Tensor:
    """Join the blocks: (batch, n, m, 16, channels) -> (batch, channels, 4 n, 4 m), the inverse of `to_blocks`."""
    batch, rows, cols, _, channels = x.shape
    x = x.view(batch, rows, cols, BLOCK, BLOCK, channels).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(batch, channels, rows * BLOCK, cols * BLOCK)


def listed_blocks(x: Tensor, channels: int) -> Tensor:
    """(batch, channels, rows, cols) -> (batch, blocks, 16, channels), with at most four dimensions on the way."""
    rows, cols = map_size(x)
    rows_of_blocks = x.reshape(-1, BLOCK, cols // BLOCK, BLOCK).transpose(1, 2)  # of one channel each
    return rows_of_blocks.reshape(-1, channels, rows * cols // PLACES, PLACES).permute(0, 2, 3, 1)


def joined_blocks(x: Tensor, width: int, rows: int, cols: int) -> Tensor:
    """(batch x blocks, width, 16) -> (batch, width, rows, cols), with at most four dimensions on the way."""
    x = x.reshape(-1, rows * cols // PLACES, width, PLACES).transpose(1, 2)
    rows_of_blocks = x.reshape(-1, cols // BLOCK, BLOCK, BLOCK).transpose(1, 2)
    return rows_of_blocks.reshape(-1, width, rows, cols)


class MixtureValues(nn.Module):
    """Spatially aware values: v_ab = (sum over m of p(a, b, m) W_V^m) x_ab.

    Args:
        channels: number of input channels.
        width: number of output channels.
        mixtures: number of projections W_V^m.
        backend: "definition" computes each projection, as the paper writes and counts it. Otherwise the weights are
            mixed once for each place in the block. This gives the same sum with 1 / mixtures of the activations.
    """

    def __init__(self, channels: int, width: int, mixtures: int, backend: str | None = None) -> None:
        super().__init__()
        self.backend = backend
        self.weight = nn.Parameter(torch.empty(mixtures, width, channels))
        self.emb_row = nn.Parameter(torch.empty(BLOCK, width))
        self.emb_col = nn.Parameter(torch.empty(BLOCK, width))
        self.nu = nn.Parameter(torch.empty(mixtures, width))
        nn.init.normal_(self.weight, std=channels**-0.5)
        for table in (self.emb_row, self.emb_col, self.nu):  # logits ~ N(0, 1)
            nn.init.normal_(table, std=(2 * width) ** -0.25)

    def mixture(self) -> Tensor:
        """Return p(a, b, m) as (16, mixtures); it sums to 1 over the mixtures."""
        place = (self.emb_row[:, None] + self.emb_col).flatten(0, 1)
        return (place[:, None] * self.nu).sum(-1).softmax(-1)

    def recorded(self, x: Tensor) -> Tensor:
        """(blocks, 16, channels) -> (blocks, 16, width): a product for each of the 16 places."""
        p = self.mixture().to(x.dtype)
        mixed = (p[:, :, None, None] * self.weight).sum(1)  # (16, width, channels)
        return (x.transpose(0, 1) @ mixed.transpose(1, 2)).transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n, m, 16, channels) -> (batch, n, m, 16, width)."""
        p = self.mixture().to(x.dtype)
        if self.backend == "definition":
            each = (x @ self.weight.flatten(0, 1).t()).view(*x.shape[:-1], *self.weight.shape[:2])
            return torch.einsum("bnmpkd,pk->bnmpd", each, p)
        mixed = (p[:, :, None, None] * self.weight).sum(1)  # (16, width, channels)
        return torch.einsum("bnmpc,pdc->bnmpd", x, mixed)


class BlockAttention(nn.Module):
    """Attention among the 16 pixels of each block, with learned tables of row and column offsets.

    A block is a 4x4 map. A 7x7 window with a masked border covers it from every pixel, so this is `local_attention`
    with one map for each block.

    Args:
        heads: number of heads.
        width: number of channels of all heads together.
        backend: as in `local_attention`; "definition" computes and counts 16 keys per pixel, as the paper does.
    """

    def __init__(self, heads: int, width: int, backend: str | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.backend = backend
        shape = (heads, width // heads // 2, EXTENT)  # offsets -3 to 3
        self.rel_row = nn.Parameter(torch.empty(shape))
        self.rel_col = nn.Parameter(torch.empty(shape))
        nn.init.normal_(self.rel_row)
        nn.init.normal_(self.rel_col)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v (batch, n, m, 16, width) -> (batch, n, m, 16, width)."""
        if self.backend == "definition":
            return self._written_out(q, k, v)
        maps = (x.reshape(-1, BLOCK, BLOCK, self.heads, x.shape[-1] // self.heads) for x in (q, k, v))
        own, keys, values = (x.permute(0, 3, 4, 1, 2) for x in maps)
        tables = self.rel_row.to(q.dtype), self.rel_col.to(q.dtype)
        y = local_attention(own, keys, values, *tables, extent=EXTENT, backend=self.backend)
        return y.permute(0, 3, 4, 1, 2).reshape(q.shape)

    def recorded(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v (blocks, 16, width) -> (blocks, width, 16), in the operations that every runtime has."""
        head_width = 2 * self.rel_row.shape[1]
        maps = (x.reshape(-1, PLACES, self.heads, head_width).permute(0, 2, 3, 1) for x in (q, k, v))
        own, keys, values = (x.reshape(-1, head_width, BLOCK, BLOCK) for x in maps)
        tables = of_type(self.rel_row, q), of_type(self.rel_col, q)
        y = attend_maps(own, keys, values, *tables, (EXTENT, EXTENT), "masked")
        return y.reshape(-1, self.heads * head_width, PLACES)

    def _written_out(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.reshape(*x.shape[:-1], self.heads, x.shape[-1] // self.heads) for x in (q, k, v))
        place = torch.arange(BLOCK, device=q.device)
        offset = place - place[:, None] + BLOCK - 1  # (own, other)
        row = self.rel_row[:, :, offset][:, :, :, None, :, None].expand(-1, -1, -1, BLOCK, -1, BLOCK)
        col = self.rel_col[:, :, offset][:, :, None, :, None, :].expand(-1, -1, BLOCK, -1, BLOCK, -1)
        r = torch.cat([row, col], dim=1).reshape(self.heads, -1, PLACES, PLACES).to(q.dtype)
        logits = torch.einsum("bnmphd,bnmshd->bnmhps", q, k) + torch.einsum("bnmphd,hdps->bnmhps", q, r)
        return torch.einsum("bnmhps,bnmshd->bnmphd", logits.softmax(-1), v).flatten(-2)


class AttentionStem2d(nn.Module):
    """The attention stem: (batch, channels, rows, cols) -> (batch, width, rows / 4, cols / 4).

    Args:
        channels: number of channels of the image.
        width, heads, values, mixtures: the options of `AttentionStem`, already checked.

    Raises:
        ArchitectureError: in `forward`, if rows or columns are not divisible by 4.
    """

    def __init__(self, channels: int, width: int, heads: int, values: str, mixtures: int) -> None:
        super().__init__()
        self.channels = channels
        self.width = width
        self.values = values
        self.qk = nn.Linear(channels, 2 * width, bias=False)
        nn.init.normal_(self.qk.weight, std=channels**-0.5)
        with torch.no_grad():  # q, as in LocalAttention2d
            self.qk.weight[:width] *= (width // heads) ** -0.5
        self.value: nn.Module
        if values == "mixture":
            self.value = MixtureValues(channels, width, mixtures)
        elif values == "plain":
            self.value = nn.Linear(channels, width, bias=False)
        else:
            self.value = nn.Conv2d(channels, width, BLOCK, bias=False)
        self.attention = BlockAttention(heads, width)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(BLOCK, BLOCK)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) -> (batch, width, rows / 4, cols / 4)."""
        refuse_fx(x, "AttentionStem2d")
        check_blocks(*map_size(x))
        if is_exporting():
            return self._recorded(of_this_size(x))
        blocks = to_blocks(x)
        q, k = self.qk(blocks).chunk(2, dim=-1)
        conv = self.values == "conv4x4"  # the kernel is even: one pixel of padding before, two after
        v = to_blocks(self.value(F.pad(x, (1, 2, 1, 2)))) if conv else self.value(blocks)
        y: Tensor = self.pool(self.norm(from_blocks(self.attention(q, k, v))))
        return y

    def _recorded(self, x: Tensor) -> Tensor:
        """Compute the stem without a tensor of more than four dimensions."""
        rows, cols = map_size(x)
        blocks = listed_blocks(x, self.channels)
        both = self.qk(blocks).flatten(0, 1)  # (blocks, 16, 2 x width)
        q, k = both[:, :, : self.width], both[:, :, self.width :]
        if isinstance(self.value, MixtureValues):
            v = self.value.recorded(blocks.flatten(0, 1))
        elif self.values == "conv4x4":
            v = listed_blocks(self.value(F.pad(x, (1, 2, 1, 2))), self.width).flatten(0, 1)
        else:
            v = self.value(blocks).flatten(0, 1)
        y: Tensor = self.pool(self.norm(joined_blocks(self.attention.recorded(q, k, v), self.width, rows, cols)))
        return y
