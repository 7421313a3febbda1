// SPDX-License-Identifier: MIT
// expect-error: TripLike: T needs 'bool record
#include <belay/breaker/circuit_breaker.hpp>

struct Trip {
#if defined(BELAY_CONTROL)
    bool record(bool failed) noexcept { return failed; }
#else
    bool recorded(bool failed) noexcept { return failed; }
#endif
    void reset() noexcept {}
};

belay::CircuitBreaker breaker{Trip{}, belay::OpenFor{belay::Duration{1}}};
