// SPDX-License-Identifier: MIT
// expect-error: Hedge: only for coroutines, blocking calls need threads
#include <belay/call/hedge.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/timeout.hpp>

#include "support/archetypes.hpp"

using namespace belay;

void use(belay_test::MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    const Pipeline pipeline{Timeout{std::chrono::seconds{1}}};
#else
    const Pipeline pipeline{Hedge{std::chrono::milliseconds{50}, 1}};
#endif
    static_cast<void>(pipeline(sleeper, [] { return 1; }));
}
