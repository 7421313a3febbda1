// SPDX-License-Identifier: MIT
// Goal: Queued waits for a bulkhead or a limiter in the order of arrival, and is woken without
// polling. A full queue, a deadline and a stop lose no permit. Method: virtual time.
#include <belay/call/layers.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/core/http_failure.hpp>
#include <belay/policy/rules.hpp>

#include "support/aborts.hpp"
#include "support/budget/granted.hpp"
#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;
using belay_test::granted;
using belay_test::takes;

namespace {

// A sleeper that runs other code during a blocking wait, as another thread would, and may be woken.
struct Meanwhile {
    void (*act)(void* context);
    void* context;
    int sleeps = 0;
    Random random{Seed{1}};
    Instant time{};
    [[nodiscard]] Instant now() const noexcept { return time; }
    Random& bits() noexcept { return random; }
    void sleep_until(Instant until, const auto& stop) noexcept {
        ++sleeps;
        act(context);
        if (!stop.stop_requested()) time = until;
    }
};

// A sleeper whose sleep ends after each deadline, as on a busy machine.
struct SleepsTooLong : Meanwhile {
    void sleep_until(Instant, const auto& stop) noexcept {
        Meanwhile::sleep_until(time, stop);
        time = at(3s);
    }
};

// A stop token that must be polled.
struct AskedToken {
    const bool* stopped;
    [[nodiscard]] bool stop_requested() const noexcept { return *stopped; }
};

struct RejectionRecorder {
    std::vector<std::string_view> by{};
    void on_rejection(const CallRejected& rejection) { by.push_back(rejection.advice.by); }
};

// The rules of a policy while the own side rejects its attempts: they get no verdict on the peer.
struct Classifies {
    CircuitBreaker<> breaker{ConsecutiveFailures{1}, OpenFor{1h}};
    AdaptiveThrottle throttle{};

    [[nodiscard]] auto policy() {
        return Policy{Shared{breaker}, Shared{throttle},
                      Breaker{ConsecutiveFailures{1}, OpenFor{1h}}, MaxAttempts{3}};
    }
    [[nodiscard]] bool unimpressed(Instant now) const {
        return breaker.state(now) == BreakerState::closed && breaker.counters().failures == 0 &&
               throttle.rejected_per_thousand(now) == 0;
    }
};

// A slow layer of the user.
struct TakesTime {
    Duration time;
    auto call(const auto& next, auto& context, const Attempt& attempt) const {
        context.sleeper.time += time;
        return next(attempt);
    }
};

PermitCounters counted(std::uint64_t admitted, std::uint64_t rejected, std::uint64_t waited,
                       std::uint64_t left) {
    return {admitted, rejected, waited, left};
}

}  // namespace

TEST_CASE("Queued runs as many calls as the limit, and wakes the others in order",
          "[call][queued][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 2, .queue = 3}};
    const Pipeline pipeline{Queued{bulkhead}};
    std::vector<Task<Result<int>>> tasks;
    std::vector<std::pair<int, Instant>> begun;
    for (int i = 0; i < 6; ++i) {
        tasks.push_back(pipeline(sleeper, [&, i] {
            begun.emplace_back(i, sleeper.now());
            return takes(sleeper, 10ms, i);
        }));
        tasks.back().start();
    }
    CHECK(bulkhead.running() == 2);
    CHECK(bulkhead.waiting() == 3);
    REQUIRE(tasks[5].done());
    CHECK(tasks[5].take().error() == CallErrc::call_rejected);
    sleeper.run_until(at(1h));
    for (int i = 0; i < 5; ++i) CHECK(tasks[static_cast<std::size_t>(i)].take().value() == i);
    // Each call begins at the instant at which a slot is free.
    CHECK(begun == std::vector<std::pair<int, Instant>>{
                       {0, at(0ms)}, {1, at(0ms)}, {2, at(10ms)}, {3, at(10ms)}, {4, at(20ms)}});
    // Five calls, and three waits without a deadline of their own: no caller polls.
    CHECK(sleeper.sleeps.size() == 8);
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.waiting() == 0);
    CHECK(bulkhead.counters() == counted(5, 1, 3, 0));
}

