// SPDX-License-Identifier: MIT
// expect-error: goes in as Shared{object}
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/consecutive_failures.hpp>
#include <belay/breaker/open_for.hpp>
#include <belay/call/pipeline.hpp>

void use() {
    belay::CircuitBreaker<> breaker{belay::ConsecutiveFailures{5},
                                    belay::OpenFor{std::chrono::seconds{1}}};
#if defined(BELAY_CONTROL)
    [[maybe_unused]] const belay::Pipeline pipeline{belay::Shared{breaker}};
#else
    [[maybe_unused]] const belay::Pipeline pipeline{breaker};
#endif
}
