// SPDX-License-Identifier: MIT
// expect-error: fails_if: fn is judged by another fails_if already
#include <belay/call/fails_if.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

bool is_odd(int n) { return n % 2 != 0; }
bool is_low(int n) { return n < 3; }

// The inner one would never be asked.
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return 1; };
#if defined(BELAY_CONTROL)
    const auto judged = [](int n) { return is_odd(n) || is_low(n); };
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, belay::fails_if(fn, judged)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper,
                                   belay::fails_if(belay::fails_if(fn, is_odd), is_low)));
#endif
}
