// Attention with one image and head ("pair") in each lane, for narrow maps and shifted windows.

#pragma once

#include <cstring>
#include <vector>
#include "exponentials.h"
#include "products.h"
#include "request.h"
#include "scratch.h"
#include "transposition.h"

namespace {

class Pairs {
    const Call& call;
    const int width, half, rows, cols;
    const Long pad;          // zero columns left of a row; the padding of the next channel is right of it
    const Long pitch, line;  // distance between channels and between rows of a packed map
    const Long bare;         // the pitch of dk and dv, which have no padding
    std::vector<int> row_start, col_start;
    E *q, *k, *v, *dy, *dq, *dk, *dv;  // packed maps (rows, width, pitch); dq also stores y
    E *lse, *dot;  // packed maps of one channel
    E *p, *ds;     // weights and gradients of logits of a row of tiles: (TILE, K, K, pitch)
    E *logits, *row_logits, *col_logits, *sum, *bias, *tables[2], *dtables[2];

public:
    static Long items(const Call& call) { return (call.batch * call.heads + N - 1) / N; }

    Pairs(const Call& c, bool backward)
        : call(c), width(c.width), half(c.rel_row ? c.width / 2 : 0), rows(c.rows), cols(c.cols),
          pad(c.border == SHIFTED ? (K > cols ? K - cols : 0) : R),
          pitch((pad + cols) * N), line(pitch * width), bare(Long(cols) * N) {
        starts();
        const Long map = (rows + TILE) * line + slack(), flat = (rows + TILE) * pitch + slack();
        const Long weights = Long(TILE) * K * K * pitch + slack(), tile = Long(TILE) * N;
        const Long position = Long(half) * K * N, gradient = rows * bare * width;
        struct Piece { E** at; Long size; };
        const Piece pieces[] = {
            {&q, map}, {&k, map}, {&v, map}, {&dq, map}, {&lse, flat}, {&bias, Long(cols) * K * N},
            {&row_logits, tile * K}, {&col_logits, tile * K}, {&sum, tile * width}, {&tables[0], position},
            {&tables[1], position}, {&logits, backward ? 0 : tile * K * K}, {&dy, backward ? map : 0},
            {&dk, backward ? gradient : 0}, {&dv, backward ? gradient : 0}, {&dot, backward ? flat : 0},
            {&p, backward ? weights : 0}, {&ds, backward ? weights : 0}, {&dtables[0], backward ? position : 0},
            {&dtables[1], backward ? position : 0}};
        Long bytes = 0;
        for (const Piece& piece : pieces) bytes += Scratch::bytes(piece.size);
        scratch.start(bytes);
        for (const Piece& piece : pieces) *piece.at = scratch.take(piece.size);
        // The zeros around the rows; no later step writes them.
        auto clear = [&](E* x, Long count, Long step, Long size) {
            for (Long n = 0; n < count; n++) std::memset(x + n * step, 0, size * sizeof(E));
            std::memset(x + count * step, 0, slack() * sizeof(E));
        };
        for (E* map_of : {q, k, v, dq}) clear(map_of, Long(rows) * width, pitch, pad * N);
        clear(lse, rows, pitch, pad * N);
        if (backward) {
            clear(dy, Long(rows) * width, pitch, pad * N);
            clear(dot, rows, pitch, pad * N);
            for (E* of : {p, ds}) clear(of, TILE * K * K, pitch, pad * N);
        }
        for (int n = 0; n < cols; n++) {
            for (int f = 0; f < K; f++) {
                for (int lane = 0; lane < N; lane++) {
                    const int key = col_start[n] + f;
                    const bool seen = (c.border == ZERO || (key >= 0 && key < cols));
                    bias[(Long(n) * K + f) * N + lane] = seen ? 0 : -INFINITE;
                }
            }
        }
    }

