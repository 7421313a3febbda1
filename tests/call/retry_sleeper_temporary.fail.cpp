// SPDX-License-Identifier: MIT
// expect-error: retry: the sleeper must be a variable
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

struct Sleeper {
    belay::Random random{belay::Seed{1}};
    belay::Instant now() const noexcept { return {}; }
    belay::Random& bits() noexcept { return random; }
    void sleep_until(belay::Instant, const auto&) noexcept {}
};

void use() {
    const auto fn = [] { return true; };
#if defined(BELAY_CONTROL)
    Sleeper sleeper;
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, Sleeper{}, fn));
#endif
}
