// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/belay.hpp>
using namespace belay;
using namespace std::chrono_literals;

int main() {
    ManualClock clock;  // in a program: nothing, which is SteadyClock
    // excerpt: begin
    // One breaker for many callers and threads, by hand or inside any number of policies.
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{300s}, clock.view()};
    // excerpt: end

    int asked = 0;
    int answered = 0;
    // excerpt: begin
    for (int second = 0; second < 400; ++second, clock.advance(1s)) {
        auto permit = breaker.acquire();
        if (!permit) continue;  // rejected at once, until permit.retry_at()
        ++asked;
        const bool up = second >= 200;  // the result of the call
        up ? permit.success() : permit.failure();
        answered += up ? 1 : 0;
    }
    // excerpt: end
    std::printf("asked %d times in 400 s, answered %d times\n", asked, answered);
}
