// Attention with neighbouring columns of keys in the lanes of a vector, for one image and head at a time.

#pragma once

#include <algorithm>
#include <cstring>
#include <vector>
#include "exponentials.h"
#include "request.h"
#include "row_products.h"
#include "scratch.h"
#include "transposition.h"

namespace {

class Columns {
    const Call& call;
    const int width, half, rows, cols, edge, blocks;  // edge: columns and rows of zeros that are keys too
    const Long span, pad, pitch, line, key_line, key_block, w_row;
    E *q, *dy, *out;        // (rows, width, pitch), out is y or dq: zeros left of each row
    E *k, *v, *dk, *dv;     // (blocks, rows, width, N): a block is N columns
    E *lse, *dot;           // (rows, pitch)
    E *p, *ds;              // weights and gradients of logits of a query row: (K, K, N); p of each block in forward
    E *key;                 // keys plus the table of rows: (K, width, N)
    E *bias, *col;          // (blocks, K, N)
    E *most, *totals;       // largest logit and sum of weights for each f: (K, w_row)
    E *temporary;           // y' or dq': (K, width, 2 N), every other vector 0
    E *drow, *dcol;         // (K, width, N)
    std::vector<E> rel_row;  // (K, width), 0 in the half of the columns
    const E* rel_col;

    static Long up(Long n) { return (n + N - 1) / N * N; }
    // First query of block n for f = 0; for offset f it is f numbers earlier.
    Long at(int n) const { return Long(n) * N - edge + R; }

public:
    static Long items(const Call& call) { return call.batch * call.heads; }

    Columns(const Call& c, bool backward)
        : call(c), width(c.width), half(c.rel_row ? c.width / 2 : 0), rows(c.rows), cols(c.cols),
          edge(c.border == ZERO ? R : 0), blocks((cols + 2 * edge + N - 1) / N), span(up(cols)),
          pad(up(std::max<Long>(R + edge, Long(blocks) * N - edge + R - span))), pitch(pad + span), line(pitch * width),
          key_line(Long(width) * N), key_block((rows + 2 * edge) * key_line), w_row(pad + Long(blocks) * N) {
        const Long map = rows * line + pad, keys = blocks * key_block, weights = Long(K) * K * N;
        struct Piece {
            E** at;
            Long size;
        };
        rel_row.assign(K * width, 0);
        const Piece pieces[] = {
            {&q, map}, {&k, keys}, {&v, keys}, {&out, map}, {&lse, rows * pitch + pad}, {&bias, Long(blocks) * K * N},
            {&p, weights * (backward ? 1 : blocks)}, {&key, K * key_line}, {&col, Long(blocks) * K * N},
            {&temporary, 2 * K * key_line + N}, {&most, K * w_row + pad}, {&totals, K * w_row + pad},
            {&ds, backward ? weights : 0}, {&dy, backward ? map : 0}, {&dk, backward ? keys : 0},
            {&dv, backward ? keys : 0}, {&dot, backward ? rows * pitch + pad : 0},
            {&drow, backward ? K * key_line : 0}, {&dcol, backward ? K * key_line : 0}};
        Long bytes = 0;
        for (const Piece& piece : pieces) bytes += Scratch::bytes(piece.size);
        scratch.start(bytes);
        for (const Piece& piece : pieces) *piece.at = scratch.take(piece.size);
        auto zero = [](E* x, Long size) { std::memset(x, 0, size * sizeof(E)); };
        auto clear = [&](E* x, Long count) {
            for (Long n = 0; n <= count; n++) zero(x + n * pitch, pad);
        };
        clear(q, Long(rows) * width), clear(out, Long(rows) * width), clear(lse, rows);
        zero(temporary, 2 * K * key_line + N);
        zero(totals, K * w_row + pad);
        for (Long n = 0; n < K * w_row + pad; n++) most[n] = -INFINITE;
        if (backward) clear(dy, Long(rows) * width), clear(dot, rows);
        if (!c.k.data) zero(k, keys);
        for (int n = 0; n < blocks; n++) {
            for (E* x : {k, v}) {
                zero(x + n * key_block, edge * key_line);
                zero(x + (n + 1) * key_block - edge * key_line, edge * key_line);
            }
            for (int f = 0; f < K; f++) {
                for (int lane = 0; lane < N; lane++) {
                    const int seen = n * N - edge + lane, query = seen - f + R;
                    const bool valid = seen < cols + edge && query >= 0 && query < cols;
                    bias[(Long(n) * K + f) * N + lane] = valid ? 0 : -INFINITE;
                }
            }
        }
    }

