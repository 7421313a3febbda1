// SPDX-License-Identifier: MIT
// Goal: a Pipeline nests its layers in the written order, with the documented meaning; no permit
// leaks on any path. Method: virtual time; every case blocking and in a coroutine.
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>

#include <atomic>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/remembered.hpp>
#include <belay/policy/rules.hpp>

#include "support/aborts.hpp"
#include "support/call/async_sleeper.hpp"
#include "support/call/retry_rules.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::Event;
using belay_test::steady;
using belay_test::timed_out;

namespace {

struct Same {
    auto operator()(auto fn) const { return fn; }
};
// The two ways to run a pipeline on an `fn(Attempt)`, selected at run time.
struct PipelineForm {
    bool awaits;

    // All callables with one result are one type, because a pipeline compiles again for each type.
    template <class P, class F, class Adapt = Same>
    auto run(const P& pipeline, AsyncSleeper& sleeper, F fn, Adapt adapt = {}) const {
        using Value = std::invoke_result_t<F&, Attempt>;
        return run_call(pipeline, sleeper, std::function<Value(Attempt)>{std::move(fn)}, adapt);
    }

private:
    template <class P, class Value, class Adapt>
    auto run_call(const P& pipeline, AsyncSleeper& sleeper, std::function<Value(Attempt)> fn,
                  Adapt adapt) const {
        if (!awaits) return pipeline(sleeper, adapt(fn));
        const auto asks = [fn](Attempt attempt) -> Task<Value> { co_return fn(attempt); };
        auto task = pipeline(sleeper, adapt(asks));
        task.start();
        sleeper.run();
        REQUIRE(task.done());
        return task.take();
    }
};

// A user's own layer in a few lines, which records each call and its answer.
struct LogLayer {
    std::vector<std::string>* lines;
    std::string name;

    auto call(const auto& next, auto&, const Attempt& attempt) const {
        lines->push_back(name + " " + std::to_string(attempt.number));
        auto answer = next(attempt);
        lines->push_back(name + (answer.worked() ? " worked" : " failed"));
        return answer;
    }
    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context&, Attempt attempt) const {
        lines->push_back(name + " " + std::to_string(attempt.number));
        auto answering = next(attempt);
        auto answer = co_await std::move(answering);
        lines->push_back(name + (answer.worked() ? " worked" : " failed"));
        co_return answer;
    }
};

// A layer that waits until the same instant as a Timeout, and is resumed after it.
struct Dawdles {
    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        auto sleep = context.sleeper.async_sleep_until(context.sleeper.now() + 1h);
        co_await sleep;
        auto answering = next(attempt);
        co_return co_await std::move(answering);
    }
};

struct Breakers {
    CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{3}, OpenFor{60s}};
};

// Runs the rest of a test case for a blocking call and for a coroutine, as `form`.
#define BELAY_TEST_EACH_PIPELINE_FORM               \
    const PipelineForm form{GENERATE(false, true)}; \
    INFO("by a " << (form.awaits ? "coroutine" : "blocking call"))

}  // namespace

TEST_CASE("A Pipeline nests its layers in the written order", "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    std::vector<std::string> lines;
    const Pipeline pipeline{LogLayer{&lines, "outer"}, Retrying{steady(1s, 2)},
                            LogLayer{&lines, "inner"}};
    const auto result =
        form.run(pipeline, sleeper, [](Attempt attempt) { return attempt.number == 2; });
    CHECK(result);
    CHECK(lines == std::vector<std::string>{"outer 1", "inner 1", "inner failed", "inner 2",
                                            "inner worked", "outer worked"});
    CHECK(sleeper.now() == Instant{} + 1s);
}

