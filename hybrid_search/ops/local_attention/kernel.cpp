// Local 2-D attention on a CPU, forward and backward, for one extent and one number type.
//
//   for each image and head (a "pair"):                        rows of q, k, v are copied with zero padding
//     for each tile of TILE query rows x one vector of columns:
//       row[e] = q_row . r_row[e],  col[f] = q_col . r_col[f]   (the border is -infinity in col, or a row left out)
//       l[e][f] = q . key(e, f) + row[e] + col[f]               e, f: row and column in the window
//       forward:   p = exp2(l - max);  y = sum p value(e, f) / sum p;  keep lse = max + log2(sum p)
//       backward:  p = exp2(l - lse);  ds = p (dy . value(e, f) - dy . y)
//                  dq = sum ds key(e, f) + sum over e, f of ds r;   dr[e] += ds q;   p and ds are kept for a few rows
//     for each tile of key rows that no later query sees:       dv = sum p dy,  dk = sum ds q  over its queries
//
// q is multiplied by log2(e) once, so that exponentials are powers of two. There are two ways to fill a vector:
// LANES_ARE_COLUMNS takes neighbouring columns of one pair, so that the next key lies one number on; otherwise a lane
// is a pair, the next key lies one vector on, and narrow maps and shifted windows waste nothing. The rest of the code
// does not know which of them it runs. Every pair's numbers are computed in the same order whatever the number of
// threads, and the gradients of the tables are added over the pairs at the end in their order.
//
// Compiled with -DEXTENT=7 -DREAL=float; the interface is the two C functions at the bottom.

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <thread>
#include <type_traits>
#include <vector>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#if defined(__AVX__)
#define PIN(x) asm("" : "+v"(x))
#elif defined(__x86_64__)
#define PIN(x) asm("" : "+x"(x))
#elif defined(__aarch64__)
#define PIN(x) asm("" : "+w"(x))
#else
#define PIN(x)
#endif
#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 64")

namespace {

using E = REAL;
using Int = std::conditional_t<sizeof(E) == 4, int32_t, int64_t>;
using Long = std::ptrdiff_t;
typedef E V __attribute__((vector_size(VECTOR_BYTES)));
typedef Int I __attribute__((vector_size(VECTOR_BYTES)));
typedef E Unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(E)), may_alias));

constexpr int K = EXTENT, R = EXTENT / 2, N = VECTOR_BYTES / sizeof(E);
constexpr int REGISTERS = VECTOR_BYTES == 64 ? 32 : 16;
// Columns of a window and rows of a tile whose products stay in registers together.
constexpr int COLS = REGISTERS == 32 ? (K <= 11 ? K : 7) : (K <= 7 ? K : 5);
constexpr int fit(int rows) { return rows > 1 && rows * (COLS + 1) + 1 >= REGISTERS ? fit(rows - 1) : rows; }
constexpr int TILE = fit(4);
constexpr E INFINITE = std::numeric_limits<E>::infinity();
constexpr E LOG2E = 1.4426950408889634074, LN2 = 0.69314718055994530942;

enum Border { MASKED, ZERO, SHIFTED };

INLINE V load(const E* p) { return *reinterpret_cast<const Unaligned*>(p); }
INLINE void store(E* p, V x) { *reinterpret_cast<Unaligned*>(p) = x; }
INLINE V all(E x) { return x - V{}; }

// A NaN in x stays.
INLINE V at_least(V x, E low) { return x < low ? all(low) : x; }
INLINE V larger(V x, V y) { return x > y ? x : y; }

// 2^x: x = n + f with |f| <= 1/2, the exponent built as bits. Exactly 0 below the smallest normal number.
INLINE V exp2(V x) {
    constexpr bool single = sizeof(E) == 4;
    constexpr int bits = single ? 23 : 52, bias = single ? 127 : 1023;
    constexpr E shift = E(int64_t(3) << (bits - 1)) + bias;  // adding it leaves n + bias in the low bits
    x = at_least(x, -bias);
    const V t = x + shift, f = x - (t - shift);
    V p;
    if constexpr (single) {  // relative error 7.5e-8
        p = all(E(0.00132765)) * f + E(0.00967554);
        p = p * f + E(0.05550713);
        p = p * f + E(0.2402212);
        p = p * f + E(0.69314697);
        p = p * f + E(1.00000007);
    } else {
        constexpr int degree = 13;
        E c[degree + 1] = {1};
        for (int n = 1; n <= degree; n++) c[n] = c[n - 1] * LN2 / n;
        p = all(c[degree]);
        for (int n = degree - 1; n >= 0; n--) p = p * f + c[n];
    }
    return p * (V)((I)t << bits);
}

