// SPDX-License-Identifier: MIT
// expect-error: within: what is judged cannot be called by itself
#include <belay/call/fails_if.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/timeout.hpp>

#include "support/archetypes.hpp"

// Nobody could see what the lambda calls: any exception would be a failure.
void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    auto judged = belay::within(belay::Attempt{}, belay::fails_on<int>([] { return 5; }));
#if defined(BELAY_CONTROL)
    static_cast<void>(pipeline(sleeper, judged));
#else
    static_cast<void>(pipeline(sleeper, [&](belay::Attempt a) { return judged(a); }));
#endif
}
