// SPDX-License-Identifier: MIT
/// \file tests/support/call/retry_forms.hpp
/// The four ways to repeat a call: retry and Pipeline, blocking and in a coroutine.
/// TEMPLATE_TEST_CASE("...", "...", BELAY_TEST_RETRY_FORMS) runs a test for all of them.
#pragma once

#include <belay/call/pipeline.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/call/retrying.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"

namespace belay_test {

/// `fn` as a coroutine that answers at once.
template <class F>
auto awaitable(F fn) {
    return [fn](const belay::Attempt& attempt) mutable {
        auto coroutine = [](F& f, belay::Attempt a) -> belay::Task<belay::detail::CallResult<F>> {
            co_return belay::detail::call(f, a);
        };
        return coroutine(fn, attempt);
    };
}
template <class T>
T finish(belay::Task<T> task, AsyncSleeper& sleeper) {
    task.start();
    sleeper.run();
    REQUIRE(task.done());
    return task.take();
}

inline constexpr auto as_it_is = [](auto fn) { return fn; };

struct BlockingRetry {
    static auto run(const auto& policy, AsyncSleeper& sleeper, auto fn, auto classified) {
        return belay::retry(policy, sleeper, classified(fn));
    }
};
struct AwaitingRetry {
    static auto run(const auto& policy, AsyncSleeper& sleeper, auto fn, auto classified) {
        return finish(belay::retry(policy, sleeper, classified(awaitable(fn))), sleeper);
    }
};
struct BlockingPipeline {
    static auto run(const auto& policy, AsyncSleeper& sleeper, auto fn, auto classified) {
        const belay::Pipeline pipeline{belay::Retrying{policy}};
        return pipeline(sleeper, classified(fn));
    }
};
struct AwaitingPipeline {
    static auto run(const auto& policy, AsyncSleeper& sleeper, auto fn, auto classified) {
        const belay::Pipeline pipeline{belay::Retrying{policy}};
        return finish(pipeline(sleeper, classified(awaitable(fn))), sleeper);
    }
};

}  // namespace belay_test

#define BELAY_TEST_RETRY_FORMS                                                          \
    belay_test::BlockingRetry, belay_test::AwaitingRetry, belay_test::BlockingPipeline, \
        belay_test::AwaitingPipeline
