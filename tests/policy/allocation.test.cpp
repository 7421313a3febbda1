// SPDX-License-Identifier: MIT
// Goal: no draw, no rule and no breaker call allocates, at any time. Method: a counting operator
// new.
#include <memory>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/cap.hpp>
#include <belay/backoff/full_jitter.hpp>
#include <belay/breaker/any_trip.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/count_window.hpp>
#include <belay/breaker/failure_rate.hpp>
#include <belay/breaker/slow_call_rate.hpp>
#include <belay/breaker/trip_when.hpp>
#include <belay/core/manual_clock.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/cooldown_on.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;

TEST_CASE("The counter of allocations sees one", "[policy][allocation][unit]") {
    const Counting counting;
    const auto one = std::make_unique<int>(1);
    CHECK(counting.made() == 1);
}

TEST_CASE("Backoff::next, rule hooks and breaker calls never allocate",
          "[policy][allocation][unit]") {
    const ManualClock clock;
    CircuitBreaker<ManualClock::View> breaker{ConsecutiveFailures{3}, OpenFor{1s}, clock.view()};
    Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s},
                  CooldownOn{Cause::overloaded, 5s, 15s},
                  Breaker{ConsecutiveFailures{5}, OpenFor{300s}},
                  Shared{breaker},
                  MaxAttempts{10},
                  ResetWhenStable{10s}};
    Backoff backoff{FullJitter{}, Cap{30s}, 1s, Seed{7}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    std::uint64_t sum = 0;
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 100; ++i) {
            sum += static_cast<std::uint64_t>(backoff.next().count());
            turn.now += 1s;
            const bool allowed = policy.admit(turn.now).allows(turn.now);
            if (allowed && policy.begin(turn).verb == Verb::go) {
                if (i % 3 == 0) {
                    policy.succeeded(turn);
                } else {
                    sum += policy.failed(Failure{.cause = Cause::overloaded}, turn).by.size();
                }
            }
            sum += policy.lost(Failure{.cause = Cause::lost}, turn).by.size();
            auto permit = breaker.acquire();
            if (permit) permit.failure();
        }
        made = counting.made();
    }
    CHECK(sum != 0);
    CHECK(made == 0);
}

TEST_CASE("A breaker never allocates", "[policy][allocation][unit]") {
    struct Listener {
        int* heard;
        void on_breaker(const BreakerEvent&) noexcept { ++*heard; }
    };
    ManualClock clock;
    int heard = 0;
    const Counting counting;
    CircuitBreaker breaker{
        AnyTrip{ConsecutiveFailures{3}, FailureRate{TimeWindow{10s}},
                SlowCallRate{1s, CountWindow<200>{}},
                TripWhen{TimeWindow{60s}, [](const CallCounts& c) noexcept { return c.bad > 9; }}},
        OpenFor{1s},
        clock.view(),
        {.probes = 4, .successes = 2, .failures = 2},
        Listener{&heard}};
    for (int i = 0; i < 200; ++i) {
        auto permit = breaker.acquire();
        clock.advance(300ms);
        i % 4 == 0 ? permit.success() : permit.failure();
        if (i % 50 == 0) breaker.set_mode(BreakerMode::automatic);
        if (!breaker.restore(breaker.snapshot())) break;
        static_cast<void>(breaker.counters());
    }
    const auto made = counting.made();
    CHECK(made == 0);
    CHECK(heard > 200);
}
