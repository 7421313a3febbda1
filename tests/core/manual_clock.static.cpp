// SPDX-License-Identifier: MIT
// Goal: what manual_clock.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/core/manual_clock.hpp>

using namespace belay;

static_assert(ClockLike<ManualClock> && ClockLike<ManualClock::View>);
