// SPDX-License-Identifier: MIT
// expect-error: TripLike: T::too_slow needs 'bool record
#include <belay/breaker/breaker.hpp>

struct Trip {
#if defined(BELAY_CONTROL)
    bool record(bool failed, belay::Instant, belay::Duration) noexcept { return failed; }
#else
    bool record(bool failed) noexcept { return failed; }
#endif
    void reset() noexcept {}
    bool too_slow(belay::Duration took) const noexcept { return took > belay::Duration{1}; }
};

belay::Breaker breaker{Trip{}, belay::OpenFor{belay::Duration{1}}};
