// SPDX-License-Identifier: MIT
// expect-error: fails_if: what is judged cannot be called by itself
#include <functional>

#include <belay/call/fails_if.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

struct Response {
    int status;
};

// A std::function knows nothing of the predicate: every answer would be a success.
void use(belay_test::MinimalSleeper& sleeper) {
    const std::function<Response()> fetch = [] { return Response{500}; };
    const auto is_bad = [](const Response& r) { return r.status >= 500; };
#if defined(BELAY_CONTROL)
    const auto judged = belay::fails_if(fetch, is_bad);
#else
    const std::function<Response(belay::Attempt)> judged = belay::fails_if(fetch, is_bad);
#endif
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, judged));
}
