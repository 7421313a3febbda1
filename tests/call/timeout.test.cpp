// SPDX-License-Identifier: MIT
// Goal: Timeout ends a wait in a coroutine on time and cleanly. For blocking calls it passes the
// deadline on. Method: virtual time; the awaited event shows the destruction.
#include <belay/call/layers.hpp>

#include <coroutine>
#include <functional>
#include <new>
#include <optional>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/policy/rules.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/call/retry_forms.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;
using belay_test::await;
using belay_test::Event;
using belay_test::takes;
using belay_test::timed_out;

TEST_CASE("Timeout does not end a call that finishes in time", "[call][timeout][unit]") {
    AsyncSleeper sleeper;
    const Pipeline pipeline{Timeout{2s}};
    CHECK(await(pipeline, sleeper, [&] { return takes(sleeper, 1s, 7); }).value() == 7);
    CHECK(sleeper.now() == at(1s));
    CHECK(sleeper.waiting() == 0);
    CHECK(await(pipeline, sleeper, [&] { return takes(sleeper, 0s, 8); }).value() == 8);
    // At the exact deadline the call counts, whichever of the two wakes first.
    CHECK(await(pipeline, sleeper, [&] { return takes(sleeper, 2s, 9); }).value() == 9);
}

TEST_CASE("Timeout stops waiting, and destroys the running call", "[call][timeout][unit]") {
    AsyncSleeper sleeper;
    Event event;
    const Pipeline pipeline{Timeout{2s}};
    const auto result = await(pipeline, sleeper, [&]() -> Task<Result<int>> {
        co_await event;
        co_return 1;
    });
    CHECK(result.error() == std::errc::timed_out);
    CHECK(cause_of(result.error()) == Cause::timed_out);
    CHECK(sleeper.now() == at(2s));
    CHECK(event.cancelled == 1);
}

TEST_CASE("A breaker around a Timeout counts it as a failure", "[call][timeout][unit]") {
    AsyncSleeper sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{1h}};
    const Pipeline pipeline{Shared{breaker}, Timeout{1s}};
    const auto hangs = [&] { return takes(sleeper, 1h, 1); };
    CHECK(await(pipeline, sleeper, hangs).error() == std::errc::timed_out);
    CHECK(breaker.state(sleeper.now()) == BreakerState::closed);
    CHECK(await(pipeline, sleeper, hangs).error() == std::errc::timed_out);
    CHECK(breaker.state(sleeper.now()) == BreakerState::open);
}

TEST_CASE("Timeout inside of Retrying limits each attempt, outside all of them",
          "[call][timeout][unit]") {
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxAttempts{3}};
    AsyncSleeper sleeper;
    int calls = 0;
    const auto slow_once = [&](Attempt attempt) {
        ++calls;
        return takes(sleeper, attempt.is_retry() ? 1s : 10s, 5);
    };
    const Pipeline inside{Retrying{policy}, Timeout{2s}};
    CHECK(await(inside, sleeper, slow_once).value() == 5);
    CHECK(calls == 2);
    CHECK(sleeper.now() == at(2s + 1s + 1s));

    const Pipeline outside{Timeout{5s}, Retrying{policy}};
    const Instant begun = sleeper.now();
    CHECK(await(outside, sleeper, slow_once).error() == std::errc::timed_out);
    CHECK(calls == 3);
    CHECK(sleeper.now() == begun + 5s);
}

TEST_CASE("Retrying starts no wait after which an attempt has too little time",
          "[call][timeout][unit]") {
    const Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxAttempts{9}};
    AsyncSleeper sleeper;
    RetryCounters counters;
    const Pipeline pipeline{Timeout{10s}, Retrying{policy, counters}};
    int calls = 0;
    const auto fails = [&](Attempt) { return ++calls, false; };
    // Waits of 1 and 2 s. The next would end at 7 s, with less than half of the limit left, so the
    // failure is returned at once.
    CHECK(pipeline(sleeper, fails).error() == std::errc::timed_out);
    CHECK(calls == 3);
    CHECK(sleeper.now() == at(3s));
    CHECK(counters.give_ups == 1);
    // The innermost limit decides how much time an attempt needs, unless its option does.
    calls = 0;
    CHECK_FALSE(Pipeline{Timeout{10s}, Retrying{policy}, Timeout{2s}}(sleeper, fails));
    CHECK(calls == 4);
    calls = 0;
    CHECK_FALSE(Pipeline{Timeout{10s}.counts_after(1s), Retrying{policy}}(sleeper, fails));
    CHECK(calls == 4);
}