// log2 of a normal number >= 1, by the series of the inverse hyperbolic tangent; NaN and infinity give NaN.
INLINE V log2(V x) {
    constexpr bool single = sizeof(E) == 4;
    constexpr int bits = single ? 23 : 52, bias = single ? 127 : 1023;
    const I raw = (I)x, mantissa = (raw & ((Int(1) << bits) - 1)) | (Int(bias) << bits);
    V m = (V)mantissa, n = __builtin_convertvector((raw >> bits) - bias, V);
    const I high = m > E(1.41421356);
    m = high ? m * E(0.5) : m;
    n = high ? n + E(1) : n;
    const V s = (m - E(1)) / (m + E(1)), s2 = s * s;
    constexpr int terms = single ? 6 : 12;
    V sum = all(E(1) / (2 * terms - 1));
    for (int i = terms - 1; i > 0; i--) sum = sum * s2 + E(1) / (2 * i - 1);
    return n + sum * s * (2 * LOG2E) + (x - x);
}

// N vectors as the rows of a square: rows become columns.
INLINE void transpose(V (&a)[N]) {
    UNROLL
    for (int stage = 1; stage < N; stage *= 2) {
        V b[N];
        UNROLL
        for (int n = 0; n < N / 2; n++) {
#if defined(__clang__)
            for (int l = 0; l < N / 2; l++) {
                b[2 * n][2 * l] = a[n][l], b[2 * n][2 * l + 1] = a[n + N / 2][l];
                b[2 * n + 1][2 * l] = a[n][l + N / 2], b[2 * n + 1][2 * l + 1] = a[n + N / 2][l + N / 2];
            }
#else
            I low{}, high{};
            for (int l = 0; l < N; l++) low[l] = l / 2 + (l % 2) * N, high[l] = low[l] + N / 2;
            b[2 * n] = __builtin_shuffle(a[n], a[n + N / 2], low);
            b[2 * n + 1] = __builtin_shuffle(a[n], a[n + N / 2], high);
#endif
        }
        UNROLL
        for (int n = 0; n < N; n++) a[n] = b[n];
    }
}

INLINE V load_some(const E* p, int count) {
    if (count == N) return load(p);
    V x{};
    switch (count) {
        case 2: std::memcpy(&x, p, 2 * sizeof(E)); break;
        case 4: std::memcpy(&x, p, 4 * sizeof(E)); break;
        case 8: std::memcpy(&x, p, (N < 8 ? N : 8) * sizeof(E)); break;
        default:
            for (int n = 0; n < count; n++) x[n] = p[n];
    }
    return x;
}

INLINE void store_some(E* p, V x, int count) {
    if (count == N) return store(p, x);
    switch (count) {
        case 2: std::memcpy(p, &x, 2 * sizeof(E)); break;
        case 4: std::memcpy(p, &x, 4 * sizeof(E)); break;
        case 8: std::memcpy(p, &x, (N < 8 ? N : 8) * sizeof(E)); break;
        default:
            for (int n = 0; n < count; n++) p[n] = x[n];
    }
}

// A tensor (batch, heads, width, rows, cols) of the caller: its address and strides in numbers.
struct Map {
    E* data;
    int64_t image, head, channel, row, col;
};

// The caller's request; cpu.py writes the same fields in the same order.
struct Call {
    int64_t batch, heads, width, rows, cols, border, table_heads, threads, lanes;
    Map q, k, v, y, lse;          // k.data null: the logits are q . r alone
    Map dy, dq, dk, dv;           // backward only; dq, dk and dv are written
    const E *rel_row, *rel_col;   // (table_heads, width / 2, K), or null
    E *drow, *dcol;               // their gradients, or null
};

enum Lanes { CHOOSE, COLUMNS, PAIRS };

template <int COUNT>
using count_t = std::integral_constant<int, COUNT>;

// body(count_t<n>) for a number n from 1 to TILE known at run time.
template <int T = TILE, class Body>
INLINE void with_count(int n, Body body) {
    if constexpr (T > 1) {
        if (n < T) return with_count<T - 1>(n, body);
    }
    body(count_t<T>{});
}

// body(count_t<F>, f0) over the columns of a window, as many at a time as fit the registers.
template <class Body>
INLINE void over_window(Body body) {
    for (int f = 0; f + COLS <= K; f += COLS) body(count_t<COLS>{}, f);
    if constexpr (K % COLS != 0) body(count_t<K % COLS>{}, K - K % COLS);
}

