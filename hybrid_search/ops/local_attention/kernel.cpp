// Local 2-D attention on a CPU, forward and backward, for one extent and one number type.
//
//   for each image and head (a "pair"):                        rows of q, k, v are copied with zero padding
//     for each tile of TILE query rows x one vector of columns:
//       row[e] = q_row . r_row[e],  col[f] = q_col . r_col[f]   (the border is -infinity in col, or a row left out)
//       l[e][f] = q . key(e, f) + row[e] + col[f]               e, f: row and column in the window
//       forward:   p = exp2(l - max);  y = sum p value(e, f) / sum p;  keep lse = max + log2(sum p)
//       backward:  p = exp2(l - lse);  ds = p (dy . value(e, f) - dy . y)
//                  dq = sum ds key(e, f) + sum over e, f of ds r;   dr[e] += ds q;   p and ds are kept
//     backward, once a row of tiles is done:                    dv += p dy,  dk += ds q  for the keys it sees
//
// q is multiplied by log2(e) once, so that exponentials are powers of two. There are two ways to fill a vector:
// LANES_ARE_COLUMNS takes neighbouring columns of one pair, so that the next key lies one number on; otherwise a lane
// is a pair, the next key lies one vector on, and narrow maps and shifted windows waste nothing. The rest of the code
// does not know which of them it runs. Every pair's numbers are computed in the same order whatever the number of
// threads, and the gradients of the tables are added over the pairs at the end in their order.
//
// Compiled with -DEXTENT=7 -DREAL=float -DLANES_ARE_COLUMNS=1; the interface is the two C functions at the bottom.

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

#if defined(VECTOR_BYTES)
#elif defined(__AVX512F__)
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
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif
// Columns of a window and rows of a tile whose products stay in registers together.
constexpr int COLS = REGISTERS == 32 ? (K <= 11 ? K : 7) : (K <= 7 ? K : 5);
constexpr int fit(int rows) { return rows > 1 && rows * (COLS + 1) + 1 >= REGISTERS ? fit(rows - 1) : rows; }
constexpr int MOST = 4;  // rows that are ever weighed together
constexpr int TILE = fit(MOST);
constexpr E INFINITE = std::numeric_limits<E>::infinity();
constexpr E LOG2E = 1.4426950408889634074, LN2 = 0.69314718055994530942;

enum Border { MASKED, ZERO, SHIFTED };

INLINE V load(const E* p) { return *reinterpret_cast<const Unaligned*>(p); }
INLINE void store(E* p, V x) { *reinterpret_cast<Unaligned*>(p) = x; }
INLINE V all(E x) { return x - V{}; }

// The larger; y where either is NaN. (GCC makes two instructions of the comparison.)
INLINE V larger(V x, V y) {
#if defined(__AVX__)
    V z;
    if constexpr (sizeof(E) == 4) {
        asm("vmaxps %2, %1, %0" : "=v"(z) : "v"(x), "v"(y));
    } else {
        asm("vmaxpd %2, %1, %0" : "=v"(z) : "v"(x), "v"(y));
    }
    return z;
#else
    return x > y ? x : y;
#endif
}

