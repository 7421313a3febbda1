// SPDX-License-Identifier: MIT
/// \file tests/support/call/retry_forms.hpp
/// The four ways to repeat a call: retry and Pipeline, blocking and in a coroutine.
/// A test case that begins with BELAY_TEST_EACH_RETRY_FORM runs for each of them.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <ostream>
#include <utility>

#include <belay/call/layers.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retry_task.hpp>

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

/// A way to repeat a call. A test case selects it at run time, so that each call compiles once.
class RetryForm {
public:
    enum class Kind { blocking_retry, awaiting_retry, blocking_pipeline, awaiting_pipeline };

    explicit RetryForm(Kind kind) noexcept : kind_{kind} {}

    /// Repeats `classified(fn)`. All callables with one result are one type, because a retry
    /// compiles again for each type.
    template <class P, class F>
    auto run(const P& policy, AsyncSleeper& sleeper, F fn, auto classified) const {
        using Value = decltype(belay::detail::call(fn, std::declval<const belay::Attempt&>()));
        std::function<Value(const belay::Attempt&)> calls =
            [fn](const belay::Attempt& attempt) mutable -> Value {
            return belay::detail::call(fn, attempt);
        };
        return repeat(policy, sleeper, std::move(calls), classified);
    }

    friend std::ostream& operator<<(std::ostream& out, RetryForm form) {
        constexpr std::array names{"retry", "retry of a coroutine", "Pipeline",
                                   "Pipeline of a coroutine"};
        return out << names[static_cast<std::size_t>(form.kind_)];
    }

private:
    template <class P, class F>
    auto repeat(const P& policy, AsyncSleeper& sleeper, F fn, auto classified) const {
        const belay::Pipeline pipeline{belay::Retrying{policy}};
        switch (kind_) {
            case Kind::blocking_retry:
                return belay::retry(policy, sleeper, classified(fn));
            case Kind::awaiting_retry:
                return finish(belay::retry(policy, sleeper, classified(awaitable(fn))), sleeper);
            case Kind::blocking_pipeline:
                return pipeline(sleeper, classified(fn));
            case Kind::awaiting_pipeline:
                break;
        }
        return finish(pipeline(sleeper, classified(awaitable(fn))), sleeper);
    }

    Kind kind_;
};

}  // namespace belay_test

/// Runs the rest of a test case for each way to repeat a call, as `form`.
#define BELAY_TEST_EACH_RETRY_FORM                                                              \
    const belay_test::RetryForm form{GENERATE(belay_test::RetryForm::Kind::blocking_retry,      \
                                              belay_test::RetryForm::Kind::awaiting_retry,      \
                                              belay_test::RetryForm::Kind::blocking_pipeline,   \
                                              belay_test::RetryForm::Kind::awaiting_pipeline)}; \
    INFO("by " << form)