// done(t, f, sum over c of q[t][c] k[c][f]): T query rows with the F keys from k on, `step` numbers apart.
template <int T, int F, int STEP, class Done>
INLINE void products(const E* q, Long q_row, Long q_pitch, const E* k, Long k_pitch, int width, Done done) {
    V sum[T][F] = {};
    for (int c = 0; c < width; c++, q += q_pitch, k += k_pitch) {
        V own[T];
        UNROLL
        for (int t = 0; t < T; t++) own[t] = load(q + t * q_row);
        UNROLL
        for (int f = 0; f < F; f++) {
            V key = load(k + f * STEP);
            PIN(key);  // keeps one load a key; GCC would fold it into each product
            UNROLL
            for (int t = 0; t < T; t++) sum[t][f] += own[t] * key;
        }
    }
    UNROLL
    for (int t = 0; t < T; t++) {
        UNROLL
        for (int f = 0; f < F; f++) done(t, f, sum[t][f]);
    }
}

// y[c][t] += sum over f of w[t][f] x[c][f]: y has TILE vectors a channel, weights lie `w_step` numbers apart.
template <int T, int F, int STEP>
__attribute__((noinline)) void mix(E* y, const E* const* w, Long w_step, const E* x, Long x_pitch, int width) {
    V weight[T][F];
    UNROLL
    for (int t = 0; t < T; t++) {
        UNROLL
        for (int f = 0; f < F; f++) weight[t][f] = load(w[t] + f * w_step);
    }
    for (int c = 0; c < width; c++, y += TILE * N, x += x_pitch) {
        V sum[T];
        UNROLL
        for (int t = 0; t < T; t++) sum[t] = load(y + t * N);
        UNROLL
        for (int f = 0; f < F; f++) {
            V value = load(x + f * STEP);
            PIN(value);
            UNROLL
            for (int t = 0; t < T; t++) sum[t] += weight[t][f] * value;
        }
        UNROLL
        for (int t = 0; t < T; t++) store(y + t * N, sum[t]);
    }
}

// Memory that a thread keeps between calls, handed out in pieces aligned to a cache line.
class Scratch {
public:
    ~Scratch() { std::free(memory_); }

    void start(Long bytes) {
        if (bytes > size_) {
            std::free(memory_);
            memory_ = std::aligned_alloc(64, bytes = (bytes + 63) / 64 * 64);
            size_ = memory_ ? bytes : 0;
            if (!memory_) throw std::bad_alloc();
        }
        used_ = 0;
    }

    E* take(Long numbers) {
        E* piece = reinterpret_cast<E*>(static_cast<char*>(memory_) + used_);
        used_ += bytes(numbers);
        return piece;
    }

    static Long bytes(Long numbers) { return (numbers * Long(sizeof(E)) + 63) / 64 * 64; }

private:
    void* memory_ = nullptr;
    Long size_ = 0, used_ = 0;
};

thread_local Scratch scratch;

template <bool LANES_ARE_COLUMNS>
class Worker {
    static constexpr int STEP = LANES_ARE_COLUMNS ? 1 : N;   // numbers from one column to the next
    static constexpr int PAIRS_AT_ONCE = LANES_ARE_COLUMNS ? 1 : N;

    const Call& call;
    const int width, half, rows, cols, vectors;  // vectors: of columns in a row
    const Long pad;         // zero columns left of a row; right of it lies the next channel's padding
    const Long pitch, line; // numbers from channel to channel and from row to row of a packed map
    std::vector<int> row_start, col_start, last_query;
    const int kept;          // rows of weights that the backward pass keeps
    E *q, *k, *v, *dy, *dq;  // packed maps (rows, width, pitch); y goes through dq; dk, dv take the place of k, v
    E *lse, *dot;            // packed maps of one channel
    E *p, *ds;               // weights and the gradients of logits: (kept rows, K, K, pitch)
    E *logits, *row_logits, *col_logits, *sum_a, *sum_b, *bias, *tables[2], *dtables[2];

public:
    static Long items(const Call& call) {
        return (call.batch * call.heads + PAIRS_AT_ONCE - 1) / PAIRS_AT_ONCE;
    }