TEST_CASE("The earliest of nested deadlines counts, and the call can read it",
          "[call][timeout][unit]") {
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    std::vector<Instant> observed;
    const auto ask = [&](Attempt attempt) { return observed.push_back(attempt.deadline), true; };
    CHECK(Pipeline{Timeout{2s}, Timeout{3s}}(sleeper, ask));
    CHECK(Pipeline{Timeout{3s}, Timeout{2s}}(sleeper, ask));
    CHECK(Pipeline{Timeout{forever}}(sleeper, ask));
    CHECK(observed == std::vector<Instant>{at(1h + 2s), at(1h + 2s), never});

    AsyncSleeper awaiting;
    const auto hangs = [&] { return takes(awaiting, 1h, 1); };
    CHECK(await(Pipeline{Timeout{2s}, Timeout{3s}}, awaiting, hangs).error() ==
          std::errc::timed_out);
    CHECK(awaiting.now() == at(2s));
}

TEST_CASE("A blocking call that ends too late still counts", "[call][timeout][unit]") {
    AsyncSleeper sleeper;
    CHECK(Pipeline{Timeout{1s}}(sleeper, [&](Attempt) -> Result<int> {
              sleeper.time += 1h;
              return 3;
          }).value() == 3);
}

TEST_CASE(
    "Retrying starts nothing after the deadline of a Timeout around it, with or without a wait",
    "[call][timeout][regression]") {
    AsyncSleeper sleeper;
    int calls = 0;
    const Pipeline pipeline{Timeout{1s}, Retrying{MaxAttempts{5}}};
    const auto result = pipeline(sleeper, [&](Attempt) {
        ++calls;
        sleeper.time += 2s;
        return false;
    });
    CHECK(calls == 1);
    CHECK(result.error() == std::errc::timed_out);
}

namespace {
// A layer between a Timeout and a Retrying may be slow, and a sleeper may wake late.
struct TakesItsTime {
    auto call(const auto& next, auto& context, const Attempt& attempt) const {
        context.sleeper.time += 2s;
        return next(attempt);
    }
};
}  // namespace

TEST_CASE("Retrying does not start its first attempt after the deadline",
          "[call][timeout][regression]") {
    AsyncSleeper sleeper;
    int calls = 0;
    const Pipeline pipeline{Timeout{1s}, TakesItsTime{}, Retrying{MaxAttempts{5}}};
    const auto result = pipeline(sleeper, [&](Attempt) -> Result<int> { return ++calls; });
    CHECK(calls == 0);
    CHECK(result.error() == std::errc::timed_out);
    const Pipeline just{Timeout{2s}, TakesItsTime{}, Retrying{MaxAttempts{5}}};
    CHECK(just(sleeper, [&](Attempt) -> Result<int> { return ++calls; }).value() == 1);
}

TEST_CASE("Retrying reports that its last attempt took too long", "[call][timeout][regression]") {
    AsyncSleeper sleeper;
    Event never_comes;
    const Pipeline pipeline{Retrying{MaxAttempts{2}}, Timeout{1s}};
    const auto result = await(pipeline, sleeper, [&]() -> Task<Result<int>> {
        co_await never_comes;
        co_return 1;
    });
    CHECK(result.error() == std::errc::timed_out);
    CHECK(sleeper.now() == at(2s));
}

#if defined(__cpp_exceptions)
namespace {
/// A sleeper that cannot wait, because it has no memory.
struct OutOfMemory : AsyncSleeper {
    struct Wait {
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) const { throw std::bad_alloc{}; }
        void await_resume() const noexcept {}
    };
    template <class Stop>
    Wait async_sleep_until(Instant, const Stop&) noexcept {
        return {};
    }
};
}  // namespace

TEST_CASE("A timer that has no memory to wait does not cause a timeout or a hedged call",
          "[call][timeout][regression]") {
    OutOfMemory sleeper;
    Event event;
    int calls = 0;
    const auto call = [&]() -> Task<Result<int>> {
        ++calls;
        co_await event;
        co_return 1;
    };
    const Pipeline timed{Timeout{1h}};
    auto task = timed(sleeper, call);
    task.start();
    REQUIRE(task.done());
    CHECK_THROWS_AS(task.take(), std::bad_alloc);

    calls = 0;
    const Pipeline hedged{Hedge{1h, 3}};
    auto hedge = hedged(sleeper, call);
    hedge.start();
    REQUIRE(hedge.done());
    CHECK_THROWS_AS(hedge.take(), std::bad_alloc);
    CHECK(calls == 1);
}
#endif