TEST_CASE("A Pipeline returns the type that fits the call's return type",
          "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    const Pipeline pipeline{Timeout{1s}};
    CHECK(form.run(pipeline, sleeper, [](Attempt) -> Result<int> { return 5; }).value() == 5);
    CHECK(form.run(pipeline, sleeper, [](Attempt) { return timed_out; }) == timed_out);
    CHECK(form.run(pipeline, sleeper, [](Attempt) { return Result<int>{timed_out}; }).error() ==
          timed_out);
    CHECK(form.run(pipeline, sleeper, [](Attempt) { return std::optional<int>{}; }).error() ==
          CallErrc::call_failed);
    CHECK(form.run(pipeline, sleeper, [](Attempt) { return false; }).error() ==
          CallErrc::call_failed);
    CHECK(form.run(pipeline, sleeper, [](Attempt) { return std::string{"x"}; }).value() == "x");
    const auto throws = [](Attempt) -> Result<int> { throw std::runtime_error{"mine"}; };
    CHECK_THROWS_WITH(form.run(pipeline, sleeper, throws), "mine");
}

TEST_CASE("A breaker inside of Retrying counts every attempt, and one outside counts every call",
          "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto fails = [&](Attempt) { return ++calls, false; };
    {
        Breakers b;
        const Pipeline inside{Retrying{steady(1s, 5)}, Shared{b.breaker}};
        CHECK_FALSE(form.run(inside, sleeper, fails));
        // Three attempts open it, the fourth is rejected without a call, the fifth is the probe.
        // Backoff waits for the rest of the open wait, so that no attempts are repeated while the
        // breaker is open.
        CHECK(calls == 4);
        CHECK(b.breaker.state(sleeper.now()) != BreakerState::closed);
        CHECK(sleeper.sleeps == std::vector<Duration>{1s, 2s, 4s, 56s});
    }
    calls = 0;
    {
        Breakers b;
        const Pipeline outside{Shared{b.breaker}, Retrying{steady(1s, 5)}};
        CHECK_FALSE(form.run(outside, sleeper, fails));
        CHECK(calls == 5);
        CHECK(b.breaker.state(sleeper.now()) == BreakerState::closed);
        CHECK_FALSE(form.run(outside, sleeper, fails));
        CHECK_FALSE(form.run(outside, sleeper, fails));
        CHECK(calls == 15);
        CHECK(b.breaker.state(sleeper.now()) == BreakerState::open);
        CHECK(form.run(outside, sleeper, fails).error() == CallErrc::call_rejected);
        CHECK(calls == 15);
    }
}

TEST_CASE("A rejection by an inner layer does not count as a failure of the peer",
          "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    Breakers b;
    RateLimiter limiter{Rate{1, 1h}, Burst{1}};
    const Pipeline pipeline{Shared{b.breaker}, Shared{limiter}};
    int calls = 0;
    const auto works = [&](Attempt) { return ++calls, true; };
    CHECK(form.run(pipeline, sleeper, works));
    for (int i = 0; i < 10; ++i) {
        CHECK(form.run(pipeline, sleeper, works).error() == CallErrc::call_rejected);
    }
    CHECK(calls == 1);
    CHECK(b.breaker.state(sleeper.now()) == BreakerState::closed);
}

TEST_CASE("Retrying waits as long as a limiter inside of it requires", "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    RateLimiter limiter{Rate{1, 10s}, Burst{1}};
    const Pipeline pipeline{Retrying{steady(1s, 9)}, Shared{limiter}};
    int calls = 0;
    CHECK(form.run(pipeline, sleeper, [&](Attempt) { return ++calls == 2; }));
    CHECK(sleeper.now() == Instant{} + 10s);
    CHECK(calls == 2);
}

TEST_CASE("Inner layers and the call see the attempt numbers of the retries around them",
          "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    std::vector<std::uint64_t> numbers;
    std::vector<bool> retries;
    const Pipeline near{Retrying{steady(1s, 2)}};
    const auto fn = [&](Attempt inner) {
        numbers.push_back(inner.number);
        retries.push_back(inner.is_retry());
        return false;
    };
    // A pipeline in a retry; blocking, because the inner one runs on the same thread.
    CHECK_FALSE(form.run(Pipeline{Retrying{steady(1s, 2)}}, sleeper, [&](Attempt outer) {
        return near(sleeper, within(outer, fn)).has_value();
    }));
    CHECK(numbers == std::vector<std::uint64_t>{1, 2, 1, 2});
    CHECK(retries == std::vector<bool>{false, true, true, true});
}

