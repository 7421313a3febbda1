// SPDX-License-Identifier: MIT
// expect-error: fails_if: the predicate must take what fn returns, or the value in it
#include <belay/call/fails_if.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/timeout.hpp>

#include "support/archetypes.hpp"

struct Response {
    int status;
};
#if defined(BELAY_CONTROL)
bool is_bad(const Response& r) { return r.status >= 500; }
#else
bool is_bad(Response& r) { return r.status >= 500; }
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(
        sleeper, belay::fails_if([] { return belay::Result<Response>{Response{500}}; }, is_bad)));
}