TEST_CASE("No caller overtakes another that waits for a bulkhead", "[call][queued][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 3}};
    const Pipeline pipeline{Queued{bulkhead}};
    auto held = bulkhead.acquire(at(0s));
    auto waits = pipeline(sleeper, [&] { return takes(sleeper, 1ms, 1); });
    waits.start();
    held.neutral();
    // The permit is reserved for the first caller, and no other caller gets it.
    CHECK(bulkhead.waiting() == 0);
    CHECK(bulkhead.running() == 1);
    CHECK_FALSE(granted(bulkhead.acquire(at(0s))));
    auto later = pipeline(sleeper, [&] { return takes(sleeper, 1ms, 2); });
    later.start();
    CHECK(bulkhead.waiting() == 1);
    sleeper.run_until(at(1ms));
    REQUIRE(waits.done());
    CHECK(waits.take().value() == 1);
    sleeper.run_until(at(2ms));
    REQUIRE(later.done());
    CHECK(later.take().value() == 2);
    CHECK(bulkhead.running() == 0);
}

TEST_CASE("Queued wakes a caller that blocks", "[call][queued][unit]") {
    Bulkhead bulkhead{{.limit = 1, .queue = 1}};
    std::optional other{bulkhead.acquire(at(0s))};
    Meanwhile sleeper{
        [](void* permit) { static_cast<std::optional<Bulkhead::Permit>*>(permit)->reset(); },
        &other};
    const Pipeline pipeline{Queued{bulkhead}};
    CHECK(pipeline(sleeper, [&]() -> Result<int> {
              CHECK(bulkhead.waiting() == 0);
              return 7;
          }).value() == 7);
    CHECK(sleeper.sleeps == 1);
    CHECK(sleeper.time == at(0s));
    CHECK(bulkhead.running() == 0);
}

TEST_CASE("Queued rejects a permit that a blocking caller gets after its deadline, and returns it",
          "[call][queued][regression]") {
    Bulkhead bulkhead{{.limit = 1, .queue = 1}};
    std::optional other{bulkhead.acquire(at(0s))};
    SleepsTooLong sleeper{
        {[](void* permit) { static_cast<std::optional<Bulkhead::Permit>*>(permit)->reset(); },
         &other}};
    const Pipeline pipeline{Timeout{1s}, Queued{bulkhead}};
    int calls = 0;
    const auto ask = [&calls](Attempt) -> Result<int> { return ++calls; };
    CHECK(pipeline(sleeper, ask).error() == std::errc::timed_out);
    CHECK(calls == 0);
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.waiting() == 0);
    CHECK(pipeline(sleeper, ask).value() == 1);
}

TEST_CASE("A stop, a deadline and destruction end the wait in the queue", "[call][queued][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 3}};
    const auto held = bulkhead.acquire(at(0s));
    const StopSource source;
    const Pipeline patient{Queued{bulkhead}};
    const Pipeline hasty{Timeout{10ms}, Queued{bulkhead}};
    const auto ask = [&] { return takes(sleeper, 1ms, 1); };
    auto stopped = patient(sleeper, ask, source.token());
    auto late = hasty(sleeper, ask);
    std::optional destroyed{patient(sleeper, ask)};
    stopped.start();
    late.start();
    destroyed->start();
    CHECK(bulkhead.waiting() == 3);
    destroyed.reset();
    CHECK(bulkhead.waiting() == 2);
    sleeper.run_until(at(5ms));
    source.request_stop();
    sleeper.run_until(at(5ms));
    CHECK(stopped.take().error() == CallErrc::stopped);
    sleeper.run_until(at(1s));
    CHECK(late.take().error() == std::errc::timed_out);
    CHECK(bulkhead.waiting() == 0);
    CHECK(bulkhead.running() == 1);
    CHECK(bulkhead.counters() == counted(1, 0, 3, 3));
    // A blocking call: no caller returns the permit, so the wait ends while there is still time
    // for a call.
    const Pipeline blocking{Timeout{10ms}, Queued{bulkhead}};
    CHECK(blocking(sleeper, [](Attempt) -> Result<int> { return 1; }).error() ==
          std::errc::timed_out);
    CHECK(sleeper.now() == at(1005ms));
    CHECK(bulkhead.waiting() == 0);
}