TEST_CASE("Permits are returned on every path through a Pipeline", "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1s}};
    Bulkhead bulkhead{{.limit = 1}};
    const Pipeline pipeline{Shared{breaker}, Shared{bulkhead}};
    const auto open_and_wait = [&] {
        CHECK_FALSE(form.run(pipeline, sleeper, [](Attempt) { return false; }));
        sleeper.time += 1s;
    };
    // Each time, a call that ends in another way has taken the only probe.
    open_and_wait();
    const auto throws = [](Attempt) -> bool { throw 5; };
    CHECK_THROWS_AS(form.run(pipeline, sleeper, throws), int);
    sleeper.time += 1s;
    CHECK_THROWS_AS(
        form.run(pipeline, sleeper, throws, [](auto fn) { return fails_on<std::logic_error>(fn); }),
        int);
    CHECK(bulkhead.running() == 0);
    // An exception that is no failure is no verdict: the probe is free at once.
    const auto classify = [](bool) -> bool { throw std::logic_error{"judge"}; };
    CHECK_THROWS_AS(form.run(
                        pipeline, sleeper, [](Attempt) { return true; },
                        [&](auto fn) { return fails_if(fn, classify); }),
                    std::logic_error);
    CHECK(bulkhead.running() == 0);
    CHECK(form.run(pipeline, sleeper, [](Attempt) { return true; }));
    CHECK(breaker.state(sleeper.now()) == BreakerState::closed);
    CHECK(bulkhead.running() == 0);
}

TEST_CASE("Destroying a Pipeline's task during a call returns the permits",
          "[call][pipeline][unit]") {
    AsyncSleeper sleeper;
    Event event;
    Bulkhead bulkhead{{.limit = 1}};
    const Pipeline pipeline{Retrying{steady(1s, 3)}, Shared{bulkhead}, Timeout{5s}};
    {
        auto task = pipeline(sleeper, [&]() -> Task<bool> {
            co_await event;
            co_return true;
        });
        task.start();
        CHECK(bulkhead.running() == 1);
        CHECK(event.awaited());
        CHECK(sleeper.waiting() == 1);
    }
    CHECK(event.cancelled == 1);
    CHECK(bulkhead.running() == 0);
    CHECK(sleeper.waiting() == 0);
}

TEST_CASE("A Pipeline works in the full order: fallback, retry, breaker, limiter, queue, timeout",
          "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    Breakers b;
    RateLimiter limiter{Rate{100, 1s}, Burst{20}};
    Bulkhead bulkhead{{.limit = 2, .queue = 10}};
    RetryCounters counters;
    const Pipeline pipeline{Fallback{[] { return -1; }},
                            Retrying{steady(1s, 5), counters},
                            Shared{b.breaker},
                            Shared{limiter},
                            Queued{bulkhead},
                            Timeout{2s}};
    std::vector<Instant> deadlines;
    const auto ask = [&](Attempt attempt) -> std::optional<int> {
        deadlines.push_back(attempt.deadline);
        return attempt.number == 3 ? std::optional{7} : std::nullopt;
    };
    CHECK(form.run(pipeline, sleeper, ask).value() == 7);
    CHECK(deadlines == std::vector<Instant>{Instant{} + 2s, Instant{} + 3s, Instant{} + 5s});
    CHECK(counters == RetryCounters{.attempts = 3, .retries = 2, .successes = 1, .waited = 3s});
    const auto never_works = [](Attempt) { return std::optional<int>{}; };
    CHECK(form.run(pipeline, sleeper, never_works).value() == -1);
    CHECK(counters.give_ups == 1);
    CHECK(bulkhead.running() == 0);
}

TEST_CASE("A Pipeline can be called any number of times, with unchanged rules",
          "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    const Pipeline pipeline{Retrying{steady(1s, 2)}};
    for (int i = 0; i < 3; ++i) {
        int calls = 0;
        CHECK_FALSE(form.run(pipeline, sleeper, [&](Attempt) { return ++calls, false; }));
        CHECK(calls == 2);
    }
}

