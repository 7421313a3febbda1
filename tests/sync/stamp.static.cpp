// SPDX-License-Identifier: MIT
// Goal: stamps have one order, and there is always one above two. Method: constant expressions.
#include <belay/sync/stamp.hpp>

namespace {

using belay::Duration;
using belay::Id;
using belay::Stamp;
using belay::WallTime;

constexpr Stamp stamp_at(std::int64_t wall, std::uint32_t counter, int origin) {
    return {WallTime{Duration{wall}}, counter, Id{static_cast<std::byte>(origin)}};
}

// Time, then counter, then origin.
static_assert(stamp_at(1, 9, 9) < stamp_at(2, 0, 0));
static_assert(stamp_at(2, 1, 9) < stamp_at(2, 2, 0));
static_assert(stamp_at(2, 2, 1) < stamp_at(2, 2, 2));
static_assert(belay::detail::compare_moments(stamp_at(2, 2, 1), stamp_at(2, 2, 2)) == 0);

static_assert(belay::detail::above(stamp_at(1, 7, 2), stamp_at(2, 3, 1)) == stamp_at(2, 4, 1));
static_assert(belay::detail::above(stamp_at(2, 3, 1), stamp_at(1, 7, 2)) == stamp_at(2, 4, 1));
static_assert(belay::detail::above(stamp_at(2, 0xFFFFFFFF, 1), stamp_at(1, 7, 2)) ==
              stamp_at(3, 0, 1));

static_assert(belay::detail::later(WallTime::max(), Duration{1}) == WallTime::max());
static_assert(belay::detail::later(WallTime::min(), Duration{1}) > WallTime::min());
static_assert(belay::detail::earlier(WallTime::min(), Duration{1}) == WallTime::min());
static_assert(belay::detail::earlier(WallTime::max(), Duration{1}) < WallTime::max());

// Equality looks at each byte of the origin.
constexpr bool each_byte_counts() {
    for (std::size_t i = 0; i < Id{}.size(); ++i) {
        Stamp other = stamp_at(2, 2, 1);
        other.origin[i] = std::byte{7};
        if (other == stamp_at(2, 2, 1) || !(other != stamp_at(2, 2, 1))) return false;
    }
    return stamp_at(2, 2, 1) == stamp_at(2, 2, 1);
}
static_assert(each_byte_counts());
static_assert(stamp_at(2, 2, 1) != stamp_at(2, 3, 1) && stamp_at(2, 2, 1) != stamp_at(3, 2, 1));

static_assert(sizeof(Stamp) == 32);

}  // namespace