TEST_CASE("A token that has to be polled ends the wait in the queue within its interval",
          "[call][queued][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 3}};
    auto held = bulkhead.acquire(at(0s));
    bool stop = false;
    const Pipeline pipeline{Queued{bulkhead}};
    const auto ask = [&] { return takes(sleeper, 1ms, 1); };
    auto stopped = pipeline(sleeper, ask, AskedToken{&stop});
    auto patient = pipeline(sleeper, ask, AskedToken{&stop});
    stopped.start();
    sleeper.run_until(at(25ms));
    CHECK_FALSE(stopped.done());
    stop = true;
    sleeper.run_until(at(30ms));
    REQUIRE(stopped.done());
    CHECK(stopped.take().error() == CallErrc::stopped);
    // The permit wakes it at once.
    stop = false;
    patient.start();
    sleeper.run_until(at(33ms));
    held.neutral();
    sleeper.run_until(at(34ms));
    REQUIRE(patient.done());
    CHECK(patient.take().value() == 1);
}

TEST_CASE("A caller that gives up when its permit arrives passes it on", "[call][queued][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 3}};
    auto held = bulkhead.acquire(at(0s));
    const StopSource source;
    const Pipeline pipeline{Queued{bulkhead}};
    const auto ask = [&] { return takes(sleeper, 1ms, 1); };
    std::optional destroyed{pipeline(sleeper, ask)};
    auto stopped = pipeline(sleeper, ask, source.token());
    auto last = pipeline(sleeper, ask);
    destroyed->start();
    stopped.start();
    last.start();
    held.neutral();
    CHECK(bulkhead.waiting() == 2);
    SECTION("destroyed") {}
    SECTION("and the next one at once, too") { source.request_stop(); }
    const bool stops = source.stop_requested();
    destroyed.reset();
    CHECK(bulkhead.waiting() == 1);
    sleeper.run_until(at(1ms));
    REQUIRE(stopped.done());
    CHECK(stopped.take().has_value() == !stops);
    sleeper.run_until(at(2ms));
    REQUIRE(last.done());
    CHECK(last.take().value() == 1);
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.counters() == counted(stops ? 2 : 3, 0, 3, stops ? 2 : 1));
}

TEST_CASE("Queued on a limiter wakes callers in order, each at its time", "[call][queued][unit]") {
    AsyncSleeper sleeper;
    RateLimiter limiter{Rate{1, 10ms}, Burst{2}, 4};
    const Pipeline one{Queued{limiter}};
    const Pipeline two{Queued{limiter, 2}};
    std::vector<std::pair<int, Instant>> begun;
    std::vector<Task<Result<int>>> tasks;
    for (int i = 0; i < 7; ++i) {
        const auto call = [&, i] {
            begun.emplace_back(i, sleeper.now());
            return takes(sleeper, 0ms, i);
        };
        tasks.push_back(i == 3 ? two(sleeper, call) : one(sleeper, call));
        tasks.back().start();
    }
    CHECK(limiter.waiting() == 4);
    REQUIRE(tasks[6].done());
    const auto full = tasks[6].take();
    CHECK(full.error() == CallErrc::call_rejected);
    // A caller that does not wait gets the time at which all waiting callers have their permits.
    CHECK(limiter.acquire(at(0s)).retry_at() == at(60ms));
    CHECK(limiter.admit(at(0s)) == Advice::suspend(at(60ms)));
    sleeper.run_until(at(1h));
    CHECK(begun == std::vector<std::pair<int, Instant>>{{0, at(0ms)},
                                                        {1, at(0ms)},
                                                        {2, at(10ms)},
                                                        {3, at(30ms)},
                                                        {4, at(40ms)},
                                                        {5, at(50ms)}});
    CHECK(limiter.waiting() == 0);
    CHECK(limiter.counters() == counted(6, 2, 4, 0));
}