// 2^x: x = n + f with |f| <= 1/2, the exponent built as bits. Exactly 0 below the smallest normal number.
INLINE V exp2(V x) {
    constexpr bool single = sizeof(E) == 4;
    constexpr int bits = single ? 23 : 52, bias = single ? 127 : 1023;
    constexpr E shift = E(int64_t(3) << (bits - 1)) + bias;  // adding it leaves n + bias in the low bits
    x = larger(all(-bias), x);  // a NaN stays
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

// The numbers of M vectors, counted on from vector to vector, change places: the first `stages` bits of the count go to
// its end. With M = N and log2(N) stages that is a transposition.
template <int M>
INLINE void turn(V (&a)[M], int stages) {
    UNROLL
    for (int stage = 0; stage < stages; stage++) {
        V b[M];
        UNROLL
        for (int n = 0; n < M / 2; n++) {
            const V &x = a[n], &y = a[n + M / 2];
#if defined(__clang__)
            for (int l = 0; l < N / 2; l++) {
                b[2 * n][2 * l] = x[l], b[2 * n][2 * l + 1] = y[l];
                b[2 * n + 1][2 * l] = x[l + N / 2], b[2 * n + 1][2 * l + 1] = y[l + N / 2];
            }
#else
            constexpr struct Halves {
                Int low[N], high[N];
                constexpr Halves() : low(), high() {
                    for (int l = 0; l < N; l++) low[l] = l / 2 + l % 2 * N, high[l] = low[l] + N / 2;
                }
            } halves;
            I low, high;
            std::memcpy(&low, halves.low, sizeof low);
            std::memcpy(&high, halves.high, sizeof high);
            b[2 * n] = __builtin_shuffle(x, y, low);
            b[2 * n + 1] = __builtin_shuffle(x, y, high);
#endif
        }
        UNROLL
        for (int n = 0; n < M; n++) a[n] = b[n];
    }
}

constexpr int log2_of(int n) { return n > 1 ? 1 + log2_of(n / 2) : 0; }

INLINE V load_some(const E* p, int count) {
    if (count == N) return load(p);
    V x{};
    for (int n = 0; n < count; n++) x[n] = p[n];
    return x;
}

INLINE void store_some(E* p, V x, int count) {
    if (count == N) return store(p, x);
    for (int n = 0; n < count; n++) p[n] = x[n];
}

// A tensor (batch, heads, width, rows, cols) of the caller: its address and strides in numbers.
struct Map {
    E* data;
    int64_t image, head, channel, row, col;
};

// The caller's request; cpu.py writes the same fields in the same order.
struct Call {
    int64_t batch, heads, width, rows, cols, border, table_heads, threads;
    Map q, k, v, y, lse;          // k.data null: the logits are q . r alone
    Map dy, dq, dk, dv;           // backward only; dq, dk and dv are written
    const E *rel_row, *rel_col;   // (table_heads, width / 2, K), or null
    E *drow, *dcol;               // their gradients, or null
};

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

// A rectangle of weights for T rows of a tile, and where it starts in the map that it weighs.
struct Weights {
    const E* w[MOST];
    Long w_row, w_col;  // numbers from one row and column of the rectangle to the next, in w
    const E* x;
    Long x_row, x_pitch;
    int rows, cols;
};

// y[c][t] += sum over the rectangle of w[t] x[c], for C channels; y_row and y_pitch lead from t to t and from c to c.
template <int T, int C, int STEP>
INLINE void mix_channels(E* y, Long y_row, Long y_pitch, const Weights& r, Long first) {
    V sum[C][T];
    UNROLL
    for (int c = 0; c < C; c++) {
        UNROLL
        for (int t = 0; t < T; t++) sum[c][t] = load(y + c * y_pitch + t * y_row);
    }
    for (int row = 0; row < r.rows; row++) {
        const E *x = r.x + first + row * r.x_row, *w[T];
        UNROLL
        for (int t = 0; t < T; t++) w[t] = r.w[t] + row * r.w_row;
        for (int col = 0; col < r.cols; col++, x += STEP) {
            V weight[T];
            UNROLL
            for (int t = 0; t < T; t++) weight[t] = load(w[t]), w[t] += r.w_col;
            UNROLL
            for (int c = 0; c < C; c++) {
                V value = load(x + c * r.x_pitch);
                PIN(value);
                UNROLL
                for (int t = 0; t < T; t++) sum[c][t] += weight[t] * value;
            }
        }
    }
    UNROLL
    for (int c = 0; c < C; c++) {
        UNROLL
        for (int t = 0; t < T; t++) store(y + c * y_pitch + t * y_row, sum[c][t]);
    }
}

template <int T, int STEP>
__attribute__((noinline)) void mix(E* y, Long y_row, Long y_pitch, const Weights& r, int width) {
    constexpr int C = T * 9 + 1 < REGISTERS ? 8 : T * 5 + 1 <= REGISTERS ? 4 : 2;
    int c = 0;
    for (; c + C <= width; c += C) mix_channels<T, C, STEP>(y + c * y_pitch, y_row, y_pitch, r, c * r.x_pitch);
    if constexpr (C > 4) {
        if (c + 4 <= width) mix_channels<T, 4, STEP>(y + c * y_pitch, y_row, y_pitch, r, c * r.x_pitch), c += 4;
    }
    if constexpr (C > 2) {
        if (c + 2 <= width) mix_channels<T, 2, STEP>(y + c * y_pitch, y_row, y_pitch, r, c * r.x_pitch), c += 2;
    }
    if (c < width) mix_channels<T, 1, STEP>(y + c * y_pitch, y_row, y_pitch, r, c * r.x_pitch);
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

class Worker {
    static constexpr int STEP = LANES_ARE_COLUMNS ? 1 : N;   // numbers from one column to the next
    static constexpr int PAIRS_AT_ONCE = LANES_ARE_COLUMNS ? 1 : N;

    const Call& call;
    const int width, half, rows, cols, vectors;  // vectors: of columns in a row
    const Long pad;         // zero columns left of a row; right of it lies the next channel's padding
    const Long pitch, line; // numbers from channel to channel and from row to row of a packed map
    const Long left, w_pitch; // the same of the weights, whose vectors lie on cache lines
    const Long bare;          // the pitch of dk and dv, which have no padding
    std::vector<int> row_start, col_start;
    E *q, *k, *v, *dy, *dq, *dk, *dv;  // packed maps (rows, width, pitch); y goes through dq
    E *lse, *dot;            // packed maps of one channel
    E *p, *ds;               // weights and gradients of logits of a row of tiles: (TILE, K, K, w_pitch)
    E *logits, *row_logits, *col_logits, *sum, *bias, *tables[2], *dtables[2];

public:
    static Long items(const Call& call) {
        return (call.batch * call.heads + PAIRS_AT_ONCE - 1) / PAIRS_AT_ONCE;
    }

    Worker(const Call& c, bool backward)
        : call(c), width(c.width), half(c.rel_row ? c.width / 2 : 0), rows(c.rows), cols(c.cols),
          vectors(LANES_ARE_COLUMNS ? (cols + N - 1) / N : cols),
          pad(c.border == SHIFTED ? (K > cols ? K - cols : 0) : R),
          pitch(pad * STEP + Long(vectors) * N), line(pitch * width),
          left((pad * STEP + N - 1) / N * N), w_pitch(left + Long(vectors) * N),
          bare(Long(vectors) * N) {
        starts();
        const Long map = (rows + TILE) * line + slack(), flat = (rows + TILE) * pitch + slack();
        const Long weights = Long(TILE) * K * K * w_pitch + slack(), tile = Long(TILE) * N;
        const Long position = Long(half) * K * N, gradient = rows * bare * width;
        struct Piece {
            E** at;
            Long size;
        };
        const Piece pieces[] = {
            {&q, map}, {&k, map}, {&v, map}, {&dq, map}, {&lse, flat}, {&bias, Long(vectors) * K * N},
            {&row_logits, tile * K}, {&col_logits, tile * K}, {&sum, tile * width}, {&tables[0], position},
            {&tables[1], position}, {&logits, backward ? 0 : tile * K * K}, {&dy, backward ? map : 0},
            {&dk, backward ? gradient : 0}, {&dv, backward ? gradient : 0}, {&dot, backward ? flat : 0},
            {&p, backward ? weights : 0}, {&ds, backward ? weights : 0}, {&dtables[0], backward ? position : 0},
            {&dtables[1], backward ? position : 0}};
        Long bytes = 0;
        for (const Piece& piece : pieces) bytes += Scratch::bytes(piece.size);
        scratch.start(bytes);
        for (const Piece& piece : pieces) *piece.at = scratch.take(piece.size);
        auto clear = [&](E* x, Long count, Long step, Long size) {  // the zeros around the rows: nothing overwrites them
            for (Long n = 0; n < count; n++) std::memset(x + n * step, 0, size * sizeof(E));
            std::memset(x + count * step, 0, slack() * sizeof(E));
        };
        for (E* map_of : {q, k, v, dq}) clear(map_of, Long(rows) * width, pitch, pad * STEP);
        clear(lse, rows, pitch, pad * STEP);
        if (backward) {
            clear(dy, Long(rows) * width, pitch, pad * STEP);
            clear(dot, rows, pitch, pad * STEP);
            for (E* of : {p, ds}) clear(of, TILE * K * K, w_pitch, left);
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
        move<false>(dq, pitch, pad, call.y, first, width, 1);
        move<false>(lse, pitch, pad, call.lse, first, 1, 1);
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
        for (E* gradient : {dk, dv}) std::memset(gradient, 0, sizeof(E) * rows * bare * width);
        for (int i = 0; i < rows; i += TILE) {
            const int count = i + TILE < rows ? TILE : rows - i;
            for (int n = 0; n < vectors; n++) backward_tile(i, count, n);
            for (int t = 0; t < count; t++) spread(i + t, t);
        }
        move<false>(dq, pitch, pad, call.dq, first, width, 1);
        if (call.k.data) move<false>(dk, bare, 0, call.dk, first, width, LN2);
        move<false>(dv, bare, 0, call.dv, first, width, 1);
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

    // Where windows start.
    void starts() {
        auto start = [&](int i, int size) {
            const int most = size > K ? size - K : 0;
            return call.border != SHIFTED ? i - R : i < R ? 0 : i - R > most ? most : i - R;
        };
        for (int i = 0; i < rows; i++) row_start.push_back(start(i, rows));
        for (int j = 0; j < cols; j++) col_start.push_back(start(j, cols));
    }

    Long column(int n) const { return pad * STEP + Long(n) * N; }

    // First number of the windows of a vector of columns, within a channel's row.
    Long window(int n) const { return LANES_ARE_COLUMNS ? Long(n) * N : (pad + col_start[n]) * STEP; }

    E* weights(E* of, int t, int e, int f) const { return of + ((Long(t) * K + e) * K + f) * w_pitch; }

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

    // The caller's numbers times a factor -> packed, (rows, channels, pitch) with the padding on the left.
    void pack(E* to, const Map& map, Long first, int channels, E factor) const {
        move<true>(to, pitch, pad, map, first, channels, factor);
    }

    template <bool IN>
    void move(E* packed, Long packed_pitch, Long packed_pad, const Map& map, Long first, int channels, E factor) const {
        const Long packed_line = packed_pitch * channels, pairs = call.batch * call.heads;
        packed += packed_pad * STEP;
        E *inner[N], *outer[N];
        if constexpr (LANES_ARE_COLUMNS) {
            E* const data = const_cast<E*>(source(map, first));
            if (map.col == 1) {
                for (int c = 0; c < channels; c++) {
                    for (int i = 0; i < rows; i++) {
                        E* mine = packed + i * packed_line + c * packed_pitch;
                        E* yours = data + i * map.row + c * map.channel;
                        int j = 0;
                        for (; j + N <= cols; j += N) {
                            if (IN) store(mine + j, load(yours + j) * factor);
                            if (!IN) store(yours + j, load(mine + j) * factor);
                        }
                        if (IN && j < cols) store(mine + j, load_some(yours + j, cols - j) * factor);
                        if (!IN && j < cols) store_some(yours + j, load(mine + j) * factor, cols - j);
                    }
                }
                return;
            }
            for (int i = 0; i < rows; i++) {
                for (int j = 0; j < cols; j += N) {
                    const int count = cols - j < N ? cols - j : N;
                    for (int lane = 0; lane < N; lane++) {
                        outer[lane] = data + i * map.row + (j + (lane < count ? lane : 0)) * map.col;
                    }
                    across<IN>(packed + i * packed_line + j, packed_pitch, outer, map.channel, count, channels, factor);
                }
            }
        } else {
            E* lanes[N];
            const int count = pairs - first < N ? pairs - first : N;
            for (int lane = 0; lane < N; lane++) {
                lanes[lane] = const_cast<E*>(source(map, lane < count ? first + lane : first));
            }
            auto at = [&](int pixel) { return packed + pixel / cols * packed_line + pixel % cols * N; };
            const bool runs = map.col == 1 && map.row == cols && rows * cols >= N;  // a plane is one run of pixels
            for (int next = 0; next < rows * cols; next += runs ? N : 1) {
                if (runs) {
                    const int pixel = next + N > rows * cols ? rows * cols - N : next;  // the last run may overlap
                    for (int n = 0; n < N; n++) inner[n] = at(pixel + n);
                    for (int c = 0; c < channels; c++) {
                        square<IN>(inner, c * packed_pitch, N, lanes, c * map.channel + pixel, count, factor);
                    }
                } else {
                    const int pixel = next;
                    const Long offset = pixel / cols * map.row + pixel % cols * map.col;
                    for (int lane = 0; lane < N; lane++) outer[lane] = lanes[lane] + offset;
                    across<IN>(at(pixel), packed_pitch, outer, map.channel, count, channels, factor);
                }
            }
        }
    }

    // The channels of N places of the caller, `stride` apart <-> as many vectors, `step` numbers apart.
    template <bool IN>
    static void across(E* inner, Long step, E* const* outer, Long stride, int lanes, int channels, E factor) {
        if (stride != 1) {
            for (int c = 0; c < channels; c++) {
                for (int lane = 0; lane < N; lane++) {
                    E& mine = inner[c * step + lane];
                    if (IN) mine = lane < lanes ? outer[lane][c * stride] * factor : 0;
                    if (!IN && lane < lanes) outer[lane][c * stride] = mine * factor;
                }
            }
            return;
        }
        E* mine[N];
        for (int c = 0, some; c < channels; c += some) {
            for (some = N; some > channels - c;) some /= 2;
            for (int n = 0; n < some; n++) mine[n] = inner + (c + n) * step;
            square<IN>(mine, 0, some, outer, c, lanes, factor);
        }
    }

    // `lanes` runs of `count` numbers of the caller <-> `count` vectors; a lane that is missing becomes 0. The count is
    // a power of two.
    template <bool IN, int M = N>
    static void square(E* const* inner, Long in_at, int count, E* const* outer, Long out_at, int lanes, E factor) {
        if constexpr (M > 1) {
            if (count < M) return square<IN, M / 2>(inner, in_at, count, outer, out_at, lanes, factor);
            turned<IN, M>(inner, in_at, outer, out_at, lanes, factor);
        } else {
            for (int lane = 0; lane < N; lane++) {
                E& mine = inner[0][in_at + lane];
                if (IN) mine = lane < lanes ? outer[lane][out_at] * factor : 0;
                if (!IN && lane < lanes) outer[lane][out_at] = mine * factor;
            }
        }
    }

    template <bool IN, int M>
    static __attribute__((noinline)) void turned(E* const* inner, Long in_at, E* const* outer, Long out_at, int lanes,
                                                 E factor) {
        V a[M];
        if (IN) {  // a vector holds the runs of N / M lanes
            UNROLL
            for (int lane = 0; lane < N; lane++) {
                std::memcpy(reinterpret_cast<E*>(&a[lane / (N / M)]) + lane % (N / M) * M, outer[lane] + out_at,
                            M * sizeof(E));
            }
            turn(a, log2_of(N));
            I number;
            for (int lane = 0; lane < N; lane++) number[lane] = lane;
            const I there = number < lanes;
            UNROLL
            for (int n = 0; n < M; n++) store(inner[n] + in_at, there ? a[n] * factor : V{});
        } else {
            UNROLL
            for (int n = 0; n < M; n++) a[n] = load(inner[n] + in_at) * factor;
            turn(a, log2_of(M));
            UNROLL
            for (int lane = 0; lane < N; lane++) {
                if (lane < lanes) {
                    std::memcpy(outer[lane] + out_at, reinterpret_cast<E*>(&a[lane / (N / M)]) + lane % (N / M) * M,
                                M * sizeof(E));
                }
            }
        }
    }

    // row_logits[t][e] = q_row . r_row[e], col_logits[t][f] = q_col . r_col[f] + bias.
    void position_logits(int i, int n) {
        const E *border = bias + Long(n) * K * N, *own = q + i * line + column(n);
        over_window([&](auto F, int f0) {  // the rows that a last tile lacks are computed of what lies there
            const Long row = line, channel = pitch;
            products<TILE, F, N>(own, row, channel, tables[0] + f0 * N, K * N, half, [&](int t, int f, V x) {
                store(row_logits + (t * K + f0 + f) * N, x);
            });
            products<TILE, F, N>(own + half * pitch, row, channel, tables[1] + f0 * N, K * N, half,
                                 [&](int t, int f, V x) {
                                     store(col_logits + (t * K + f0 + f) * N, x + load(border + (f0 + f) * N));
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

    // sum[c][t] += sum over the windows of the query rows from i on of weight(t, e) x: the rows of keys that the same
    // queries see are mixed in one go.
    template <class Weight>
    void mix_rows(int i, int count, const E* x, Weight weight, Long w_row, Long w_col) {
        Weights run{};
        int from = 0, until = 0;
        auto flush = [&] {
            if (run.rows) with_count(until - from, [&](auto some) { mix<some, STEP>(sum + from * N, N, TILE * N, run, width); });
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
        const Long w_at = left + Long(n) * N;
        V drow[TILE][K], dcol[TILE][K];
        for (int t = 0; t < TILE; t++) {
            for (int e = 0; e < K; e++) drow[t][e] = dcol[t][e] = V{};
        }
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
                    products<T, F, STEP>(q + own, line, pitch, k + keys + f0 * STEP, pitch,
                                         inside && call.k.data ? width : 0, [&](int t, int f, V x) {
                                             x += row[t] + load(col_logits + ((t0 + t) * K + f0 + f) * N);
                                             store(out[t] + f * w_pitch, exp2(x - norm[t]));
                                         });
                    products<T, F, STEP>(dy + own, line, pitch, v + keys + f0 * STEP, pitch, inside ? width : 0,
                                         [&](int t, int f, V x) {
                                             x = load(out[t] + f * w_pitch) * (x - dots[t]);
                                             own_sum[t] += x;
                                             dcol[t0 + t][f0 + f] += x;
                                             store(dout[t] + f * w_pitch, x);
                                         });
                    for (int t = 0; t < T; t++) drow[t0 + t][a - row_start[i + t0 + t]] += own_sum[t];
                });
            });
        });
        for (int c = 0; c < width * TILE; c++) store(sum + c * N, V{});
        if (call.k.data) {
            mix_rows(i, count, k + from, [&](int t, int e) { return weights(ds, t, e, 0) + w_at; }, K * w_pitch,
                     w_pitch);
        }
        for (int side = 0; side < 2 && half; side++) {
            const V(*d)[K] = side ? dcol : drow;
            with_count(count, [&](auto some) {
                constexpr int T = some;
                Weights r{{}, 0, N, tables[side], 0, K * N, 1, K};
                for (int t = 0; t < T; t++) r.w[t] = reinterpret_cast<const E*>(d[t]);
                mix<T, N>(sum + side * half * TILE * N, N, TILE * N, r, half);
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

    // Adds to dv and dk what query row i, row t of its tile, gives to the keys that it sees.
    void spread(int i, int t) {
        int e = row_start[i] < 0 ? -row_start[i] : 0;
        const int end = row_start[i] + K < rows ? K : rows - row_start[i];
        for (int count; e < end; e += count) {
            const int left_over = end - e;
            count = left_over <= MOST ? left_over : left_over < 2 * MOST - 1 ? MOST - 1 : MOST;
            const Long keys = (row_start[i] + e) * bare * width;
            Weights run{{}, 0, 0, nullptr, 0, pitch, 1, 1};
            with_count<MOST>(count, [&](auto some) {
                auto gather = [&](E* to, E* of, const E* x, int f, Long w_at) {
                    for (int u = 0; u < some; u++) run.w[u] = weights(of, t, e + u, f) + w_at;
                    run.x = x;
                    mix<some, STEP>(to, bare * width, bare, run, width);
                };
                auto both = [&](int n, int f, Long w_at, Long x_at) {
                    gather(dv + keys + n * N, p, dy + i * line + x_at, f, w_at);
                    if (call.k.data) gather(dk + keys + n * N, ds, q + i * line + x_at, f, w_at);
                };
                for (int n = 0; n < vectors; n++) {
                    if (call.border == SHIFTED) {
                        for (int j = 0; j < cols; j++) {
                            const int f = n - col_start[j];
                            if (f >= 0 && f < K) both(n, f, left + Long(j) * N, column(j));
                        }
                    } else {  // the query f columns into the window around a key has it K - 1 - f into its own
                        run.cols = K;
                        run.w_col = STEP - w_pitch;
                        both(n, K - 1, left + Long(n) * N - R * STEP, column(n) - R * STEP);
                    }
                }
            });
        }
    }
};

// Runs body(worker, item) for all items; which thread takes an item does not matter to its numbers.
template <class Body>
int run(const Call& call, bool backward, Body body) {
    const Long items = Worker::items(call);
    std::atomic<Long> next{0};
    std::atomic<bool> failed{false};
    auto work = [&] {
        try {
            Worker worker(call, backward);
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

}  // namespace

// Both return 0, or 1 where there was no memory.
extern "C" __attribute__((visibility("default"))) int local_attention_forward(const Call* call) {
    auto body = [](auto& worker, Long item) { worker.forward(item); };
    return run(*call, false, body);
}

extern "C" __attribute__((visibility("default"))) int local_attention_backward(const Call* call) try {
    const Long pairs = call->batch * call->heads, size = call->rel_row ? call->width / 2 * K : 0;
    std::vector<E> partial(pairs * 2 * size);
    auto body = [&](auto& worker, Long item) { worker.backward(item, partial.data()); };
    const int failed = run(*call, true, body);
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