    void forward(Long item) {
        start(item);
        for (int i = 0; i < rows; i++) forward_row(i);
        move<false>(out + pad, line, pitch, N, 0, call.y, item, width, 1);
        move<false>(lse + pad, pitch, pitch, N, 0, call.lse, item, 1, 1);
    }

    void backward(Long item, E* partial) {
        start(item);
        move<true>(dy + pad, line, pitch, N, 0, call.dy, item, width, 1);
        move<true>(out + pad, line, pitch, N, 0, call.y, item, width, 1);
        move<true>(lse + pad, pitch, pitch, N, 0, call.lse, item, 1, 1);
        for (int i = 0; i < rows; i++) {
            for (int n = 0; n < span; n += N) {
                V sum{};
                const Long at = i * line + pad + n;
                for (int c = 0; c < width; c++) {
                    sum += load(dy + at + c * pitch) * load(out + at + c * pitch);
                    store(out + at + c * pitch, V{});
                }
                store(dot + i * pitch + pad + n, sum);
            }
        }
        std::memset(dk, 0, blocks * key_block * sizeof(E));
        std::memset(dv, 0, blocks * key_block * sizeof(E));
        std::memset(drow, 0, K * key_line * sizeof(E));
        std::memset(dcol, 0, K * key_line * sizeof(E));
        for (int n = 0; n < blocks; n++) {
            for (int i = 0; i < rows; i++) backward_row(i, n);
        }
        move<false>(out + pad, line, pitch, N, 0, call.dq, item, width, 1);
        const Long top = edge * key_line;
        if (call.k.data) move<false>(dk + top, key_line, N, key_block, edge, call.dk, item, width, LN2);
        move<false>(dv + top, key_line, N, key_block, edge, call.dv, item, width, 1);
        for (int side = 0; side < 2 && half; side++) {
            for (int c = 0; c < half; c++) {
                for (int e = 0; e < K; e++) {
                    const E* lanes = side ? dcol + e * key_line + (half + c) * N : drow + e * key_line + c * N;
                    E sum = 0;
                    for (int lane = 0; lane < N; lane++) sum += lanes[lane];
                    partial[((item * 2 + side) * half + c) * K + e] = sum * LN2;
                }
            }
        }
    }

private:
    void start(Long item) {
        const Long head = call.table_heads == 1 ? 0 : item % call.heads;
        for (int n = 0; n < half * K; n++) rel_row[n % K * width + n / K] = call.rel_row[head * half * K + n];
        rel_col = call.rel_col + head * half * K;
        move<true>(q + pad, line, pitch, N, 0, call.q, item, width, LOG2E);
        const Long top = edge * key_line;
        if (call.k.data) move<true>(k + top, key_line, N, key_block, edge, call.k, item, width, 1);
        move<true>(v + top, key_line, N, key_block, edge, call.v, item, width, 1);
    }

    // The rows of the window of query row i that are in the map: from begin to end - 1.
    int begin(int i) const { return edge || i > R ? 0 : R - i; }
    int end(int i) const { return edge || i + R < rows ? K : rows + R - i; }

    // Call body(count_t<n>, c) for the channels from c to end - 1, some at a time.
    template <class Body>
    static INLINE void over_channels(int c, int end, Body body) {
        for (; c + 4 <= end; c += 4) body(count_t<4>{}, c);
        for (; c < end; c++) body(count_t<1>{}, c);
    }

    // The keys in the windows of query row i, plus the table of rows.
    const E* keys(int i, int n) {
        const int e0 = begin(i), size = (end(i) - e0) * width;
        const E *from = k + n * key_block + (i - R + edge + e0) * key_line, *r = rel_row.data() + e0 * width;
        if (!half) return from;
        E* to = key;
        _Pragma("GCC unroll 4")
        for (int j = 0; j < size; j++) store(to + j * N, load(from + j * N) + r[j]);
        return key;
    }

    const E* values_seen(int i, int n) const { return v + n * key_block + (i - R + edge + begin(i)) * key_line; }

    // to[f] = q_col . r_col[f] + bias.
    void column_logits(int n, E* to, const E* own) const {
        V sum[K];
        UNROLL
        for (int f = 0; f < K; f++) sum[f] = load(bias + (n * K + f) * N);
        const Long pitch = this->pitch;
        const E* r = rel_col;
        own += half * pitch;
        for (int c = half; c; c--, own += pitch, r += K) {
            UNROLL
            for (int f = 0; f < K; f++) sum[f] += load(own - f) * r[f];
        }
        UNROLL
        for (int f = 0; f < K; f++) store(to + f * N, sum[f]);
    }

