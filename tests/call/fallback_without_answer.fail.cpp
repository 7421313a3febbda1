// SPDX-License-Identifier: MIT
// expect-error: Fallback: fn must answer in place of the call
#include <belay/call/fallback.hpp>
#include <belay/call/pipeline.hpp>

#include "support/archetypes.hpp"

using namespace belay;

#if defined(BELAY_CONTROL)
const Pipeline pipeline{Fallback{[] { return 0; }}};
#else
const Pipeline pipeline{Fallback{[] {}}};
#endif
auto run(belay_test::MinimalSleeper& sleeper) {
    return pipeline(sleeper, [] { return 1; });
}
