// SPDX-License-Identifier: MIT
// expect-error: retry: fn must return bool, optional, error_code, an expected-like type
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

// Is a null pointer a failure? retry does not guess.
#if defined(BELAY_CONTROL)
bool connect() { return true; }
#else
int* connect() { return nullptr; }
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, connect));
}
