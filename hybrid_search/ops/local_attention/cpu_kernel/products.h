// Products of small matrices, one for each lane of a vector. They keep their sums in registers.

#pragma once

#include "vectors.h"

namespace {

template <int COUNT>
using count_t = std::integral_constant<int, COUNT>;

// Call body(count_t<n>) for a number n from 1 to T that is known at run time.
template <int T = TILE, class Body>
INLINE void with_count(int n, Body body) {
    if constexpr (T > 1) {
        if (n < T) return with_count<T - 1>(n, body);
    }
    body(count_t<T>{});
}

// Call body(count_t<F>, f0) for all columns of a window, as many at a time as fit the registers.
template <class Body>
INLINE void over_window(Body body) {
    for (int f = 0; f + COLS <= K; f += COLS) body(count_t<COLS>{}, f);
    if constexpr (K % COLS != 0) body(count_t<K % COLS>{}, K - K % COLS);
}

// Call done(t, f, sum over c of q[t][c] k[c][f]) for T query rows and the F keys that begin at k.
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
            PIN(key);  // one load for each key; GCC would repeat it in each product
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

// A rectangle of weights for the rows of a tile, and its first number in the map that is weighted.
struct Weights {
    const E* w[MAX_ROWS];
    Long w_row, w_col;  // distance between rows and columns of the rectangle in w
    const E* x;
    Long x_row, x_pitch;
    int rows, cols;
};

// y[c][t] += sum over the rectangle of w[t] x[c], for C channels. y_row and y_pitch are the distances in t and in c.
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

}  // namespace
