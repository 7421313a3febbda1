// SPDX-License-Identifier: MIT
// Goal: time limits run from the moment at which an attempt is wanted, also while other rules do
// not admit the first one. Method: virtual time, all ways to repeat a call.
#include <system_error>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;

namespace {

// Requests a stop after an hour, so that a wait without an end does end.
struct StopAfterAnHour {
    const AsyncSleeper* sleeper;
    [[nodiscard]] bool stop_requested() const noexcept { return sleeper->now() >= at(1h); }
};

// The end of a run whose first attempt was never admitted.
struct Ended {
    Instant at;
    std::error_code why;
    int calls = 0;
    std::string_view by{};
    friend bool operator==(const Ended&, const Ended&) = default;
};

struct EndRecorder {
    std::string_view by{};
    void on_give_up(const RetryEnded& end) { by = end.advice.by; }
};

// Runs the policy in four ways.
template <class P>
std::vector<Ended> each_way(const P& policy) {
    std::vector<Ended> all;
    const auto one = [&](auto run) {
        AsyncSleeper sleeper;
        EndRecorder observer;
        int calls = 0;
        const Result<void> result = run(sleeper, StopAfterAnHour{&sleeper}, observer, calls);
        all.push_back({sleeper.now(), result.error(), calls, observer.by});
    };
    const auto finish = [](auto task, AsyncSleeper& sleeper) {
        task.start();
        sleeper.run();
        REQUIRE(task.done());
        return task.take();
    };
    one([&](AsyncSleeper& sleeper, StopAfterAnHour stop, EndRecorder& observer, int& calls) {
        return retry(
            policy, sleeper, [&] { ++calls; }, stop, observer);
    });
    one([&](AsyncSleeper& sleeper, StopAfterAnHour stop, EndRecorder& observer, int& calls) {
        const auto call = [&]() -> Task<bool> {
            ++calls;
            co_return true;
        };
        return finish(retry(policy, sleeper, call, stop, observer), sleeper);
    });
    one([&](AsyncSleeper& sleeper, StopAfterAnHour stop, EndRecorder& observer, int& calls) {
        const Pipeline pipeline{Retrying{policy, observer}};
        return pipeline(
            sleeper, [&] { ++calls; }, stop);
    });
    one([&](AsyncSleeper& sleeper, StopAfterAnHour stop, EndRecorder& observer, int& calls) {
        const Pipeline pipeline{Retrying{policy, observer}};
        const auto call = [&]() -> Task<bool> {
            ++calls;
            co_return true;
        };
        return finish(pipeline(sleeper, call, stop), sleeper);
    });
    return all;
}
std::vector<Ended> four(const Ended& ended) { return std::vector<Ended>(4, ended); }
// Each run ended without a call when its next wait would have ended after `most`.
void check_gave_up(const std::vector<Ended>& all, Duration longest_wait, std::string_view by,
                   Duration most = 2s) {
    CHECK(all.size() == 4);
    for (const Ended& end : all) {
        CHECK(end.at <= at(most));
        CHECK(end.at > at(most) - longest_wait);
        CHECK(end.why == CallErrc::gave_up);
        CHECK(end.calls == 0);
        CHECK(end.by == by);
    }
}

using SharedBreaker = CircuitBreaker<SteadyClock, ConsecutiveFailures, OpenFor>;

// The policy of docs/how-to/choosing-a-policy.md.
auto policy_for_many(SharedBreaker& breaker, TokenBudget& budget) {
    return Policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker}, Shared{budget},
                  MaxAttempts{4}, MaxElapsed{30s}};
}

}  // namespace

TEST_CASE("MaxElapsed ends the wait for a breaker that an operator holds open",
          "[call][bounded_wait][regression]") {
    SharedBreaker breaker{ConsecutiveFailures{5}, OpenFor{10s}};
    breaker.set_mode(BreakerMode::forced_open);
    TokenBudget budget;
    // Callers try again after one second, and are spread over another one.
    check_gave_up(each_way(policy_for_many(breaker, budget)), 2s, "MaxElapsed", 30s);
}

TEST_CASE("MaxElapsed does not sleep for a first attempt that would be too late",
          "[call][bounded_wait][regression]") {
    // Others have opened the breaker for five minutes.
    SharedBreaker breaker{ConsecutiveFailures{1}, OpenFor{5min}};
    Random bits{Seed{1}};
    Turn turn{at(0s), bits};
    auto permit = breaker.acquire(turn);
    static_cast<void>(permit.failure(turn));
    TokenBudget budget;
    CHECK(each_way(policy_for_many(breaker, budget)) ==
          four({at(0s), make_error_code(CallErrc::gave_up), 0, "MaxElapsed"}));
}

TEST_CASE("MaxElapsed ends the wait for a permit that is never returned",
          "[call][bounded_wait][regression]") {
    Bulkhead bulkhead{{.limit = 1}};
    const Bulkhead::Permit taken = bulkhead.acquire(at(0s));
    check_gave_up(each_way(Policy{Shared{bulkhead}, MaxElapsed{2s}}), 10ms, "MaxElapsed");
    AdaptiveLimit limit{Aimd{{.initial = 1, .least = 1, .most = 1}}};
    Random bits{Seed{1}};
    Turn turn{at(0s), bits};
    const auto under_way = limit.acquire(turn);
    check_gave_up(each_way(Policy{Shared{limit}, MaxElapsed{2s}}), 200ms, "MaxElapsed");
    // The rules may be in any order, and in a policy of their own.
    check_gave_up(each_way(Policy{Policy{MaxElapsed{2s}}, Policy{Shared{bulkhead}}}), 10ms,
                  "MaxElapsed");
}

TEST_CASE("MaxElapsed alone, as a rule, lets the first attempt start at once",
          "[call][bounded_wait][unit]") {
    CHECK(each_way(MaxElapsed{0s}) == four({at(0s), {}, 1}));
}

TEST_CASE("Deadline bounds the wait for a first attempt as well", "[call][bounded_wait][unit]") {
    Bulkhead bulkhead{{.limit = 1}};
    const Bulkhead::Permit taken = bulkhead.acquire(at(0s));
    check_gave_up(each_way(Policy{Shared{bulkhead}, Deadline{at(2s)}}), 10ms, "Deadline");
}