TEST_CASE("A stop ends the waits of a Pipeline", "[call][pipeline][unit]") {
    AsyncSleeper sleeper;
    const StopSource source;
    const Pipeline pipeline{Retrying{steady(1s, 9)}};
    auto task = pipeline(
        sleeper, [] { return std::suspend_never{}; }, source.token());
    task.start();
    CHECK(task.take());
    auto waits = pipeline(
        sleeper, []() -> Task<bool> { co_return false; }, source.token());
    waits.start();
    CHECK_FALSE(waits.done());
    source.request_stop();
    sleeper.run();
    REQUIRE(waits.done());
    CHECK(waits.take().error() == CallErrc::stopped);
    CHECK(sleeper.now() == Instant{});
    CHECK(pipeline(
              sleeper, [] { return true; }, source.token())
              .error() == CallErrc::stopped);
}

TEST_CASE("One Pipeline serves many threads", "[call][pipeline][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{1'000'000}, OpenFor{60s}};
    // Each thread has its own clock: the burst must cover the differences between them.
    RateLimiter limiter{Rate{1, 1s}, Burst{1'000'000}};
    Bulkhead bulkhead{{.limit = 2, .queue = 2}};
    const Pipeline pipeline{Fallback{[] { return -1; }}, Retrying{steady(1s, 3)}, Shared{breaker},
                            Shared{limiter}, Queued{bulkhead}};
    std::atomic<int> inside{0};
    std::atomic<int> right{0};
    const auto work = [&] {
        AsyncSleeper sleeper;
        for (int i = 0; i < 1000; ++i) {
            const auto ask = [&](Attempt attempt) -> std::optional<int> {
                const bool within_limit = inside.fetch_add(1) < 2;
                inside.fetch_sub(1);
                // The call succeeds at the second attempt, or never.
                if (!within_limit || attempt.number == 1 || i % 2 == 0) return std::nullopt;
                return i;
            };
            const int expected = i % 2 == 0 ? -1 : i;
            if (pipeline(sleeper, ask).value() == expected) ++right;
        }
    };
    std::thread other{work};
    work();
    other.join();
    CHECK(right == 2000);
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.waiting() == 0);
    CHECK(breaker.state(Instant{}) == BreakerState::closed);
}

TEST_CASE("A rejection after a failure does not hide the failure", "[call][pipeline][regression]") {
    AsyncSleeper sleeper;
    CircuitBreaker outer{ConsecutiveFailures{1}, OpenFor{1h}};
    RateLimiter limiter{Rate{1, 1h}, Burst{1}};
    const std::error_code eio = std::make_error_code(std::errc::io_error);
    const Pipeline pipeline{Shared{outer}, Retrying{MaxAttempts{2}}, Shared{limiter}};
    int calls = 0;
    const std::error_code result = pipeline(sleeper, [&] { return ++calls, eio; });
    CHECK(calls == 1);
    CHECK(result == eio);
    CHECK(outer.state(sleeper.now()) == BreakerState::open);
}

namespace {

// Records the rejections of all layers.
struct Rejections {
    std::vector<std::string> by{};
    std::vector<Duration> waits{};

    void on_rejection(const CallRejected& rejection) {
        by.emplace_back(rejection.advice.by);
        waits.push_back(rejection.wait);
    }
};

template <class P>
void ask(PipelineForm form, const P& pipeline, AsyncSleeper& sleeper, Rejections& rejections) {
    if (!form.awaits) {
        static_cast<void>(pipeline(
            sleeper, []() -> Result<int> { return 1; }, NeverStops{}, rejections));
        return;
    }
    auto task = pipeline(
        sleeper, []() -> Task<Result<int>> { co_return 1; }, NeverStops{}, rejections);
    task.start();
    sleeper.run();
    REQUIRE(task.done());
}

}  // namespace