    void forward(Long item) {
        const Long first = item * N;
        load_tables(first);
        pack(q, call.q, first, width, LOG2E);
        if (call.k.data) pack(k, call.k, first, width, 1);
        pack(v, call.v, first, width, 1);
        for (int i = 0; i < rows; i += TILE) {
            for (int n = 0; n < cols; n++) forward_tile(i, i + TILE < rows ? TILE : rows - i, n);
        }
        move<false>(dq, pitch, pad, call.y, first, width, 1);
        move<false>(lse, pitch, pad, call.lse, first, 1, 1);
    }

    // Write the gradients of the tables of each pair to `partial` (pairs, 2, width / 2, K).
    void backward(Long item, E* partial) {
        const Long first = item * N;
        load_tables(first);
        pack(q, call.q, first, width, LOG2E);
        if (call.k.data) pack(k, call.k, first, width, 1);
        pack(v, call.v, first, width, 1);
        pack(dy, call.dy, first, width, 1);
        pack(dq, call.y, first, width, 1);
        pack(lse, call.lse, first, 1, 1);
        for (E* table : dtables) std::memset(table, 0, sizeof(E) * half * K * N);
        for (int i = 0; i < rows; i++) {
            for (int n = 0; n < cols; n++) {
                V sum{};
                const Long at = column(n);
                for (int c = 0; c < width; c++) {
                    sum += load(dy + i * line + c * pitch + at) * load(dq + i * line + c * pitch + at);
                }
                store(dot + i * pitch + at, sum);
            }
        }
        for (E* gradient : {dk, dv}) std::memset(gradient, 0, sizeof(E) * rows * bare * width);
        for (int i = 0; i < rows; i += TILE) {
            const int count = i + TILE < rows ? TILE : rows - i;
            for (int n = 0; n < cols; n++) backward_tile(i, count, n);
            for (int t = 0; t < count; t++) add_to_keys(i + t, t);
        }
        move<false>(dq, pitch, pad, call.dq, first, width, 1);
        if (call.k.data) move<false>(dk, bare, 0, call.dk, first, width, LN2);
        move<false>(dv, bare, 0, call.dv, first, width, 1);
        for (int side = 0; side < 2 && half; side++) {
            for (int n = 0; n < half * K; n++) {
                const E* lanes = dtables[side] + n * N;
                for (int lane = 0; lane < N; lane++) {
                    const Long pair = first + lane;
                    if (pair >= call.batch * call.heads) break;
                    partial[(pair * 2 + side) * half * K + n] = lanes[lane] * LN2;
                }
            }
        }
    }

private:
    static Long slack() { return Long(K + 1) * N; }

    // Compute the first row or column of each window.
    void starts() {
        auto start = [&](int i, int size) {
            const int most = size > K ? size - K : 0;
            return call.border != SHIFTED ? i - R : i < R ? 0 : i - R > most ? most : i - R;
        };
        for (int i = 0; i < rows; i++) row_start.push_back(start(i, rows));
        for (int j = 0; j < cols; j++) col_start.push_back(start(j, cols));
    }

    Long column(int n) const { return pad * N + Long(n) * N; }
    // First number of the windows of column n, within the row of a channel.
    Long window(int n) const { return (pad + col_start[n]) * N; }
    E* weights(E* of, int t, int e, int f) const { return of + ((Long(t) * K + e) * K + f) * pitch; }
    // The rows of keys in the windows of query row i: from the first entry to the end entry - 1.
    int first_entry(int i) const { return call.border == ZERO || row_start[i] > 0 ? 0 : -row_start[i]; }
    int end_entry(int i) const { return call.border == ZERO || row_start[i] + K < rows ? K : rows - row_start[i]; }

    void load_tables(Long first) {
        for (int side = 0; side < 2 && half; side++) {
            const E* from = side ? call.rel_col : call.rel_row;
            for (int lane = 0; lane < N; lane++) {
                const Long pair = first + lane;
                const Long head = call.table_heads == 1 ? 0 : pair % call.heads;
                for (int n = 0; n < half * K; n++) tables[side][n * N + lane] = from[head * half * K + n];
            }
        }
    }

