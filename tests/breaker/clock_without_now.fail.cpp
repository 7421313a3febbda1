// SPDX-License-Identifier: MIT
// expect-error: ClockLike: C needs 'now
#include <belay/breaker/circuit_breaker.hpp>

struct Clock {
#if defined(BELAY_CONTROL)
    belay::Instant now() const noexcept { return {}; }
#else
    belay::Instant time() const noexcept { return {}; }
#endif
};

belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5}, belay::OpenFor{belay::Duration{1}},
                              Clock{}};
