// SPDX-License-Identifier: MIT
// Goal: Fallback answers if a call has no answer, and only then. Method: every way to fail,
// blocking and in a coroutine.
#include <belay/call/layers.hpp>

#include <optional>
#include <stdexcept>
#include <string>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/call/sleeper_clock.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::await;
using belay_test::SleeperClock;
using belay_test::timed_out;

namespace {

template <class T>
Task<T> soon(AsyncSleeper& sleeper, T value) {
    co_await sleeper.async_sleep_until(after(sleeper.now(), 1s));
    co_return value;
}

}  // namespace

TEST_CASE("Fallback answers in place of a failure", "[call][fallback][unit]") {
    AsyncSleeper sleeper;
    const Pipeline one{Fallback{[] { return 1; }}};
    CHECK(one(sleeper, []() -> Result<int> { return 5; }).value() == 5);
    CHECK(one(sleeper, [] { return std::optional<int>{}; }).value() == 1);
    CHECK(one(sleeper, []() -> Result<int> { throw std::runtime_error{"x"}; }).value() == 1);
    CHECK(one(sleeper, [] { return Result<int>{timed_out}; }).value() == 1);
    const Pipeline yes{Fallback{[] { return true; }}};
    CHECK(yes(sleeper, [] { return false; }).has_value());
    const Pipeline other{Fallback{[] { return std::make_error_code(std::errc::io_error); }}};
    CHECK(other(sleeper, [] { return timed_out; }) == std::errc::io_error);
}

TEST_CASE("Fallback is not called when the call worked", "[call][fallback][unit]") {
    AsyncSleeper sleeper;
    int calls = 0;
    const Pipeline counts{Fallback{[&calls] { return ++calls; }}};
    CHECK(counts(sleeper, []() -> Result<int> { return 5; }).value() == 5);
    CHECK(await(counts, sleeper, [&] { return soon(sleeper, Result<int>{5}); }).value() == 5);
    CHECK(calls == 0);
}

TEST_CASE("Fallback answers in place of chosen failures only", "[call][fallback][unit]") {
    AsyncSleeper sleeper;
    const auto refused = std::make_error_code(std::errc::connection_refused);
    const auto late = [] { return Result<int>{timed_out}; };
    const auto broken = [&] { return Result<int>{refused}; };
    const auto blocking_and_awaited = [&](const auto& pipeline, const auto& fn) {
        const Result<int> awaited = await(pipeline, sleeper, [&] { return soon(sleeper, fn()); });
        const Result<int> blocking = pipeline(sleeper, fn);
        CHECK(awaited.has_value() == blocking.has_value());
        return blocking;
    };
    SECTION("by cause") {
        const Pipeline pipeline{Fallback{[] { return 1; }, Cause::timed_out, Cause::overloaded}};
        CHECK(blocking_and_awaited(pipeline, late).value() == 1);
        CHECK(blocking_and_awaited(pipeline, broken).error() == refused);
        CHECK_THROWS_AS(pipeline(sleeper, []() -> Result<int> { throw std::runtime_error{"x"}; }),
                        std::runtime_error);
    }
    SECTION("by one cause") {
        const Pipeline pipeline{Fallback{[] { return 1; }, Cause::refused}};
        CHECK(blocking_and_awaited(pipeline, broken).value() == 1);
        CHECK(blocking_and_awaited(pipeline, late).error() == timed_out);
    }
    SECTION("by a predicate") {
        int calls = 0;
        const Pipeline pipeline{Fallback{[] { return 1; },
                                         [&calls](const Failure& why) {
                                             ++calls;
                                             return why.error() == std::errc::timed_out;
                                         }}};
        CHECK(blocking_and_awaited(pipeline, late).value() == 1);
        CHECK(blocking_and_awaited(pipeline, broken).error() == refused);
        CHECK(calls == 4);
        CHECK(pipeline(sleeper, []() -> Result<int> { return 5; }).value() == 5);
        CHECK(calls == 4);
    }
    SECTION("a rejection is one of them, or is returned to the caller") {
        RateLimiter limiter{Rate{1, 10s}, Burst{1}};
        const Pipeline busy{Fallback{[] { return 1; }, Cause::overloaded}, Shared{limiter}};
        const Pipeline other{Fallback{[] { return 1; }, Cause::timed_out}, Shared{limiter}};
        CHECK(busy(sleeper, []() -> Result<int> { return 5; }).value() == 5);
        CHECK(busy(sleeper, []() -> Result<int> { return 5; }).value() == 1);
        CHECK(other(sleeper, []() -> Result<int> { return 5; }).error() == CallErrc::call_rejected);
    }
}

TEST_CASE("Fallback receives the failure, also when the call was rejected or void",
          "[call][fallback][unit]") {
    AsyncSleeper sleeper;
    Failure why;
    const Pipeline records_why{Fallback{[&why](const Failure& failure) { why = failure; }}};
    CHECK(records_why(sleeper, [] {}).has_value());
    CHECK(why.cause == Cause::none);
    CHECK(records_why(sleeper, [] { throw std::system_error{timed_out}; }).has_value());
    CHECK(why == Failure::from(timed_out));

    RateLimiter limiter{Rate{1, 10s}, Burst{1}};
    const Pipeline limited{Fallback{[&why](const Failure& failure) { why = failure; }},
                           Shared{limiter}};
    CHECK(limited(sleeper, [] {}).has_value());
    why = {};
    CHECK(limited(sleeper, [] { FAIL("rejected"); }).has_value());
    CHECK(why.cause == Cause::overloaded);
    CHECK(why.retry_after == 10s);
    CHECK(why.error() == CallErrc::call_rejected);
}

