// SPDX-License-Identifier: MIT
// expect-error: (constant expression|constant initializer|assertion_failed)
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/floor.hpp>

#if defined(BELAY_CONTROL)
constexpr belay::Duration least{4};
#else
constexpr belay::Duration least{5};
#endif

constexpr belay::Backoff backoff{
    belay::FullJitter{}, belay::Floor{least, belay::Cap{belay::Duration{5}}}, belay::Duration{5}};
