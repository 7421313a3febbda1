// SPDX-License-Identifier: MIT
// Goal: the types of clock.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/sim/clock.hpp>

using namespace belay;
using namespace belay::sim;

static_assert(ClockLike<Clock>);
static_assert(WallClockLike<WallClock>);
static_assert(!ClockLike<WallClock>);
