// SPDX-License-Identifier: MIT
// expect-error: Pipeline: the observer's on_hedge must be 'on_hedge
#include <belay/call/pipeline.hpp>
#include <belay/call/timeout.hpp>

#include "support/archetypes.hpp"

// Beside a right hook one of another form, which would hear nothing.
struct Observer {
    void on_refusal(const belay::CallRefused&) {}
#if defined(BELAY_CONTROL)
    void on_hedge(const belay::Attempt&) {}
#else
    void on_hedge(int) {}
#endif
};

void call(belay_test::MinimalSleeper& sleeper, Observer& observer) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(
        sleeper, [] { return true; }, belay::NeverStops{}, observer));
}
