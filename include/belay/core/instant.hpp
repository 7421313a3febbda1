// SPDX-License-Identifier: MIT
/// \file belay/core/instant.hpp
/// Duration, Instant and WallTime: the units of time, with arithmetic that saturates.
///
/// The operators of Instant do not saturate but overflow, so no other header of belay uses them.
#pragma once

#include <chrono>   // std::chrono::nanoseconds, time_point
#include <cstdint>  // std::int64_t, std::uint64_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A length of time. All of belay computes in nanoseconds.
using Duration = std::chrono::nanoseconds;

/// A moment on the machine's steady clock. Never store it: it means nothing after a restart.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// A moment as people and other machines see it. Use it for timestamps only: it may jump, so
/// nothing waits for it.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

/// The deadline of something that has none.
inline constexpr Instant never = Instant::max();
/// The deadline of something that is due already.
inline constexpr Instant always = Instant::min();
/// A wait, limit or window that does not end.
inline constexpr Duration forever = Duration::max();

namespace detail {

/// Returns `t + d`, or `never` if the sum does not fit. Unlike `after`, it takes `always` for the
/// time that a clock shows.   Pre: d >= 0ns.
[[nodiscard]] constexpr Instant after_time(Instant t, Duration d) noexcept {
    return t.time_since_epoch() > Duration::max() - d ? never : t + d;
}

}  // namespace detail

/// Returns `t + d`, or `never` if the sum does not fit. `never` and `always` stay unchanged.
///
/// Pre: d >= 0ns.   Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Instant after(Instant t, Duration d) noexcept {
    BELAY_PRECONDITION(d.count() >= 0, "after: the duration must be >= 0ns");
    return t == always ? always : detail::after_time(t, d);
}

/// Returns `t - d`, or `always` if the difference does not fit. `never` and `always` stay
/// unchanged.
///
/// Pre: d >= 0ns.   Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Instant before(Instant t, Duration d) noexcept {
    BELAY_PRECONDITION(d.count() >= 0, "before: the duration must be >= 0ns");
    if (t == never) return never;
    return t.time_since_epoch() < Duration::min() + d ? always : t - d;
}

/// Returns the time from `since` to `now`.
///
/// The result is 0ns if the clock stood still or went back, and at most `forever`.
///
/// Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Duration elapsed(Instant since, Instant now) noexcept {
    if (now <= since) return Duration::zero();
    // The difference of two 64-bit counts always fits the unsigned type.
    const auto ticks =
        static_cast<std::int64_t>(static_cast<std::uint64_t>(now.time_since_epoch().count()) -
                                  static_cast<std::uint64_t>(since.time_since_epoch().count()));
    // A negative number is one above the most.
    return ticks < 0 ? forever : Duration{ticks};
}

namespace part {

/// Returns `a + b`, at most `forever`.
///
/// Pre: a, b >= 0ns.   Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Duration saturating_add(Duration a, Duration b) noexcept {
    BELAY_PRECONDITION(a.count() >= 0 && b.count() >= 0,
                       "saturating_add: the operands must be >= 0ns");
    return a > Duration::max() - b ? forever : a + b;
}

/// Returns `d * factor`, at most `forever`.
///
/// Pre: d >= 0ns.   Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Duration saturating_multiply(Duration d, std::uint64_t factor) noexcept {
    BELAY_PRECONDITION(d.count() >= 0, "saturating_multiply: the duration must be >= 0ns");
    if (d.count() == 0 || factor == 0) return Duration::zero();
    const auto ticks = static_cast<std::uint64_t>(d.count());
    // 43 and 20 bits always fit into 63, and a division takes longer than the rest.
    if (ticks >> 43 == 0 && factor >> 20 == 0) {
        return Duration{static_cast<std::int64_t>(ticks * factor)};
    }
    const auto most = static_cast<std::uint64_t>(Duration::max().count());
    return factor > most / ticks ? forever : Duration{static_cast<std::int64_t>(ticks * factor)};
}

/// Returns what is left until `t`: 0ns if it is past, and -1ns if it is `never`. It identifies a
/// timer in a digest (sim::exhaust).
///
/// Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Duration time_left(Instant now, Instant t) noexcept {
    return t == never ? Duration{-1} : elapsed(now, t);
}

}  // namespace part

}}  // namespace belay