    // Call body(count_t<n>, e) for all rows, as many at a time as fit the registers.
    template <int MAX_ROWS, class Body>
    static INLINE void over_rows(int count, Body body) {
        for (int e = 0, parts = (count + MAX_ROWS - 1) / MAX_ROWS; e < count; parts--) {
            const int some = (count - e) / parts;
            with_count<(K < MAX_ROWS ? K : MAX_ROWS)>(some, [&](auto t) { body(t, e); });
            e += some;
        }
    }

    // to[e][f] = the output for the product of key row e of x and the queries of y.
    template <Output OUTPUT>
    void all_products(E* to, const E* x, const E* y, int count, E* over, const E* minus, Long minus_step,
                      const E* weights) const {
        over_rows<(REGISTERS == 32 ? 7 : 4)>(count, [&](auto t, int e) ALWAYS_INLINE {
            const Long at = Long(e) * K * N;
            const E* p = OUTPUT == GRADIENTS ? weights + at : nullptr;
            row_products<t, OUTPUT>(to + at, x + e * key_line, key_line, y, pitch, over, minus, minus_step, p);
        });
    }

    // y += temporary[f][c] of the keys of block n, for the queries they belong to.
    void add_to_queries(E* y, int n) const {
        const Long first = Long(n) * N - edge - R, last = Long(n) * N - edge + R;  // + N - 1
        const Long step = 2 * key_line + 1, pitch = this->pitch;
        const int width = this->width;
        for (Long m = std::max<Long>(0, first) / N * N; m < span && m <= last + N - 1; m += N) {
            const Long shift = m - n * N + edge - R;  // temporary lane of query lane 0 at f = 0
            const int f0 = std::max<Long>(0, 1 - N - shift), f1 = std::min<Long>(K, N - shift);
            over_channels(0, width, [&](auto some, int c) ALWAYS_INLINE {
                constexpr int S = some;
                const E* from = temporary + N + c * 2 * N + shift + f0 * step;
                E* to = y + c * pitch + m;
                V sum[S];
                UNROLL
                for (int b = 0; b < S; b++) sum[b] = load(to + b * pitch);
                for (int f = f0; f < f1; f++, from += step) {
                    UNROLL
                    for (int b = 0; b < S; b++) sum[b] += load(from + b * 2 * N);
                }
                UNROLL
                for (int b = 0; b < S; b++) store(to + b * pitch, sum[b]);
            });
        }
    }

    void forward_row(int i) {
        const int e0 = begin(i), count = end(i) - e0;
        const Long norm = i * pitch + pad;
        for (int n = 0; n < blocks; n++) {
            const E* own = q + i * line + pad + at(n);
            column_logits(n, col + n * K * N, own);
            const E* x = keys(i, n);
            V high[K];
            std::fill(high, high + K, broadcast(-INFINITE));
            E* const logits = p + Long(n) * K * K * N;
            all_products<LOGITS>(logits, x, own, count, reinterpret_cast<E*>(high), nullptr, 0, nullptr);
            for (int f = 0; f < K; f++) store(most + f * w_row + pad + n * N, high[f] + load(col + (n * K + f) * N));
        }
        for (Long m = 0; m < span; m += N) {
            V high = broadcast(-INFINITE);
            for (int f = 0; f < K; f++) high = larger(load(most + f * w_row + pad + m + edge + f - R), high);
            store(lse + norm + m, high);
        }
        for (int n = 0; n < blocks; n++) {
            E* weights = p + Long(n) * K * K * N;
            V own[K], sum[K] = {};
            UNROLL
            for (int f = 0; f < K; f++) own[f] = load(lse + norm + at(n) - f) - load(col + (n * K + f) * N);
            for (int e = 0; e < count; e++, weights += K * N) {
                UNROLL
                for (int f = 0; f < K; f++) {
                    const V weight = exp2(load(weights + f * N) - own[f]);
                    sum[f] += weight;
                    store(weights + f * N, weight);
                }
            }
            UNROLL
            for (int f = 0; f < K; f++) store(totals + f * w_row + pad + n * N, sum[f]);
        }
        E* y = out + i * line + pad;
        for (int c = 0; c < width; c++) {
            for (Long m = 0; m < span; m += N) store(y + c * pitch + m, V{});
        }
        for (int n = 0; n < blocks; n++) {
            values(p + Long(n) * K * K * N, values_seen(i, n), count);
            add_to_queries(y, n);
        }
        for (Long m = 0; m < span; m += N) {
            V sum{};
            for (int f = 0; f < K; f++) sum += load(totals + f * w_row + pad + m + edge + f - R);
            const V scale = E(1) / sum;
            E* to = y + m;
            const Long pitch = this->pitch;
            for (int c = width; c; c--, to += pitch) store(to, load(to) * scale);
            store(lse + norm + m, load(lse + norm + m) + log2(sum));
        }
    }

