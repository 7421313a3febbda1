// SPDX-License-Identifier: MIT
// expect-error: retry: the observer's on_give_up must be 'on_give_up
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

// Beside a right hook one of another form would never hear anything.
struct Observer {
    void on_retry(const belay::RetryPlanned&) {}
#if defined(BELAY_CONTROL)
    void on_give_up(const auto&) {}
#else
    void on_give_up(auto&, int) {}
    void on_give_up(belay::RetryEnded&) {}
#endif
};

void use(belay_test::MinimalSleeper& sleeper, Observer& observer) {
    static_cast<void>(belay::retry(
        belay::MaxAttempts{3}, sleeper, [] { return true; }, belay::NeverStops{}, observer));
}
