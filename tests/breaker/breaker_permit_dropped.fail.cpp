// SPDX-License-Identifier: MIT
// expect-error: deleted function
#include <belay/breaker/circuit_breaker.hpp>

bool ask(belay::CircuitBreaker<>& breaker) {
#if defined(BELAY_CONTROL)
    if (auto permit = breaker.acquire()) return true;
#else
    if (breaker.acquire()) return true;
#endif
    return false;
}
