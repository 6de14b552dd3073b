"""The export form of local attention: operations that every runtime has, on tensors of at most four dimensions.

The queries are cut into blocks of the map, each with the rectangle of keys that its windows can reach, so no mask grows
with the square of the map. In a block, with the window of query (i, j) from row a_i and column b_j,

    logit of key (u, v) = q.k + (q_row . r_row)[u - a_i] + (q_col . r_col)[v - b_j]

The last two terms are products of the queries with the whole tables, (queries, extent). `placed` moves entry u - a_i to
place u: neighbouring queries have neighbouring windows, so a Pad, a Reshape to rows one shorter, and a Slice shift each
row by one more. Constants of -1e4 are added outside of the windows. Nothing is gathered.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from hybrid_search.ops.exporting import is_exporting, kept, map_size

OUT = -1e4  # its exponential is 0 in any precision; the sum of row and column, -2e4, is within float16
CALLS = 2**14  # the operations of one more block take as long as this number of logits
MOST_BLOCKS = 64  # of one layer, because an exporter writes the operations of each block
CHUNK = 2**22  # logits that are computed at a time, unless the call is recorded


def unsupported_reason(q: Tensor, extent: int, border: str) -> str | None:
    """Return None: the export form can run every call."""
    return None


@dataclass(frozen=True)
class Span:
    """The queries of a block along one axis, and the keys that their windows reach.

    Args:
        start, stop: the queries, as pixels of the map.
        keys: the first key and the one after the last; with a zero border they may lie outside of the map.
        firsts: for each query, the first pixel of its window.
        extent: length of the window.
    """

    start: int
    stop: int
    keys: tuple[int, int]
    firsts: tuple[int, ...]
    extent: int

    @classmethod
    def of(cls, start: int, stop: int, size: int, extent: int, border: str) -> "Span":
        """Return the span of some queries of an axis with `size` pixels."""
        firsts = [i - extent // 2 for i in range(start, stop)]
        if border == "shifted":
            firsts = [min(max(first, 0), max(0, size - extent)) for first in firsts]
        keys = (firsts[0], firsts[-1] + extent)
        if border != "zero":
            keys = (max(0, keys[0]), min(size, keys[1]))
        return cls(start, stop, keys, tuple(firsts), extent)

    @property
    def queries(self) -> int:
        """Number of queries."""
        return self.stop - self.start

    @property
    def reach(self) -> int:
        """Number of keys."""
        return self.keys[1] - self.keys[0]

    @property
    def masked(self) -> bool:
        """Whether a window lacks a key."""
        return max(self.firsts) > self.keys[0] or min(self.firsts) + self.extent < self.keys[1]

    def mask(self) -> Tensor:
        """Return (queries, keys): 0 inside of the window, OUT outside."""
        place = torch.arange(*self.keys) - torch.tensor(self.firsts)[:, None]
        return torch.where((place >= 0) & (place < self.extent), 0.0, OUT)

    def placed(self, x: Tensor) -> Tensor:
        """(n, queries, extent, m) -> (n, queries, keys, m): move the entry of each place in a window to its key."""
        runs = [0]  # queries whose windows all move by one pixel, or not at all
        moves = [b - a for a, b in pairwise(self.firsts)]
        for n in range(1, len(moves)):
            if moves[n] != moves[n - 1] and n > runs[-1]:
                runs.append(n)
        runs.append(self.queries)
        parts = []
        for first, stop in pairwise(runs):
            moving = bool(moves) and moves[min(first, len(moves) - 1)] == 1 and stop - first > 1
            part = x[:, first:stop] if stop - first < self.queries else x
            parts.append(shifted(part, self.firsts[first] - self.keys[0], self.reach, moving))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


def shifted(x: Tensor, offset: int, length: int, moving: bool) -> Tensor:
    """(n, queries, extent, m) -> (n, queries, length, m): shift by `offset`; if moving, by one more for each query."""
    queries, extent = int(x.shape[1]), int(x.shape[2])
    if moving:
        wide = extent + queries
        x = F.pad(x, (0, 0, 0, queries)).flatten(1, 2)[:, : queries * (wide - 1)]
        x = torch.unflatten(x, 1, (queries, wide - 1))
        extent = wide - 1
    before, after = max(0, offset), max(0, length - offset - extent)
    if before or after:
        x = F.pad(x, (0, 0, before, after))
    start = max(0, -offset)
    return x[:, :, start : start + length] if start or before + extent + after > length else x


Spans = tuple[tuple[Span, ...], tuple[Span, ...]]


@cache
def blocks(size: tuple[int, int], extents: tuple[int, int], border: str) -> Spans:
    """Return the blocks along rows and columns with the least estimated work.

    Args:
        size: rows and columns of the map.
        extents: rows and columns of a window.
        border: as in `local_attention`.
    """

    def divided(axis: int) -> list[tuple[Span, ...]]:
        found = {}
        for count in range(1, min(size[axis], MOST_BLOCKS) + 1):
            side = -(-size[axis] // count)
            starts = range(0, size[axis], side)
            found[len(starts)] = tuple(
                Span.of(start, min(start + side, size[axis]), size[axis], extents[axis], border) for start in starts
            )
        return list(found.values())

    def work(pair: Spans) -> int:
        rows, cols = (sum(span.queries * span.reach for span in spans) for spans in pair)
        return rows * cols + CALLS * len(pair[0]) * len(pair[1])

    pairs = [(rows, cols) for rows in divided(0) for cols in divided(1) if len(rows) * len(cols) <= MOST_BLOCKS]
    return min(pairs, key=work)


def attend(
    q: Tensor,
    k: Tensor | None,
    v: Tensor,
    rel_row: Tensor | None,
    rel_col: Tensor | None,
    extent: int,
    border: str,
) -> Tensor:
    """Compute `local_attention`; the arguments have been checked."""
    heads = q.shape[1]
    maps = [None if x is None else x.flatten(0, 1) for x in (q, k, v)]
    tables = [None if x is None else x.expand(heads, -1, -1) for x in (rel_row, rel_col)]
    y = attend_maps(maps[0], maps[1], maps[2], tables[0], tables[1], (extent, extent), border)  # type: ignore[arg-type]
    return torch.unflatten(y, 0, (-1, heads)).contiguous()


def attend_maps(
    q: Tensor,
    k: Tensor | None,
    v: Tensor,
    rel_row: Tensor | None,
    rel_col: Tensor | None,
    extents: tuple[int, int],
    border: str,
) -> Tensor:
    """Compute the attention of heads that lie side by side in the batch.

    Args:
        q, k, v: (batch x heads, head_width, rows, cols); `k` None leaves the logits q . r.
        rel_row, rel_col: (heads, head_width // 2, extent) of their axis, both or neither.
        extents: rows and columns of a window.
        border: as in `local_attention`.

    Returns:
        y, with the shape of q.
    """
    size = map_size(q)
    rows, cols = blocks(size, extents, border)
    heads = 1 if rel_row is None else rel_row.shape[0]
    if not is_exporting():
        logits = max(r.queries * r.reach for r in rows) * max(c.queries * c.reach for c in cols)
        some = max(1, CHUNK // (logits * heads)) * heads
        if q.shape[0] > some:
            chunks = [slice(n, n + some) for n in range(0, q.shape[0], some)]
            keys = [None if k is None else k[chunk] for chunk in chunks]
            parts = zip(chunks, keys, strict=True)
            return torch.cat([attend_maps(q[at], own, v[at], rel_row, rel_col, extents, border) for at, own in parts])
    if border == "zero":
        margins = [extent // 2 for extent in extents]
        around = (margins[1], margins[1], margins[0], margins[0])
        k, v = (None if x is None else F.pad(x, around) for x in (k, v))  # type: ignore[assignment]
    else:
        margins = [0, 0]
    lines = []
    for row in rows:
        parts_of_line = [_block(q, k, v, (rel_row, rel_col), row, col, margins) for col in cols]
        lines.append(torch.cat(parts_of_line, 3) if len(parts_of_line) > 1 else parts_of_line[0])
    return torch.cat(lines, 2) if len(lines) > 1 else lines[0]


def _block(
    q: Tensor,
    k: Tensor | None,
    v: Tensor,
    tables: tuple[Tensor | None, Tensor | None],
    row: Span,
    col: Span,
    margins: list[int],
) -> Tensor:
    """Return (n, head_width, queries, queries) of one block; k and v may have margins of zeros."""
    own = _rectangle(q, (row.start, row.stop), (col.start, col.stop)).flatten(2).transpose(1, 2)  # (n, queries, d)
    at = [(span.keys[0] + m, span.keys[1] + m) for span, m in zip((row, col), margins, strict=True)]
    logits = None if k is None else own @ _rectangle(k, *at).flatten(2)  # (n, queries, keys)
    terms = _terms(own, tables, row, col)
    if terms is not None:
        logits = terms if logits is None else logits + terms
    assert logits is not None  # k or the tables are given
    y = logits.softmax(-1) @ _rectangle(v, *at).flatten(2).transpose(1, 2)
    return torch.unflatten(y.transpose(1, 2), 2, (row.queries, col.queries))


def _terms(own: Tensor, tables: tuple[Tensor | None, Tensor | None], row: Span, col: Span) -> Tensor | None:
    """Return what is added to the logits (n, queries, keys): position logits and masks; None if there are none.

    The row term has a column for each row of keys, the column term one for each column. A product with a constant of
    zeros and ones repeats them for every key. This is faster than sums of tensors with short last dimensions.
    """
    mask = kept(masks, own, row, col)
    if tables[0] is None or tables[1] is None:
        return None if mask is None else kept(key_masks, own, row, col)
    half, size = tables[0].shape[1], (row.queries, col.queries)
    by_row = torch.unflatten(_entries(own[:, :, :half], tables[0]), 1, size)
    by_col = torch.unflatten(_entries(own[:, :, half : 2 * half], tables[1]), 1, size)
    by_row = row.placed(by_row.transpose(2, 3)).transpose(2, 3).flatten(1, 2)  # (n, queries, keys of the rows)
    by_col = col.placed(by_col.flatten(0, 1).unsqueeze(3)).squeeze(3)
    by_col = torch.unflatten(by_col, 0, (-1, row.queries)).flatten(1, 2)  # (n, queries, keys of the columns)
    both = torch.cat([by_row, by_col], 2)
    repeats = kept(repeated, own, row, col)
    assert repeats is not None
    return (both if mask is None else both + mask) @ repeats


def _entries(half: Tensor, table: Tensor) -> Tensor:
    """Return the products (n, queries, extent) of half of the queries' channels with the table of their head."""
    by_head = torch.unflatten(half, 0, (-1, table.shape[0]))
    return (by_head @ table).flatten(0, 1)


def masks(row: Span, col: Span) -> Tensor | None:
    """Return the masks (1, queries, keys of the rows + keys of the columns); None if there is nothing to mask."""
    if not (row.masked or col.masked):
        return None
    by_row = row.mask()[:, None].expand(-1, col.queries, -1)
    by_col = col.mask().expand(row.queries, -1, -1)
    return torch.cat([by_row, by_col], 2).flatten(0, 1)[None]


def repeated(row: Span, col: Span) -> Tensor:
    """Return (keys of the rows + keys of the columns, keys): 1 where a key is in the row or column, otherwise 0."""
    return torch.cat([torch.eye(row.reach).repeat_interleave(col.reach, 1), torch.eye(col.reach).repeat(1, row.reach)])


def key_masks(row: Span, col: Span) -> Tensor | None:
    """Return the masks (1, queries, keys)."""
    mask = masks(row, col)
    return None if mask is None else mask @ repeated(row, col)


def _rectangle(x: Tensor, rows: tuple[int, int], cols: tuple[int, int]) -> Tensor:
    """Return some rows and columns of a map."""
    if rows != (0, x.shape[2]):
        x = x[:, :, rows[0] : rows[1]]
    return x if cols == (0, x.shape[3]) else x[:, :, :, cols[0] : cols[1]]
