// SPDX-License-Identifier: MIT
/// \file belay/core/random.hpp
/// Random: the one generator of belay, and the bounded draw on it. Turn: the time and the
/// randomness that are given to everything that decides.
///
/// The values are equal on every compiler and CPU.
#pragma once

#if __has_include(<sys/random.h>)
#    include <sys/random.h>  // getentropy: the standard library's own source is in <random>
#    define BELAY_DETAIL_HAS_GETENTROPY 1
#endif

#include <chrono>    // steady_clock, system_clock: the seed where the system offers nothing better
#include <concepts>  // std::same_as
#include <cstdint>   // std::uint64_t

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// A source of uniformly distributed 64-bit values.
///
/// Semantics the compiler cannot check: all 2^64 values are equally likely.
template <class B>
concept BitSource = requires(B& bits) {
    { bits() } noexcept -> std::same_as<std::uint64_t>;
};

}  // namespace part

/// Fixes the sequence of a Random, and of everything that draws from it.
///
/// Every value is a valid seed. Random mixes it once, so neighbouring values give unrelated
/// sequences. You can number the hosts of a test with 0, 1, 2 and so on.
struct Seed {
    /// The number.
    std::uint64_t value;
};

namespace detail {

/// The finalizer of splitmix64: every input bit affects every output bit.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t z) noexcept {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

struct Product {
    std::uint64_t high;
    std::uint64_t low;
};

/// Returns the 128-bit product of two 64-bit numbers.
[[nodiscard]] constexpr Product multiply(std::uint64_t a, std::uint64_t b) noexcept {
#if defined(__SIZEOF_INT128__)
    __extension__ using Wide = unsigned __int128;
    const auto p = static_cast<Wide>(a) * b;
    return {static_cast<std::uint64_t>(p >> 64), static_cast<std::uint64_t>(p)};
#else
    const std::uint64_t a0 = a & 0xFFFFFFFFU, a1 = a >> 32, b0 = b & 0xFFFFFFFFU, b1 = b >> 32;
    const std::uint64_t middle = a1 * b0 + ((a0 * b0) >> 32);
    const std::uint64_t carry = (middle & 0xFFFFFFFFU) + a0 * b1;
    return {a1 * b1 + (middle >> 32) + (carry >> 32), a * b};
#endif
}

}  // namespace detail

/// Returns fresh randomness from the system, for seeds.
///
/// It is not constexpr, so an unseeded draw in a constant expression does not compile.
/// Errors:        none; if the system has no source, clocks and addresses are mixed instead.
/// Thread safety: any thread.   Complexity: one system call.
[[nodiscard, gnu::cold, gnu::noinline]] inline std::uint64_t entropy() noexcept {
    // Not inlined: inside a generator, this code would keep compilers from inlining the draw.
    std::uint64_t value = 0;
#if defined(BELAY_DETAIL_HAS_GETENTROPY)
    if (getentropy(&value, sizeof value) == 0) return value;
#endif
    const auto steady = std::chrono::steady_clock::now().time_since_epoch().count();
    const auto wall = std::chrono::system_clock::now().time_since_epoch().count();
    value = detail::mix64(static_cast<std::uint64_t>(steady) ^
                          reinterpret_cast<std::uintptr_t>(&value));
    return detail::mix64(value ^ static_cast<std::uint64_t>(wall));
}

/// A small, fast generator of 64-bit values, which is not for secrets.
///
/// An unseeded generator seeds itself at its first draw at run time, so static, constinit and
/// copied objects all differ. A copy made after the first draw, or of a seeded object, repeats the
/// sequence. A process that forks copies all of its generators; see reseed_after_fork().
///
/// Models:        part::BitSource, std::copyable.
/// Thread safety: distinct objects safe; a shared one not.
/// Source:        splitmix64 (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number
///                Generators", 2014), with the zero state reserved for "not seeded yet". A seed's
///                state is the first output of splitmix64 started at the seed, since states that
///                are one step apart give the same sequence, shifted by one draw.
class Random {
public:
    constexpr Random() noexcept = default;
    constexpr explicit Random(Seed seed) noexcept : state_{detail::mix64(seed.value + step)} {
        if (state_ == 0) state_ = step;
    }

    /// Returns the next 64 bits.   Errors: none.   Complexity: O(1).   Allocates: never.
    constexpr std::uint64_t operator()() noexcept {
        if (state_ == 0) [[unlikely]]
            state_ = entropy() | 1;
        state_ += step;
        if (state_ == 0) [[unlikely]]
            state_ = step;
        return detail::mix64(state_);
    }

    /// Returns whether the sequence is fixed already, by a seed or by a draw.
    [[nodiscard]] constexpr bool seeded() const noexcept { return state_ != 0; }

    /// Starts the sequence of `seed`.
    constexpr void seed(Seed seed) noexcept { *this = Random{seed}; }
    /// Makes the generator seed itself again at its next draw.
    ///
    /// Call it in the child of a `fork()`. Otherwise parent and children draw the same sequence, so
    /// their attempts come at the same time. A draw makes no system call to find out.
    constexpr void reseed_after_fork() noexcept { state_ = 0; }

private:
    static constexpr std::uint64_t step = 0x9E3779B97F4A7C15U;
    std::uint64_t state_ = 0;
};

namespace detail {

/// Draws again while the product is one of the surplus values. Not inlined, because it is needed
/// almost never, and divides.
template <part::BitSource Bits>
[[nodiscard, gnu::cold, gnu::noinline]] constexpr std::uint64_t uniform_again(Bits& bits,
                                                                              std::uint64_t count,
                                                                              Product p) noexcept {
    while (p.low < (0 - count) % count) p = multiply(bits(), count);
    return p.high;
}
/// Returns a value uniformly from [0, count).   Pre: count > 0.
template <part::BitSource Bits>
[[nodiscard]] constexpr std::uint64_t uniform_below(Bits& bits, std::uint64_t count) noexcept {
    const Product p = multiply(count, bits());
    // A lower half of `count` or more belongs to no surplus value.
    return p.low < count ? uniform_again(bits, count, p) : p.high;
}

}  // namespace detail

/// Returns a value uniformly from [0, last].
///
/// Errors: none.   Complexity: O(1); one draw, and again with probability <= last / 2^64.
/// Source: D. Lemire, "Fast Random Integer Generation in an Interval" (2019). It is not
///         std::uniform_int_distribution, whose output differs between standard libraries.
template <part::BitSource Bits>
[[nodiscard]] constexpr std::uint64_t uniform_upto(Bits& bits, std::uint64_t last) noexcept {
    return last == ~std::uint64_t{0} ? bits() : detail::uniform_below(bits, last + 1);
}

}}  // namespace belay

#undef BELAY_DETAIL_HAS_GETENTROPY

namespace belay { inline namespace BELAY_ABI {

/// The time and the source of random bits for one step of a driver.
///
/// Nothing in belay reads a clock or seeds a generator in secret; it is given a Turn. That is why a
/// simulated hour takes milliseconds, and why the same seed gives the same history.
struct Turn {
    /// The time of the turn.
    Instant now;
    /// Random bits.
    Random& bits;
};

}}  // namespace belay
