// SPDX-License-Identifier: MIT
// expect-error: fails_if: the predicate must take what fn returns, or the value in it
#include <belay/call/fails_if.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

struct Response {
    int status;
};
// It would never be asked, and every answer be a success.
#if defined(BELAY_CONTROL)
bool is_bad(const Response& r) { return r.status >= 500; }
#else
bool is_bad(int status) { return status >= 500; }
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper,
                                   belay::fails_if([] { return Response{500}; }, is_bad)));
}
