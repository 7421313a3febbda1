// SPDX-License-Identifier: MIT
// expect-error: AsyncSleeperLike
#include <belay/call/retry_task.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"
#include "support/call/async_sleeper.hpp"

// A blocking sleeper would block the whole loop.
#if defined(BELAY_CONTROL)
using Sleeper = belay_test::AsyncSleeper;
#else
using Sleeper = belay_test::MinimalSleeper;
#endif

void use(Sleeper& sleeper) {
    auto task = belay::retry(belay::MaxAttempts{3}, sleeper, [] { return std::suspend_never{}; });
    task.start();
}