TEST_CASE("A caller that leaves a limiter's queue uses no permit, and later callers move up",
          "[call][queued][unit]") {
    AsyncSleeper sleeper;
    RateLimiter limiter{Rate{1, 10ms}, Burst{1}, 10};
    const StopSource source;
    const Pipeline pipeline{Queued{limiter}};
    const auto ask = [&] { return takes(sleeper, 0ms, 1); };
    auto first = pipeline(sleeper, ask);
    auto stopped = pipeline(sleeper, ask, source.token());
    std::optional destroyed{pipeline(sleeper, ask)};
    std::vector<Instant> begun;
    auto last = pipeline(sleeper, [&] {
        begun.push_back(sleeper.now());
        return takes(sleeper, 0ms, 1);
    });
    first.start();
    stopped.start();
    destroyed->start();
    last.start();
    CHECK(first.done());
    CHECK(limiter.waiting() == 3);
    sleeper.run_until(at(3ms));
    SECTION("the first caller leaves") {
        source.request_stop();
        sleeper.run_until(at(3ms));
        CHECK(stopped.take().error() == CallErrc::stopped);
        destroyed.reset();
    }
    SECTION("callers after it leave first") {
        destroyed.reset();
        source.request_stop();
        sleeper.run_until(at(3ms));
        CHECK(stopped.take().error() == CallErrc::stopped);
    }
    CHECK(limiter.waiting() == 1);
    sleeper.run_until(at(1h));
    REQUIRE(last.done());
    CHECK(begun == std::vector{at(10ms)});
    CHECK(limiter.counters() == counted(2, 0, 3, 2));
}

TEST_CASE("A turn that leaves too little time ends a caller's wait at the beginning",
          "[call][queued][unit]") {
    AsyncSleeper sleeper;
    RateLimiter limiter{Rate{1, 10ms}, Burst{1}, 10};
    const auto ask = [&] { return takes(sleeper, 0ms, 1); };
    const Pipeline patient{Queued{limiter}};
    auto first = patient(sleeper, ask);
    auto second = patient(sleeper, ask);
    first.start();
    second.start();
    const Pipeline hasty{Timeout{39ms}, Queued{limiter}};
    auto late = hasty(sleeper, ask);
    late.start();
    REQUIRE(late.done());
    CHECK(late.take().error() == std::errc::timed_out);
    const Pipeline in_time{Timeout{40ms}, Queued{limiter}};
    auto just = in_time(sleeper, [&] { return takes(sleeper, 0ms, 2); });
    just.start();
    CHECK_FALSE(just.done());
    sleeper.run_until(at(1h));
    CHECK(second.take().value() == 1);
}

TEST_CASE("A caller whose turn has come waits for earlier callers that have not been resumed yet",
          "[call][queued][regression]") {
    AsyncSleeper sleeper;
    RateLimiter limiter{Rate{1, 1s}, Burst{2}, 10};
    const auto ask = [&] { return takes(sleeper, 0ms, 1); };
    const Pipeline in_time{Timeout{10ms}, Queued{limiter}};
    for (int i = 0; i < 2; ++i) REQUIRE(granted(limiter.acquire(at(0s))));
    const Pipeline patient{Queued{limiter}};
    auto first = patient(sleeper, ask);
    first.start();
    // There is time for both callers, and not for another interval.
    sleeper.time = at(2s);
    auto second = in_time(sleeper, ask);
    second.start();
    CHECK_FALSE(second.done());
    sleeper.run_until(at(2s));
    REQUIRE(first.done());
    REQUIRE(second.done());
    CHECK(second.take().value() == 1);
}

