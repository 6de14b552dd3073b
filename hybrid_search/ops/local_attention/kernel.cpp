// Local 2-D attention on a CPU, forward and backward, for one extent and one number type.
//
//   row[e] = q_row . r_row[e],  col[f] = q_col . r_col[f]   e, f: row and column in the window of a query
//   l[e][f] = q . key(e, f) + row[e] + col[f]               -infinity outside of the map, or a row left out
//   forward:   p = exp2(l - max);  y = sum p value(e, f) / sum p;  keep lse = max + log2(sum p)
//   backward:  p = exp2(l - lse);  ds = p (dy . value(e, f) - dy . y)
//              dq = sum ds (key(e, f) + r);  dv += p dy,  dk += ds q for the keys it sees;  dr += ds q
//
// q is multiplied by log2(e) once, so that exponentials are powers of two. An image and head is a "pair", and there are
// two ways to fill a vector. In `Columns` its lanes are neighbouring columns of the keys of one pair. For a query row
// and a vector of keys, offset f then takes q and dy moved by f columns, the table of rows is added to the keys, and
// all that is left is products of small matrices in every lane:
//   l = key q',  dp = value dy',  y' = p value,  dq' = ds key,  dv += p dy',  dk += ds q'    (primes: moved by f)
// y' and dq' go back to their queries at the end. In `Pairs` a lane is a pair: the next key lies one vector on, and
// narrow maps and shifted windows waste nothing.
//
// Every pair's numbers are computed in the same order whatever the number of threads, and the gradients of the tables
// are added over the pairs at the end in their order. Compiled with -DEXTENT=7 -DREAL=float -DLANES_ARE_COLUMNS=1; the
// interface is the two C functions at the bottom.

#include <algorithm>
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
#include <utility>
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
#define ALWAYS __attribute__((always_inline))
#define INLINE inline ALWAYS
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
#if defined(__AVX512DQ__)
    if constexpr (single) {  // 0 <= f < 1; relative error 7.5e-8
        V f, y;
        asm("vreduceps $1, %1, %0" : "=v"(f) : "v"(x));
        V p = all(E(0.00187757668)) * f + E(0.00898934028);
        p = p * f + E(0.0558263177);
        p = p * f + E(0.240153617);
        p = p * f + E(0.693153073);
        p = p * f + E(0.999999925);
        asm("vscalefps %2, %1, %0" : "=v"(y) : "v"(p), "v"(x));
        return y;
    }
#endif
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


// The lanes from low up to high, the others 0; memory outside of them is not touched.
INLINE V load_lanes(const E* p, int low, int high) {
    if (low == 0 && high == N) return load(p);
#if defined(__AVX512F__)
    V x;
    const unsigned mask = (1u << high) - (1u << low);
    if constexpr (sizeof(E) == 4) {
        asm("vmovups %1, %0%{%2%}%{z%}" : "=v"(x) : "m"(*reinterpret_cast<const Unaligned*>(p)), "Yk"(uint16_t(mask)));
    } else {
        asm("vmovupd %1, %0%{%2%}%{z%}" : "=v"(x) : "m"(*reinterpret_cast<const Unaligned*>(p)), "Yk"(uint8_t(mask)));
    }
#else
    V x{};
    for (int n = low; n < high; n++) x[n] = p[n];
#endif
    return x;
}

