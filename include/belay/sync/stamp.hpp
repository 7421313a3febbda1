// SPDX-License-Identifier: MIT
/// \file belay/sync/stamp.hpp
/// Stamp: when and by whom something was changed, in an order that all replicas agree on.
#pragma once

#include <compare>  // std::strong_ordering
#include <cstdint>  // std::uint32_t

#include <belay/core/instant.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI {

/// When something was changed, and by whom: the order in which a last writer wins.
///
/// Ordered by time, then counter, then origin. A HybridClock makes them: no two of its stamps are
/// equal, and with an origin of each client's own no two stamps are.
///
/// Thread safety: a plain value.
struct Stamp {
    /// The origin's wall clock, as far as it did not go back.
    WallTime wall{};
    /// Tells stamps of one moment apart.
    std::uint32_t counter = 0;
    /// Who changed it: the id of a client, a device, a session.
    Id origin{};

    friend constexpr bool operator==(const Stamp&, const Stamp&) noexcept = default;
    friend constexpr std::strong_ordering operator<=>(const Stamp&,
                                                      const Stamp&) noexcept = default;
};

namespace detail {

/// The order of two stamps but for the origin: equal is what only a tie-break decides.
[[nodiscard]] constexpr std::strong_ordering compare_moments(const Stamp& a,
                                                             const Stamp& b) noexcept {
    if (const auto order = a.wall <=> b.wall; order != 0) return order;
    return a.counter <=> b.counter;
}

/// The least stamp of the same origin above `stamp`; there is one but at the end of time.
[[nodiscard]] constexpr Stamp next_stamp(Stamp stamp) noexcept {
    if (++stamp.counter == 0 && stamp.wall != WallTime::max()) {
        stamp.wall = WallTime{Duration{stamp.wall.time_since_epoch().count() + 1}};
    }
    return stamp;
}

/// A stamp above both, the same whichever of the two is ours.
[[nodiscard]] constexpr Stamp above(const Stamp& a, const Stamp& b) noexcept {
    return next_stamp(a < b ? b : a);
}

/// `t + d` and `t - d`, which saturate.   Pre: d >= 0ns.
[[nodiscard]] constexpr WallTime later(WallTime t, Duration d) noexcept {
    const Duration at = t.time_since_epoch();
    return at.count() > 0 && d > Duration::max() - at ? WallTime::max() : WallTime{at + d};
}
[[nodiscard]] constexpr WallTime earlier(WallTime t, Duration d) noexcept {
    const Duration at = t.time_since_epoch();
    return at.count() < 0 && at < Duration::min() + d ? WallTime::min() : WallTime{at - d};
}

}  // namespace detail

}}  // namespace belay
