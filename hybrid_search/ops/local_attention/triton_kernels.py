"""Triton kernels of local attention: one program computes one head of one image and one tile of its map.

    forward, a tile of queries:
        A = q_row . r_row, B = q_col . r_col        (queries, extent): every position logit is a sum of two of them
        for every chunk of the keys in the windows of the tile:
            s = q . k + A[a - first row of the window] + B[b - first column], -infinity where the window ends
            online softmax: largest logit, sum and output so far, rescaled for a larger logit
        store y and the logarithm of the denominator of the softmax, lse
    backward, p = exp(s - lse) computed anew, ds = p (dy . v - dy . y):
        a tile of queries:  dq += ds k;  dA, dB: ds summed along columns and rows;  dq += dA r_row + dB r_col
                            dr_row = q_row . dA and dr_col = q_col . dB, one partial sum a program
        a tile of keys, over the queries that have it in their windows:  dv += p dy, dk += ds q

No two programs add to the same memory, so results are deterministic. Exponents are in base 2, sums in float32 (float64
for float64). A value that is not finite may change every query of the tiles that load it, but no other head or image.
A map is a tuple of its pointer and its strides, in the order of its sizes. All other tensors are contiguous. The
functions are compiled on a GPU, or run as Python if TRITON_INTERPRET=1 when this file is imported.
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LOWEST = tl.constexpr(-3.4e38)  # finite: the difference of two infinities would be no number
INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))


@triton.jit
def product(a, b, plus, SUM: tl.constexpr):
    """Return a @ b, plus `plus` unless it is None."""
    if INTERPRETED and a.dtype == tl.bfloat16:  # which the interpreter cannot multiply
        a, b = a.to(tl.float32), b.to(tl.float32)
    # Float32 to its last digit: "tf32", which Triton would take by itself, keeps three.
    return tl.dot(a, b, plus, input_precision="ieee", out_dtype=SUM)


@triton.jit
def tile_of(program, heads, rows, cols, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Return image, head, first row and first column of a program; all heads of a tile precede the next tile."""
    down, across = (rows + ROWS - 1) // ROWS, (cols + COLS - 1) // COLS
    tile = program // heads
    return tile // across // down, program % heads, tile // across % down * ROWS, tile % across * COLS


@triton.jit
def places(
    x, n, h, i, j, rows, cols, ROWS: tl.constexpr, COLS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr
):
    """Return pointers (ROWS x COLS, PADDED) to the pixels from (i, j) on, and the mask of those in the map."""
    pixel = tl.arange(0, ROWS * COLS)
    down, right = pixel // COLS, pixel % COLS
    c = tl.arange(0, PADDED)
    inside = ((i + down >= 0) & (i + down < rows) & (j + right >= 0) & (j + right < cols))[:, None]
    if WIDTH != PADDED:  # otherwise the mask is the same for all channels, which leaves their loads whole
        inside = inside & (c < WIDTH)[None, :]
    start = x[0] + tl.cast(n, tl.int64) * x[1] + tl.cast(h, tl.int64) * x[2]
    start += tl.cast(i, tl.int64) * x[4] + tl.cast(j, tl.int64) * x[5]
    pointers = start + (down * x[4] + right * x[5])[:, None] + (c * x[3])[None, :]
    return pointers, inside


@triton.jit
def plane(x, heads, rows, cols):
    """Return the layout of a contiguous map with one number for each query and head."""
    return x, heads * rows * cols, rows * cols, 1, cols, 1