INLINE void store_lanes(E* p, V x, int low, int high) {
    if (low == 0 && high == N) return store(p, x);
#if defined(__AVX512F__)
    const unsigned mask = (1u << high) - (1u << low);
    if constexpr (sizeof(E) == 4) {
        asm("vmovups %1, %0%{%2%}" : "+m"(*reinterpret_cast<Unaligned*>(p)) : "v"(x), "Yk"(uint16_t(mask)));
    } else {
        asm("vmovupd %1, %0%{%2%}" : "+m"(*reinterpret_cast<Unaligned*>(p)) : "v"(x), "Yk"(uint8_t(mask)));
    }
#else
    for (int n = low; n < high; n++) p[n] = x[n];
#endif
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

// done(t, f, sum over c of q[t][c] k[c][f]): T query rows with the F keys from k on.
template <int T, int F, class Done>
INLINE void products(const E* q, Long q_row, Long q_pitch, const E* k, Long k_pitch, int width, Done done) {
    V sum[T][F] = {};
    for (int c = 0; c < width; c++, q += q_pitch, k += k_pitch) {
        V own[T];
        UNROLL
        for (int t = 0; t < T; t++) own[t] = load(q + t * q_row);
        UNROLL
        for (int f = 0; f < F; f++) {
            V key = load(k + f * N);
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
template <int T, int C>
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
        for (int col = 0; col < r.cols; col++, x += N) {
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

template <int T>
__attribute__((noinline)) void mix(E* y, Long y_row, Long y_pitch, const Weights& r, int width) {
    constexpr int C = T * 9 + 1 < REGISTERS ? 8 : T * 5 + 1 <= REGISTERS ? 4 : 2;
    int c = 0;
    for (; c + C <= width; c += C) mix_channels<T, C>(y + c * y_pitch, y_row, y_pitch, r, c * r.x_pitch);
    if constexpr (C > 4) {
        if (c + 4 <= width) mix_channels<T, 4>(y + c * y_pitch, y_row, y_pitch, r, c * r.x_pitch), c += 4;
    }
    if constexpr (C > 2) {
        if (c + 2 <= width) mix_channels<T, 2>(y + c * y_pitch, y_row, y_pitch, r, c * r.x_pitch), c += 2;
    }
    if (c < width) mix_channels<T, 1>(y + c * y_pitch, y_row, y_pitch, r, c * r.x_pitch);
}

#if defined(__clang__) || __GNUC__ >= 12
template <class Half, int... n>
INLINE auto both(Half x, Half y, std::integer_sequence<int, n...>) {
    return __builtin_shufflevector(x, y, n...);
}
#endif

// W numbers in runs of M, the runs from different places. (Through memory they would wait for one another.)
template <int M, int W>
INLINE auto joined(E* const* runs, Long at) {
    typedef E Run __attribute__((vector_size(W * sizeof(E))));
    Run x;
#if defined(__clang__) || __GNUC__ >= 12
    if constexpr (W == M) {
        std::memcpy(&x, runs[0] + at, sizeof x);
    } else {
        x = both(joined<M, W / 2>(runs, at), joined<M, W / 2>(runs + W / M / 2, at),
                 std::make_integer_sequence<int, W>());
    }
#else
    for (int n = 0; n < W / M; n++) std::memcpy(reinterpret_cast<E*>(&x) + n * M, runs[n] + at, M * sizeof(E));
#endif
    return x;
}

template <bool IN, int M>
__attribute__((noinline)) void turned(E* const* inner, Long in_at, E* const* outer, Long out_at, int low, int high,
                                             E factor) {
    V a[M];
    if (IN) {  // a vector holds the runs of N / M lanes
        UNROLL
        for (int n = 0; n < M; n++) a[n] = (V)joined<M, N>(outer + n * (N / M), out_at);
        turn(a, log2_of(N));
        I number;
        for (int lane = 0; lane < N; lane++) number[lane] = lane;
        const I there = (number >= low) & (number < high);
        UNROLL
        for (int n = 0; n < M; n++) store(inner[n] + in_at, there ? a[n] * factor : V{});
    } else {
        UNROLL
        for (int n = 0; n < M; n++) a[n] = load(inner[n] + in_at) * factor;
        turn(a, log2_of(M));
        UNROLL
        for (int lane = 0; lane < N; lane++) {
            if (lane >= low && lane < high) {
                std::memcpy(outer[lane] + out_at, reinterpret_cast<E*>(&a[lane / (N / M)]) + lane % (N / M) * M,
                            M * sizeof(E));
            }
        }
    }
}

// Runs of `count` numbers of the caller <-> `count` vectors; lanes below low or from high on become 0. The count is
// a power of two.
template <bool IN, int M = N>
void square(E* const* inner, Long in_at, int count, E* const* outer, Long out_at, int low, int high, E factor) {
    if constexpr (M > 1) {
        if (count < M) return square<IN, M / 2>(inner, in_at, count, outer, out_at, low, high, factor);
        turned<IN, M>(inner, in_at, outer, out_at, low, high, factor);
    } else {
        for (int lane = 0; lane < N; lane++) {
            E& mine = inner[0][in_at + lane];
            if (IN) mine = lane >= low && lane < high ? outer[lane][out_at] * factor : 0;
            if (!IN && lane >= low && lane < high) outer[lane][out_at] = mine * factor;
        }
    }
}

// The channels of N places of the caller, `stride` apart <-> as many vectors, `step` numbers apart.
template <bool IN>
void across(E* inner, Long step, E* const* outer, Long stride, int low, int high, int channels, E factor) {
    if (stride != 1) {
        for (int c = 0; c < channels; c++) {
            for (int lane = 0; lane < N; lane++) {
                E& mine = inner[c * step + lane];
                if (IN) mine = lane >= low && lane < high ? outer[lane][c * stride] * factor : 0;
                if (!IN && lane >= low && lane < high) outer[lane][c * stride] = mine * factor;
            }
        }
        return;
    }
    E* mine[N];
    for (int c = 0, some; c < channels; c += some) {
        for (some = N; some > channels - c;) some /= 2;
        for (int n = 0; n < some; n++) mine[n] = inner + (c + n) * step;
        square<IN>(mine, 0, some, outer, c, low, high, factor);
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

class Pairs {
    const Call& call;
    const int width, half, rows, cols;
    const Long pad;          // zero columns left of a row; right of it lies the next channel's padding
    const Long pitch, line;  // numbers from channel to channel and from row to row of a packed map
    const Long bare;         // the pitch of dk and dv, which have no padding
    std::vector<int> row_start, col_start;
    E *q, *k, *v, *dy, *dq, *dk, *dv;  // packed maps (rows, width, pitch); y goes through dq
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
        struct Piece {
            E** at;
            Long size;
        };
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
        // The zeros around the rows: nothing overwrites them.
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

    // `partial` receives the tables' gradients of each pair: (pairs, 2, width / 2, K).
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
            for (int t = 0; t < count; t++) spread(i + t, t);
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

    // Where windows start.
    void starts() {
        auto start = [&](int i, int size) {
            const int most = size > K ? size - K : 0;
            return call.border != SHIFTED ? i - R : i < R ? 0 : i - R > most ? most : i - R;
        };
        for (int i = 0; i < rows; i++) row_start.push_back(start(i, rows));
        for (int j = 0; j < cols; j++) col_start.push_back(start(j, cols));
    }

    Long column(int n) const { return pad * N + Long(n) * N; }

    // First number of the windows of a vector of columns, within a channel's row.
    Long window(int n) const { return (pad + col_start[n]) * N; }

    E* weights(E* of, int t, int e, int f) const { return of + ((Long(t) * K + e) * K + f) * pitch; }

    // The rows of keys that the windows of query row i have: from e0 up to e1.
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

    // The caller's numbers times a factor -> packed, (rows, channels, pitch) with the padding on the left.
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
        const bool runs = map.col == 1 && map.row == cols && rows * cols >= N;  // a plane is one run of pixels
        for (int next = 0; next < rows * cols; next += runs ? N : 1) {
            if (runs) {
                const int pixel = next + N > rows * cols ? rows * cols - N : next;  // the last run may overlap
                for (int n = 0; n < N; n++) inner[n] = at(pixel + n);
                for (int c = 0; c < channels; c++) {
                    square<IN>(inner, c * packed_pitch, N, lanes, c * map.channel + pixel, 0, count, factor);
                }
            } else {
                const int pixel = next;
                const Long offset = pixel / cols * map.row + pixel % cols * map.col;
                for (int lane = 0; lane < N; lane++) outer[lane] = lanes[lane] + offset;
                across<IN>(at(pixel), packed_pitch, outer, map.channel, 0, count, channels, factor);
            }
        }
    }

    // row_logits[t][e] = q_row . r_row[e], col_logits[t][f] = q_col . r_col[f] + bias.
    void position_logits(int i, int n) {
        const E *border = bias + Long(n) * K * N, *own = q + i * line + column(n);
        over_window([&](auto F, int f0) {  // the rows that a last tile lacks are computed of what lies there
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
                    products<T, F>(own, line, pitch, keys + f0 * N, pitch, inside ? width : 0,
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
        const Long w_at = pad * N + Long(n) * N;
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
            mix_rows(i, count, k + from, [&](int t, int e) { return weights(ds, t, e, 0) + w_at; }, K * pitch,
                     pitch);
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
                    } else {  // the query f columns into the window around a key has it K - 1 - f into its own
                        run.cols = K;
                        run.w_col = N - pitch;
                        both(n, K - 1, pad * N + Long(n) * N - R * N, column(n) - R * N);
                    }
                }
            });
        }
    }
};

// What becomes of a product of key row e and offset f: a logit, a weight exp2(l - minus[f]) or the gradient of a logit
// p (dp - minus[f]). over[f] takes the largest logit, or the sum of the gradients.
enum Then { LOGITS, WEIGHTS, GRADIENTS };


// body(count_t<F>, f) over the columns of a window, two or three at a time.
template <class Body>
INLINE void over_columns(Body body) {
    int f = 0;
    for (; K - f == 3 || K - f > 4; f += 3) body(count_t<3>{}, f);
    for (; f + 2 <= K; f += 2) body(count_t<2>{}, f);
    if (K == 1) body(count_t<1>{}, f);
}

// out[e][f] = what becomes of the sum over c of x[e][c] y[c] moved by f, for T rows e.
template <int T, Then THEN>
__attribute__((noinline)) void row_products(E* out, const E* x0, Long stride, const E* y0, Long pitch,
                                            E* over, const E* minus, Long minus_step, const E* p) {
    over_columns([&](auto some, int f0) ALWAYS {
        constexpr int F = some;
        V sum[T][F] = {};
        const E *x = x0, *y = y0 - f0, *const end = x + stride;
        for (; x < end; x += N, y += pitch) {
            V own[F];
            UNROLL
            for (int f = 0; f < F; f++) own[f] = load(y - f);
            UNROLL
            for (int t = 0; t < T; t++) {
                V key = load(x + t * stride);
                PIN(key);
                UNROLL
                for (int f = 0; f < F; f++) sum[t][f] += own[f] * key;
            }
        }
        UNROLL
        for (int f = 0; f < F; f++) {
            V all_rows = THEN == WEIGHTS ? V{} : load(over + (f0 + f) * N);
            const V less = THEN == LOGITS ? V{} : load(minus + (f0 + f) * minus_step);
            UNROLL
            for (int t = 0; t < T; t++) {
                const int at = (t * K + f0 + f) * N;
                V z = sum[t][f];
                if (THEN == LOGITS) all_rows = larger(z, all_rows);
                if (THEN == WEIGHTS) z = exp2(z - less);
                if (THEN == GRADIENTS) z = (z - less) * load(p + at), all_rows += z;
                store(out + at, z);
            }
            if (THEN != WEIGHTS) store(over + (f0 + f) * N, all_rows);
        }
    });
}

// y[f][c] = sum over e < count of w[e][f] x[e][c], for C channels c.
template <int C>
__attribute__((noinline)) void mix_values(E* y, const E* w0, const E* x0, Long stride, int count) {
    over_columns([&](auto some, int f0) ALWAYS {
        constexpr int F = some;
        V sum[F][C] = {};
        const E *w = w0 + f0 * N, *x = x0;
        for (int e = 0; e < count; e++, w += K * N, x += stride) {
            V weight[F];
            UNROLL
            for (int f = 0; f < F; f++) weight[f] = load(w + f * N);
            UNROLL
            for (int c = 0; c < C; c++) {
                V value = load(x + c * N);
                PIN(value);
                UNROLL
                for (int f = 0; f < F; f++) sum[f][c] += weight[f] * value;
            }
        }
        E* to = y + f0 * 2 * stride;
        UNROLL
        for (int f = 0; f < F; f++, to += 2 * stride) {
            UNROLL
            for (int c = 0; c < C; c++) store(to + c * 2 * N, sum[f][c]);
        }
    });
}

// y[e][c] += sum over f of w[e][f] x[c] moved by f, for T rows and C channels, and the same to z for Z channels.
template <int T, int C, int Z>
INLINE void mix_queries(E* y, E* z, const E* w, const E* x, Long pitch, Long stride) {
    V sum[T][C] = {};
    for (int f = 0; f < K; f++, w += N, x--) {
        V weight[T];
        UNROLL
        for (int t = 0; t < T; t++) weight[t] = load(w + t * K * N);
        UNROLL
        for (int c = 0; c < C; c++) {
            V value = load(x + c * pitch);
            PIN(value);
            UNROLL
            for (int t = 0; t < T; t++) sum[t][c] += weight[t] * value;
        }
    }
    UNROLL
    for (int t = 0; t < T; t++, y += stride, z += stride) {
        UNROLL
        for (int c = 0; c < C; c++) {
            store(y + c * N, load(y + c * N) + sum[t][c]);
            if (c < Z) store(z + c * N, load(z + c * N) + sum[t][c]);
        }
    }
}

template <int T>
__attribute__((noinline)) void mix_queries(E* y, E* z, const E* w, const E* x, Long pitch, int width, int half) {
    const Long stride = Long(width) * N;
    int c = 0;
    auto next = [&](auto channels, auto both) ALWAYS {
        mix_queries<T, channels, both>(y + c * N, z + c * N, w, x + c * pitch, pitch, stride);
        c += channels;
    };
    if (!z) half = 0;
    while (c + 4 <= half) next(count_t<4>{}, count_t<4>{});
    while (c < half) next(count_t<1>{}, count_t<1>{});
    while (c + 4 <= width) next(count_t<4>{}, count_t<0>{});
    while (c < width) next(count_t<1>{}, count_t<0>{});
}

class Columns {
    const Call& call;
    const int width, half, rows, cols, edge, blocks;  // edge: columns and rows of zeros that belong to the keys
    const Long span, pad, pitch, line, key_line, key_block, w_row;
    E *q, *dy, *out;        // (rows, width, pitch), out for y or dq: zeros left of a row, right of it the next one's
    E *k, *v, *dk, *dv;     // (blocks, rows, width, N): a block is N columns
    E *lse, *dot;           // (rows, pitch)
    E *p, *ds;              // weights and gradients of logits of a query row: (K, K, N), p for each block in forward
    E *key;                 // keys with the table of rows: (K, width, N)
    E *bias, *col;          // (blocks, K, N)
    E *most, *totals;       // largest logit and sum of weights for every f: (K, w_row)
    E *temporary;           // y' or dq': (K, width, 2 N), every other vector 0
    E *drow, *dcol;         // (K, width, N)
    std::vector<E> rel_row;  // (K, width), 0 in the half of the columns
    const E* rel_col;

    static Long up(Long n) { return (n + N - 1) / N * N; }
    // Where the queries of block n begin for f = 0; for f they begin f numbers earlier.
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

    // The rows of its window that query row i has: from begin up to end.
    int begin(int i) const { return edge || i > R ? 0 : R - i; }
    int end(int i) const { return edge || i + R < rows ? K : rows + R - i; }

    // body(count_t<n>, c) for all channels from c on, some at a time.
    template <class Body>
    static INLINE void over_channels(int c, int end, Body body) {
        for (; c + 4 <= end; c += 4) body(count_t<4>{}, c);
        for (; c < end; c++) body(count_t<1>{}, c);
    }

    // The keys that query row i sees, with the table of rows added.
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

    // body(count_t<n>, e) over rows, as many at a time as fit the registers.
    template <int MOST, class Body>
    static INLINE void over_rows(int count, Body body) {
        for (int e = 0, parts = (count + MOST - 1) / MOST; e < count; parts--) {
            const int some = (count - e) / parts;
            with_count<(K < MOST ? K : MOST)>(some, [&](auto t) { body(t, e); });
            e += some;
        }
    }

    // to[e][f] = what becomes of the product of key row e of x and the queries of y.
    template <Then THEN>
    void all_products(E* to, const E* x, const E* y, int count, E* over, const E* minus, Long minus_step,
                      const E* weights) const {
        over_rows<(REGISTERS == 32 ? 7 : 4)>(count, [&](auto t, int e) ALWAYS {
            const Long at = Long(e) * K * N;
            const E* p = THEN == GRADIENTS ? weights + at : nullptr;
            row_products<t, THEN>(to + at, x + e * key_line, key_line, y, pitch, over, minus, minus_step, p);
        });
    }

    // y += what temporary[f][c], of the keys of block n, gives to the queries.
    void back(E* y, int n) const {
        const Long first = Long(n) * N - edge - R, last = Long(n) * N - edge + R;  // + N - 1
        const Long step = 2 * key_line + 1, pitch = this->pitch;
        const int width = this->width;
        for (Long m = std::max<Long>(0, first) / N * N; m < span && m <= last + N - 1; m += N) {
            const Long shift = m - n * N + edge - R;  // temporary lane of query lane 0 at f = 0
            const int f0 = std::max<Long>(0, 1 - N - shift), f1 = std::min<Long>(K, N - shift);
            over_channels(0, width, [&](auto some, int c) ALWAYS {
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
            std::fill(high, high + K, all(-INFINITE));
            E* const logits = p + Long(n) * K * K * N;
            all_products<LOGITS>(logits, x, own, count, reinterpret_cast<E*>(high), nullptr, 0, nullptr);
            for (int f = 0; f < K; f++) store(most + f * w_row + pad + n * N, high[f] + load(col + (n * K + f) * N));
        }
        for (Long m = 0; m < span; m += N) {
            V high = all(-INFINITE);
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
            back(y, n);
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
        over_rows<(REGISTERS == 32 ? 4 : 3)>(count, [&](auto t, int e) ALWAYS {
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
        back(out + i * line + pad, n);
    }

    // The caller's numbers times a factor <-> vectors of columns: vector n of a row begins at column n N - shift.
    template <bool IN>
    void move(E* packed, Long row, Long channel, Long vector, int shift, const Map& map, Long item, int channels,
              E factor) const {
        E* const data = map.data + item / call.heads * map.image + item % call.heads * map.head;
        const int vectors = (cols + shift + N - 1) / N;
        if (map.col == 1) {  // in the order of the caller's memory
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
                    across<IN>(packed + n * vector + i * row, channel, outer, map.channel, low, high, channels, factor);
                }
            }
        }
        if (IN) {  // blocks that hold no column
            for (int n = (cols + shift + N - 1) / N; shift && n < blocks; n++) {
                for (int i = 0; i < rows; i++) std::memset(packed + n * vector + i * row, 0, channels * N * sizeof(E));
            }
        }
    }
};

using Work = std::conditional_t<LANES_ARE_COLUMNS, Columns, Pairs>;

// While it lives, results too small for a normal number are 0: they would slow down all that uses them.
class Flush {
#if defined(__SSE2__)
    const unsigned before_ = __builtin_ia32_stmxcsr();

public:
    Flush() { __builtin_ia32_ldmxcsr(before_ | 0x8000); }
    ~Flush() { __builtin_ia32_ldmxcsr(before_); }
#endif
};

// Runs body(worker, item) for all items; which thread takes an item does not matter to its numbers.
template <class Body>
int run(const Call& call, bool backward, Body body) {
    const Long items = Work::items(call);
    std::atomic<Long> next{0};
    std::atomic<bool> failed{false};
    auto work = [&] {
        [[maybe_unused]] Flush flush;
        try {
            Work worker(call, backward);
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
