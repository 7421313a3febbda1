// SPDX-License-Identifier: MIT
// expect-error: JitterLike: J::delay must be noexcept
#include <belay/policy/backoff.hpp>

struct Jitter {
#if defined(BELAY_CONTROL)
    belay::Duration delay(belay::Duration ceiling, belay::Random&) noexcept { return ceiling; }
#else
    belay::Duration delay(belay::Duration ceiling, belay::Random&) { return ceiling; }
#endif
};

belay::Backoff backoff{Jitter{}, belay::Cap{belay::forever}, belay::Duration{1}};
