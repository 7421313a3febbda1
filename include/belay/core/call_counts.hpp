// SPDX-License-Identifier: MIT
/// \file belay/core/call_counts.hpp
/// CallCounts and RateThreshold: how many of the last calls were bad, and when that is too many.
#pragma once

#include <concepts>  // std::copyable, std::same_as
#include <cstdint>   // std::uint32_t, std::uint64_t

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a window saw of the last calls.
struct CallCounts {
    std::uint64_t calls = 0;
    /// Those of them that failed (or were slow, or whatever was asked).
    std::uint64_t bad = 0;

    friend constexpr bool operator==(const CallCounts&, const CallCounts&) noexcept = default;
};

namespace part {

/// So many of a hundred, but not before so many calls.
struct RateThreshold {
    /// Too many are at least so many bad ones of a hundred.   Pre: in [1, 100].
    std::uint32_t percent = 50;
    /// With fewer calls in the window nothing is too many: one failure of one call is 100 %.
    /// Pre: >= 1.
    std::uint32_t min_calls = 10;

    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr bool reached_by(const CallCounts& seen) const noexcept {
        return seen.calls >= min_calls && seen.bad * 100 >= seen.calls * percent;
    }
};

}  // namespace part

namespace detail {

template <class W>
concept CountsCalls = requires(W& window, bool bad) {
    { window.add(bad) } noexcept;
};
template <class W>
concept CountsCallsInTime = requires(W& window, bool bad, Instant now) {
    { window.add(bad, now) } noexcept;
};
/// CountWindow and TimeWindow.
template <class W>
concept CallWindow = std::copyable<W> &&
                     (CountsCalls<W> || CountsCallsInTime<W>)&&requires(W& window, const W& asked) {
                         { asked.counts() } noexcept -> std::same_as<CallCounts>;
                         { asked.capacity() } noexcept -> std::same_as<std::uint64_t>;
                         { window.reset() } noexcept;
                     };

/// Whether the threshold makes sense, and the window can ever hold enough calls to reach it.
template <CallWindow W>
constexpr void check(const part::RateThreshold& threshold, const W& window) noexcept {
    BELAY_PRECONDITION(threshold.percent >= 1 && threshold.percent <= 100,
                       "RateThreshold: percent must be in [1, 100]");
    BELAY_PRECONDITION(threshold.min_calls >= 1, "RateThreshold: min_calls must be >= 1");
    BELAY_PRECONDITION(threshold.min_calls <= window.capacity(),
                       "RateThreshold: min_calls must fit into the window, else nothing trips");
    static_cast<void>(threshold), static_cast<void>(window);
}

}  // namespace detail

}}  // namespace belay
