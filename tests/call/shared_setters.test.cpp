// SPDX-License-Identifier: MIT
// Goal: a caller that sleeps because of a Shared rule tries again at the end of its wait, at the
// latest after the time that the pages specify, and then uses the new numbers of the object.
// Method: each object with a setter, which is called when the wait begins; blocking and in a
// coroutine.
#include <functional>
#include <utility>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/budget/cubic_rate.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/call/retry_forms.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;

namespace {

// Calls the setter when the first wait begins.
struct SetsInTheWait : AsyncSleeper {
    template <class Stop>
    void sleep_until(Instant until, const Stop& stop) noexcept {
        set();
        AsyncSleeper::sleep_until(until, stop);
    }
    template <class Stop>
    Wait async_sleep_until(Instant until, const Stop& stop) noexcept {
        set();
        return AsyncSleeper::async_sleep_until(until, stop);
    }
    void set() noexcept {
        if (setter) std::exchange(setter, nullptr)();
    }
    std::function<void()> setter{};
};

// Runs a call that must wait once because of `rule`. Its first `fails` attempts fail.
template <class Rule>
void check_setter(const Rule& rule, Duration longest, int fails, std::function<void()> setter,
                  bool is_coroutine) {
    SetsInTheWait sleeper;
    sleeper.time = at(1h);
    sleeper.setter = std::move(setter);
    int calls = 0;
    const auto call = [&] { return ++calls > fails; };
    const Policy policy{rule, MaxAttempts{2}};
    const Result<void> result =
        is_coroutine
            ? belay_test::finish(retry(policy, sleeper, belay_test::awaitable(call)), sleeper)
            : retry(policy, sleeper, call);
    CHECK(result);
    CHECK(calls == fails + 1);
    CHECK(sleeper.sleeps.size() == 1);
    CHECK(sleeper.setter == nullptr);
    CHECK(sleeper.time > at(1h));
    CHECK(sleeper.time <= at(1h) + longest);
}

}  // namespace

TEST_CASE("A caller that waits for a shared object uses new numbers at the end of its wait",
          "[call][shared_setters][unit]") {
    const bool is_coroutine = GENERATE(false, true);
    Random bits{Seed{1}};
    Turn turn{at(1h), bits};

    ManualClock clock{at(1h)};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    breaker.acquire(turn).failure(turn);
    check_setter(
        Shared{breaker}, 2 * 30s, 0,
        [&] { breaker.set_rules(ConsecutiveFailures{9}, OpenFor{1h}); }, is_coroutine);

    Bulkhead bulkhead{{.limit = 1}};
    const auto place = bulkhead.acquire(turn);
    check_setter(
        Shared{bulkhead}, 2 * 5ms, 0, [&] { bulkhead.set_limit(2); }, is_coroutine);

    RateLimiter limiter{Rate{1, 1min}, Burst{1}};
    CHECK(limiter.acquire(turn).advice() == Advice::go());
    check_setter(
        Shared{limiter}, 1min, 0,
        [&] {
            limiter.set_rate(turn.now, Rate{1, 1s}, Burst{1});
        },
        is_coroutine);

    AdaptiveLimit limit{Aimd{{.initial = 1, .least = 1, .most = 1}}};
    const auto held = limit.acquire(turn);
    check_setter(
        Shared{limit}, 2 * 100ms, 0, [&] { limit.set_algorithm(Aimd{{.initial = 2}}); },
        is_coroutine);

    AdaptiveThrottle throttle{{.attempts_per_thousand = 1000, .rejected_per_thousand_max = 999}};
    for (int i = 0; i < 10'000; ++i) static_cast<void>(throttle.acquire(turn).failure(turn));
    check_setter(
        Shared{throttle}, 2s, 0, [&] { throttle.set_options({.rejected_per_thousand_max = 0}); },
        is_coroutine);

    AdaptiveThrottle::CubicRate rate;
    rate.set_rate(500, turn.now);
    CHECK(rate.acquire(turn).advice() == Advice::go());
    check_setter(
        Shared{rate}, 2s, 0, [&] { rate.set_rate(0, turn.now); }, is_coroutine);

    TokenBudget tokens{{.capacity_milli = 5000, .timeout_cost_milli = 5000}};
    const auto spent = tokens.reserve(Cause::lost, turn);
    check_setter(
        Shared{tokens, AskAgain{10s}}, 2 * 10s, 1,
        [&] { tokens.set_options({.retry_cost_milli = 0}); }, is_coroutine);

    RatioBudget ratio{{.window = 10s, .retries_per_thousand = 200, .at_least = 1}};
    const auto retried = ratio.reserve(Cause::lost, turn);
    check_setter(
        Shared{ratio, AskAgain{10s}}, 2 * 10s, 1, [&] { ratio.set_options({.at_least = 100}); },
        is_coroutine);
}
