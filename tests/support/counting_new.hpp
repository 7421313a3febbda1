// SPDX-License-Identifier: MIT
/// \file tests/support/counting_new.hpp
/// Counting: how often the test's own thread allocates. Include it once in an executable: it
/// replaces operator new.
#pragma once

#include <cstdlib>
#include <new>

namespace belay_test {
inline std::size_t allocations = 0;  // of the test's own thread, while it counts
inline thread_local bool counts = false;
}  // namespace belay_test

[[gnu::noinline]] void* operator new(std::size_t n) {
    if (belay_test::counts) ++belay_test::allocations;
    if (void* const p = std::malloc(n != 0 ? n : 1)) return p;
    throw std::bad_alloc{};
}
// The sanitizers have one of their own, which no other of these would match.
[[gnu::noinline]] void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
    if (belay_test::counts) ++belay_test::allocations;
    return std::malloc(n != 0 ? n : 1);
}
[[gnu::noinline]] void* operator new(std::size_t n, std::align_val_t align) {
    if (belay_test::counts) ++belay_test::allocations;
    const auto a = static_cast<std::size_t>(align);
    if (void* const p = std::aligned_alloc(a, (n + a - 1) / a * a)) return p;
    throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace belay_test {

/// Counts allocations while it lives.
struct Counting {
    Counting() { counts = true; }
    ~Counting() { counts = false; }
    std::size_t before = allocations;
    [[nodiscard]] std::size_t made() const { return allocations - before; }
};

}  // namespace belay_test
