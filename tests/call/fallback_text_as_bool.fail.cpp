// SPDX-License-Identifier: MIT
// expect-error: Fallback: what fn returns must become what the call returns by itself
#include <belay/call/fallback.hpp>
#include <belay/call/pipeline.hpp>

#include "support/archetypes.hpp"

// Any text is true.
void use(belay_test::MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    const belay::Pipeline pipeline{belay::Fallback{[] { return false; }}};
#else
    const belay::Pipeline pipeline{belay::Fallback{[] { return "no"; }}};
#endif
    static_cast<void>(pipeline(sleeper, [] { return false; }));
}
