// SPDX-License-Identifier: MIT
// Goal: what clock.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/sim/clock.hpp>

using namespace belay;
using namespace belay::sim;

static_assert(ClockLike<Clock>);
