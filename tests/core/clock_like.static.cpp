// SPDX-License-Identifier: MIT
// Goal: ClockLike and WallClockLike accept the minimal clock and reject each near miss.
#include <belay/core/clocks.hpp>

#include "support/archetypes.hpp"

using namespace belay;

namespace {

struct ClockWithoutNow {};
struct ClockThatThrows {
    Instant now() const;
};
struct ClockThatIsNotConst {
    Instant now() noexcept;
};
struct ClockOfAnotherType {
    Duration now() const noexcept;
};
struct MinimalWallClock {
    WallTime now() const noexcept;
};
struct WallClockThatThrows {
    WallTime now() const;
};

static_assert(ClockLike<belay_test::MinimalClock> &&
              explain::clock_like<belay_test::MinimalClock>());
static_assert(ClockLike<SteadyClock> && ClockLike<ManualClock> && ClockLike<ManualClock::View>);
static_assert(WallClockLike<MinimalWallClock> && WallClockLike<SystemClock>);
static_assert(!ClockLike<ClockWithoutNow>);
static_assert(!ClockLike<ClockThatThrows>);
static_assert(!ClockLike<ClockThatIsNotConst>);
static_assert(!ClockLike<ClockOfAnotherType>);
static_assert(!ClockLike<SystemClock>, "wall time is no steady time");
static_assert(!WallClockLike<SteadyClock>);
static_assert(!WallClockLike<WallClockThatThrows>);

}  // namespace