TEST_CASE("Fallback receives the wait of a breaker that a retry inside of it has opened",
          "[call][fallback][regression]") {
    AsyncSleeper sleeper;
    Failure why;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}, SleeperClock{&sleeper}};
    const Pipeline falls_back{Fallback{[&why](const Failure& failure) { why = failure; }},
                              Retrying{Policy{Shared{breaker, FailFast{}}, MaxAttempts{1}}}};
    CHECK(falls_back(sleeper, [] { throw std::system_error{timed_out}; }).has_value());
    CHECK(why.retry_after == 20s);
}

TEST_CASE("An exception of a Fallback is propagated by the pipeline", "[call][fallback][unit]") {
    AsyncSleeper sleeper;
    const Pipeline fails{Fallback{[]() -> int { throw std::logic_error{"fallback"}; }}};
    CHECK_THROWS_WITH(fails(sleeper, [] { return std::optional<int>{}; }), "fallback");
    CHECK_THROWS_WITH(await(fails, sleeper, [&] { return soon(sleeper, std::optional<int>{}); }),
                      "fallback");
}

TEST_CASE("A Fallback may be awaited in a coroutine", "[call][fallback][unit]") {
    AsyncSleeper sleeper;
    const Pipeline waits{Fallback{[&] { return soon(sleeper, 9); }}};
    CHECK(await(waits, sleeper, [&] { return soon(sleeper, std::optional<int>{}); }).value() == 9);
    CHECK(sleeper.now() == Instant{} + 2s);
    const Pipeline plain{Fallback{[] { return 8; }}};
    CHECK(await(plain, sleeper, [&] { return soon(sleeper, std::optional<int>{}); }).value() == 8);
    const Pipeline nothing{Fallback{[&] { return sleeper.async_sleep_until(Instant{} + 1h); }}};
    CHECK(await(nothing, sleeper, []() -> std::suspend_never { throw 5; }).has_value());
    CHECK(sleeper.now() == Instant{} + 1h);
    int reported = 0;
    const Pipeline records_why{Fallback{[&] { ++reported; }}};
    CHECK(await(records_why, sleeper, []() -> std::suspend_never { throw 5; }).has_value());
    CHECK(reported == 1);
}

TEST_CASE("A Fallback outside of Retrying is called once, when Retrying gives up",
          "[call][fallback][unit]") {
    AsyncSleeper sleeper;
    int calls = 0;
    int fallbacks = 0;
    const Pipeline pipeline{Fallback{[&] { return ++fallbacks, true; }}, Retrying{MaxAttempts{4}}};
    CHECK(pipeline(sleeper, [&] { return ++calls, false; }));
    CHECK(calls == 4);
    CHECK(fallbacks == 1);
}

TEST_CASE("A Fallback of a call without a value may return anything",
          "[call][fallback][regression]") {
    AsyncSleeper sleeper;
    int calls = 0;
    const Pipeline pipeline{Fallback{[&] { return ++calls; }}};
    CHECK(pipeline(sleeper, [] { throw std::runtime_error{"no"}; }));
    CHECK(calls == 1);
}

TEST_CASE("A Fallback that returns false is no success", "[call][fallback][regression]") {
    AsyncSleeper sleeper;
    const Pipeline no{Fallback{[] { return false; }}};
    CHECK(no(sleeper, [] { return false; }).error() == CallErrc::call_failed);
    CHECK_FALSE(await(no, sleeper, [&] { return soon(sleeper, false); }));
    CHECK_FALSE(no(sleeper, []() -> bool { throw 5; }));
    const Pipeline waits{Fallback{[&] { return soon(sleeper, false); }}};
    CHECK_FALSE(await(waits, sleeper, [&] { return soon(sleeper, false); }));
}

TEST_CASE("The answer of a Fallback becomes the result of the call, or the value in it",
          "[call][fallback][unit]") {
    AsyncSleeper sleeper;
    const Pipeline text{Fallback{[] { return "cached"; }}};
    CHECK(text(sleeper, [] { return std::optional<std::string>{}; }).value() == "cached");
    CHECK(text(sleeper, [] { return Result<std::string>{timed_out}; }).value() == "cached");
    CHECK(text(sleeper, []() -> std::string { throw 5; }).value() == "cached");
    CHECK(await(text, sleeper, [&] {
              return soon(sleeper, std::optional<std::string>{});
          }).value() == "cached");
}

TEST_CASE("The answer of a Fallback becomes the value in an Outcome",
          "[call][fallback][regression]") {
    AsyncSleeper sleeper;
    const auto late = [] { return Outcome<int>{timed_out}; };
    const Pipeline value{Fallback{[] { return 7; }}};
    CHECK(value(sleeper, late).value() == 7);
    CHECK(await(value, sleeper, [&] { return soon(sleeper, late()); }).value() == 7);
    const Pipeline outcome{Fallback{[] { return Outcome<int>::success(8); }}};
    CHECK(outcome(sleeper, late).value() == 8);
    const auto busy = [] { return Outcome<int, Failure>{Failure{Cause::overloaded}}; };
    CHECK(value(sleeper, busy).value() == 7);
}