    Worker(const Call& c, bool backward)
        : call(c), width(c.width), half(c.rel_row ? c.width / 2 : 0), rows(c.rows), cols(c.cols),
          vectors(LANES_ARE_COLUMNS ? (cols + N - 1) / N : cols),
          pad(c.border == SHIFTED ? (K > cols ? K - cols : 0) : R),
          pitch(pad * STEP + Long(vectors) * N), line(pitch * width),
          kept(backward ? starts() : (starts(), 0)) {
        const Long map = (rows + TILE) * line + slack(), flat = (rows + TILE) * pitch + slack();
        const Long weights = Long(kept) * K * K * pitch + slack(), tile = Long(TILE) * N;
        const Long sizes[] = {map, map, map, backward ? map : 0, map, flat, flat, kept ? weights : 0,
                               kept ? weights : 0, tile * K * K, tile * K, tile * K, tile * width, tile * width,
                               Long(vectors) * K * N, Long(half) * K * N, Long(half) * K * N,
                               Long(half) * K * N, Long(half) * K * N};
        E** pieces[] = {&q, &k, &v, &dy, &dq, &lse, &dot, &p, &ds, &logits, &row_logits, &col_logits, &sum_a, &sum_b,
                        &bias, &tables[0], &tables[1], &dtables[0], &dtables[1]};
        Long bytes = 0;
        for (Long size : sizes) bytes += Scratch::bytes(size);
        scratch.start(bytes);
        for (int n = 0; n < int(sizeof(sizes) / sizeof(*sizes)); n++) *pieces[n] = scratch.take(sizes[n]);
        for (int n = 0; n < 9; n++) {  // the padding, which nothing writes later
            if (sizes[n]) std::memset(*pieces[n], 0, sizes[n] * sizeof(E));
        }
        for (int n = 0; n < vectors; n++) {
            for (int f = 0; f < K; f++) {
                for (int lane = 0; lane < N; lane++) {
                    const int col = LANES_ARE_COLUMNS ? n * N + lane : n;
                    const int key = (c.border == SHIFTED ? col_start[n] : col - R) + f;
                    const bool seen = col < cols && (c.border == ZERO || (key >= 0 && key < cols));
                    bias[(Long(n) * K + f) * N + lane] = seen ? 0 : -INFINITE;
                }
            }
        }
    }

    void forward(Long item) {
        const Long first = item * PAIRS_AT_ONCE;
        load_tables(first);
        pack(q, call.q, first, width, LOG2E);
        if (call.k.data) pack(k, call.k, first, width, 1);
        pack(v, call.v, first, width, 1);
        for (int i = 0; i < rows; i += TILE) {
            for (int n = 0; n < vectors; n++) forward_tile(i, i + TILE < rows ? TILE : rows - i, n);
        }
        unpack(dq, call.y, first, width);
        unpack(lse, call.lse, first, 1);
    }

    // `partial` receives the tables' gradients of each pair: (pairs, 2, width / 2, K).
    void backward(Long item, E* partial) {
        const Long first = item * PAIRS_AT_ONCE;
        load_tables(first);
        pack(q, call.q, first, width, LOG2E);
        if (call.k.data) pack(k, call.k, first, width, 1);
        pack(v, call.v, first, width, 1);
        pack(dy, call.dy, first, width, 1);
        pack(dq, call.y, first, width, 1);
        pack(lse, call.lse, first, 1, 1);
        for (E* table : dtables) std::memset(table, 0, sizeof(E) * half * K * N);
        for (int i = 0; i < rows; i++) {
            for (int n = 0; n < vectors; n++) {
                V sum{};
                const Long at = column(n);
                for (int c = 0; c < width; c++) {
                    sum += load(dy + i * line + c * pitch + at) * load(dq + i * line + c * pitch + at);
                }
                store(dot + i * pitch + at, sum);
            }
        }
        int finished = 0;
        for (int i = 0; i < rows; i += TILE) {
            const int end = i + TILE < rows ? i + TILE : rows;
            for (int n = 0; n < vectors; n++) backward_tile(i, end - i, n);
            while (finished < rows) {
                const int next = finished + TILE < rows ? finished + TILE : rows;
                if (last_query[next - 1] >= end) break;
                for (int n = 0; n < vectors; n++) key_tile(finished, next - finished, n);
                finished = next;
            }
        }
        unpack(dq, call.dq, first, width);
        if (call.k.data) unpack(k, call.dk, first, width);
        unpack(v, call.dv, first, width);
        for (int side = 0; side < 2 && half; side++) {
            for (int n = 0; n < half * K; n++) {
                const E* lanes = dtables[side] + n * N;
                for (int lane = 0; lane < N; lane++) {
                    const Long pair = LANES_ARE_COLUMNS ? first : first + lane;
                    if (pair >= call.batch * call.heads) break;
                    E& sum = partial[(pair * 2 + side) * half * K + n];
                    sum = LANES_ARE_COLUMNS && lane ? sum + lanes[lane] * LN2 : lanes[lane] * LN2;
                }
            }
        }
    }

private:
    static Long slack() { return Long(K + 1) * N; }

