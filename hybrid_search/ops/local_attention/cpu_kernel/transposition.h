// Numbers of the caller <-> vectors, with one number of each of N places in a vector.

#pragma once

#include <cstring>
#include <utility>
#include "vectors.h"

namespace {

// Permute the numbers of M vectors: number the lanes from vector to vector, then move the first `stages` bits of this
// number to its end. With M = N and log2(N) stages this is a transposition.
template <int M>
INLINE void permute(V (&a)[M], int stages) {
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

#if defined(__clang__) || __GNUC__ >= 12
template <class Half, int... n>
INLINE auto concatenate(Half x, Half y, std::integer_sequence<int, n...>) {
    return __builtin_shufflevector(x, y, n...);
}
#endif

// Load W numbers in runs of M numbers from different places. (Stores to memory and one load would be slower.)
template <int M, int W>
INLINE auto join_runs(E* const* runs, Long at) {
    typedef E Run __attribute__((vector_size(W * sizeof(E))));
    Run x;
#if defined(__clang__) || __GNUC__ >= 12
    if constexpr (W == M) {
        std::memcpy(&x, runs[0] + at, sizeof x);
    } else {
        x = concatenate(join_runs<M, W / 2>(runs, at), join_runs<M, W / 2>(runs + W / M / 2, at),
                 std::make_integer_sequence<int, W>());
    }
#else
    for (int n = 0; n < W / M; n++) std::memcpy(reinterpret_cast<E*>(&x) + n * M, runs[n] + at, M * sizeof(E));
#endif
    return x;
}

template <bool IN, int M>
__attribute__((noinline)) void transpose(E* const* inner, Long in_at, E* const* outer, Long out_at, int low, int high,
                                             E factor) {
    V a[M];
    if (IN) {  // a vector has the runs of N / M lanes
        UNROLL
        for (int n = 0; n < M; n++) a[n] = (V)join_runs<M, N>(outer + n * (N / M), out_at);
        permute(a, log2_of(N));
        I number;
        for (int lane = 0; lane < N; lane++) number[lane] = lane;
        const I there = (number >= low) & (number < high);
        UNROLL
        for (int n = 0; n < M; n++) store(inner[n] + in_at, there ? a[n] * factor : V{});
    } else {
        UNROLL
        for (int n = 0; n < M; n++) a[n] = load(inner[n] + in_at) * factor;
        permute(a, log2_of(M));
        UNROLL
        for (int lane = 0; lane < N; lane++) {
            if (lane >= low && lane < high) {
                std::memcpy(outer[lane] + out_at, reinterpret_cast<E*>(&a[lane / (N / M)]) + lane % (N / M) * M,
                            M * sizeof(E));
            }
        }
    }
}

// Transpose runs of `count` numbers of the caller <-> `count` vectors. Lanes below low or above high - 1 become 0.
// The count is a power of two.
template <bool IN, int M = N>
void transpose_runs(E* const* inner, Long in_at, int count, E* const* outer, Long out_at, int low, int high, E factor) {
    if constexpr (M > 1) {
        if (count < M) return transpose_runs<IN, M / 2>(inner, in_at, count, outer, out_at, low, high, factor);
        transpose<IN, M>(inner, in_at, outer, out_at, low, high, factor);
    } else {
        for (int lane = 0; lane < N; lane++) {
            E& mine = inner[0][in_at + lane];
            if (IN) mine = lane >= low && lane < high ? outer[lane][out_at] * factor : 0;
            if (!IN && lane >= low && lane < high) outer[lane][out_at] = mine * factor;
        }
    }
}

// The channels of N places of the caller, with distance `stride` <-> as many vectors, with distance `step`.
template <bool IN>
void move_channels(E* inner, Long step, E* const* outer, Long stride, int low, int high, int channels, E factor) {
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
        transpose_runs<IN>(mine, 0, some, outer, c, low, high, factor);
    }
}

}  // namespace
