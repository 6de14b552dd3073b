// The products of `Columns`: a vector has neighbouring columns of keys, and queries are read f numbers earlier
// for offset f of the window.

#pragma once

#include "exponentials.h"
#include "products.h"

namespace {

// The output for a product of key row e and offset f: a logit, a weight exp2(l - minus[f]), or the gradient of a logit
// p (dp - minus[f]). over[f] becomes the largest logit or the sum of the gradients.
enum Output { LOGITS, WEIGHTS, GRADIENTS };

// Call body(count_t<F>, f) for all columns of a window, two or three at a time.
template <class Body>
INLINE void over_columns(Body body) {
    int f = 0;
    for (; K - f == 3 || K - f > 4; f += 3) body(count_t<3>{}, f);
    for (; f + 2 <= K; f += 2) body(count_t<2>{}, f);
    if (K == 1) body(count_t<1>{}, f);
}

// out[e][f] = the output for sum over c of x[e][c] y[c] moved by f, for T rows e.
template <int T, Output OUTPUT>
__attribute__((noinline)) void row_products(E* out, const E* x0, Long stride, const E* y0, Long pitch,
                                            E* over, const E* minus, Long minus_step, const E* p) {
    over_columns([&](auto some, int f0) ALWAYS_INLINE {
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
            V all_rows = OUTPUT == WEIGHTS ? V{} : load(over + (f0 + f) * N);
            const V less = OUTPUT == LOGITS ? V{} : load(minus + (f0 + f) * minus_step);
            UNROLL
            for (int t = 0; t < T; t++) {
                const int at = (t * K + f0 + f) * N;
                V z = sum[t][f];
                if (OUTPUT == LOGITS) all_rows = larger(z, all_rows);
                if (OUTPUT == WEIGHTS) z = exp2(z - less);
                if (OUTPUT == GRADIENTS) z = (z - less) * load(p + at), all_rows += z;
                store(out + at, z);
            }
            if (OUTPUT != WEIGHTS) store(over + (f0 + f) * N, all_rows);
        }
    });
}

// y[f][c] = sum over e < count of w[e][f] x[e][c], for C channels c.
template <int C>
__attribute__((noinline)) void mix_values(E* y, const E* w0, const E* x0, Long stride, int count) {
    over_columns([&](auto some, int f0) ALWAYS_INLINE {
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
    auto next = [&](auto channels, auto both) ALWAYS_INLINE {
        mix_queries<T, channels, both>(y + c * N, z + c * N, w, x + c * pitch, pitch, stride);
        c += channels;
    };
    if (!z) half = 0;
    while (c + 4 <= half) next(count_t<4>{}, count_t<4>{});
    while (c < half) next(count_t<1>{}, count_t<1>{});
    while (c + 4 <= width) next(count_t<4>{}, count_t<0>{});
    while (c < width) next(count_t<1>{}, count_t<0>{});
}

}  // namespace
