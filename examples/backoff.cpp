// SPDX-License-Identifier: MIT
// How long to wait before the next attempt: a value of 32 bytes, also at compile time.
#include <cstdio>

#include <belay/belay.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

// The longest waits are known before the program runs: 1 s, doubled, up to 30 s.
constexpr Backoff upper_bounds{FullJitter{}, Cap{30s}, 1s};
static_assert(upper_bounds.ceiling(0) == 1s);
static_assert(upper_bounds.ceiling(3) == 8s);
static_assert(upper_bounds.ceiling(1000) == 30s);

int main() {
    Backoff backoff{FullJitter{}, Cap{30s}, 1s};
    for (int attempt = 1; attempt <= 8; ++attempt) {
        const auto most = backoff.ceiling(backoff.attempts());
        const auto wait = backoff.next();
        std::printf("attempt %d: wait %6.3f s of at most %2.0f s\n", attempt,
                    std::chrono::duration<double>(wait).count(),
                    std::chrono::duration<double>(most).count());
        if (wait > most) return 1;
    }
    backoff.reset();  // it worked: the next outage starts from one second again
    return backoff.next() <= 1s ? 0 : 1;
}
