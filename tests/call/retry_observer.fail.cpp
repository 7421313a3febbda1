// SPDX-License-Identifier: MIT
// expect-error: retry: the observer hears nothing
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

struct Observer {
#if defined(BELAY_CONTROL)
    void on_retry(const belay::RetryPlanned&) {}
#else
    void on_rety(const belay::RetryPlanned&) {}
#endif
};

void use(belay_test::MinimalSleeper& sleeper, Observer& observer) {
    static_cast<void>(belay::retry(
        belay::MaxAttempts{3}, sleeper, [] { return true; }, belay::NeverStops{}, observer));
}
