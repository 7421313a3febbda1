// SPDX-License-Identifier: MIT
/// \file belay/policy/full_jitter.hpp
/// FullJitter: spreads retries over the whole interval.
#pragma once

#include <cstdint>      // std::uint64_t
#include <type_traits>  // std::is_empty_v

#include <belay/policy/jitter_like.hpp>

namespace belay::inline BELAY_ABI {

/// Picks a delay uniformly from [0, ceiling].
///
/// Use it unless exact waits (NoJitter) or a minimum wait (ProportionalJitter) matter.
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one safe (no state); the bit source is not.
/// Source:        M. Brooker, "Exponential Backoff And Jitter" (2015), variant "Full Jitter".
struct FullJitter {
    /// The delay before the next attempt; 0ns is a legal answer ("retry at once").
    ///
    /// Pre:        ceiling >= 0ns.
    /// Errors:     none.   Throws: nothing.   Allocates: never.
    /// Complexity: O(1); draws 64 bits, and again with probability <= ceiling / 2^64.
    template <BitSource Bits>
    [[nodiscard]] constexpr Duration delay(Duration ceiling, Bits& bits) const noexcept {
        BELAY_PRECONDITION(ceiling.count() >= 0, "FullJitter::delay: ceiling must be >= 0ns");
        const auto last = static_cast<std::uint64_t>(ceiling.count());
        return Duration{static_cast<Duration::rep>(uniform_upto(bits, last))};
    }

    friend constexpr bool operator==(FullJitter, FullJitter) noexcept = default;
};

static_assert(JitterLike<FullJitter>);
static_assert(std::is_empty_v<FullJitter>, "a Backoff must not pay for its jitter");

}  // namespace belay::inline BELAY_ABI