TEST_CASE("Queued fails at once, without a wait, if it needs more permits than the burst",
          "[call][queued][unit]") {
    AsyncSleeper sleeper;
    RateLimiter limiter{Rate{1, 10ms}, Burst{3}, 10};
    int called = 0;
    const Pipeline greedy{Queued{limiter, 4}};
    const auto answer = greedy(sleeper, [&]() -> Result<int> { return ++called; });
    CHECK(answer.error() == std::errc::invalid_argument);
    CHECK(sleeper.sleeps.empty());
    CHECK(called == 0);
    const Pipeline just{Queued{limiter, 3}};
    CHECK(just(sleeper, [&]() -> Result<int> { return ++called; }).value() == 1);
    CHECK(just(sleeper, [&]() -> Result<int> { return ++called; }).value() == 2);
    CHECK(sleeper.now() == at(30ms));
}

TEST_CASE("A rejection by a full queue is no verdict on the peer, and retry repeats the call",
          "[call][queued][regression]") {
    AsyncSleeper sleeper;
    RejectionRecorder rejections;
    int called = 0;
    const auto ask = [&](Attempt) -> Result<int> { return ++called; };
    const auto await_ask = [&] { return takes(sleeper, 0ms, ++called); };

    Bulkhead bulkhead{{.limit = 1, .queue = 3}};
    std::optional held{bulkhead.acquire(at(0s))};
    Classifies late;
    const Pipeline hasty{Retrying{late.policy()}, Timeout{10ms}, Queued{bulkhead}};
    CHECK(hasty(sleeper, ask, NeverStops{}, rejections).error() == std::errc::timed_out);
    CHECK(rejections.by == std::vector<std::string_view>{"Bulkhead", "Bulkhead", "Bulkhead"});
    CHECK(late.unimpressed(sleeper.now()));
    // Three waits of 5 ms each: no rule stopped because of the first rejection.
    CHECK(sleeper.now() == at(15ms));

    Classifies awaited;
    const Pipeline hasty_too{Retrying{awaited.policy()}, Timeout{10ms}, Queued{bulkhead}};
    bool asked_to_stop = false;
    rejections.by.clear();
    auto task = hasty_too(sleeper, await_ask, AskedToken{&asked_to_stop}, rejections);
    task.start();
    sleeper.run_until(at(1s));
    REQUIRE(task.done());
    CHECK(task.take().error() == std::errc::timed_out);
    CHECK(rejections.by.size() == 3);
    CHECK(awaited.unimpressed(sleeper.now()));

    RateLimiter limiter{Rate{1, 10ms}, Burst{3}, 10};
    Classifies greedy;
    const Pipeline too_many{Retrying{greedy.policy()}, Queued{limiter, 4}};
    CHECK(too_many(sleeper, ask).error() == std::errc::invalid_argument);
    CHECK(greedy.unimpressed(sleeper.now()));
    CHECK(called == 0);

    // Failures of the peer still count.
    held.reset();
    Classifies received;
    const Pipeline fails{Retrying{received.policy()}, Timeout{10ms}, Queued{bulkhead}};
    CHECK_FALSE(fails(sleeper, [](Attempt) { return false; }));
    CHECK(received.breaker.state(sleeper.now()) == BreakerState::open);
}

TEST_CASE("A wait that leaves no time for a call reports a rejection by the queue",
          "[call][queued][regression]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 3}};
    const auto held = bulkhead.acquire(at(0s));
    const Pipeline pipeline{Timeout{25ms}, Queued{bulkhead}};
    bool asked_to_stop = false;
    RejectionRecorder rejections;
    auto task = pipeline(
        sleeper, [&] { return takes(sleeper, 0ms, 1); }, AskedToken{&asked_to_stop}, rejections);
    task.start();
    sleeper.run_until(at(1s));
    REQUIRE(task.done());
    CHECK(task.take().error() == std::errc::timed_out);
    CHECK(rejections.by == std::vector<std::string_view>{"Bulkhead"});
}

