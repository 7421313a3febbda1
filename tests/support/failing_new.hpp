// SPDX-License-Identifier: MIT
/// \file tests/support/failing_new.hpp
/// FailingNew: memory that runs out. It works in executables one file of which includes
/// counting_new.hpp.
#pragma once

#include <cstddef>
#include <utility>

namespace belay_test {

inline thread_local bool memory_ends = false;
inline thread_local std::size_t allocations_left = 0;  // if it is limited
inline thread_local std::size_t allocations_failed = 0;

/// Returns whether this allocation fails; called by operator new.
inline bool allocation_fails() noexcept {
    if (!memory_ends) return false;
    if (allocations_left == 0) {
        ++allocations_failed;
        return true;
    }
    --allocations_left;
    return false;
}

/// During its lifetime, the first `good` allocations of this thread succeed, and the others fail.
struct FailingNew {
    explicit FailingNew(std::size_t good) noexcept {
        allocations_left = good;
        allocations_failed = 0;
        memory_ends = true;
    }
    FailingNew(const FailingNew&) = delete;
    FailingNew& operator=(const FailingNew&) = delete;
    ~FailingNew() { memory_ends = false; }
    [[nodiscard]] std::size_t failed() const noexcept { return allocations_failed; }
};

/// Calls `f()` with memory for `good` allocations.   Returns: how many others failed.
template <class F>
std::size_t without_memory(F&& f, std::size_t good = 0) {
    const FailingNew failing{good};
    f();
    return failing.failed();
}

/// During its lifetime, allocations succeed: for the needs of the test itself.
struct SpareMemory {
    SpareMemory() noexcept : ended{std::exchange(memory_ends, false)} {}
    SpareMemory(const SpareMemory&) = delete;
    SpareMemory& operator=(const SpareMemory&) = delete;
    ~SpareMemory() { memory_ends = ended; }
    bool ended;
};

}  // namespace belay_test
