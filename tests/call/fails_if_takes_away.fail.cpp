// SPDX-License-Identifier: MIT
// expect-error: fails_if: the predicate must take what fn returns, or the value in it
#include <memory>

#include <belay/call/fails_if.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/call/async_sleeper.hpp"

// What can only be moved would have to be taken from the caller.
#if defined(BELAY_CONTROL)
bool is_bad(const std::unique_ptr<int>& p) { return *p < 3; }
#else
bool is_bad(std::unique_ptr<int> p) { return *p < 3; }
#endif

void use(belay_test::AsyncSleeper& sleeper) {
    const auto make = []() -> belay::Task<std::unique_ptr<int>> { co_return nullptr; };
    auto task = belay::retry(belay::MaxAttempts{3}, sleeper, belay::fails_if(make, is_bad));
    task.start();
}
