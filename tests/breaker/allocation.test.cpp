// SPDX-License-Identifier: MIT
// Goal: no call of a breaker allocates, alone or in a policy. Method: a counting operator new.
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/policy/policy_step.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;
using belay_test::policy_step;

TEST_CASE("Breaker and Shared{CircuitBreaker} never allocate in a policy",
          "[breaker][allocation][unit]") {
    ManualClock clock;
    CircuitBreaker<ManualClock::View> breaker{ConsecutiveFailures{3}, OpenFor{1s}, clock.view()};
    Policy policy{Breaker{ConsecutiveFailures{5}, OpenFor{300s}}, Shared{breaker}};
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    std::size_t sum = 0;
    int permits = 0;
    const Counting counting;
    for (int i = 0; i < 100; ++i) {
        clock.advance(1s);
        turn.now = clock.now();
        sum += policy_step(policy, turn, i);
        auto permit = breaker.acquire();
        if (permit) {
            permit.failure();
            ++permits;
        }
    }
    const auto made = counting.made();
    CHECK(made == 0);
    CHECK(sum != 0);
    CHECK(permits > 0);
}

TEST_CASE("A breaker never allocates", "[breaker][allocation][unit]") {
    struct Listener {
        int* received;
        void on_breaker(const BreakerEvent&) noexcept { ++*received; }
    };
    ManualClock clock;
    int received = 0;
    const Counting counting;
    CircuitBreaker breaker{
        AnyTrip{ConsecutiveFailures{3}, FailureRate{TimeWindow{10s}},
                SlowCallRate{1s, CountWindow<200>{}},
                TripWhen{TimeWindow{60s}, [](const CallCounts& c) noexcept { return c.bad > 9; }}},
        OpenFor{1s},
        clock.view(),
        {.probes = 4, .successes = 2, .failures = 2},
        Listener{&received}};
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
    CHECK(received > 200);
}