    // temporary[f][c] = sum over e of w[e][f] x[e][c].
    void values(const E* w, const E* x, int count) {
        int c = 0;
        auto next = [&](auto channels) {
            mix_values<channels>(temporary + N + c * 2 * N, w, x + c * N, key_line, count);
            c += channels;
        };
        if constexpr (REGISTERS == 32) {
            while (c + 8 <= width) next(count_t<8>{});
        }
        while (c + 4 <= width) next(count_t<4>{});
        while (c < width) next(count_t<1>{});
    }

    // to[e][c] += sum over f of w[e][f] x[c] moved by f, and the same to `also` for the channels of the rows' table.
    void queries(E* to, E* also, const E* w, const E* x, int count) {
        over_rows<(REGISTERS == 32 ? 4 : 3)>(count, [&](auto t, int e) ALWAYS_INLINE {
            E* z = also ? also + e * key_line : nullptr;
            mix_queries<t>(to + e * key_line, z, w + e * K * N, x, pitch, width, half);
        });
    }

    void backward_row(int i, int n) {
        const int e0 = begin(i), count = end(i) - e0;
        const Long first = n * key_block + (i - R + edge + e0) * key_line, own = i * line + pad + at(n);
        V column[K], sums[K] = {};
        column_logits(n, reinterpret_cast<E*>(column), q + own);
        const E* x = keys(i, n);
        const Long norm = i * pitch + pad + at(n);
        UNROLL
        for (int f = 0; f < K; f++) column[f] = load(lse + norm - f) - column[f];
        all_products<WEIGHTS>(p, x, q + own, count, nullptr, reinterpret_cast<E*>(column), N, nullptr);
        all_products<GRADIENTS>(ds, values_seen(i, n), dy + own, count,
                                reinterpret_cast<E*>(sums), dot + norm, -1, p);
        values(ds, x, count);
        queries(dv + first, nullptr, p, dy + own, count);
        queries(dk + first, half ? drow + e0 * key_line : nullptr, ds, q + own, count);
        E *d = dcol + half * N, *t = temporary + N + half * 2 * N;
        const E *mine = q + own + half * pitch, *r = rel_col;
        const Long step = key_line, pitch = this->pitch;
        for (int c = half; c; c--, d += N, t += 2 * N, mine += pitch, r += K) {
            UNROLL
            for (int f = 0; f < K; f++) {
                store(d + f * step, load(d + f * step) + sums[f] * load(mine - f));
                store(t + f * 2 * step, load(t + f * 2 * step) + sums[f] * r[f]);
            }
        }
        add_to_queries(out + i * line + pad, n);
    }

    // Numbers of the caller times a factor <-> vectors of columns: vector n of a row begins at column n N - shift.
    template <bool IN>
    void move(E* packed, Long row, Long channel, Long vector, int shift, const Map& map, Long item, int channels,
              E factor) const {
        E* const data = map.data + item / call.heads * map.image + item % call.heads * map.head;
        const int vectors = (cols + shift + N - 1) / N;
        if (map.col == 1) {  // in the order of the memory of the caller
            const int full = shift ? 0 : cols / N;
            for (int c = 0; c < channels; c++) {
                for (int i = 0; i < rows; i++) {
                    E *mine = packed + i * row + c * channel, *yours = data + c * map.channel + i * map.row - shift;
                    for (int n = 0; n < full; n++, mine += vector, yours += N) {
                        if (IN) store(mine, load(yours) * factor);
                        if (!IN) store(yours, load(mine) * factor);
                    }
                    for (int n = full; n < vectors; n++, mine += vector, yours += N) {
                        const int low = std::max(0, shift - n * N), high = std::min(N, cols + shift - n * N);
                        if (IN) store(mine, load_lanes(yours, low, high) * factor);
                        if (!IN) store_lanes(yours, load(mine) * factor, low, high);
                    }
                }
            }
        } else {
            for (int i = 0; i < rows; i++) {
                for (int n = 0; n < vectors; n++) {
                    const int low = std::max(0, shift - n * N), high = std::min(N, cols + shift - n * N);
                    E *outer[N], *yours = data + i * map.row + (n * N - shift) * map.col;
                    for (int lane = 0; lane < N; lane++) {
                        outer[lane] = yours + std::clamp(lane, low, high - 1) * map.col;
                    }
                    E* const first = packed + n * vector + i * row;
                    move_channels<IN>(first, channel, outer, map.channel, low, high, channels, factor);
                }
            }
        }
        if (IN) {  // blocks without a column
            for (int n = (cols + shift + N - 1) / N; shift && n < blocks; n++) {
                for (int i = 0; i < rows; i++) std::memset(packed + n * vector + i * row, 0, channels * N * sizeof(E));
            }
        }
    }
};

}  // namespace
