// The request of the caller. cpu.py writes the same fields in the same order.

#pragma once

#include "vectors.h"

namespace {

enum Border { MASKED, ZERO, SHIFTED };

// A tensor (batch, heads, width, rows, cols) of the caller: its address and its strides, counted in numbers.
struct Map {
    E* data;
    int64_t image, head, channel, row, col;
};


// One call of a C function.
struct Call {
    int64_t batch, heads, width, rows, cols, border, table_heads, threads;
    Map q, k, v, y, lse;          // k.data null: the logits are q . r alone
    Map dy, dq, dk, dv;           // backward only; dq, dk and dv are written
    const E *rel_row, *rel_col;   // (table_heads, width / 2, K), or null
    E *drow, *dcol;               // their gradients, or null
};

}  // namespace
