// SPDX-License-Identifier: MIT
// Goal: the types of consecutive_failures.hpp satisfy their concepts, have the documented sizes,
// and throw only as documented.
#include <belay/breaker/trips.hpp>

using namespace belay;

static_assert(TripLike<ConsecutiveFailures>);