TEST_CASE("Queued gives no place to a call with less than half of its limit left",
          "[call][queued][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 3}};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1h}};
    RejectionRecorder rejects;
    int calls = 0;
    const auto ask = [&](Attempt) -> Result<int> { return ++calls; };
    const auto after_a_delay = [&](Duration delay, auto timeout) {
        return Pipeline{Shared{breaker}, timeout, TakesTime{delay}, Queued{bulkhead}}(
            sleeper, ask, NeverStops{}, rejects);
    };
    CHECK(after_a_delay(50ms, Timeout{100ms}).value() == 1);
    CHECK(after_a_delay(51ms, Timeout{100ms}).error() == std::errc::timed_out);
    CHECK(after_a_delay(90ms, Timeout{100ms}.counts_after(10ms)).value() == 2);
    CHECK(after_a_delay(91ms, Timeout{100ms}.counts_after(10ms)).error() == std::errc::timed_out);
    CHECK(calls == 2);
    CHECK(rejects.by == std::vector<std::string_view>{"Bulkhead", "Bulkhead"});
    // This side rejected the calls, and returned the places.
    CHECK(breaker.state(sleeper.now()) == BreakerState::closed);
    CHECK(bulkhead.running() == 0);
}

TEST_CASE("A peer that answers at once, with 504, is charged after any wait in a queue",
          "[call][queued][regression]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 3}};
    CircuitBreaker breaker{ConsecutiveFailures{4}, OpenFor{1h}};
    const Pipeline pipeline{Timeout{2s}, Queued{bulkhead}, Shared{breaker}};
    const auto fail = [&]() -> Task<Result<int>> {
        co_await sleeper.async_sleep_until(after(sleeper.now(), 200ms));
        co_return std::error_code{504, http_category()};
    };
    std::vector<Task<Result<int>>> tasks;
    for (int i = 0; i < 4; ++i) {
        tasks.push_back(pipeline(sleeper, fail));
        tasks.back().start();
    }
    sleeper.run();
    for (auto& task : tasks) CHECK(task.take().error() == std::error_code{504, http_category()});
    CHECK(breaker.state(sleeper.now()) == BreakerState::open);
}

TEST_CASE("Calls of an overloaded bulkhead succeed as often as its places allow",
          "[call][queued][regression]") {
    for (const std::size_t callers : {16U, 20U, 24U, 40U}) {
        AsyncSleeper sleeper;
        Bulkhead bulkhead{{.limit = 4, .queue = 1000}};
        CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{5s}};
        const Pipeline pipeline{Timeout{500ms}, Queued{bulkhead}, Shared{breaker}};
        int ok = 0;
        // A healthy peer, which takes 100 ms. A call ends by its deadline.
        const auto ask = [&](Attempt a) -> Task<Result<int>> {
            const Instant answer = after(sleeper.now(), 100ms);
            co_await sleeper.async_sleep_until(std::min(answer, a.deadline));
            if (a.deadline < answer) co_return std::make_error_code(std::errc::timed_out);
            co_return 7;
        };
        const auto calls_all_the_time = [&]() -> Task<bool> {
            while (sleeper.now() < at(20s)) {
                auto call = pipeline(sleeper, ask);
                const auto result = co_await std::move(call);
                if (result) ++ok;
                if (!result) co_await sleeper.async_sleep_until(after(sleeper.now(), 5ms));
            }
            co_return true;
        };
        std::vector<Task<bool>> tasks;
        for (std::size_t i = 0; i < callers; ++i) tasks.push_back(calls_all_the_time());
        for (auto& task : tasks) task.start();
        sleeper.run_until(at(30s));
        CAPTURE(callers);
        CHECK(ok >= 790);
        CHECK(breaker.counters().opened == 0);
    }
}

