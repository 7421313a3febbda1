// SPDX-License-Identifier: MIT
// expect-error: CircuitBreaker: the observer hears nothing
#include <belay/breaker/circuit_breaker.hpp>

struct Observer {
#if defined(BELAY_CONTROL)
    void on_breaker(const belay::BreakerEvent&) noexcept {}
#else
    void on_braker(const belay::BreakerEvent&) noexcept {}
#endif
};

belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5},
                              belay::OpenFor{belay::Duration{1}},
                              belay::SteadyClock{},
                              {},
                              Observer{}};
