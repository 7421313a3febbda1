// SPDX-License-Identifier: MIT
// expect-error: AnyTrip, AllTrips: what counts is said around them
#include <belay/breaker/any_trip.hpp>
#include <belay/breaker/count_only.hpp>

#if defined(BELAY_CONTROL)
belay::AnyTrip trip{belay::ConsecutiveFailures{5}};
#else
belay::AnyTrip trip{belay::CountOnly{belay::ConsecutiveFailures{5}, belay::Cause::lost}};
#endif
