// SPDX-License-Identifier: MIT
// One breaker shared by many callers: while the server is down, few of them ask it.
#include <cstdio>

#include "virtual_sleeper.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

int main() {
    VirtualSleeper sleeper;
    // In a program: CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{5}, OpenFor{300s}};
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{300s}, sleeper.clock()};
    const Policy calls{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker}, MaxAttempts{5}};

    int asked = 0;
    const auto call = [&] {
        ++asked;
        return sleeper.now() >= Instant{} + 200s;  // down for 200 s
    };
    const auto first = retry(calls, sleeper, call);
    std::printf("first caller:  %s after %d calls; the breaker is %s\n",
                first ? "served" : "failed", asked,
                breaker.state() == BreakerState::open ? "open" : "not open");
    if (first || breaker.state() != BreakerState::open) return 1;

    const auto second = retry(calls, sleeper, call);
    std::printf("second caller: %s after %d calls in all, at %.0f s; the breaker is %s\n",
                second ? "served" : "failed", asked,
                std::chrono::duration<double>(sleeper.now().time_since_epoch()).count(),
                breaker.state() == BreakerState::open ? "open" : "not open");
    return second && asked == 6 ? 0 : 1;
}
