// SPDX-License-Identifier: MIT
// expect-error: Floor: the cap has a floor already; there can be only one
#include <belay/backoff/cap.hpp>
#include <belay/backoff/floor.hpp>

constexpr belay::Floor inner{belay::Duration{2}, belay::Cap{belay::Duration{9}}};

#if defined(BELAY_CONTROL)
constexpr auto both = inner;
#else
constexpr belay::Floor<belay::Floor<belay::Cap>> both{belay::Duration{1}, inner};
#endif