TEST_CASE("Queued learns how long calls take, so a slow peer is well in an overload",
          "[call][queued][regression]") {
    struct Callers {
        AsyncSleeper sleeper{};
        Bulkhead bulkhead{{.limit = 4, .queue = 1000}};
        CircuitBreaker<> breaker{ConsecutiveFailures{5}, OpenFor{5s}};
        Pipeline<Timeout, Queued<Bulkhead>, Shared<CircuitBreaker<>>> pipeline{
            Timeout{500ms}, Queued{bulkhead}, Shared{breaker}};
        Duration took{};
        int ok = 0;
        int late = 0;

        Task<Result<int>> ask(Attempt a) {
            const Instant answer = after(sleeper.now(), took);
            co_await sleeper.async_sleep_until(std::min(answer, a.deadline));
            if (a.deadline >= answer) co_return 7;
            ++late;
            co_return std::make_error_code(std::errc::timed_out);
        }
        Task<bool> call_until(Instant end) {
            while (sleeper.now() < end) {
                auto call = pipeline(sleeper, [this](Attempt a) { return ask(a); });
                const auto result = co_await std::move(call);
                if (result) ++ok;
                if (!result) co_await sleeper.async_sleep_until(after(sleeper.now(), 5ms));
            }
            co_return true;
        }
        void run(Duration time) {
            std::vector<Task<bool>> tasks;
            for (int i = 0; i < 40; ++i) tasks.push_back(call_until(after(sleeper.now(), time)));
            for (auto& task : tasks) task.start();
            sleeper.run();
            for (auto& task : tasks) REQUIRE(task.done());
        }
    };
    for (const Duration took : {300ms, 400ms, 460ms}) {
        Callers callers{.took = took};
        callers.run(20s);
        CAPTURE(took / 1ms);
        CHECK(callers.ok >= 4 * (20s / took) - 8);
        CHECK(callers.breaker.counters().failures == 0);
        // It becomes slower while the queue is full, and later faster.
        callers.took = 460ms;
        callers.run(5s);
        CHECK(callers.breaker.counters().opened == 0);
        callers.took = 50ms;
        callers.run(5s);
        callers.ok = 0;
        callers.run(20s);
        CHECK(callers.ok >= 1500);
        // A peer that hangs opens the breaker, also through a full queue.
        callers.late = 0;
        callers.took = forever;
        callers.run(2s);
        CHECK(callers.breaker.counters().opened == 1);
        CHECK(callers.late <= 40);
    }
}

TEST_CASE("Callers leave a queue in the order of their arrival, in any history",
          "[call][queued][property]") {
    struct Caller {
        int number;
        bool has_begun = false;
        StopSource source{};
        std::optional<Task<Result<int>>> task{};
    };
    const auto run = [](auto& object, const auto& pipeline, AsyncSleeper& sleeper) {
        std::vector<std::unique_ptr<Caller>> callers;
        std::vector<int> begun;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 10))) {
            if (event <= 4) {
                callers.push_back(
                    std::make_unique<Caller>(Caller{static_cast<int>(callers.size())}));
                Caller& caller = *callers.back();
                const Duration time{*rc::gen::inRange<std::int64_t>(0, 30'000'000)};
                caller.task.emplace(pipeline(
                    sleeper,
                    [&begun, &caller, &sleeper, time] {
                        caller.has_begun = true;
                        begun.push_back(caller.number);
                        return takes(sleeper, time, caller.number);
                    },
                    caller.source.token()));
                caller.task->start();
            } else if (event <= 7) {
                sleeper.run_until(sleeper.now() +
                                  Duration{*rc::gen::inRange<std::int64_t>(0, 30'000'000)});
            } else if (!callers.empty()) {
                Caller& some = *callers[*rc::gen::inRange<std::size_t>(0, callers.size())];
                if (event == 8) some.source.request_stop();
                if (event == 9) some.task.reset();
                // A caller that has got the place begins before one that arrives later.
                sleeper.run_until(sleeper.now());
            }
        }
        sleeper.run_until(sleeper.now() + 24h);
        RC_ASSERT(std::is_sorted(begun.begin(), begun.end()));
        RC_ASSERT(object.waiting() == 0U);
        std::uint64_t rejected = 0;
        for (const auto& caller : callers) {
            if (!caller->task) continue;
            RC_ASSERT(caller->task->done());
            const auto result = caller->task->take();
            RC_ASSERT(result.has_value() == caller->has_begun);
            rejected += !result && result.error() == CallErrc::call_rejected ? 1U : 0U;
        }
        const PermitCounters all = object.counters();
        RC_ASSERT(all.admitted == begun.size());
        RC_ASSERT(all.rejected >= rejected);
        RC_ASSERT(all.admitted + all.rejected + all.left == callers.size());
    };
    CHECK(rc::check("of a bulkhead", [&] {
        AsyncSleeper sleeper;
        Bulkhead bulkhead{{.limit = *rc::gen::inRange<std::uint32_t>(1, 4), .queue = 4}};
        run(bulkhead, Pipeline{Queued{bulkhead}}, sleeper);
        RC_ASSERT(bulkhead.running() == 0U);
    }));
    CHECK(rc::check("of a limiter", [&] {
        AsyncSleeper sleeper;
        RateLimiter limiter{Rate{1, 10ms}, Burst{*rc::gen::inRange<std::uint64_t>(2, 5)}, 4};
        run(limiter, Pipeline{Queued{limiter, *rc::gen::inRange<std::uint64_t>(1, 3)}}, sleeper);
    }));
}

