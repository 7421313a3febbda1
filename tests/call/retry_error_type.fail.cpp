// SPDX-License-Identifier: MIT
// expect-error: retry: the error type of fn's result must be constructible from
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

enum class Error { none, broken };
#if defined(BELAY_CONTROL)
using Outcome = belay::Result<int>;
#else
using Outcome = belay::Result<int, Error>;
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, [] { return Outcome{1}; }));
}
