// SPDX-License-Identifier: MIT
/// \file belay/core/call_counts.hpp
/// CallCounts and RateThreshold: how many of the last calls were bad, and how many are too many.
#pragma once

#include <concepts>  // std::copyable, std::same_as
#include <cstdint>   // std::uint32_t, std::uint64_t

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The number of calls that a window holds, and how many of them were bad.
struct CallCounts {
    /// All calls, failed ones included.
    std::uint64_t calls = 0;
    /// The calls that failed, were slow, or met another condition that the window counts.
    std::uint64_t bad = 0;

    friend constexpr bool operator==(const CallCounts&, const CallCounts&) noexcept = default;
};

namespace part {

/// A limit on the percentage of bad calls, which applies from a minimum number of calls.
struct RateThreshold {
    /// The threshold is reached if at least this percentage of the calls is bad.
    /// Pre: in [1, 100].
    std::uint32_t percent = 50;
    /// The threshold is not reached with fewer calls in the window, because one failure of one call
    /// is 100 %.
    /// Pre: >= 1.
    std::uint32_t min_calls = 10;

    /// Returns whether the counts reach the threshold.   Errors: none.   Complexity: O(1).
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
/// A window of calls: CountWindow or TimeWindow.
template <class W>
concept CallWindow = std::copyable<W> &&
                     (CountsCalls<W> || CountsCallsInTime<W>)&&requires(W& window, const W& asked) {
                         { asked.counts() } noexcept -> std::same_as<CallCounts>;
                         { asked.capacity() } noexcept -> std::same_as<std::uint64_t>;
                         { window.reset() } noexcept;
                     };

/// Checks that the threshold is valid, and that the window can hold enough calls to reach it.
template <CallWindow W>
constexpr void check(const part::RateThreshold& threshold, const W& window) noexcept {
    BELAY_OPTION(threshold.percent >= 1 && threshold.percent <= 100,
                 "RateThreshold: percent must be in [1, 100]");
    BELAY_OPTION(threshold.min_calls >= 1, "RateThreshold: min_calls must be >= 1");
    BELAY_OPTION(threshold.min_calls <= window.capacity(),
                 "RateThreshold: min_calls must be <= the calls of the window, because "
                 "otherwise it never trips");
}

}  // namespace detail

}}  // namespace belay
