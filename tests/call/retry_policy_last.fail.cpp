// SPDX-License-Identifier: MIT
// expect-error: retry: the policy comes first
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return true; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#else
    static_cast<void>(belay::retry(fn, belay::MaxAttempts{3}, sleeper));
#endif
}
