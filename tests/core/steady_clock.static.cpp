// SPDX-License-Identifier: MIT
// Goal: what steady_clock.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/core/steady_clock.hpp>

using namespace belay;

static_assert(ClockLike<SteadyClock> && WallClockLike<SystemClock>);
