// One vector of numbers: its type, its loads and stores, and the constants of a kernel.

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

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
#define ALWAYS_INLINE __attribute__((always_inline))
#define INLINE inline ALWAYS_INLINE
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
// Number of columns of a window, and of rows of a tile, whose products fit the registers together.
constexpr int COLS = REGISTERS == 32 ? (K <= 11 ? K : 7) : (K <= 7 ? K : 5);
constexpr int fit(int rows) { return rows > 1 && rows * (COLS + 1) + 1 >= REGISTERS ? fit(rows - 1) : rows; }
constexpr int MAX_ROWS = 4;  // the largest number of query rows that `mix` takes together
constexpr int TILE = fit(MAX_ROWS);
constexpr E INFINITE = std::numeric_limits<E>::infinity();
constexpr E LOG2E = 1.4426950408889634074, LN2 = 0.69314718055994530942;

INLINE V load(const E* p) { return *reinterpret_cast<const Unaligned*>(p); }
INLINE void store(E* p, V x) { *reinterpret_cast<Unaligned*>(p) = x; }
INLINE V broadcast(E x) { return x - V{}; }

// The larger number, or y if either is NaN. (GCC compiles the comparison to two instructions.)
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

// Load the lanes from low to high - 1, the others are 0. Memory outside these lanes is not read or written.
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

}  // namespace