    // Where windows start, the last query that sees a key row, and how many rows of weights are needed at once.
    int starts() {
        const bool shifted = call.border == SHIFTED;
        auto start = [&](int i, int size) {
            const int most = size > K ? size - K : 0;
            return !shifted ? i - R : i < R ? 0 : i - R > most ? most : i - R;
        };
        for (int i = 0; i < rows; i++) row_start.push_back(start(i, rows));
        for (int j = 0; j < cols; j++) col_start.push_back(start(j, cols));
        for (int a = 0, i = 0; a < rows; a++) {
            while (i < rows && row_start[i] <= a) i++;
            last_query.push_back(i - 1);
        }
        int most = 0;
        for (int a = 0; a < rows; a += TILE) {
            const int last = last_query[(a + TILE < rows ? a + TILE : rows) - 1];
            const int done = last / TILE * TILE + TILE, first = first_query(a);
            most = done - first > most ? done - first : most;
        }
        return most;
    }

    int first_query(int a) const {
        int i = 0;
        while (row_start[i] + K <= a) i++;
        return i;
    }

    Long column(int n) const { return pad * STEP + Long(n) * N; }

    // First number of the windows of a vector of columns, within a channel's row.
    Long window(int n) const { return LANES_ARE_COLUMNS ? Long(n) * N : (pad + col_start[n]) * STEP; }

    E* weights(E* kept_rows, int i, int e, int f) const {
        return kept_rows + ((Long(i % kept) * K + e) * K + f) * pitch;
    }

    // The rows of keys that the windows of query row i have: from e0 up to e1.
    int first_entry(int i) const { return call.border == ZERO || row_start[i] > 0 ? 0 : -row_start[i]; }
    int end_entry(int i) const { return call.border == ZERO || row_start[i] + K < rows ? K : rows - row_start[i]; }

    void load_tables(Long first) {
        for (int side = 0; side < 2 && half; side++) {
            const E* from = side ? call.rel_col : call.rel_row;
            for (int lane = 0; lane < N; lane++) {
                const Long pair = LANES_ARE_COLUMNS ? first : first + lane;
                const Long head = call.table_heads == 1 ? 0 : pair % call.heads;
                for (int n = 0; n < half * K; n++) tables[side][n * N + lane] = from[head * half * K + n];
            }
        }
    }

    const E* source(const Map& map, Long pair) const {
        return map.data + pair / call.heads * map.image + pair % call.heads * map.head;
    }

    // The caller's numbers at a row and column of a pair -> packed, times a factor.
    void pack(E* to, const Map& map, Long first, int channels, E factor) const {
        move<true>(to, map, first, channels, factor);
    }

    void unpack(E* from, const Map& map, Long first, int channels) const { move<false>(from, map, first, channels, 1); }

