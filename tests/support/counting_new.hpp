// SPDX-License-Identifier: MIT
/// \file tests/support/counting_new.hpp
/// Counting: the number of allocations of the test's own thread, and the memory that it holds.
/// Include it once in an executable: it replaces operator new, also for FailingNew.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>
#include <stdexcept>

#if defined(__APPLE__)
#    include <malloc/malloc.h>
#else
#    include <malloc.h>
#endif

#include "support/failing_new.hpp"

namespace belay_test {
inline std::size_t allocations = 0;  // of the test's own thread, while it counts
inline std::int64_t bytes_held = 0;  // allocated and not freed by it, while it counts
inline std::int64_t bytes_peak = 0;
inline std::uint64_t bytes_taken = 0;  // allocated, given back or not
inline thread_local bool is_counting = false;

/// The bytes of an allocation, as rounded up by the allocator.
inline std::int64_t bytes_of(void* p) noexcept {
#if defined(__APPLE__)
    return static_cast<std::int64_t>(::malloc_size(p));
#else
    return static_cast<std::int64_t>(::malloc_usable_size(p));
#endif
}
inline void* taken(void* p) noexcept {
    if (!is_counting || p == nullptr) return p;
    ++allocations;
    bytes_held += bytes_of(p);
    bytes_taken += static_cast<std::uint64_t>(bytes_of(p));
    if (bytes_held > bytes_peak) bytes_peak = bytes_held;
    return p;
}
inline void give_back(void* p) noexcept {
    if (is_counting && p != nullptr) bytes_held -= bytes_of(p);
    std::free(p);
}
}  // namespace belay_test

[[gnu::noinline]] void* operator new(std::size_t n) {
    if (belay_test::allocation_fails()) throw std::bad_alloc{};
    if (void* const p = belay_test::taken(std::malloc(n != 0 ? n : 1))) return p;
    throw std::bad_alloc{};
}
// The sanitizers have their own operator new, which does not match the other functions.
[[gnu::noinline]] void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
    if (belay_test::allocation_fails()) return nullptr;
    return belay_test::taken(std::malloc(n != 0 ? n : 1));
}
[[gnu::noinline]] void* operator new(std::size_t n, std::align_val_t align) {
    if (belay_test::allocation_fails()) throw std::bad_alloc{};
    const auto a = static_cast<std::size_t>(align);
    if (void* const p = belay_test::taken(std::aligned_alloc(a, (n + a - 1) / a * a))) return p;
    throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept {
    belay_test::give_back(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    belay_test::give_back(p);
}
[[gnu::noinline]] void operator delete(void* p) noexcept { belay_test::give_back(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { belay_test::give_back(p); }

namespace belay_test {

/// Counts allocations during its lifetime.
struct Counting {
    /// Throws: std::logic_error if the program has another operator new, which does not count.
    Counting() {
        is_counting = true;
        const std::size_t none = allocations;
        {
            const SpareMemory spare;
            // These are called as functions, so that no compiler may omit them.
            ::operator delete(::operator new(1));
        }
        if (allocations != none + 1) {
            is_counting = false;
            throw std::logic_error{"Counting: operator new does not count"};
        }
        allocations = none;
        bytes_peak = bytes_held;
    }
    ~Counting() { is_counting = false; }
    Counting(const Counting&) = delete;
    Counting& operator=(const Counting&) = delete;

    [[nodiscard]] std::size_t made() const { return allocations - before; }
    /// The bytes that are held in addition to those at the beginning, now and at most.
    [[nodiscard]] std::int64_t held() const { return bytes_held - held_before; }
    [[nodiscard]] std::int64_t peak() const { return bytes_peak - held_before; }

    std::size_t before = allocations;
    std::int64_t held_before = bytes_held;
};

}  // namespace belay_test