TEST_CASE("A Timeout before the call was made does not count as a failure of the peer",
          "[call][pipeline][regression]") {
    AsyncSleeper sleeper;
    CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{1}, OpenFor{60s}};
    const Pipeline pipeline{Shared{breaker}, Timeout{10ms}, Dawdles{}};
    auto task = pipeline(sleeper, [](Attempt) -> Task<bool> { co_return true; });
    task.start();
    sleeper.run();
    CHECK(task.take().error() == std::errc::timed_out);
    CHECK(breaker.counters().failures == 0);
}

TEST_CASE("A lack of memory does not count as a failure of the peer",
          "[call][pipeline][regression]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{1}, OpenFor{60s}};
    CHECK_THROWS_AS(form.run(Pipeline{Shared{breaker}}, sleeper,
                             [](Attempt) -> bool { throw std::bad_alloc{}; }),
                    std::bad_alloc);
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("A rejected call is counted by the layer that rejected it",
          "[call][pipeline][regression]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1}};
    const auto held = bulkhead.acquire(sleeper.now());
    CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{1}, OpenFor{60s}};
    breaker.set_mode(BreakerMode::forced_open);
    const auto fn = [](Attempt) { return true; };
    CHECK_FALSE(form.run(Pipeline{Shared{bulkhead}}, sleeper, fn));
    CHECK_FALSE(form.run(Pipeline{Shared{breaker}}, sleeper, fn));
    CHECK(bulkhead.counters().rejected == 1);
    CHECK(breaker.counters().rejected == 1);
}

TEST_CASE("A Pipeline reports to its observer which layer rejected a call",
          "[call][pipeline][unit]") {
    BELAY_TEST_EACH_PIPELINE_FORM;
    AsyncSleeper sleeper;
    Rejections rejections;
    CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{3}, OpenFor{60s}};
    RateLimiter limiter{Rate{1, 10s}, Burst{1}};
    Bulkhead bulkhead{{.limit = 1, .ask_every = 2ms}};
    const Pipeline pipeline{Fallback{[] { return 0; }}, Shared{breaker}, Shared{bulkhead},
                            Shared{limiter}};
    ask(form, pipeline, sleeper, rejections);
    CHECK(rejections.by.empty());
    ask(form, pipeline, sleeper, rejections);
    CHECK(rejections.by == std::vector<std::string>{"RateLimiter"});
    CHECK(rejections.waits.back() == 10s);
    {
        const auto taken = bulkhead.acquire(sleeper.now());
        ask(form, pipeline, sleeper, rejections);
    }
    CHECK(rejections.by.back() == "Bulkhead");
    CHECK(rejections.waits.back() == 2ms);
    breaker.set_mode(BreakerMode::forced_open);
    ask(form, pipeline, sleeper, rejections);
    CHECK(rejections.by.back() == "CircuitBreaker");
    CHECK(rejections.by.size() == 3);
    // RetryCounters count these rejections, too.
    RetryCounters counters;
    CHECK(pipeline(
              sleeper, []() -> Result<int> { return 1; }, NeverStops{}, counters)
              .value() == 0);
    CHECK(counters.rejections == 1);
    CHECK(counters.attempts == 0);
}

TEST_CASE("A Pipeline reports which attempt a layer inside of Retrying rejected",
          "[call][pipeline][unit]") {
    AsyncSleeper sleeper;
    struct Observed : NoObserver {
        std::vector<Attempt> attempts{};
        void on_rejection(const CallRejected& rejection) { attempts.push_back(rejection.attempt); }
    } observed;
    RateLimiter limiter{Rate{1, 10s}, Burst{1}};
    const Pipeline pipeline{Retrying{steady(1s, 3)}, Shared{limiter}};
    int calls = 0;
    CHECK_FALSE(pipeline(
        sleeper, [&] { return ++calls, false; }, NeverStops{}, observed));
    CHECK(calls == 2);
    CHECK(observed.attempts == std::vector<Attempt>{{.number = 2}});
}

