// SPDX-License-Identifier: MIT
/// \file belay/core/instant.hpp
/// Duration, Instant, WallTime: the units of time, and the arithmetic on them, which saturates. The
/// operators of an Instant do not, and overflow: no other header of belay uses them.
#pragma once

#include <chrono>   // std::chrono::nanoseconds, time_point
#include <cstdint>  // std::int64_t, std::uint64_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A length of time. All of belay computes in nanoseconds.
using Duration = std::chrono::nanoseconds;

/// A moment on the machine's steady time line. Never stored: it means nothing after a restart.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// A moment as people and other machines see it. For stamps only: it may jump, so nothing waits on
/// it.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

/// The deadline of what has none.
inline constexpr Instant never = Instant::max();
/// The deadline of what is due already.
inline constexpr Instant always = Instant::min();
/// A wait, limit or window that does not end.
inline constexpr Duration forever = Duration::max();

/// `t + d`, or `never` where the sum does not fit. `never` and `always` stay what they are.
///
/// Pre: d >= 0ns.   Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Instant after(Instant t, Duration d) noexcept {
    BELAY_PRECONDITION(d.count() >= 0, "after: the duration must be >= 0ns");
    if (t == always) return always;
    return t.time_since_epoch() > Duration::max() - d ? never : t + d;
}

/// `t - d`, or `always` where the difference does not fit. `never` and `always` stay what they are.
///
/// Pre: d >= 0ns.   Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Instant before(Instant t, Duration d) noexcept {
    BELAY_PRECONDITION(d.count() >= 0, "before: the duration must be >= 0ns");
    if (t == never) return never;
    return t.time_since_epoch() < Duration::min() + d ? always : t - d;
}

/// The time from `since` to `now`: 0ns if the clock stood still or went back, `forever` at most.
///
/// Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Duration elapsed(Instant since, Instant now) noexcept {
    if (now <= since) return Duration::zero();
    // The difference of two 64-bit counts always fits the unsigned type.
    const auto ticks = static_cast<std::uint64_t>(now.time_since_epoch().count()) -
                       static_cast<std::uint64_t>(since.time_since_epoch().count());
    const auto most = static_cast<std::uint64_t>(Duration::max().count());
    return ticks > most ? forever : Duration{static_cast<std::int64_t>(ticks)};
}

namespace part {

/// `a + b`, at most `forever`.
///
/// Pre: a, b >= 0ns.   Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Duration saturating_add(Duration a, Duration b) noexcept {
    BELAY_PRECONDITION(a.count() >= 0 && b.count() >= 0, "saturating_add: operands must be >= 0ns");
    return a > Duration::max() - b ? forever : a + b;
}

/// `d * factor`, at most `forever`.
///
/// Pre: d >= 0ns.   Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Duration saturating_multiply(Duration d, std::uint64_t factor) noexcept {
    BELAY_PRECONDITION(d.count() >= 0, "saturating_multiply: the duration must be >= 0ns");
    if (d.count() == 0 || factor == 0) return Duration::zero();
    const auto most = static_cast<std::uint64_t>(Duration::max().count());
    const auto ticks = static_cast<std::uint64_t>(d.count());
    return factor > most / ticks ? forever : Duration{static_cast<std::int64_t>(ticks * factor)};
}

}  // namespace part

}}  // namespace belay