    template <bool IN>
    void move(E* packed, const Map& map, Long first, int channels, E factor) const {
        const Long row_line = pitch * channels, pairs = call.batch * call.heads;
        if constexpr (LANES_ARE_COLUMNS) {
            E* const data = const_cast<E*>(source(map, first));
            if (map.col == 1) {
                for (int i = 0; i < rows; i++) {
                    for (int c = 0; c < channels; c++) {
                        E* inner = packed + i * row_line + c * pitch + pad;
                        E* outer = data + i * map.row + c * map.channel;
                        int j = 0;
                        for (; j + N <= cols; j += N) {
                            IN ? store(inner + j, load(outer + j) * factor) : store(outer + j, load(inner + j));
                        }
                        if (j < cols) {
                            IN ? store(inner + j, load_some(outer + j, cols - j) * factor)
                               : store_some(outer + j, load(inner + j), cols - j);
                        }
                    }
                }
                return;
            }
            for (int i = 0; i < rows; i++) {
                for (int j = 0; j < cols; j += N) {
                    E* outer[N];
                    for (int lane = 0; lane < N; lane++) {
                        outer[lane] = j + lane < cols ? data + i * map.row + (j + lane) * map.col : nullptr;
                    }
                    block<IN>(packed + i * row_line + pad + j, pitch, outer, map.channel, channels, factor);
                }
            }
        } else {
            E* lanes[N];
            for (int lane = 0; lane < N; lane++) {
                lanes[lane] = first + lane < pairs ? const_cast<E*>(source(map, first + lane)) : nullptr;
            }
            auto at = [&](Long offset, E* (&outer)[N]) {
                for (int lane = 0; lane < N; lane++) outer[lane] = lanes[lane] ? lanes[lane] + offset : nullptr;
            };
            E* outer[N];
            if (map.channel == 1 || map.col != 1) {
                for (int i = 0; i < rows; i++) {
                    for (int j = 0; j < cols; j++) {
                        at(i * map.row + j * map.col, outer);
                        block<IN>(packed + i * row_line + (pad + j) * N, pitch, outer, map.channel, channels, factor);
                    }
                }
                return;
            }
            for (int c = 0; c < channels; c++) {
                if (map.row == cols) {  // the plane is one run of pixels
                    E pixels[N * N] __attribute__((aligned(64)));
                    for (int pixel = 0, i = 0, j = 0; pixel < rows * cols; pixel += N) {
                        const int count = rows * cols - pixel < N ? rows * cols - pixel : N;
                        at(c * map.channel + pixel, outer);
                        if (IN) block<IN>(pixels, N, outer, 1, count, factor);
                        for (int n = 0; n < count; n++) {
                            E* inner = packed + i * row_line + c * pitch + (pad + j) * N;
                            IN ? store(inner, load(pixels + n * N)) : store(pixels + n * N, load(inner));
                            if (++j == cols) j = 0, i++;
                        }
                        if (!IN) block<IN>(pixels, N, outer, 1, count, factor);
                    }
                    continue;
                }
                for (int i = 0; i < rows; i++) {
                    at(c * map.channel + i * map.row, outer);
                    block<IN>(packed + i * row_line + c * pitch + pad * N, N, outer, 1, cols, factor);
                }
            }
        }
    }

    // N places of the caller, `count` numbers at each, `stride` apart <-> count vectors, `inner_step` numbers apart.
    template <bool IN>
    static void block(E* inner, Long inner_step, E* const (&outer)[N], Long stride, int count, E factor) {
        if (stride != 1) {
            for (int n = 0; n < count; n++) {
                for (int lane = 0; lane < N; lane++) {
                    E& mine = inner[n * inner_step + lane];
                    if (IN) mine = outer[lane] ? outer[lane][n * stride] * factor : 0;
                    if (!IN && outer[lane]) outer[lane][n * stride] = mine;
                }
            }
            return;
        }
        for (int n = 0; n < count; n += N) {
            const int some = count - n < N ? count - n : N;
            V square[N];
            if (IN) {
                for (int lane = 0; lane < N; lane++) square[lane] = outer[lane] ? load_some(outer[lane] + n, some) : V{};
                transpose(square);
                for (int m = 0; m < some; m++) store(inner + (n + m) * inner_step, square[m] * factor);
            } else {
                for (int m = 0; m < N; m++) square[m] = m < some ? load(inner + (n + m) * inner_step) : V{};
                transpose(square);
                for (int lane = 0; lane < N; lane++) {
                    if (outer[lane]) store_some(outer[lane] + n, square[lane], some);
                }
            }
        }
    }

    // row_logits[t][e] = q_row . r_row[e], col_logits[t][f] = q_col . r_col[f] + bias.
    void position_logits(int i, int count, int n) {
        const E *border = bias + Long(n) * K * N, *own = q + i * line + column(n);
        with_count(count, [&](auto some) {
            constexpr int T = some;
            over_window([&](auto F, int f0) {
                const Long row = line, channel = pitch;
                products<T, F, N>(own, row, channel, tables[0] + f0 * N, K * N, half, [&](int t, int f, V x) {
                    store(row_logits + (t * K + f0 + f) * N, x);
                });
                products<T, F, N>(own + half * pitch, row, channel, tables[1] + f0 * N, K * N, half,
                                  [&](int t, int f, V x) {
                                      store(col_logits + (t * K + f0 + f) * N, x + load(border + (f0 + f) * N));
                                  });
            });
        });
    }

    // body(T, t0, a): the T query rows from i + t0 on see key row a.
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