TEST_CASE("A Pipeline's observer may be a temporary in a coroutine", "[call][pipeline][unit]") {
    AsyncSleeper sleeper;
    struct Counts {
        int* rejected;
        void on_rejection(const CallRejected&) const { ++*rejected; }
    };
    int rejected = 0;
    Bulkhead bulkhead{{.limit = 1}};
    const Pipeline pipeline{Shared{bulkhead}};
    const auto taken = bulkhead.acquire(sleeper.now());
    auto task = pipeline(
        sleeper, []() -> Task<Result<int>> { co_return 1; }, NeverStops{}, Counts{&rejected});
    task.start();
    REQUIRE(task.done());
    CHECK(task.take().error() == CallErrc::call_rejected);
    CHECK(rejected == 1);
}

TEST_CASE("A temporary Pipeline lives in the Task of its call", "[call][pipeline][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 1}};
    auto place = bulkhead.acquire(sleeper.now());
    // The layer of the queue is used after the end of the statement.
    auto task = Pipeline{Queued{bulkhead}}(sleeper, []() -> Task<Result<int>> { co_return 7; });
    task.start();
    REQUIRE_FALSE(task.done());
    place = {};
    sleeper.run_until(belay_test::at(1s));
    REQUIRE(task.done());
    CHECK(*task.take() == 7);
}

TEST_CASE("Pipeline rejects a breaker in two places around a call", "[call][pipeline][unit]") {
    const ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    CircuitBreaker other{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    Bulkhead bulkhead{{.limit = 2}};
    const auto aborts = [](auto... layers) {
        const std::string text =
            belay_test::aborts_with([&] { static_cast<void>(Pipeline{std::move(layers)...}); });
        return text.find("Pipeline: a breaker, adaptive limit or throttle must be in one place") !=
               std::string::npos;
    };
    const Shared place{breaker};
    const Policy policy{MaxAttempts{3}, place};
    CHECK(aborts(place, place));
    CHECK(aborts(place, Timeout{1s}, place));
    Bulkhead queue{{.limit = 2, .queue = 2}};
    Bulkhead other_queue{{.limit = 2, .queue = 2}};
    CHECK(aborts(Queued{queue}, Retrying{MaxAttempts{3}}, Queued{queue}));
    CHECK_FALSE(aborts(Queued{queue}, Retrying{MaxAttempts{3}}, Queued{other_queue}));
    CHECK(aborts(Retrying{policy}, place));
    CHECK(aborts(place, Retrying{policy}));
    CHECK(aborts(Retrying{place}, Timeout{1s}, place));
    CHECK(aborts(Retrying{Policy{policy, MaxAttempts{2}}}, place));
    CHECK(aborts(Retrying{Policy{std::optional{place}, MaxAttempts{2}}}, place));
    PolicyHistory history;
    CHECK(aborts(Retrying{Remembered{history, policy}}, place));

    const auto twice = [](auto... rules) {
        const std::string text =
            belay_test::aborts_with([&] { static_cast<void>(Policy{std::move(rules)...}); });
        return text.find("Policy: a breaker, adaptive limit or throttle must be in one rule") !=
               std::string::npos;
    };
    CHECK(twice(place, MaxAttempts{3}, place));
    CHECK(twice(policy, place));
    CHECK(twice(policy, Policy{policy, MaxElapsed{1s}}));
    CHECK(twice(std::optional{place}, std::optional{policy}));
    CHECK(twice(Remembered{history, policy}, place));
    CHECK_FALSE(twice(place, Shared{other}, MaxAttempts{3}));
    CHECK_FALSE(twice(std::optional{policy}, std::optional<Policy<MaxAttempts>>{}));
    CHECK_FALSE(twice(Shared{bulkhead}, Shared{bulkhead}));

    CHECK_FALSE(aborts(place, Shared{other}));
    CHECK_FALSE(aborts(Retrying{policy}, Shared{other}, Timeout{1s}));
    CHECK_FALSE(aborts(Retrying{Policy{std::optional<Shared<decltype(breaker)>>{}}}, place));
    // The permits of a bulkhead do not depend on results. A call that needs two of them waits, or
    // fails.
    CHECK_FALSE(aborts(Shared{bulkhead}, Shared{bulkhead}));
}
