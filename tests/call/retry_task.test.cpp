// SPDX-License-Identifier: MIT
// Goal: awaiting retry is lazy, owns its parts, and ends cleanly wherever it is destroyed. Method:
// virtual time; destruction in every phase. The cases with BELAY_TEST_EACH_RETRY_FORM in other files,
// and the property in retrying.test.cpp, compare it with blocking retry.
#include <belay/call/retry_task.hpp>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/call/retry_forms.hpp"
#include "support/call/retry_rules.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::Counts;
using belay_test::Event;
using belay_test::finish;
using belay_test::steady;
using belay_test::timed_out;

namespace {

template <class T>
Task<T> at_once(T value) {
    co_return value;
}
Task<bool> after_wait(AsyncSleeper& sleeper, Duration wait, bool works) {
    co_await sleeper.async_sleep_until(after(sleeper.now(), wait));
    co_return works;
}

// A user's own kind of coroutine, which starts at once and keeps its result.
template <class T>
struct Own {
    struct promise_type {
        std::optional<T> value;
        bool threw = false;
        Own get_return_object() {
            return Own{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_value(T v) { value = std::move(v); }
        void unhandled_exception() { threw = true; }
    };
    explicit Own(std::coroutine_handle<promise_type> h) : handle{h} {}
    Own(Own&& other) noexcept : handle{std::exchange(other.handle, nullptr)} {}
    Own& operator=(Own&&) = delete;
    ~Own() {
        if (handle) handle.destroy();
    }
    std::coroutine_handle<promise_type> handle;
};

}  // namespace

TEST_CASE("retry in a coroutine calls until it works, and waits between the calls",
          "[call][retry_task][unit]") {
    AsyncSleeper sleeper;
    int calls = 0;
    Task<Result<void>> task =
        retry(steady(1s, 10), sleeper, [&] { return after_wait(sleeper, 100ms, ++calls == 4); });
    CHECK(calls == 0);  // lazy
    task.start();
    CHECK(calls == 1);
    sleeper.run();
    REQUIRE(task.done());
    CHECK(task.take());
    CHECK(calls == 4);
    CHECK(sleeper.now() == Instant{} + 1s + 2s + 4s + 4 * 100ms);
}

TEST_CASE(
    "retry in a coroutine accepts awaitables without a result, and those that are no coroutines",
    "[call][retry_task][unit]") {
    AsyncSleeper sleeper;
    const auto run = [&](auto fn) { return finish(retry(steady(1s, 3), sleeper, fn), sleeper); };
    CHECK(run([] { return std::suspend_never{}; }).has_value());
    CHECK(run([&](Attempt attempt) {
              return sleeper.async_sleep_until(Instant{} + attempt.number * 1h);
          }).has_value());
}

TEST_CASE("retry can be awaited in a user's own kind of coroutine", "[call][retry_task][unit]") {
    AsyncSleeper sleeper;
    int calls = 0;
    const auto user = [&]() -> Own<int> {
        const Result<int> result = co_await retry(steady(1s, 5), sleeper, [&] {
            return at_once(++calls < 3 ? std::optional<int>{} : calls);
        });
        co_return result.value();
    };
    const Own<int> own = user();
    sleeper.run();
    CHECK(own.handle.promise().value == 3);
    CHECK(sleeper.sleeps == std::vector<Duration>{1s, 2s});
}

TEST_CASE("retry in a coroutine owns its callable, token and temporary observer",
          "[call][retry_task][unit]") {
    AsyncSleeper sleeper;
    RetryCounters counters;
    struct Forwards {
        RetryCounters* to;
        void on_attempt(const Attempt& attempt) { to->on_attempt(attempt); }
        void on_success(const Attempt& attempt) { to->on_success(attempt); }
    };
    std::optional<Task<Result<std::string>>> task;
    {
        const std::string text(100, 'x');
        const StopSource source;
        const auto policy = steady(1s, 5);
        task.emplace(retry(
            policy, sleeper,
            [text](Attempt attempt) {
                return at_once(attempt.is_retry() ? std::optional{text} : std::nullopt);
            },
            source.token(), Forwards{&counters}));
    }
    task->start();
    sleeper.run();
    CHECK(task->take().value() == std::string(100, 'x'));
    CHECK(counters.attempts == 2);
    CHECK(counters.successes == 1);
}

TEST_CASE("A stop ends retry in every phase of a coroutine", "[call][retry_task][unit]") {
    for (const bool before : {true, false}) {
        const StopSource source;
        AsyncSleeper sleeper;
        Counts::Observed observed;
        Event event;
        const auto fn = [&]() -> Task<std::error_code> {
            co_await event;
            co_return timed_out;
        };
        auto task = retry(Policy{steady(1s, 5), Counts{&observed}}, sleeper, fn, source.token());
        if (before) source.request_stop();
        task.start();
        if (before) {
            REQUIRE(task.done());
            CHECK(task.take() == CallErrc::stopped);
            CHECK(observed == Counts::Observed{});
            continue;
        }
        // A stop during the call: the call may finish.
        source.request_stop();
        CHECK_FALSE(task.done());
        event.set();
        REQUIRE(task.done());
        CHECK(task.take() == timed_out);
        CHECK(observed == Counts::Observed{1, 1, 0, 1});
    }
    // A stop during the wait.
    const StopSource source;
    AsyncSleeper sleeper;
    Counts::Observed observed;
    auto task = retry(
        Policy{steady(1s, 5), Counts{&observed}}, sleeper, [] { return at_once(timed_out); },
        source.token());
    task.start();
    sleeper.run_until(Instant{} + 500ms);
    CHECK(observed == Counts::Observed{1, 1, 0, 0});
    source.request_stop();
    sleeper.run_until(sleeper.now());
    REQUIRE(task.done());
    CHECK(task.take() == timed_out);
    CHECK(observed == Counts::Observed{1, 1, 0, 1});
    CHECK(sleeper.now() == Instant{} + 500ms);
}

TEST_CASE("Destroying retry in a wait or in a call ends it, and returns its permits",
          "[call][retry_task][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}};
    AsyncSleeper sleeper;
    Event event;
    Counts::Observed observed;
    int resumed = 0;
    bool works = false;
    const auto fn = [&]() -> Task<bool> {
        co_await event;
        ++resumed;
        co_return works;
    };
    const Policy policy{Shared{breaker}, Counts{&observed}};
    { auto never_begun = retry(policy, sleeper, fn); }
    CHECK(observed == Counts::Observed{});
    {
        auto task = retry(policy, sleeper, fn);
        task.start();
        event.set();
        CHECK(observed == Counts::Observed{1, 1, 0, 0});
        CHECK(sleeper.waiting() == 1);  // for the end of the open wait
    }
    CHECK(sleeper.waiting() == 0);
    CHECK(observed == Counts::Observed{1, 1, 0, 1});
    sleeper.run_until(Instant{} + 10s);
    {
        auto task = retry(policy, sleeper, fn);
        task.start();
        CHECK(event.awaited());
        // The only probe is taken.
        CHECK(breaker.admit(sleeper.now()).verb == Advice::Verb::suspend);
    }
    CHECK(event.cancelled == 1);
    CHECK(observed == Counts::Observed{2, 1, 0, 2});
    CHECK(breaker.admit(sleeper.now()).verb == Advice::Verb::go);
    CHECK(resumed == 1);
}

TEST_CASE("An observer that throws in a coroutine does not hide the verdict from the policy",
          "[call][retry_task][unit]") {
    AsyncSleeper sleeper;
    Counts::Observed observed;
    struct Throws {
        void on_retry(const RetryPlanned&) { throw std::logic_error{"observer"}; }
    } observer;
    auto watched = retry(
        Policy{steady(1s, 5), Counts{&observed}}, sleeper, [] { return at_once(false); },
        NeverStops{}, observer);
    watched.start();
    CHECK_THROWS_WITH(watched.take(), "observer");
    CHECK(observed == Counts::Observed{1, 1, 0, 1});
}