TEST_CASE("A limiter with a queue keeps its rate for waiting callers and for others",
          "[call][queued][property]") {
    CHECK(rc::check("grants <= burst + time / interval in every window", [] {
        AsyncSleeper sleeper;
        const std::uint64_t burst = *rc::gen::inRange<std::uint64_t>(1, 5);
        RateLimiter limiter{Rate{1, 10ms}, Burst{burst}, 5};
        using Line = Pipeline<Queued<RateLimiter>>;
        std::vector<Instant> grants;
        std::vector<std::unique_ptr<Line>> kept;
        std::vector<Task<Result<int>>> tasks;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 4))) {
            const auto permits = *rc::gen::inRange<std::uint64_t>(1, burst + 1);
            const auto note = [&grants, &sleeper, permits] {
                grants.insert(grants.end(), permits, sleeper.now());
            };
            if (event == 0 && granted(limiter.acquire(sleeper.now(), permits))) note();
            if (event == 1 || event == 2) {
                // The Pipeline must outlive its call.
                kept.push_back(std::make_unique<Line>(Queued{limiter, permits}));
                tasks.push_back((*kept.back())(sleeper, [note, &sleeper] {
                    note();
                    return takes(sleeper, 0ms, 1);
                }));
                tasks.back().start();
            }
            if (event == 3) {
                sleeper.run_until(sleeper.now() +
                                  Duration{*rc::gen::inRange<std::int64_t>(0, 40'000'000)});
            }
        }
        sleeper.run_until(sleeper.now() + 24h);
        RC_ASSERT(limiter.waiting() == 0U);
        for (std::size_t i = 0; i < grants.size(); ++i) {
            for (std::size_t j = i; j < grants.size(); ++j) {
                const auto in_time = static_cast<std::uint64_t>((grants[j] - grants[i]) / 10ms);
                RC_ASSERT(j - i + 1 <= burst + in_time);
            }
        }
    }));
}

TEST_CASE("Queued aborts on a limiter without a queue", "[call][queued][unit]") {
    const auto says = [](auto&& f) {
        return belay_test::aborts_with(f).find("must have a queue > 0") != std::string::npos;
    };
    CHECK(says([] {
        Bulkhead bulkhead{{.limit = 8}};
        const Pipeline pipeline{Queued{bulkhead}};
    }));
    CHECK(says([] {
        RateLimiter limiter{Rate{10, 1s}, Burst{5}};
        const Pipeline pipeline{Queued{limiter}};
    }));
    CHECK(says([] {
        RateLimiter limiter{Rate{10, 1s}, Burst{5}};
        const Pipeline pipeline{Queued{limiter, 2}};
    }));
}
