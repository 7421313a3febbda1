// SPDX-License-Identifier: MIT
// Goal: the types of steady_clock.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/core/clocks.hpp>

using namespace belay;

static_assert(ClockLike<SteadyClock> && WallClockLike<SystemClock>);