    void forward_tile(int i, int count, int n) {
        position_logits(i, count, n);
        const Long at = column(n), from = window(n);
        V most[TILE], total[TILE] = {};
        for (V& x : most) x = all(-INFINITE);
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
                    products<T, F, STEP>(own, line, pitch, keys + f0 * STEP, pitch, inside ? width : 0,
                                         [&](int t, int f, V x) {
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
        std::memset(sum_a, 0, sizeof(E) * TILE * N * width);
        over_key_rows(i, count, [&](int t0, int t1, int a) {
            if (a < 0 || a >= rows) return;
            with_count(t1 - t0, [&](auto some) {
                constexpr int T = some;
                over_window([&](auto F, int f0) {
                    const E* w[T];
                    for (int t = 0; t < T; t++) {
                        w[t] = logits + (((t0 + t) * K + a - row_start[i + t0 + t]) * K + f0) * N;
                    }
                    mix<T, F, STEP>(sum_a + t0 * N, w, N, v + a * line + from + f0 * STEP, pitch, width);
                });
            });
        });
        for (int t = 0; t < count; t++) {
            const V scale = E(1) / total[t];
            E* y = dq + (i + t) * line + at;
            for (int c = 0; c < width; c++) store(y + c * pitch, load(sum_a + (c * TILE + t) * N) * scale);
            store(lse + (i + t) * pitch + at, most[t] + log2(total[t]));
        }
    }

    void backward_tile(int i, int count, int n) {
        position_logits(i, count, n);
        const Long at = column(n), from = window(n);
        V drow[TILE][K] = {}, dcol[TILE][K] = {};
        over_key_rows(i, count, [&](int t0, int t1, int a) {
            const bool inside = a >= 0 && a < rows;
            const Long own = (i + t0) * line + at, keys = (inside ? a : 0) * line + from;
            with_count(t1 - t0, [&](auto some) {
                constexpr int T = some;
                over_window([&](auto F, int f0) {
                    V row[T], norm[T], dots[T], sum[T] = {};
                    E *out[T], *dout[T];
                    for (int t = 0; t < T; t++) {
                        const int u = t0 + t, e = a - row_start[i + u];
                        row[t] = load(row_logits + (u * K + e) * N);
                        norm[t] = load(lse + (i + u) * pitch + at);
                        dots[t] = load(dot + (i + u) * pitch + at);
                        out[t] = weights(p, i + u, e, f0) + at;
                        dout[t] = weights(ds, i + u, e, f0) + at;
                    }
                    products<T, F, STEP>(q + own, line, pitch, k + keys + f0 * STEP, pitch,
                                         inside && call.k.data ? width : 0, [&](int t, int f, V x) {
                                             x += row[t] + load(col_logits + ((t0 + t) * K + f0 + f) * N);
                                             store(out[t] + f * pitch, exp2(x - norm[t]));
                                         });
                    products<T, F, STEP>(dy + own, line, pitch, v + keys + f0 * STEP, pitch, inside ? width : 0,
                                         [&](int t, int f, V x) {
                                             x = load(out[t] + f * pitch) * (x - dots[t]);
                                             sum[t] += x;
                                             dcol[t0 + t][f0 + f] += x;
                                             store(dout[t] + f * pitch, x);
                                         });
                    for (int t = 0; t < T; t++) drow[t0 + t][a - row_start[i + t0 + t]] += sum[t];
                });
            });
        });
        std::memset(sum_a, 0, sizeof(E) * TILE * N * width);
        if (call.k.data) {
            over_key_rows(i, count, [&](int t0, int t1, int a) {
                if (a < 0 || a >= rows) return;
                with_count(t1 - t0, [&](auto some) {
                    constexpr int T = some;
                    over_window([&](auto F, int f0) {
                        const E* w[T];
                        for (int t = 0; t < T; t++) {
                            w[t] = weights(ds, i + t0 + t, a - row_start[i + t0 + t], f0) + at;
                        }
                        mix<T, F, STEP>(sum_a + t0 * N, w, pitch, k + a * line + from + f0 * STEP, pitch, width);
                    });
                });
            });
        }
        for (int side = 0; side < 2 && half; side++) {
            const V(*d)[K] = side ? dcol : drow;
            with_count(count, [&](auto some) {
                constexpr int T = some;
                over_window([&](auto F, int f0) {
                    const E* w[T];
                    for (int t = 0; t < T; t++) w[t] = reinterpret_cast<const E*>(&d[t][f0]);
                    mix<T, F, N>(sum_a + side * half * TILE * N, w, N, tables[side] + f0 * N, K * N, half);
                });
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
            for (int c = 0; c < width; c++) store(to + c * pitch, load(sum_a + (c * TILE + t) * N));
        }
    }

    // dk and dv of the key rows from a on, gathered from the queries that see them.
    void key_tile(int a, int count, int n) {
        const Long at = column(n);
        std::memset(sum_a, 0, sizeof(E) * TILE * N * width);
        std::memset(sum_b, 0, sizeof(E) * TILE * N * width);
        const int last = last_query[a + count - 1];
        for (int i = first_query(a); i <= last; i++) {
            const int t0 = row_start[i] > a ? row_start[i] - a : 0;
            const int t1 = row_start[i] + K < a + count ? row_start[i] + K - a : count;
            const int e = a + t0 - row_start[i];
            with_count(t1 - t0, [&](auto some) {
                constexpr int T = some;
                auto gather = [&](auto F, int f, Long w_at, Long w_step, Long x_at) {
                    const E *w[T], *dw[T];
                    for (int t = 0; t < T; t++) {
                        w[t] = weights(p, i, e + t, f) + w_at;
                        dw[t] = weights(ds, i, e + t, f) + w_at;
                    }
                    mix<T, F, STEP>(sum_b + t0 * N, w, w_step, dy + i * line + x_at, pitch, width);
                    if (call.k.data) mix<T, F, STEP>(sum_a + t0 * N, dw, w_step, q + i * line + x_at, pitch, width);
                };
                if (call.border == SHIFTED) {
                    for (int j = 0; j < cols; j++) {
                        const int f = n - col_start[j];
                        if (f >= 0 && f < K) gather(count_t<1>{}, f, column(j), 0, column(j));
                    }
                } else {  // the query f columns into the window around a key has it K - 1 - f columns into its own
                    over_window([&](auto F, int f0) {
                        const Long query = at + (f0 - R) * STEP;
                        gather(F, K - 1 - f0, query, STEP - pitch, query);
                    });
                }
            });
        }
        for (int t = 0; t < count; t++) {
            const Long to = (a + t) * line + at;
            for (int c = 0; c < width; c++) {
                store(v + to + c * pitch, load(sum_b + (c * TILE + t) * N));
                if (call.k.data) store(k + to + c * pitch, load(sum_a + (c * TILE + t) * N) * LN2);
            }
        }
    }
};

// Runs body(worker, item) for all items; which thread takes an item does not matter to its numbers.
template <bool LANES_ARE_COLUMNS, class Body>
int run(const Call& call, bool backward, Body body) {
    using W = Worker<LANES_ARE_COLUMNS>;
    const Long items = W::items(call);
    std::atomic<Long> next{0};
    std::atomic<bool> failed{false};
    auto work = [&] {
        try {
            W worker(call, backward);
            for (Long item; (item = next++) < items;) body(worker, item);
        } catch (const std::bad_alloc&) {
            failed = true;
        }
    };
    std::vector<std::thread> others;
    for (Long n = 1; n < call.threads && n < items; n++) {
        try {
            others.emplace_back(work);
        } catch (const std::exception&) {
            break;  // fewer threads do the same work
        }
    }
    work();
    for (std::thread& other : others) other.join();
    return failed;
}

// Columns fill the lanes of wide maps; narrow ones take a pair a lane.
bool lanes_are_columns(const Call& call) {
    if (call.border == SHIFTED || call.lanes == PAIRS) return false;
    return call.lanes == COLUMNS || call.cols > N / 2 + N / 8;
}

}  // namespace

// Both return 0, or 1 where there was no memory.
extern "C" __attribute__((visibility("default"))) int local_attention_forward(const Call* call) {
    auto body = [](auto& worker, Long item) { worker.forward(item); };
    return lanes_are_columns(*call) ? run<true>(*call, false, body) : run<false>(*call, false, body);
}

extern "C" __attribute__((visibility("default"))) int local_attention_backward(const Call* call) try {
    const Long pairs = call->batch * call->heads, size = call->rel_row ? call->width / 2 * K : 0;
    std::vector<E> partial(pairs * 2 * size);
    auto body = [&](auto& worker, Long item) { worker.backward(item, partial.data()); };
    const int failed = lanes_are_columns(*call) ? run<true>(*call, true, body) : run<false>(*call, true, body);
    for (int side = 0; side < 2 && size; side++) {
        E* to = side ? call->dcol : call->drow;
        std::vector<double> sum(call->table_heads * size);
        for (Long pair = 0; pair < pairs; pair++) {
            const Long head = call->table_heads == 1 ? 0 : pair % call->heads;
            for (Long n = 0; n < size; n++) sum[head * size + n] += partial[(pair * 2 + side) * size + n];
        }
        for (Long n = 0; n < Long(sum.size()); n++) to[n] = sum[n];
    }
    return failed;
} catch (const std::bad_alloc&) {
    return 1;
}
