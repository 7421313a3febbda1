// SPDX-License-Identifier: MIT
// Goal: a budget limits the retries that are made, also if their callers stop waiting for them.
// Method: a peer that fails at once and then hangs, callers with a deadline, and each budget in
// each kind of policy, in virtual time.
#include <belay/call/layers.hpp>

#include <stdexcept>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/remembered.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/call/holds_call.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::HoldsCall;

namespace {

auto three_attempts(auto& budget) {
    return Policy{Backoff{NoJitter{}, Cap{1s}, 10ms}, Shared{budget}, MaxAttempts{3}};
}

/// A server that refuses each first attempt, and never answers a retry.
struct HangingPeer {
    AsyncSleeper& sleeper;
    int retries = 0;
    Task<Result<int>> ask(Attempt attempt) {
        if (!attempt.is_retry()) co_return std::make_error_code(std::errc::connection_refused);
        ++retries;
        co_await sleeper.async_sleep_until(never);
        co_return 1;
    }
};

/// Returns the number of retries of a thousand callers that wait for one second each.
template <class P>
int retries_of_impatient_callers(const P& policy) {
    AsyncSleeper sleeper;
    HangingPeer peer{sleeper};
    const Pipeline pipeline{Timeout{1s}, Retrying{policy}};
    for (int i = 0; i < 1000; ++i) {
        auto task = pipeline(sleeper, [&peer](Attempt attempt) { return peer.ask(attempt); });
        task.start();
        sleeper.run_until(after(sleeper.now(), 1s));
        REQUIRE(task.done());
        CHECK(!task.take());
    }
    return peer.retries;
}

}  // namespace

TEST_CASE("A TokenBudget counts the retries that a Timeout around them ends",
          "[call][retrying_budget][unit]") {
    TokenBudget budget{TokenBudgetOptions::aws()};
    SECTION("in a Policy") { CHECK(retries_of_impatient_callers(three_attempts(budget)) == 100); }
    SECTION("in an AnyPolicy") {
        CHECK(retries_of_impatient_callers(policies::AnyPolicy{three_attempts(budget)}) == 100);
    }
    SECTION("in a nested Policy that may be left out") {
        const Policy policy{MaxAttempts{5}, std::optional{three_attempts(budget)}};
        CHECK(retries_of_impatient_callers(policy) == 100);
    }
    SECTION("in a Remembered policy") {
        PolicyHistory history;
        CHECK(retries_of_impatient_callers(Remembered{history, three_attempts(budget)}) == 100);
    }
    CHECK(budget.tokens_milli() == 0);
}

TEST_CASE("A RatioBudget counts the retries that a Timeout around them ends",
          "[call][retrying_budget][unit]") {
    RatioBudget budget{{.window = 1h, .retries_per_thousand = 100, .at_least = 10}};
    CHECK(retries_of_impatient_callers(three_attempts(budget)) == 100);
}

TEST_CASE(
    "A budget is refunded for a retry that was planned and not made, and a first attempt is free",
    "[call][retrying_budget][unit]") {
    TokenBudget budget{TokenBudgetOptions::aws()};
    AsyncSleeper sleeper;
    const Pipeline pipeline{Retrying{three_attempts(budget)}};
    {
        auto task = pipeline(sleeper, [](Attempt) -> Task<Result<int>> {
            co_return std::make_error_code(std::errc::connection_refused);
        });
        task.start();
        CHECK(budget.tokens_milli() == 495'000);
    }
    CHECK(budget.tokens_milli() == 500'000);
    {
        auto task = pipeline(sleeper, [&sleeper](Attempt) -> Task<Result<int>> {
            co_await sleeper.async_sleep_until(never);
            co_return 1;
        });
        task.start();
    }
    CHECK(budget.tokens_milli() == 500'000);
}

TEST_CASE("A budget is refunded for a retry that an inner layer held until the Timeout",
          "[call][retrying_budget][regression]") {
    TokenBudget budget{TokenBudgetOptions::aws()};
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 10}};
    const Pipeline pipeline{Timeout{1s}, Retrying{three_attempts(budget)}, Queued{bulkhead}};
    for (int i = 0; i < 50; ++i) {
        Bulkhead::Permit other;
        int calls = 0;
        auto task = pipeline(sleeper, [&](Attempt) -> Task<Result<int>> {
            ++calls;
            co_await sleeper.async_sleep_until(after(sleeper.now(), 5ms));
            co_return std::make_error_code(std::errc::connection_refused);
        });
        task.start();
        sleeper.run_until(after(sleeper.now(), 6ms));
        // Another caller has the only permit when the retry is due.
        other = bulkhead.acquire(sleeper.now());
        REQUIRE(other);
        sleeper.run_until(after(sleeper.now(), 1s));
        REQUIRE(task.done());
        CHECK(!task.take());
        CHECK(calls == 1);
    }
    CHECK(budget.tokens_milli() == 500'000);
}

TEST_CASE(
    "A budget is refunded for a retry that was not made, although another hedged call was made",
    "[call][retrying_budget][regression]") {
    TokenBudget budget{TokenBudgetOptions::aws()};
    AsyncSleeper sleeper;
    // The first of two hedged calls fails after 10 ms, and its retry is held. The second one begins
    // after 50 ms, and has no answer yet when the caller stops waiting.
    const Pipeline pipeline{Timeout{1s}, Hedge{50ms, 1}, Retrying{three_attempts(budget)},
                            HoldsCall<2>{}};
    int calls = 0;
    auto task = pipeline(sleeper, [&](Attempt) -> Task<Result<int>> {
        const Duration takes = ++calls == 1 ? 10ms : 1h;
        co_await sleeper.async_sleep_until(after(sleeper.now(), takes));
        co_return std::make_error_code(std::errc::connection_refused);
    });
    task.start();
    sleeper.run_until(after(sleeper.now(), 1s));
    REQUIRE(task.done());
    CHECK(!task.take());
    CHECK(calls == 2);
    CHECK(budget.tokens_milli() == 500'000);
}

TEST_CASE("A budget is refunded for a retry if the observer throws before it is made",
          "[call][retrying_budget][regression]") {
    struct Throws {
        void on_attempt(const Attempt& attempt) const {
            if (attempt.is_retry()) throw std::runtime_error{"no log"};
        }
    };
    TokenBudget budget{TokenBudgetOptions::aws()};
    AsyncSleeper sleeper;
    const Pipeline pipeline{Retrying{three_attempts(budget), Throws{}}};
    auto task = pipeline(sleeper, [](Attempt) -> Task<Result<int>> {
        co_return std::make_error_code(std::errc::connection_refused);
    });
    task.start();
    sleeper.run_until(after(sleeper.now(), 1s));
    REQUIRE(task.done());
    CHECK_THROWS_AS(task.take(), std::runtime_error);
    CHECK(budget.tokens_milli() == 500'000);
}

TEST_CASE("A breaker counts a retry that its deadline ended after half of the limit",
          "[call][retrying_budget][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{5000}, OpenFor{1h}};
    CHECK(retries_of_impatient_callers(three_attempts(breaker)) == 1000);
    CHECK(breaker.counters().failures == 2000);
}
