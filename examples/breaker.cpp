// SPDX-License-Identifier: MIT
// One breaker shared by many callers: while the server is down, few of them ask it. Then one by
// hand, with everything. A rate or slow calls trip it, and two probes decide. An observer is
// notified, and the breaker survives a restart.
#include <belay/breaker/trips.hpp>
#include <belay/core/time_window.hpp>

#include <cstdio>

#include "virtual_sleeper.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

double seconds(Instant t) { return std::chrono::duration<double>(t.time_since_epoch()).count(); }

bool shared_by_callers() {
    VirtualSleeper sleeper;
    // In a program: CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{5}, OpenFor{300s}};
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{300s}, sleeper.clock()};
    const Policy calls{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker, FailFast{}},
                       MaxAttempts{5}};

    int asked = 0;
    const auto call = [&] {
        ++asked;
        return sleeper.now() >= Instant{} + 200s;  // down for 200 s
    };
    const auto first = retry(calls, sleeper, call);
    std::printf("first caller:  %s after %d calls; the breaker is %s\n",
                first ? "served" : "failed", asked,
                breaker.state() == BreakerState::open ? "open" : "not open");
    if (first || breaker.state() != BreakerState::open) return false;

    const auto second = retry(calls, sleeper, call);
    std::printf("second caller: %s after %d calls in all, at %.0f s\n",
                second.error().message().c_str(), asked, seconds(sleeper.now()));
    if (second.error() != CallErrc::call_rejected || asked != 5) return false;

    sleeper.sleep_until(after(sleeper.now(), 300s), NeverStops{});
    const auto third = retry(calls, sleeper, call);
    std::printf("third caller:  %s after %d calls in all, at %.0f s; the breaker is %s\n",
                third ? "served" : "failed", asked, seconds(sleeper.now()),
                breaker.state() == BreakerState::open ? "open" : "not open");
    return third && asked == 6;
}

struct Printer {
    void on_breaker(const BreakerEvent& event) const noexcept {
        std::printf("at %5.1f s: %s\n", seconds(event.at), to_string(event.change).data());
    }
};

// The settings of a breaker belong to the program, its state to a snapshot.
auto make_breaker(ManualClock::View clock) {
    const AnyTrip trip{FailureRate{TimeWindow{30s}, {.percent = 50, .min_calls = 10}},
                       SlowCallRate{2s, CountWindow<20>{}, {.percent = 80, .min_calls = 10}}};
    return CircuitBreaker{trip,
                          Backoff{FullJitter{}, Cap{60s}, 10s},
                          clock,
                          {.probes = 2, .successes = 2},
                          Printer{}};
}

bool by_hand() {
    ManualClock clock;
    BreakerSnapshot saved;
    {
        auto breaker = make_breaker(clock.view());
        // Every call works, but takes three seconds.
        for (int i = 0; i < 10; ++i) {
            auto permit = breaker.acquire();
            clock.advance(3s);
            permit.success();
        }
        saved = breaker.snapshot();
    }
    auto restarted = make_breaker(clock.view());
    if (!restarted.restore(saved)) return false;
    if (const auto rejected = restarted.acquire(); !rejected) clock.set(rejected.retry_at());
    auto one = restarted.acquire();
    auto other = restarted.acquire();
    clock.advance(100ms);
    one.success();
    other.success();
    return restarted.state() == BreakerState::closed;
}

}  // namespace

int main() { return shared_by_callers() && by_hand() ? 0 : 1; }