@triton.jit
def load(x, n, h, i, j, rows, cols, ROWS: tl.constexpr, COLS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    """Load the pixels from (i, j) on, (ROWS x COLS, PADDED), zero outside the map."""
    at, there = places(x, n, h, i, j, rows, cols, ROWS, COLS, WIDTH, PADDED)
    return tl.load(at, there, 0.0)


@triton.jit
def store(
    x, value, n, h, i, j, rows, cols, ROWS: tl.constexpr, COLS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr
):
    """Store the pixels of `value` that are in the map."""
    at, there = places(x, n, h, i, j, rows, cols, ROWS, COLS, WIDTH, PADDED)
    tl.store(at, value.to(x[0].dtype.element_ty), there)


@triton.jit
def table(
    x, h, per_head, START: tl.constexpr,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, EXTENT: tl.constexpr, ENTRIES: tl.constexpr,
):  # fmt: skip
    """Load a position table (PADDED, ENTRIES): its half of the channels from START on, zero elsewhere."""
    c = tl.arange(0, PADDED)[:, None] - START
    entry = tl.arange(0, ENTRIES)[None, :]
    there = (c >= 0) & (c < WIDTH // 2) & (entry < EXTENT)
    return tl.load(x + h * per_head + c * EXTENT + entry, there, 0.0)


@triton.jit
def first_of(i, size, EXTENT: tl.constexpr, BORDER: tl.constexpr):
    """Return the first pixel of the window of pixel i along an axis of `size` pixels."""
    first = i - EXTENT // 2
    if BORDER == "shifted":
        first = tl.maximum(tl.minimum(first, size - EXTENT), 0)
    return first


@triton.jit
def keys_of(i, size, TILE: tl.constexpr, EXTENT: tl.constexpr, BORDER: tl.constexpr):
    """Return the range of the keys in the windows of the tile from i on, along an axis."""
    low = first_of(i, size, EXTENT, BORDER)
    high = first_of(tl.minimum(i + TILE, size) - 1, size, EXTENT, BORDER) + EXTENT
    if BORDER == "zero":
        return low, high
    return tl.maximum(low, 0), tl.minimum(high, size)


@triton.jit
def queries_of(a, size, TILE: tl.constexpr, EXTENT: tl.constexpr, BORDER: tl.constexpr):
    """Return the range of the queries whose windows reach the tile from a on, along an axis."""
    last = tl.minimum(a + TILE, size) - 1
    low, high = a - EXTENT // 2, last + EXTENT // 2 + 1
    if BORDER == "shifted":  # the first and the last windows are those of many queries
        low = tl.where(a < EXTENT, 0, low)
        high = tl.where(last >= size - EXTENT, size, high)
    return tl.maximum(low, 0), tl.minimum(high, size)


@triton.jit
def logits(
    by_entry, first, pixel, size, AXIS: tl.constexpr, EXTENT: tl.constexpr, BORDER: tl.constexpr, SUM: tl.constexpr
):
    """Return the entries of `by_entry` along AXIS for `pixel` in the windows from `first`, -infinity outside them."""
    entry = pixel - first
    holds = (entry >= 0) & (entry < EXTENT)
    if BORDER != "zero":
        holds = holds & (pixel >= 0) & (pixel < size)
    found = tl.zeros(holds.shape, SUM)
    if by_entry is not None:
        found = tl.gather(by_entry, tl.minimum(tl.maximum(entry, 0), EXTENT - 1), AXIS)
    return tl.where(holds, found, float("-inf"))


@triton.jit
def entries(x, first, pixel, COUNT: tl.constexpr, EXTENT: tl.constexpr, ENTRIES: tl.constexpr):
    """Map (queries, COUNT pixels from `pixel` on) to (queries, ENTRIES), by the entry that each pixel has."""
    entry = tl.arange(0, ENTRIES)[None, :]
    at = entry + (first - pixel)[:, None]
    there = (entry < EXTENT) & (at >= 0) & (at < COUNT)
    return tl.where(there, tl.gather(x, tl.minimum(tl.maximum(at, 0), COUNT - 1), 1), 0.0)


SIZES = ["heads", "rows", "cols"]  # Triton must not compile again if 16 divides them


@triton.jit(do_not_specialize=SIZES)
def forward(
    q, k, v, y, lse, rel_row, rel_col, per_head, heads, rows, cols,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, EXTENT: tl.constexpr, ENTRIES: tl.constexpr, BORDER: tl.constexpr,
    TILE_ROWS: tl.constexpr, TILE_COLS: tl.constexpr, CHUNK_ROWS: tl.constexpr, CHUNK_COLS: tl.constexpr,
    SUM: tl.constexpr,
):  # fmt: skip
    """Compute y and lse of a tile of queries."""
    n, h, i, j = tile_of(tl.program_id(0), heads, rows, cols, TILE_ROWS, TILE_COLS)
    QUERIES: tl.constexpr = TILE_ROWS * TILE_COLS
    KEYS: tl.constexpr = CHUNK_ROWS * CHUNK_COLS
    query = tl.arange(0, QUERIES)
    # Queries beyond the map get the windows of its edge, so no softmax is empty. Their results are not stored.
    top = first_of(tl.minimum(i + query // TILE_COLS, rows - 1), rows, EXTENT, BORDER)
    left = first_of(tl.minimum(j + query % TILE_COLS, cols - 1), cols, EXTENT, BORDER)
    q_tile = load(q, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)
    by_row, by_col = None, None
    if rel_row is not None:
        row_table = table(rel_row, h, per_head, 0, WIDTH, PADDED, EXTENT, ENTRIES)
        col_table = table(rel_col, h, per_head, WIDTH // 2, WIDTH, PADDED, EXTENT, ENTRIES)
        by_row = product(q_tile, row_table, None, SUM) * LOG2_E
        by_col = product(q_tile, col_table, None, SUM) * LOG2_E
    low_row, high_row = keys_of(i, rows, TILE_ROWS, EXTENT, BORDER)
    low_col, high_col = keys_of(j, cols, TILE_COLS, EXTENT, BORDER)

    largest = tl.full((QUERIES,), LOWEST, SUM)
    total = tl.zeros((QUERIES,), SUM)
    out = tl.zeros((QUERIES, PADDED), SUM)
    for b in range(low_col, high_col, CHUNK_COLS):
        col = b + tl.arange(0, CHUNK_COLS)[None, :]
        right = logits(by_col, left[:, None], col, cols, 1, EXTENT, BORDER, SUM)
        for a in range(low_row, high_row, CHUNK_ROWS):
            row = a + tl.arange(0, CHUNK_ROWS)[None, :]
            down = logits(by_row, top[:, None], row, rows, 1, EXTENT, BORDER, SUM)
            s = tl.reshape(down[:, :, None] + right[:, None, :], (QUERIES, KEYS))
            if k is not None:
                k_chunk = load(k, n, h, a, b, rows, cols, CHUNK_ROWS, CHUNK_COLS, WIDTH, PADDED)
                s += product(q_tile, tl.trans(k_chunk), None, SUM) * LOG2_E
            v_chunk = load(v, n, h, a, b, rows, cols, CHUNK_ROWS, CHUNK_COLS, WIDTH, PADDED)
            larger = tl.maximum(largest, tl.max(s, 1))
            p = tl.exp2(s - larger[:, None])
            shrink = tl.exp2(largest - larger)
            total = total * shrink + tl.sum(p, 1)
            out = product(p.to(v_chunk.dtype), v_chunk, out * shrink[:, None], SUM)
            largest = larger
    store(y, out * (1.0 / total)[:, None], n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)
    lse_tile = (largest + tl.log2(total))[:, None]
    store(plane(lse, heads, rows, cols), lse_tile, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, 1, 1)


@triton.jit(do_not_specialize=SIZES)
def backward_queries(
    q, k, v, y, dy, dq, lse, delta, drel, rel_row, rel_col, per_head, heads, rows, cols,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, EXTENT: tl.constexpr, ENTRIES: tl.constexpr, BORDER: tl.constexpr,
    TILE_ROWS: tl.constexpr, TILE_COLS: tl.constexpr, CHUNK_ROWS: tl.constexpr, CHUNK_COLS: tl.constexpr,
    SUM: tl.constexpr,
):  # fmt: skip
    """Compute dq, delta = dy . y, and the program's part of the tables' gradients, of a tile of queries."""
    n, h, i, j = tile_of(tl.program_id(0), heads, rows, cols, TILE_ROWS, TILE_COLS)
    QUERIES: tl.constexpr = TILE_ROWS * TILE_COLS
    KEYS: tl.constexpr = CHUNK_ROWS * CHUNK_COLS
    query = tl.arange(0, QUERIES)
    top = first_of(tl.minimum(i + query // TILE_COLS, rows - 1), rows, EXTENT, BORDER)
    left = first_of(tl.minimum(j + query % TILE_COLS, cols - 1), cols, EXTENT, BORDER)
    q_tile = load(q, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)
    y_tile = load(y, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)
    dy_tile = load(dy, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)
    lse_tile = load(plane(lse, heads, rows, cols), n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, 1, 1)
    delta_tile = tl.sum(dy_tile.to(SUM) * y_tile.to(SUM), 1)[:, None]
    store(plane(delta, heads, rows, cols), delta_tile, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, 1, 1)
    by_row, by_col = None, None
    if rel_row is not None:
        row_table = table(rel_row, h, per_head, 0, WIDTH, PADDED, EXTENT, ENTRIES)
        col_table = table(rel_col, h, per_head, WIDTH // 2, WIDTH, PADDED, EXTENT, ENTRIES)
        by_row = product(q_tile, row_table, None, SUM) * LOG2_E
        by_col = product(q_tile, col_table, None, SUM) * LOG2_E
        d_by_row = tl.zeros((QUERIES, ENTRIES), SUM)
        d_by_col = tl.zeros((QUERIES, ENTRIES), SUM)
    low_row, high_row = keys_of(i, rows, TILE_ROWS, EXTENT, BORDER)
    low_col, high_col = keys_of(j, cols, TILE_COLS, EXTENT, BORDER)

    dq_tile = tl.zeros((QUERIES, PADDED), SUM)
    for b in range(low_col, high_col, CHUNK_COLS):
        col = b + tl.arange(0, CHUNK_COLS)[None, :]
        right = logits(by_col, left[:, None], col, cols, 1, EXTENT, BORDER, SUM) - lse_tile
        d_right = tl.zeros((QUERIES, CHUNK_COLS), SUM)
        for a in range(low_row, high_row, CHUNK_ROWS):
            row = a + tl.arange(0, CHUNK_ROWS)[None, :]
            down = logits(by_row, top[:, None], row, rows, 1, EXTENT, BORDER, SUM)
            s = tl.reshape(down[:, :, None] + right[:, None, :], (QUERIES, KEYS))
            if k is not None:
                k_chunk = load(k, n, h, a, b, rows, cols, CHUNK_ROWS, CHUNK_COLS, WIDTH, PADDED)
                s += product(q_tile, tl.trans(k_chunk), None, SUM) * LOG2_E
            v_chunk = load(v, n, h, a, b, rows, cols, CHUNK_ROWS, CHUNK_COLS, WIDTH, PADDED)
            ds = tl.exp2(s) * (product(dy_tile, tl.trans(v_chunk), None, SUM) - delta_tile)
            if k is not None:
                dq_tile = product(ds.to(k_chunk.dtype), k_chunk, dq_tile, SUM)
            if rel_row is not None:
                ds = tl.reshape(ds, (QUERIES, CHUNK_ROWS, CHUNK_COLS))
                d_by_row += entries(tl.sum(ds, 2), top, a, CHUNK_ROWS, EXTENT, ENTRIES)
                d_right += tl.sum(ds, 1)
        if rel_row is not None:
            d_by_col += entries(d_right, left, b, CHUNK_COLS, EXTENT, ENTRIES)
    if rel_row is not None:
        d_by_row = d_by_row.to(q_tile.dtype)
        d_by_col = d_by_col.to(q_tile.dtype)
        dq_tile = product(d_by_row, tl.trans(row_table), dq_tile, SUM)
        dq_tile = product(d_by_col, tl.trans(col_table), dq_tile, SUM)
        c = tl.arange(0, PADDED)[:, None]
        entry = tl.arange(0, ENTRIES)[None, :]
        q_across = tl.trans(q_tile)
        part = tl.where(c < WIDTH // 2, product(q_across, d_by_row, None, SUM), product(q_across, d_by_col, None, SUM))
        at = drel + tl.cast(tl.program_id(0), tl.int64) * (WIDTH * EXTENT) + c * EXTENT + entry
        tl.store(at, part, (c < WIDTH) & (entry < EXTENT))
    store(dq, dq_tile, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)


@triton.jit(do_not_specialize=SIZES)
def backward_keys(
    q, k, v, dy, dk, dv, lse, delta, rel_row, rel_col, per_head, heads, rows, cols,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, EXTENT: tl.constexpr, ENTRIES: tl.constexpr, BORDER: tl.constexpr,
    TILE_ROWS: tl.constexpr, TILE_COLS: tl.constexpr, CHUNK_ROWS: tl.constexpr, CHUNK_COLS: tl.constexpr,
    SUM: tl.constexpr,
):  # fmt: skip
    """Compute dk and dv of a tile of keys; s, p and ds are (keys, queries) here, as the products need them."""
    n, h, i, j = tile_of(tl.program_id(0), heads, rows, cols, TILE_ROWS, TILE_COLS)
    KEYS: tl.constexpr = TILE_ROWS * TILE_COLS
    QUERIES: tl.constexpr = CHUNK_ROWS * CHUNK_COLS
    query = tl.arange(0, QUERIES)
    key_row = i + tl.arange(0, TILE_ROWS)[:, None]
    key_col = j + tl.arange(0, TILE_COLS)[:, None]
    if k is not None:
        k_tile = load(k, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)
    v_tile = load(v, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)
    if rel_row is not None:
        row_table = tl.trans(table(rel_row, h, per_head, 0, WIDTH, PADDED, EXTENT, ENTRIES))
        col_table = tl.trans(table(rel_col, h, per_head, WIDTH // 2, WIDTH, PADDED, EXTENT, ENTRIES))
    low_row, high_row = queries_of(i, rows, TILE_ROWS, EXTENT, BORDER)
    low_col, high_col = queries_of(j, cols, TILE_COLS, EXTENT, BORDER)

    dk_tile = tl.zeros((KEYS, PADDED), SUM)
    dv_tile = tl.zeros((KEYS, PADDED), SUM)
    for b in range(low_col, high_col, CHUNK_COLS):
        left = first_of(b + query % CHUNK_COLS, cols, EXTENT, BORDER)[None, :]
        for a in range(low_row, high_row, CHUNK_ROWS):
            top = first_of(a + query // CHUNK_COLS, rows, EXTENT, BORDER)[None, :]
            q_chunk = load(q, n, h, a, b, rows, cols, CHUNK_ROWS, CHUNK_COLS, WIDTH, PADDED)
            dy_chunk = load(dy, n, h, a, b, rows, cols, CHUNK_ROWS, CHUNK_COLS, WIDTH, PADDED)
            lse_chunk = tl.trans(
                load(plane(lse, heads, rows, cols), n, h, a, b, rows, cols, CHUNK_ROWS, CHUNK_COLS, 1, 1)
            )
            delta_chunk = tl.trans(
                load(plane(delta, heads, rows, cols), n, h, a, b, rows, cols, CHUNK_ROWS, CHUNK_COLS, 1, 1)
            )
            q_across = tl.trans(q_chunk)
            by_row, by_col = None, None
            if rel_row is not None:
                by_row = product(row_table, q_across, None, SUM) * LOG2_E
                by_col = product(col_table, q_across, None, SUM) * LOG2_E
            down = logits(by_row, top, key_row, rows, 0, EXTENT, BORDER, SUM) - lse_chunk
            right = logits(by_col, left, key_col, cols, 0, EXTENT, BORDER, SUM)
            s = tl.reshape(down[:, None, :] + right[None, :, :], (KEYS, QUERIES))
            if k is not None:
                s += product(k_tile, q_across, None, SUM) * LOG2_E
            p = tl.exp2(s)
            dv_tile = product(p.to(dy_chunk.dtype), dy_chunk, dv_tile, SUM)
            if k is not None:
                ds = p * (product(v_tile, tl.trans(dy_chunk), None, SUM) - delta_chunk)
                dk_tile = product(ds.to(q_chunk.dtype), q_chunk, dk_tile, SUM)
    if k is not None:
        store(dk, dk_tile, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)
    store(dv, dv_tile, n, h, i, j, rows, cols, TILE_ROWS, TILE_COLS, WIDTH, PADDED)