    const E* source(const Map& map, Long pair) const {
        return map.data + pair / call.heads * map.image + pair % call.heads * map.head;
    }

    // Numbers of the caller times a factor -> packed (rows, channels, pitch) with the padding on the left.
    void pack(E* to, const Map& map, Long first, int channels, E factor) const {
        move<true>(to, pitch, pad, map, first, channels, factor);
    }
    template <bool IN>
    void move(E* packed, Long packed_pitch, Long packed_pad, const Map& map, Long first, int channels, E factor) const {
        const Long packed_line = packed_pitch * channels, pairs = call.batch * call.heads;
        packed += packed_pad * N;
        E *inner[N], *outer[N];
        E* lanes[N];
        const int count = pairs - first < N ? pairs - first : N;
        for (int lane = 0; lane < N; lane++) {
            lanes[lane] = const_cast<E*>(source(map, lane < count ? first + lane : first));
        }
        auto at = [&](int pixel) { return packed + pixel / cols * packed_line + pixel % cols * N; };
        const bool runs = map.col == 1 && map.row == cols && rows * cols >= N;  // a channel is one run
        for (int next = 0; next < rows * cols; next += runs ? N : 1) {
            if (runs) {
                const int pixel = next + N > rows * cols ? rows * cols - N : next;  // the last run may overlap
                for (int n = 0; n < N; n++) inner[n] = at(pixel + n);
                for (int c = 0; c < channels; c++) {
                    transpose_runs<IN>(inner, c * packed_pitch, N, lanes, c * map.channel + pixel, 0, count, factor);
                }
            } else {
                const int pixel = next;
                const Long offset = pixel / cols * map.row + pixel % cols * map.col;
                for (int lane = 0; lane < N; lane++) outer[lane] = lanes[lane] + offset;
                move_channels<IN>(at(pixel), packed_pitch, outer, map.channel, 0, count, channels, factor);
            }
        }
    }

    // row_logits[t][e] = q_row . r_row[e], col_logits[t][f] = q_col . r_col[f] + bias.
    void position_logits(int i, int n) {
        const E *border = bias + Long(n) * K * N, *own = q + i * line + column(n);
        over_window([&](auto F, int f0) {  // rows beyond the last tile are computed too and not used
            const Long row = line, channel = pitch;
            products<TILE, F>(own, row, channel, tables[0] + f0 * N, K * N, half, [&](int t, int f, V x) {
                store(row_logits + (t * K + f0 + f) * N, x);
            });
            products<TILE, F>(own + half * pitch, row, channel, tables[1] + f0 * N, K * N, half,
                              [&](int t, int f, V x) {
                store(col_logits + (t * K + f0 + f) * N, x + load(border + (f0 + f) * N));
            });
        });
    }

    // Call body(t0, t1, a): the query rows i + t0 to i + t1 - 1 have key row a in their windows.
    template <class Body>
    INLINE void over_key_rows(int i, int count, Body body) const {
        const int first = row_start[i] + first_entry(i), last = i + count - 1;
        const int end = row_start[last] + end_entry(last);
        for (int a = first, t0 = 0, t1 = 0; a < end; a++) {
            while (row_start[i + t0] + K <= a) t0++;
            while (t1 < count && row_start[i + t1] <= a) t1++;
            body(t0, t1, a);
        }
    }

    // sum[c][t] += sum over the windows of `count` query rows of weight(t, e) x. Rows of keys in the windows
    // of the same queries are mixed together.
    template <class Weight>
    void mix_rows(int i, int count, const E* x, Weight weight, Long w_row, Long w_col) {
        Weights run{};
        int from = 0, until = 0;
        auto flush = [&] {
            auto mixed = [&](auto some) { mix<some>(sum + from * N, N, TILE * N, run, width); };
            if (run.rows) with_count(until - from, mixed);
            run.rows = 0;
        };
        over_key_rows(i, count, [&](int t0, int t1, int a) {
            if (a < 0 || a >= rows) return;
            if (t0 != from || t1 != until) flush();
            if (!run.rows) {
                from = t0, until = t1;
                run = {{}, w_row, w_col, x + a * line, line, pitch, 0, K};
                for (int t = t0; t < t1; t++) run.w[t - t0] = weight(t, a - row_start[i + t]);
            }
            run.rows++;
        });
        flush();
    }

