// SPDX-License-Identifier: MIT
// expect-error: say with fails_if, or by specialising belay::AnswerTraits
#include <belay/call/retry_task.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/call/async_sleeper.hpp"

// Does true mean success, or an error?
struct Reply {
    explicit operator bool() const { return false; }
#if defined(BELAY_CONTROL)
    std::error_code error() const { return {}; }
#endif
};

void use(belay_test::AsyncSleeper& sleeper) {
    auto task = belay::retry(belay::MaxAttempts{3}, sleeper,
                             []() -> belay::Task<Reply> { co_return Reply{}; });
    task.start();
}
