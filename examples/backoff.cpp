// SPDX-License-Identifier: MIT
// How long to wait before the next attempt: a value of 32 bytes, also at compile time.
#include <cstdio>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

// How long at most? Known before the program runs: 1 s, doubled, up to 30 s.
constexpr Backoff usual{FullJitter{}, Cap{30s}, 1s};
static_assert(usual.max_delay(0) == 1s);
static_assert(usual.max_delay(3) == 8s);
static_assert(usual.max_delay(1000) == 30s);
static_assert(usual.max_total(10) == 181s);

// Another jitter, a floor, another growth.
constexpr Backoff slower{EqualJitter{}, Floor{800ms, Cap{1min}}, Exponential{1s, 1.5}};
static_assert(slower.min_delay(0) == 800ms);
static_assert(slower.max_delay(2) == 2250ms);

// A growth of one's own: 1 s, 4 s, 9 s, ...
constexpr auto squares = [](std::uint64_t n) noexcept {
    return part::saturating_multiply(part::saturating_multiply(Duration{1s}, n + 1), n + 1);
};
static_assert(Backoff{FullJitter{}, Cap{1h}, squares}.max_delay(2) == 9s);

namespace {

// From a configuration: a wrong value is reported, and never replaced.
bool rejects(Duration cap) {
    const auto backoff = make_backoff(SmoothJitter{}, Cap{cap}, 1s);
    if (!backoff) std::printf("rejected: %s\n", backoff.error().message().c_str());
    return !backoff;
}

}  // namespace

int main() {
    Backoff backoff = usual;
    for (int attempt = 1; attempt <= 8; ++attempt) {
        const auto most = backoff.max_delay(backoff.attempts());
        const auto wait = backoff.next();
        std::printf("attempt %d: wait %6.3f s of at most %2.0f s\n", attempt,
                    std::chrono::duration<double>(wait).count(),
                    std::chrono::duration<double>(most).count());
        if (wait > most) return 1;
    }
    backoff.reset();  // it worked: the next outage starts from one second again
    if (backoff.next() > 1s) return 1;
    return rejects(0s) && !rejects(30s) ? 0 : 1;
}