    void forward_tile(int i, int count, int n) {
        position_logits(i, n);
        const Long at = column(n), from = window(n);
        V most[TILE], total[TILE] = {};
        for (V& x : most) x = broadcast(-INFINITE);
        over_key_rows(i, count, [&](int t0, int t1, int a) {
            const bool inside = a >= 0 && a < rows && call.k.data;
            const E *own = q + (i + t0) * line + at, *keys = k + (inside ? a : 0) * line + from;
            with_count(t1 - t0, [&](auto some) {
                constexpr int T = some;
                over_window([&](auto F, int f0) {
                    V row[T], high[T];
                    E* out[T];
                    for (int t = 0; t < T; t++) {
                        const int e = a - row_start[i + t0 + t];
                        row[t] = load(row_logits + ((t0 + t) * K + e) * N);
                        high[t] = most[t0 + t];
                        out[t] = logits + (((t0 + t) * K + e) * K + f0) * N;
                    }
                    products<T, F>(own, line, pitch, keys + f0 * N, pitch, inside ? width : 0, [&](int t, int f, V x) {
                        x += row[t] + load(col_logits + ((t0 + t) * K + f0 + f) * N);
                        high[t] = larger(x, high[t]);
                        store(out[t] + f * N, x);
                    });
                    for (int t = 0; t < T; t++) most[t0 + t] = high[t];
                });
            });
        });
        for (int t = 0; t < count; t++) {
            E* x = logits + (t * K + first_entry(i + t)) * K * N;
            E* const end = logits + (t * K + end_entry(i + t)) * K * N;
            V sum{};
            for (; x < end; x += N) {
                const V weight = exp2(load(x) - most[t]);
                sum += weight;
                store(x, weight);
            }
            total[t] = sum;
        }
        for (int c = 0; c < width * TILE; c++) store(sum + c * N, V{});
        mix_rows(i, count, v + from, [&](int t, int e) { return logits + (t * K + e) * K * N; }, K * N, N);
        for (int t = 0; t < count; t++) {
            const V scale = E(1) / total[t];
            E* y = dq + (i + t) * line + at;
            for (int c = 0; c < width; c++) store(y + c * pitch, load(sum + (c * TILE + t) * N) * scale);
            store(lse + (i + t) * pitch + at, most[t] + log2(total[t]));
        }
    }