TEST_CASE("fails_if(fn, Attempt::late) fails a call that returns after its deadline",
          "[call][timeout][unit]") {
    using Kind = belay_test::RetryForm::Kind;
    const belay_test::RetryForm form{
        GENERATE(Kind::blocking_retry, Kind::awaiting_retry, Kind::blocking_pipeline)};
    INFO("by " << form);
    AsyncSleeper sleeper;
    const auto late = [](auto fn) { return fails_if(fn, Attempt::late); };
    const auto takes_long = [&](Duration time) {
        return [&sleeper, time] {
            sleeper.time = after(sleeper.time, time);
            return std::optional{7};
        };
    };
    const Policy policy{AttemptTimeout{100ms}, MaxAttempts{2}};
    CHECK(form.run(policy, sleeper, takes_long(300ms), late).error() == timed_out);
    CHECK(form.run(policy, sleeper, takes_long(100ms), late).value() == 7);
    // Without Attempt::late, a late answer counts. A failure keeps its own error.
    const auto heeds = [&](Attempt) { return takes_long(300ms)(); };
    CHECK(form.run(policy, sleeper, heeds, belay_test::as_it_is).value() == 7);
    const auto fails = [&] {
        return static_cast<void>(takes_long(300ms)()),
               Result<int>{std::make_error_code(std::errc::broken_pipe)};
    };
    CHECK(form.run(policy, sleeper, fails, late).error() == std::errc::broken_pipe);
}

TEST_CASE("fails_if(fn, Attempt::late) keeps the last value, and works inside of other wrappers",
          "[call][timeout][unit]") {
    AsyncSleeper sleeper;
    const auto slow = [&] {
        sleeper.time = after(sleeper.time, 300ms);
        return 7;
    };
    const auto odd = [](int value) { return value != 7; };
    const Pipeline pipeline{Timeout{100ms}};
    const auto inside = pipeline(sleeper, fails_if(fails_if(slow, Attempt::late), odd));
    CHECK(inside.error() == timed_out);
    CHECK(*inside.last() == 7);
    CHECK(pipeline(sleeper, fails_if(fails_if(slow, odd), Attempt::late)).error() == timed_out);
    CHECK(pipeline(sleeper, fails_if(any_value(slow), Attempt::late)).error() == timed_out);
    CHECK(pipeline(sleeper, within(Attempt{}, fails_if(any_value(slow), Attempt::late))).error() ==
          timed_out);
    auto word = fails_if(any_value(slow), Attempt::late);
    CHECK(pipeline(sleeper, std::ref(word)).error() == timed_out);
}

TEST_CASE("Timeout::until ends a call at an instant, and rejects later ones",
          "[call][timeout][unit]") {
    AsyncSleeper sleeper;
    const Pipeline pipeline{Timeout::until(at(5s))};
    const auto slow = [&] { return takes(sleeper, 3s, 7); };
    CHECK(await(pipeline, sleeper, slow).value() == 7);
    CHECK(await(pipeline, sleeper, slow).error() == std::errc::timed_out);
    CHECK(sleeper.now() == at(5s));
    int calls = 0;
    RetryCounters counters;
    for (const Instant late : {at(5s), at(1h)}) {
        sleeper.time = late;
        const auto rejected = await(pipeline, sleeper, [&] {
            ++calls;
            return takes(sleeper, 0s, 7);
        });
        CHECK(rejected.error() == std::errc::timed_out);
        const auto blocking = pipeline(
            sleeper, [&](Attempt) { return ++calls > 0; }, NeverStops{}, counters);
        CHECK(blocking.error() == std::errc::timed_out);
    }
    CHECK(calls == 0);
    CHECK(counters.rejections == 2);
    CHECK(counters.waited == 0s);
}

TEST_CASE("Timeout::until passes its instant on, unless an earlier deadline counts",
          "[call][timeout][unit]") {
    AsyncSleeper sleeper;
    sleeper.time = at(1h);
    const auto deadline_of = [&](const auto& pipeline) {
        Instant deadline = always;
        const auto done = pipeline(sleeper, [&](const Attempt& attempt) {
            deadline = attempt.deadline;
            return true;
        });
        CHECK(done);
        return deadline;
    };
    CHECK(deadline_of(Pipeline{Timeout::until(at(1h) + 3s)}) == at(1h) + 3s);
    CHECK(deadline_of(Pipeline{Timeout{2s}, Timeout::until(at(1h) + 3s)}) == at(1h) + 2s);
    CHECK(deadline_of(Pipeline{Timeout{4s}, Timeout::until(at(1h) + 3s)}) == at(1h) + 3s);
    CHECK(deadline_of(Pipeline{Timeout::until(never)}) == never);
}
