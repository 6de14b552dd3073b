// Powers of two and logarithms to base 2, one for each lane of a vector.

#pragma once

#include "vectors.h"

namespace {

// 2^x: x = n + f with |f| <= 1/2, the exponent is set as bits. The result is 0 below the smallest normal number.
INLINE V exp2(V x) {
    constexpr bool single = sizeof(E) == 4;
#if defined(__AVX512DQ__)
    if constexpr (single) {  // 0 <= f < 1; relative error 7.5e-8
        V f, y;
        asm("vreduceps $1, %1, %0" : "=v"(f) : "v"(x));
        V p = broadcast(E(0.00187757668)) * f + E(0.00898934028);
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
    x = larger(broadcast(-bias), x);  // a NaN stays
    const V t = x + shift, f = x - (t - shift);
    V p;
    if constexpr (single) {  // relative error 7.5e-8
        p = broadcast(E(0.00132765)) * f + E(0.00967554);
        p = p * f + E(0.05550713);
        p = p * f + E(0.2402212);
        p = p * f + E(0.69314697);
        p = p * f + E(1.00000007);
    } else {
        constexpr int degree = 13;
        E c[degree + 1] = {1};
        for (int n = 1; n <= degree; n++) c[n] = c[n - 1] * LN2 / n;
        p = broadcast(c[degree]);
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
    V sum = broadcast(E(1) / (2 * terms - 1));
    for (int i = terms - 1; i > 0; i--) sum = sum * s2 + E(1) / (2 * i - 1);
    return n + sum * s * (2 * LOG2E) + (x - x);
}

}  // namespace