    void backward_tile(int i, int count, int n) {
        position_logits(i, n);
        const Long at = column(n), from = window(n);
        const Long w_at = pad * N + Long(n) * N;
        V drow[TILE][K], dcol[TILE][K];
        for (int t = 0; t < TILE; t++) for (int e = 0; e < K; e++) drow[t][e] = dcol[t][e] = V{};
        over_key_rows(i, count, [&](int t0, int t1, int a) {
            const bool inside = a >= 0 && a < rows;
            const Long own = (i + t0) * line + at, keys = (inside ? a : 0) * line + from;
            with_count(t1 - t0, [&](auto some) {
                constexpr int T = some;
                over_window([&](auto F, int f0) {
                    V row[T], norm[T], dots[T], own_sum[T] = {};
                    E *out[T], *dout[T];
                    for (int t = 0; t < T; t++) {
                        const int u = t0 + t, e = a - row_start[i + u];
                        row[t] = load(row_logits + (u * K + e) * N);
                        norm[t] = load(lse + (i + u) * pitch + at);
                        dots[t] = load(dot + (i + u) * pitch + at);
                        out[t] = weights(p, u, e, f0) + w_at;
                        dout[t] = weights(ds, u, e, f0) + w_at;
                    }
                    products<T, F>(q + own, line, pitch, k + keys + f0 * N, pitch,
                                   inside && call.k.data ? width : 0, [&](int t, int f, V x) {
                        x += row[t] + load(col_logits + ((t0 + t) * K + f0 + f) * N);
                        store(out[t] + f * pitch, exp2(x - norm[t]));
                    });
                    products<T, F>(dy + own, line, pitch, v + keys + f0 * N, pitch, inside ? width : 0,
                                   [&](int t, int f, V x) {
                        x = load(out[t] + f * pitch) * (x - dots[t]);
                        own_sum[t] += x;
                        dcol[t0 + t][f0 + f] += x;
                        store(dout[t] + f * pitch, x);
                    });
                    for (int t = 0; t < T; t++) drow[t0 + t][a - row_start[i + t0 + t]] += own_sum[t];
                });
            });
        });
        for (int c = 0; c < width * TILE; c++) store(sum + c * N, V{});
        if (call.k.data) {
            mix_rows(i, count, k + from, [&](int t, int e) { return weights(ds, t, e, 0) + w_at; }, K * pitch, pitch);
        }
        for (int side = 0; side < 2 && half; side++) {
            const V(*d)[K] = side ? dcol : drow;
            with_count(count, [&](auto some) {
                constexpr int T = some;
                Weights r{{}, 0, N, tables[side], 0, K * N, 1, K};
                for (int t = 0; t < T; t++) r.w[t] = reinterpret_cast<const E*>(d[t]);
                mix<T>(sum + side * half * TILE * N, N, TILE * N, r, half);
                const E* own = q + i * line + side * half * pitch + at;
                for (int c = 0; c < half; c++) {
                    V mine[T];
                    for (int t = 0; t < T; t++) mine[t] = load(own + t * line + c * pitch);
                    for (int e = 0; e < K; e++) {
                        E* to = dtables[side] + (c * K + e) * N;
                        V sum = load(to);
                        for (int t = 0; t < T; t++) sum += mine[t] * d[t][e];
                        store(to, sum);
                    }
                }
            });
        }
        for (int t = 0; t < count; t++) {
            E* to = dq + (i + t) * line + at;
            for (int c = 0; c < width; c++) store(to + c * pitch, load(sum + (c * TILE + t) * N));
        }
    }

    // Add the part of query row i (row t of its tile) to dv and dk of the keys in its windows.
    void add_to_keys(int i, int t) {
        int e = row_start[i] < 0 ? -row_start[i] : 0;
        const int end = row_start[i] + K < rows ? K : rows - row_start[i];
        for (int count; e < end; e += count) {
            const int left_over = end - e;
            count = left_over <= MAX_ROWS ? left_over : left_over < 2 * MAX_ROWS - 1 ? MAX_ROWS - 1 : MAX_ROWS;
            const Long keys = (row_start[i] + e) * bare * width;
            Weights run{{}, 0, 0, nullptr, 0, pitch, 1, 1};
            with_count<MAX_ROWS>(count, [&](auto some) {
                auto gather = [&](E* to, E* of, const E* x, int f, Long w_at) {
                    for (int u = 0; u < some; u++) run.w[u] = weights(of, t, e + u, f) + w_at;
                    run.x = x;
                    mix<some>(to, bare * width, bare, run, width);
                };
                auto both = [&](int n, int f, Long w_at, Long x_at) {
                    gather(dv + keys + n * N, p, dy + i * line + x_at, f, w_at);
                    if (call.k.data) gather(dk + keys + n * N, ds, q + i * line + x_at, f, w_at);
                };
                for (int n = 0; n < cols; n++) {
                    if (call.border == SHIFTED) {
                        for (int j = 0; j < cols; j++) {
                            const int f = n - col_start[j];
                            if (f >= 0 && f < K) both(n, f, pad * N + Long(j) * N, column(j));
                        }
                    } else {  // a query at offset f from a key has this key at offset K - 1 - f
                        run.cols = K;
                        run.w_col = N - pitch;
                        both(n, K - 1, pad * N + Long(n) * N - R * N, column(n) - R * N);
                    }
                }
            });
        }
    }
};

}  // namespace
