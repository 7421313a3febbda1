// SPDX-License-Identifier: MIT
// Goal: with FailFast a shared object that rejects ends a retry at once, with the wait; without it
// the caller waits. Method: each kind of shared object, rejecting before and after an attempt.
#include <belay/policy/shared.hpp>

#include <memory>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/stability_check.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct FailFastSleeper {
    Random random{Seed{1}};
    Instant time{};
    int sleeps = 0;
    [[nodiscard]] Instant now() const noexcept { return time; }
    Random& bits() noexcept { return random; }
    template <class Stop>
    void sleep_until(Instant until, const Stop&) noexcept {
        ++sleeps;
        if (until > time) time = until;
    }
};

struct LastAdvice {
    Advice advice{};
    std::error_code why{};
    std::uint64_t attempts = 0;
    void on_give_up(const RetryEnded& end) {
        advice = end.advice;
        why = end.why;
        attempts = end.attempts;
    }
};

const Backoff fast_backoff{FullJitter{}, Cap{10s}, 100ms};

}  // namespace

TEST_CASE("retry ends at once with call_rejected if a breaker with FailFast is open",
          "[policy][shared_fail_fast][unit]") {
    FailFastSleeper sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{30s}};
    const Policy policy{fast_backoff, Shared{breaker, FailFast{}}, MaxAttempts{5}};
    int calls = 0;
    LastAdvice last;
    const auto fails = [&] { return ++calls, std::make_error_code(std::errc::connection_reset); };
    // The attempt that opens the breaker is the last one, and its error is returned.
    CHECK(retry(policy, sleeper, fails, NeverStops{}, last) == std::errc::connection_reset);
    CHECK(calls == 2);
    CHECK(last.why == CallErrc::call_rejected);
    const Instant opened = sleeper.time;
    sleeper.time = after(opened, 10s);
    CHECK(retry(policy, sleeper, fails, NeverStops{}, last) == CallErrc::call_rejected);
    CHECK(calls == 2);
    CHECK(last.attempts == 0);
    CHECK(last.why == CallErrc::call_rejected);
    CHECK(last.advice.by == "CircuitBreaker");
    CHECK(last.advice.until == after(opened, 30s));
    CHECK(sleeper.time == after(opened, 10s));
    sleeper.time = after(opened, 30s);
    CHECK_FALSE(retry(policy, sleeper, [&] { return std::error_code{}; }));
    CHECK(breaker.state(sleeper.time) == BreakerState::closed);
}

TEST_CASE("retry reports the wait of a rule with FailFast as the layer Shared does",
          "[policy][shared_fail_fast][unit]") {
    FailFastSleeper sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}};
    Turn turn{sleeper.time, sleeper.random};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    sleeper.time += 12s;
    const auto failure_of = [&](auto layer) {
        Failure failure;
        const auto keep = [&](const Failure& f) { return failure = f, false; };
        Pipeline pipeline{Fallback{[] { return 1; }, keep}, layer};
        CHECK(pipeline(sleeper, [] { return std::optional<int>{1}; }).error() ==
              CallErrc::call_rejected);
        return failure;
    };
    const Failure by_layer = failure_of(Shared{breaker});
    CHECK(by_layer.retry_after == 18s);
    CHECK(failure_of(Retrying{Policy{Shared{breaker, FailFast{}}, MaxAttempts{3}}}) == by_layer);
    CHECK(failure_of(Shared{breaker, FailFast{}}) == by_layer);
    CHECK(sleeper.sleeps == 0);
}

TEST_CASE("Each kind of shared object with FailFast rejects instead of waiting",
          "[policy][shared_fail_fast][unit]") {
    const auto ends_at_once = [](auto& object) {
        FailFastSleeper sleeper;
        int calls = 0;
        const auto result = retry(Policy{Shared{object, FailFast{}}, MaxAttempts{3}}, sleeper,
                                  [&] { return ++calls > 0; });
        CHECK(result.error() == CallErrc::call_rejected);
        CHECK(sleeper.sleeps == 0);
        return calls == 0;
    };
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    AdaptiveLimit limit{Aimd{{.initial = 1, .least = 1, .most = 1}}};
    const auto in_flight = limit.acquire(turn);
    CHECK(ends_at_once(limit));
    RateLimiter limiter{Rate{1, 1s}, Burst{1}};
    static_cast<void>(limiter.acquire(turn));
    CHECK(ends_at_once(limiter));
    Bulkhead bulkhead{{.limit = 1}};
    const auto inside = bulkhead.acquire(turn);
    CHECK(ends_at_once(bulkhead));
}

TEST_CASE("A throttle with FailFast rejects locally", "[policy][shared_fail_fast][unit]") {
    FailFastSleeper sleeper;
    AdaptiveThrottle throttle;
    const Policy policy{Shared{throttle, FailFast{}}, MaxAttempts{1}};
    int calls = 0, rejected = 0;
    for (int i = 0; i < 1000; ++i) {
        const auto result = retry(policy, sleeper, [&] { return ++calls < 0; });
        rejected += result.error() == CallErrc::call_rejected;
    }
    CHECK(calls + rejected == 1000);
    CHECK(rejected > 500);
    CHECK(sleeper.sleeps == 0);
}

TEST_CASE("A budget with FailFast stops as it does without it",
          "[policy][shared_fail_fast][unit]") {
    FailFastSleeper sleeper;
    TokenBudget budget{{.capacity_milli = 10'000}};
    int calls = 0;
    const auto result =
        retry(Policy{Shared{budget, FailFast{}}}, sleeper, [&] { return ++calls < 0; });
    CHECK(result.error() == CallErrc::gave_up);
    CHECK(calls == 3);
}

TEST_CASE("A copy and an assigned Shared rule keep FailFast", "[policy][shared_fail_fast][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    const Shared fails{breaker, FailFast{}};
    Shared copied{fails};
    Shared assigned{breaker};
    CHECK(assigned.admit(turn.now).verb == Advice::Verb::suspend);
    assigned = fails;
    CHECK(copied.admit(turn.now).verb == Advice::Verb::stop);
    CHECK(assigned.admit(turn.now).verb == Advice::Verb::stop);
    CHECK(assigned.admit(turn.now).until == after(Instant{}, 30s));
}

TEST_CASE("Callers of a breaker and of a throttle with FailFast do not return at the same time",
          "[policy][shared_fail_fast][unit]") {
    struct WithBreaker {
        CircuitBreaker<> breaker{ConsecutiveFailures{5}, OpenFor{30s}};
        [[nodiscard]] auto policy() {
            return Policy{fast_backoff, Shared{breaker, FailFast{}}, MaxAttempts{4}};
        }
    };
    check::StabilityLoad load;
    load.brown_out_per_thousand_min = 0;
    const auto report = check::stability([] { return std::make_unique<WithBreaker>(); }, load);
    CHECK(report.broken() == std::nullopt);
    CHECK(report.return_peak_per_thousand < 1100);
    CHECK(report.back_after <= 31s);
}
