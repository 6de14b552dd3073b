// Memory for the packed maps of one thread.

#pragma once

#include <cstdlib>
#include <new>
#include "vectors.h"

namespace {

// Memory that a thread reuses in later calls, divided into pieces that are aligned to a cache line.
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

}  // namespace
