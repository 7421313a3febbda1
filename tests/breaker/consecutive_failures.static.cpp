// SPDX-License-Identifier: MIT
// Goal: what consecutive_failures.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/breaker/consecutive_failures.hpp>

using namespace belay;

static_assert(TripLike<ConsecutiveFailures>);
