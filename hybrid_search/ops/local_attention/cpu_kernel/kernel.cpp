// Local 2-D attention on a CPU, forward and backward, for one extent and one number type.
//
//   row[e] = q_row . r_row[e],  col[f] = q_col . r_col[f]   e, f: row and column in the window of a query
//   l[e][f] = q . key(e, f) + row[e] + col[f]               -infinity outside the map, or the row is left out
//   forward:   p = exp2(l - max);  y = sum p value(e, f) / sum p;  lse = max + log2(sum p)
//   backward:  p = exp2(l - lse);  ds = p (dy . value(e, f) - dy . y)
//              dq = sum ds (key(e, f) + r);  dv += p dy,  dk += ds q for the keys in the window;  dr += ds q
//
// q is multiplied by log2(e) once, so that exponentials are powers of two. An image and head is a "pair". There are two
// ways to fill a vector:
//
// * `Columns` (column_lanes.h): the lanes are neighbouring columns of the keys of one pair. For a query row and a vector
//   of keys, offset f reads q and dy moved by f columns, and the table of rows is added to the keys. What remains are
//   products of small matrices in every lane (primes: moved by f)
//       l = key q',  dp = value dy',  y' = p value,  dq' = ds key,  dv += p dy',  dk += ds q'
//   At the end, y' and dq' are added to their queries.
// * `Pairs` (pair_lanes.h): a lane is a pair. It serves narrow maps and shifted windows.
//
// The numbers of a pair are computed in the same order for any number of threads. At the end, the gradients of the
// tables are summed over the pairs, in the order of the pairs.
//
// This file and its headers are one translation unit, compiled with -DEXTENT=7 -DREAL=float -DLANES_ARE_COLUMNS=1. The
// interface is the two C functions at the end.

#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "column_lanes.h"
#include "pair_lanes.h"
#include "request.h"

namespace {

using Work = std::conditional_t<LANES_ARE_COLUMNS, Columns, Pairs>;

// As long as an object of this class exists, results below the smallest normal number are 0. They would be slow.
class Flush {
#if defined(__SSE2__)
    const unsigned before_ = __builtin_ia32_stmxcsr();

public:
    Flush() { __builtin_ia32_ldmxcsr(before_ | 0x8000); }
    ~Flush() { __builtin_ia32_ldmxcsr(before_); }
#endif
};

// Run body(worker, item) for all items. The result of an item does not depend on the thread that runs it.
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

// Both functions return 0, or 1 if there was not enough memory.
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
