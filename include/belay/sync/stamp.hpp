// SPDX-License-Identifier: MIT
/// \file belay/sync/stamp.hpp
/// Stamp: the time and author of a change, in an order that is the same for all replicas.
#pragma once

#include <compare>  // std::strong_ordering
#include <cstdint>  // std::uint32_t, std::uint64_t

#include <belay/core/bytes.hpp>
#include <belay/core/instant.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The time and author of a change, in the order by which the last writer wins.
///
/// Stamps are ordered by time, then counter, then origin. A HybridClock makes them. No two stamps
/// of one clock are equal. If each client has an origin of its own, no two stamps at all are equal.
///
/// Thread safety: a plain value.
struct Stamp {
    /// The time by the origin's wall clock, as far as that clock did not go back.
    WallTime wall{};
    /// Distinguishes stamps of the same time.
    std::uint32_t counter = 0;
    /// The author of the change: the id of a client, a device or a session.
    Id origin{};

    friend constexpr bool operator==(const Stamp& a, const Stamp& b) noexcept {
        // GCC 12 compares arrays of std::byte byte by byte, which took 5 % of a batch.
        const auto half = [](const Stamp& stamp, std::size_t at) {
            return load_le<std::uint64_t>(stamp.origin.data() + at);
        };
        return a.wall == b.wall && a.counter == b.counter && half(a, 0) == half(b, 0) &&
               half(a, 8) == half(b, 8);
    }
    friend constexpr std::strong_ordering operator<=>(const Stamp&,
                                                      const Stamp&) noexcept = default;
};

namespace detail {

/// Whether T::each_field(value, f) calls `f(name, field)` for each field of a value, which may be
/// const: in the order of its bytes, and by its name in JSON. A name with a `?` at its end is left
/// out of JSON if the field has its default. Values of users are not listed: they have codecs.
template <class T>
concept ListsFields = requires(T& one) { T::each_field(one, [](const char*, auto&) {}); };

/// Compares two stamps without their origins. Equal means that only the origin decides.
[[nodiscard]] constexpr std::strong_ordering compare_moments(const Stamp& a,
                                                             const Stamp& b) noexcept {
    // libc++ 16 has no <=> of time points.
    const auto time = [](const Stamp& stamp) { return stamp.wall.time_since_epoch().count(); };
    if (const auto order = time(a) <=> time(b); order != 0) return order;
    return a.counter <=> b.counter;
}

/// Returns the least stamp of the same origin above `stamp`; at the end of time, where there is
/// none, `stamp` itself.
[[nodiscard]] constexpr Stamp next_stamp(Stamp stamp) noexcept {
    const bool ends = stamp.counter == ~std::uint32_t{0};
    if (ends && stamp.wall == WallTime::max()) return stamp;
    ++stamp.counter;
    if (ends) stamp.wall = WallTime{Duration{stamp.wall.time_since_epoch().count() + 1}};
    return stamp;
}

/// Returns the least stamp of an origin above `stamp`; there is one, except at the end of time.
[[nodiscard]] constexpr Stamp stamp_above(const Stamp& stamp, const Id& origin) noexcept {
    Stamp next = next_stamp(stamp);
    next.origin = origin;
    return next;
}

/// Returns a stamp above both, the same whichever of the two is given first.
[[nodiscard]] constexpr Stamp above(const Stamp& a, const Stamp& b) noexcept {
    return next_stamp(a < b ? b : a);
}

/// Returns `t + d` and `t - d`; both saturate.   Pre: d >= 0ns.
[[nodiscard]] constexpr WallTime later(WallTime t, Duration d) noexcept {
    const Duration at = t.time_since_epoch();
    return at.count() > 0 && d > Duration::max() - at ? WallTime::max() : WallTime{at + d};
}
[[nodiscard]] constexpr WallTime earlier(WallTime t, Duration d) noexcept {
    const Duration at = t.time_since_epoch();
    return at.count() < 0 && at < Duration::min() + d ? WallTime::min() : WallTime{at - d};
}
/// Returns the time from `since` to `now`; saturates.
[[nodiscard]] constexpr Duration elapsed_wall(WallTime since, WallTime now) noexcept {
    return elapsed(Instant{since.time_since_epoch()}, Instant{now.time_since_epoch()});
}

}  // namespace detail

}}  // namespace belay
