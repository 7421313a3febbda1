// SPDX-License-Identifier: MIT
// expect-error: ClockLike: C needs .now.. const.
#include <belay/core/clock_like.hpp>

struct Clock {
#if defined(BELAY_CONTROL)
    belay::Instant now() const noexcept { return {}; }
#endif
};

static_assert(belay::explain::clock_like<Clock>());
