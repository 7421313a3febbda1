// SPDX-License-Identifier: MIT
// expect-error: fails_if: the predicate must return bool, belay::Cause or belay::Failure
#include <belay/call/fails_if.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

// A number of any size is taken for true.
#if defined(BELAY_CONTROL)
bool is_bad(int status) { return status >= 500; }
#else
int is_bad(int status) { return status; }
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(
        belay::retry(belay::MaxAttempts{3}, sleeper, belay::fails_if([] { return 200; }, is_bad)));
}
