// SPDX-License-Identifier: MIT
// expect-error: TripLike: T::record must be noexcept
#include <belay/breaker/breaker.hpp>

struct Trip {
#if defined(BELAY_CONTROL)
    bool record(bool failed) noexcept { return failed; }
#else
    bool record(bool failed) { return failed; }
#endif
    void reset() noexcept {}
};

belay::Breaker breaker{Trip{}, belay::OpenFor{belay::Duration{1}}};
