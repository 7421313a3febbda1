// SPDX-License-Identifier: MIT
// expect-error: Fallback: what fn returns must become what the call returns by itself
#include <vector>

#include <belay/call/fallback.hpp>
#include <belay/call/pipeline.hpp>

#include "support/archetypes.hpp"

// Five zeros are not what anybody meant.
void use(belay_test::MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    const belay::Pipeline pipeline{belay::Fallback{[] { return std::vector<int>{5}; }}};
#else
    const belay::Pipeline pipeline{belay::Fallback{[] { return 5; }}};
#endif
    static_cast<void>(pipeline(sleeper, [] { return std::vector<int>{}; }));
}
